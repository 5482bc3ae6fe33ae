"""Release suites of what makes images: psnr of whole runs, CLIP's judgement, prompts of one's own, the submodels."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import diffusers
import numpy as np
import pytest
import torch
from tests.pipelines import quiet

import edgepack
from edgepack import suites
from edgepack.data import DataSpec
from edgepack.data import read as read_data
from edgepack.errors import DataError, UsageError
from edgepack.original import open_originals
from edgepack.plans import Subject
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import manifest
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.runner import Here
from edgepack.stages import resolve, validate
from edgepack.tasks import _prompts

Command = Callable[..., subprocess.CompletedProcess[str]]
ROWS = [
    {"prompt": "a red sofa", "negative_prompt": "blue", "seed": 7, "steps": 3, "guidance": 4.0},
    {"prompt": "the sofa", "seed": None},
]
CHECKS = """
[[check]]
kind = "psnr"
metric = "image"
data = { path = "prompts.jsonl" }
steps = 2
at_least = "20 dB"

[[check]]
kind = "psnr"
metric = "latents"
statistic = "min"
data = { path = "prompts.jsonl" }
steps = 2
at_least = "200 dB"

[[check]]
kind = "agreement"
metric = "psnr"
submodel = "unet"
at_least = "20 dB"

[[check]]
kind = "golden"
"""


@pytest.fixture(scope="module")
def bundle(diffusers_folder: Callable[[str], Path], build: Callable[..., tuple[Bundle, ...]]) -> Bundle:
    return build(diffusers_folder("sd"), "rpi")[0]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "release.toml").write_text(CHECKS)
    return tmp_path / "release.toml"


def by_diffusers(folder: Path, row: dict[str, object], seed: int, steps: int) -> np.ndarray:
    with quiet():
        pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
        pipe.set_progress_bar_config(disable=True)
        asked = {"negative_prompt": row.get("negative_prompt"), "guidance_scale": row.get("guidance", 7.5)}
        generator = torch.Generator().manual_seed(seed)
        made = pipe(row["prompt"], num_inference_steps=steps, generator=generator, output_type="np", **asked)
    return np.round(made.images[0] * 255)


def test_figures_are_those_of_diffusers_pipeline(
    bundle: Bundle, suite: Path, diffusers_folder: Callable[[str], Path], edgepack: Command, tmp_path: Path
) -> None:
    """The first prompt states all, the second nothing: its seed is its number, its steps the check's."""
    folder = diffusers_folder("sd")
    options = ("--suite", suite, "--original", folder, "--out", tmp_path / "report")
    done = edgepack("validate", bundle.path, *options)
    assert done.returncode == 1, done.stderr  # 200 dB
    model = __import__("edgepack").load(bundle.path)
    true = [by_diffusers(folder, ROWS[0], 7, 3), by_diffusers(folder, ROWS[1], 1, 2)]
    made = [
        model.generate("a red sofa", negative_prompt="blue", seed=7, steps=3, guidance=4.0),
        model.generate("the sofa", seed=1, steps=2),
    ]
    errors = [np.sqrt(np.mean((a - b[0].pixels.astype(float)) ** 2)) for a, b in zip(true, made, strict=True)]
    wanted = np.mean([20 * np.log10(255 / error) for error in errors])
    image, latents, unet, *golden = json.loads((tmp_path / "report" / "report.json").read_text())["checks"]
    assert image["value"] == pytest.approx(wanted, abs=0.01)
    assert [check["passed"] for check in (image, latents, unet)] == [True, False, True]
    assert {check["name"] for check in golden} == {f"golden {name}" for name in bundle.artifacts}
    assert all(check["passed"] for check in golden)
    cases = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot().findall(".//testcase")
    assert [case.get("name") for case in cases][:2] == ["psnr image", "psnr latents min"]
    assert "is below 200" in str(cases[1][0].get("message"))
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.count("data:image/png") == 4
    assert "≥ 20 dB" in page
    assert "a red sofa" in page


def measured(listed: Manifest, text: str, folder: Path | None, tmp_path: Path) -> suites.SuiteResult:
    (tmp_path / "s.toml").write_text(text)
    chosen = suites.read(tmp_path / "s.toml")
    if folder is None:
        return validate.validate(Here(listed), chosen)
    subject = Subject.of(resolve.resolve(str(folder)))
    with open_originals(subject) as originals:
        return validate.validate(Here(listed), chosen, subject=subject, originals=originals)


def test_without_the_original_it_is_not_measured(bundle: Bundle, suite: Path, tmp_path: Path) -> None:
    found = measured(manifest.read(bundle.path), CHECKS, None, tmp_path).results
    assert all(isinstance(result.value, NotMeasured) for result in found[:3])
    assert found[3].passed


