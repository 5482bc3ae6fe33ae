"""What the package restores is what the recipe meant, and nothing is written twice or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.decoders.conftest import ALL, FAMILIES, make

from edgepack.coreml import Package
from edgepack.quantization import gptq
from edgepack.quantization.calibration import Calibration
from edgepack.quantization.rounding import blocks
from edgepack.records import Recipe

from .conftest import FP16, causal, described

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

INT4 = Recipe(name="int4", scheme="blocks", weight_bits=4, embedding_bits=4, block_size=32, finer=("head",))
INT8 = Recipe(name="int8", scheme="channels", weight_bits=8, embedding_bits=8)
FINE = Recipe(name="int8-fine", scheme="blocks", weight_bits=8, embedding_bits=8, block_size=32)
PALETTES = [
    Recipe(name="palette", scheme="palette", weight_bits=bits, embedding_bits=bits, block_size=size, finer=("head",))
    for bits, size in ((4, 16), (6, 16), (6, 0))
]
_FILE = Path("Data/com.apple.CoreML/weights/weight.bin")
_STORED = 1e-3  # of a scale: it is kept as float16
TEXTS = [{"input_ids": np.random.default_rng(9).integers(3, 160, (2, 24))} for _ in range(2)]


def logits(package: Package, ids: np.ndarray) -> np.ndarray:
    feeds = {"inputIds": ids.astype(np.int32), "causalMask": causal(ids.shape[1], ids.shape[1])}
    return np.asarray(package(feeds)["logits"], np.float32)


@pytest.mark.parametrize("name", FAMILIES)
def test_int4_runs_in_every_family(name: str, family: Any, tmp_path: Path) -> None:
    artifact = described(family(name)[0]).compress(tmp_path / "model.mlpackage", INT4, TEXTS)
    assert artifact.coverage.share == 1
    made = logits(Package(artifact.path), TEXTS[0]["input_ids"][:1])
    assert np.isfinite(made).all()
    assert artifact.bytes == sum(file.stat().st_size for file in artifact.path.rglob("*") if file.is_file())
    kept = sum(component.bytes for component in artifact.components)
    assert kept <= (artifact.path / _FILE).stat().st_size <= kept + 128 * (1 + sum(artifact.operators.values()))


def test_int4_is_what_was_meant(family: Any, tmp_path: Path) -> None:
    model = described(family("llama")[0])
    package = Package(model.compress(tmp_path / "model.mlpackage", INT4, TEXTS).path)
    checkpoint = model.reference.checkpoint
    calibration = Calibration(model.reference, [feeds["input_ids"] for feeds in TEXTS], 32)
    for layer in range(3):
        for part, matrix in (("attention.qkv", checkpoint.qkv(layer)), ("mlp.down", checkpoint.down(layer))):
            name = f"layers.{layer}.{part}"
            rows = matrix.rows(0, matrix.shape[0])
            wanted = gptq.rounded(rows, 4, 32, calibration.feedback(name) or []).restored()
            assert (
                np.abs(package.weight(f"{name.replace('.', '_')}_weight") - wanted).max() <= _STORED * abs(rows).max()
            )
    embedding = checkpoint.embedding().rows(0, 160)
    wanted = blocks(embedding, 4, 32).restored()
    assert np.abs(package.weight("embedding_weight") - wanted).max() <= _STORED * np.abs(wanted).max()
    head = checkpoint.head().rows(0, 160)
    assert np.abs(package.weight("head_weight") - head).max() <= np.abs(head).max() / 127  # 8 bits


@pytest.mark.parametrize("recipe", [INT8, FINE], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3"])
def test_eight_bits_stay_near(name: str, recipe: Recipe, family: Any, packages: Any, tmp_path: Path) -> None:
    artifact = described(family(name)[0]).compress(tmp_path / "model.mlpackage", recipe, [])
    assert artifact.coverage.share == 1
    ids = TEXTS[0]["input_ids"][:1]
    wanted = logits(packages(name), ids)
    far = np.abs(logits(Package(artifact.path), ids) - wanted)
    assert far.mean() <= 0.03 * np.abs(wanted).max()


@pytest.mark.parametrize("recipe", PALETTES, ids=lambda recipe: f"{recipe.weight_bits}-{recipe.block_size}")
def test_palettes(recipe: Recipe, family: Any, tmp_path: Path) -> None:
    model = described(family("llama")[0])
    artifact = model.compress(tmp_path / "model.mlpackage", recipe, [])
    assert artifact.coverage.share == 1
    package, whole = Package(artifact.path), model.reference.checkpoint.down(1).rows(0, 64)
    restored = package.weight("layers_1_mlp_down_weight")
    group = recipe.block_size or 64
    for start in range(0, 64, group):
        assert len(np.unique(restored[start : start + group])) <= 1 << recipe.weight_bits
    error = ((restored - whole) ** 2).sum() / (whole**2).sum()
    assert error <= 2.8 * 4.0**-recipe.weight_bits  # Panter & Dite's for many levels of a normal distribution
    assert np.isfinite(logits(package, TEXTS[0]["input_ids"][:1])).all()


def test_palettes_look_at_what_meets_the_weights(family: Any, tmp_path: Path) -> None:
    model, recipe = described(family("llama")[0]), PALETTES[0]
    built = [model.compress(tmp_path / f"{len(texts)}.mlpackage", recipe, texts).path for texts in ([], TEXTS)]
    plain, calibrated = (Package(path) for path in built)
    checkpoint = model.reference.checkpoint
    calibration = Calibration(model.reference, [feeds["input_ids"] for feeds in TEXTS], 0)
    for layer in range(3):
        for part, role in (("qkv", "qkv"), ("out", "o_proj"), ("inner", "gate_up"), ("down", "down")):
            name = f"layers.{layer}.{'attention' if part in ('qkv', 'out') else 'mlp'}.{part}"
            matrix = getattr(checkpoint, role)(layer)
            rows = matrix.rows(0, matrix.shape[0])
            (covariance,) = calibration.covariance(name)  # widths up to 128 are one group
            weights = [package.weight(f"{name.replace('.', '_')}_weight") for package in (plain, calibrated)]
            missed = [np.pad(found - rows, ((0, 0), (0, 128 - rows.shape[1]))) for found in weights]
            before, after = (np.einsum("rk,kl,rl->", wrong, covariance, wrong) for wrong in missed)
            assert after < 0.95 * before
            assert len(np.unique(weights[1][:16])) <= 16


@pytest.mark.parametrize("recipe", [FP16, INT4, INT8, PALETTES[0]], ids=lambda recipe: recipe.name)
def test_a_tied_head_is_the_embedding(recipe: Recipe, family: Any, tmp_path: Path) -> None:
    artifact = described(family("qwen3")[0]).compress(tmp_path / "model.mlpackage", recipe, [])
    sizes = {component.name: component for component in artifact.components}
    assert "head" not in sizes
    assert sizes["embedding"].parameters == 160 * 64
    assert sizes["embedding"].bytes == {"fp16": 2 * 160 * 64, "int8": 160 * 66}.get(
        recipe.name, sizes["embedding"].bytes
    )
    stored = [constant for constant in Package(artifact.path).constants() if constant.shape == (160, 64)]
    assert len(stored) == 1


@pytest.mark.parametrize("recipe", [FINE, INT4], ids=lambda recipe: recipe.name)
def test_widths_that_no_block_divides(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {**FAMILIES["llama"][1], "hidden_size": 72, "head_dim": 18, "intermediate_size": 100}
    monkeypatch.setitem(ALL, "odd", ("Llama", odd))
    folder, _ = make("odd", tmp_path / "odd")
    artifact = described(folder).compress(tmp_path / "odd.mlpackage", recipe, TEXTS)
    assert artifact.coverage.share == 1
    exact = described(folder).compress(tmp_path / "exact.mlpackage", FP16, [])
    ids = TEXTS[0]["input_ids"][:1]
    made, wanted = (logits(Package(one.path), ids) for one in (artifact, exact))
    assert made.shape == wanted.shape
    if recipe is FINE:
        assert np.abs(made - wanted).mean() <= 0.03 * np.abs(wanted).max()


def test_the_same_twice(family: Any, tmp_path: Path) -> None:
    folder = family("gemma2")[0]
    first, second = (tmp_path / name / "model.mlpackage" for name in "ab")
    for out in (first, second):
        described(folder).compress(out, INT4, TEXTS)
    files = [file.relative_to(first) for file in first.rglob("*") if file.is_file()]
    assert len(files) == 3
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)
