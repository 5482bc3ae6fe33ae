"""The resize is Pillow's, and pictures of every kind are taken or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgepack.errors import InputError
from edgepack.runtime import image

STEP = 1  # of 255: Pillow weighs in fixed point, we in floats, and both round twice
RESAMPLINGS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4}


@pytest.mark.parametrize("name", RESAMPLINGS)
@pytest.mark.parametrize(
    ("size", "wanted"), [((60, 44), (32, 32)), ((20, 30), (50, 41)), ((64, 64), (64, 64)), ((33, 70), (16, 90))]
)
def test_resize(name: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    source = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    # across and then down, as Pillow did it for all the years in which models were trained; new ones may swap the two
    across = Image.fromarray(source).resize((wanted[1], size[0]), RESAMPLINGS[name])
    theirs = np.asarray(across.resize(wanted[::-1], RESAMPLINGS[name]), int)
    ours = image.resize(source, *wanted, name).astype(int)
    assert np.abs(ours - theirs).max() <= STEP


PROCESSING = {
    "inputs": ["pixel_values"], "channels": 3, "resize": {"shortest_edge": 40}, "resample": "bilinear",
    "crop": {"height": 32, "width": 32}, "scale": 1 / 255, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4],
}  # fmt: skip


@pytest.mark.parametrize("shape", [(60, 44, 3), (44, 60, 3), (60, 44), (60, 44, 1), (60, 44, 4)])
def test_every_shape_becomes_one(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert image.ImageInput(PROCESSING).feeds([picture])["pixel_values"].shape == (1, 3, 32, 32)


def test_grey_from_colour_is_pillows(picture: np.ndarray) -> None:
    grey = image.ImageInput(
        {**PROCESSING, "channels": 1, "resize": None, "crop": None, "scale": 1, "mean": [0], "std": [1]}
    )
    theirs = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    np.testing.assert_array_equal(grey.feeds([picture])["pixel_values"][0, 0], theirs)


def test_a_small_picture_is_padded() -> None:
    assert image.crop(np.ones((10, 50, 3), np.uint8), 20, 20).shape == (20, 20, 3)


@pytest.mark.parametrize(
    "wrong", [None, "nowhere.png", np.zeros((4, 4, 3)), np.zeros(5, np.uint8), np.zeros((4, 4, 2), np.uint8)]
)
def test_what_is_no_picture(wrong: object) -> None:
    with pytest.raises(InputError):
        image.ImageInput(PROCESSING).feeds([wrong])


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(InputError, match="no picture"):
        image.pixels(tmp_path / "x.png")