def test_clip_judges_images_by_their_prompts(
    bundle: Bundle,
    diffusers_folder: Callable[[str], Path],
    build: Callable[..., tuple[Bundle, ...]],
    tiny: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    (clip,) = build(tiny("zero-shot-image-classification"), "rpi", recipes=("fp32",))
    (tmp_path / "p.jsonl").write_text('{"prompt": "a sofa"}\n{"prompt": "the cat", "seed": 5}\n')
    check = f'[[check]]\nkind = "clip"\nclip = "{clip.path}"\nsteps = 2\ndata = {{ path = "p.jsonl" }}\n'
    listed = manifest.read(bundle.path)
    found = measured(listed, check + "at_most_loss = 0.5\nsure = true\n", diffusers_folder("sd"), tmp_path).results[0]
    judge, model = edgepack.load(clip.path), edgepack.load(bundle.path)
    photos = [model.generate("a sofa", seed=0, steps=2)[0], model.generate("the cat", seed=5, steps=2)[0]]
    texts, seen = judge.embed_text(["a sofa", "the cat"]), judge.embed_image([one.pixels for one in photos])
    cosines = (texts * seen).sum(1) / np.linalg.norm(texts, axis=1) / np.linalg.norm(seen, axis=1)
    assert found.value == pytest.approx(cosines.mean(), abs=1e-5)
    assert found.original == pytest.approx(found.value, abs=0.2)
    assert found.passed
    alone = measured(listed, check + "at_least = -1\nat_most_loss = 0.1\n", None, tmp_path).results[0]
    assert alone.value == pytest.approx(found.value)
    assert "needs the original" in alone.reason
    with pytest.raises(UsageError, match="not of CLIP"):
        measured(listed, check.replace(str(clip.path), str(bundle.path)) + "at_least = 0\n", None, tmp_path)
    with pytest.raises(UsageError, match="makes no images"):
        measured(manifest.read(clip.path), check + "at_least = 0\n", None, tmp_path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"prompt": " "}', "line 1: the prompt is empty"),
        ('{"prompt": "a", "seed": -1}', "seed is -1"),
        ('{"prompt": "a", "seed": true}', "seed is True"),
        ('{"prompt": "a", "steps": 0}', "steps is 0"),
        ('{"prompt": "a", "steps": 2.5}', "steps is 2.5"),
        ('{"prompt": "a", "guidance": -0.5}', "guidance is -0.5"),
        ('{"prompt": "a", "guidance": 2000000}', "guidance is 2000000"),
        ('{"prompt": "a", "negative_prompt": 3}', "'negative_prompt' is not a text"),
        ('{"prompt": "a", "negativ_prompt": "b"}', "a column 'negativ_prompt', which is not used"),
    ],
)
def test_rows_that_say_nothing_are_told(row: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(row)
    options = ("negative_prompt", "seed", "steps", "guidance")
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        _prompts.prompt(read_data(DataSpec(path=file), ("prompt",), {}, options)[0], 0, 20)


def test_columns_that_are_named_leave_others_out(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("text,s,other,steps\na sofa,9,x,\n")
    spec = DataSpec(path=file, columns={"prompt": "text", "seed": "s"})
    (row,) = read_data(spec, ("prompt",), {}, ("negative_prompt", "seed", "steps", "guidance"))
    assert _prompts.prompt(row, 0, 20) == _prompts.Prompt(text="a sofa", negative=None, seed=9, steps=20)


def test_every_command_opens_a_pipeline_s_bundle(bundle: Bundle, edgepack: Command, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle.path, tmp_path / "other")
    for words in (
        ("inspect", bundle.path),
        ("inspect", bundle.path, "--json"),
        ("compare", bundle.path, copy),
        ("validate", bundle.path),
        ("pack", bundle.path, "--zip", "--out", tmp_path / "b.edgepack"),
        ("validate", tmp_path / "b.edgepack"),
        ("bench", bundle.path, "--runs", 1, "--seconds", 0),
        ("doctor",),
    ):
        done = edgepack(*words, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        if words[0] == "bench":
            assert "a result takes about" in done.stdout
        if words == ("inspect", bundle.path):
            assert "32 × 32 pixels, 20 steps of pndm, guidance 7.5" in done.stdout


def test_data_sets_that_would_have_no_effect_are_refused(
    diffusers_folder: Callable[[str], Path], build: Callable[..., tuple[Bundle, ...]], tmp_path: Path
) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a sofa"}')
    for name in ("calibration", "evaluation"):
        with pytest.raises(UsageError, match=rf"\[{name}\] has no effect"):
            build(diffusers_folder("sd"), "rpi", **{name: DataSpec(path=tmp_path / "p.jsonl")})
