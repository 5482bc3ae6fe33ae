"""The report of a model that makes images: whole figures first, the drift, images side by side."""

import base64
import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edgepack import reports
from edgepack.metrics import agreement
from edgepack.metrics.images import ImagePair
from edgepack.records import Accuracy, NotMeasured
from edgepack.reports import accuracy, images
from edgepack.reports.submodels import submodels_table
from edgepack.reports.table import readable
from edgepack.suites import SuiteResult


def pair(seed=1, by_step=(60.0, 50.0, 40.0), prompt="a <red> sofa"):
    pixels = np.random.RandomState(seed).randint(0, 256, (8, 12, 3)).astype(np.uint8)
    return ImagePair(
        prompt=prompt, seed=seed, steps=3, by_step=by_step, image_psnr=41.25, original=pixels, compressed=255 - pixels
    )


FIGURES = [
    Accuracy(metric="cosine_mean", compressed=0.9999, floor=0.97, samples=4, submodel="text_encoder"),
    Accuracy(metric="max_error_max", compressed=0.5, samples=4, submodel="text_encoder", higher_is_better=False),
    Accuracy(metric="cosine_mean", compressed=0.5, floor=0.97, samples=36, submodel="unet"),
    Accuracy(metric="psnr_mean", compressed=60.0, samples=36, submodel="unet"),
    Accuracy(metric="one_step_psnr", compressed=86.8, samples=2),
    Accuracy(metric="latents_psnr", compressed=57.05, floor=35.0, samples=2),
]


def test_the_whole_comes_first_and_each_submodel_has_one_row():
    whole = readable(accuracy.accuracy_table(FIGURES))
    assert whole.rows == [("one step PSNR", "86.8 dB", "–", "2"), ("latents PSNR", "57.0 dB", "≥ 35 dB", "2")]
    assert whole.passed == [None, True]
    assert "Apple's tables" in whole.notes[0]
    assert "whole run" in whole.notes[1]
    parts = readable(submodels_table(FIGURES))
    assert [column.name for column in parts.columns] == ["submodel", "cosine mean", "PSNR mean", "max error", "samples"]
    assert parts.rows == [
        ("text_encoder", "0.99990", "–", "0.50000", "4"),
        ("unet", "0.50000", "60.0 dB", "–", "36"),
    ]
    assert parts.passed == [True, False]
    assert parts.notes == ["floors: cosine mean ≥ 0.97"]


def test_a_floor_that_not_all_share_is_told_with_its_submodels():
    parts = readable(submodels_table([*FIGURES[:1], replace(FIGURES[2], floor=0.98), FIGURES[1]]))
    assert parts.notes == ["floors: cosine mean ≥ 0.97 (text_encoder), cosine mean ≥ 0.98 (unet)"]


def test_of_one_model_there_is_no_second_table():
    own = [Accuracy(metric="cosine_mean", compressed=0.9, samples=4)]
    assert not submodels_table(own).rows
    assert accuracy.accuracy_table(own).notes == []


def test_what_a_submodel_lacks_has_its_reason():
    parts = readable(submodels_table([Accuracy(metric="x", compressed=NotMeasured(reason="why"), submodel="unet")]))
    assert parts.notes == ["¹ not measured: why"]


def test_images_lie_in_the_page_pixel_by_pixel():
    found = SuiteResult(suite="s", bundle="b", results=(), accuracy=tuple(FIGURES), images=[pair(), pair(2)])
    page = reports.of_suite(found, [], {})
    files = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    seen = [np.asarray(Image.open(io.BytesIO(base64.b64decode(file)))) for file in files]
    for index, one in enumerate((pair(), pair(2))):
        np.testing.assert_array_equal(seen[2 * index], one.original)
        np.testing.assert_array_equal(seen[2 * index + 1], one.compressed)
    assert not re.search(r"(src|href)\s*=(?!\"data:)|@import|url\(|<script|<link", page)
    assert "a &lt;red&gt; sofa" in page
    assert page.count("<red>") == 0
    assert page.index("latents PSNR") < page.index("Accuracy of the submodels") < page.index("text_encoder")


def test_a_report_holds_a_few_images_only():
    assert sum("<img" in figure for figure in images.figures([pair(seed) for seed in range(40)])) == 6
    assert images.figures([]) == []


@pytest.mark.parametrize("courses", [[(60.0, 50.0, 40.0), (30.0, 20.0)], [(42.0,)], [(160.0,) * 3] * 2])
def test_the_drift_is_drawn_where_its_figures_are(courses):
    drawn = ElementTree.fromstring(images.drift(courses))
    spots = drawn.findall(".//{*}circle")
    longest = max(map(len, courses))
    means = [np.mean([one[i] for one in courses if i < len(one)]) for i in range(longest)]
    assert [spot[0].text for spot in spots] == [f"run {i + 1}: {value:.2f} dB" for i, value in enumerate(means)]
    heights = [float(spot.get("cy")) for spot in spots]
    assert all(0 < height < 214 for height in heights)
    assert np.array_equal(np.argsort(heights, kind="stable"), np.argsort([-value for value in means], kind="stable"))
    assert len(drawn.findall(".//{*}polyline")) == 1 + (len(courses) if len(courses) > 1 else 0)


def test_psnr_is_that_of_apple_and_of_images():
    true = np.array([3.0, -4.0])
    assert agreement.psnr(true, np.array([3.1, -4.1])) == pytest.approx(20 * np.log10(4 / 0.1))
    assert agreement.psnr(true, np.array([3.1, -4.1]), 255) == pytest.approx(20 * np.log10(255 / 0.1))
    assert agreement.psnr(true, true) == agreement.psnr(0 * true, 0 * true) == 160
    assert agreement.psnr(true, true + 1e-12) == 160  # as equal as float32 tells
    assert agreement.psnr(0 * true, true) < 0
