"""A diffusion pipeline for Core ML: the loop that ships computes its packages, and Apple's client finds its files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import pipelines

import edgepack
from edgepack.cli.built import show_bundles
from edgepack.records import Bundle

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

CLOSE = 1e-4  # of the largest latent, after all steps
COMPILED = ["TextEncoder.mlmodelc", "Unet.mlmodelc", "VAEDecoder.mlmodelc", "VAEEncoder.mlmodelc"]
# a compiler that tells by its result what it was asked to compile
XCRUN = """#!/bin/sh
[ "$1 $2" = "coremlcompiler compile" ] && [ -d "$3" ] || exit 1
name=$(basename "$3" .mlpackage)
mkdir "$4/$name.mlmodelc"
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> pipelines.Tiny:
    return pipelines.Tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def bundles(
    tiny: pipelines.Tiny, build: Callable[..., tuple[Bundle, ...]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bundle]:
    """In float32 and with 6 bits, by recipe."""
    folder = tmp_path_factory.mktemp("model") / "tiny sd"
    tiny.diffusers("StableDiffusionPipeline").save_pretrained(folder)
    few = {"palette6": {"min_coverage": 0.85}}  # the table of positions is a large part of a tiny encoder
    found = build(folder, "iphone", recipes=("fp32", "palette6"), overrides=few, allow_loss=True)
    return {bundle.recipe.name: bundle for bundle in found}


def test_latents_are_those_of_diffusers(tiny: pipelines.Tiny, bundles: dict[str, Bundle]) -> None:
    (made,) = edgepack.load(bundles["fp32"].path).generate("a red sofa", steps=4, seed=3, guidance=5.0)
    with pipelines.quiet():
        true = tiny.diffusers("StableDiffusionPipeline")(
            "a red sofa", num_inference_steps=4, guidance_scale=5.0, generator=pipelines.generator(3),
            output_type="latent",
        ).images[0].numpy()  # fmt: skip
    assert np.abs(made.latents - true).max() <= CLOSE * np.abs(true).max()


def test_several_images_and_one_that_they_begin_with(bundles: dict[str, Bundle]) -> None:
    model = edgepack.load(bundles["fp32"].path)
    options = {"steps": 3, "image": pipelines.photo(), "strength": 0.7}
    one, other, third = model.generate("a sofa", seed=[5, 6, 7], **options)
    np.testing.assert_allclose(
        model.generate("a sofa", seed=6, together=False, **options)[0].latents, other.latents, atol=1e-5
    )
    assert not np.allclose(one.latents, third.latents, atol=0.1)


def test_a_small_autoencoder_begins_with_an_image_as_in_diffusers(
    build: Callable[..., tuple[Bundle, ...]], tmp_path: Path
) -> None:
    tiny = pipelines.Tiny(tmp_path / "words", autoencoder=pipelines.small_vae)
    tiny.diffusers("StableDiffusionPipeline").save_pretrained(tmp_path / "small")
    (bundle,) = build(tmp_path / "small", "iphone", recipes=("fp32",))
    asked = {"image": pipelines.photo(), "strength": 0.6}
    (made,) = edgepack.load(bundle.path).generate("a red sofa", steps=4, seed=3, guidance=5.0, **asked)
    with pipelines.quiet():
        true = tiny.diffusers("StableDiffusionImg2ImgPipeline")(
            "a red sofa", num_inference_steps=4, guidance_scale=5.0, generator=pipelines.generator(3),
            output_type="latent", image=Image.fromarray(asked["image"]), strength=0.6,
        ).images[0].numpy()  # fmt: skip
    assert np.abs(made.latents - true).max() <= CLOSE * np.abs(true).max()
    assert (bundle.path / "VAEEncoder.mlpackage").is_dir()
    for file in ("compile.sh", "Prepare.swift"):  # Apple's package expects a distribution
        assert "VAEEncoder" not in (bundle.path / file).read_text("utf-8")
        assert "VAEDecoder" in (bundle.path / file).read_text("utf-8")


def test_figures_tell_how_close_six_bits_are(bundles: dict[str, Bundle]) -> None:
    figures = {accuracy.metric: accuracy.compressed for accuracy in bundles["palette6"].accuracy}
    assert 30 < figures["latents_psnr"] < 100
    sizes = {name: sum(one.bytes for one in bundle.artifacts.values()) for name, bundle in bundles.items()}
    assert sizes["palette6"] < sizes["fp32"]


def test_facts_are_of_all_submodels(bundles: dict[str, Bundle], capsys: pytest.CaptureFixture[str]) -> None:
    show_bundles(list(bundles.values()), json=True)
    for told, bundle in zip(json.loads(capsys.readouterr().out), bundles.values(), strict=True):
        assert told["bytes"] == sum(one.bytes for one in bundle.artifacts.values())
        assert told["coverage"]["total"] == sum(one.coverage.total for one in bundle.artifacts.values())


def test_compile_makes_the_folder_that_apples_client_opens(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "xcrun").write_text(XCRUN)
    (tmp_path / "bin" / "xcrun").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    script, out = bundles["palette6"].path / "compile.sh", tmp_path / "for Apple's"
    subprocess.run(["sh", script, out], check=True, env={**os.environ, "PATH": path}, cwd=tmp_path)
    assert sorted(file.name for file in out.iterdir()) == [*COMPILED, "merges.txt", "vocab.json"]


def test_prepare_names_what_the_bundle_holds(bundles: dict[str, Bundle]) -> None:
    versions = set()
    for bundle in bundles.values():
        swift = (bundle.path / "Prepare.swift").read_text("utf-8")
        named = [line for line in swift.splitlines() if "static let" in line]
        packages, files, scale = (line.partition(" = ")[2] for line in named)
        assert packages == '["TextEncoder.mlpackage", "Unet.mlpackage", "VAEDecoder.mlpackage", "VAEEncoder.mlpackage"]'
        assert files == '["tokenizer/vocab.json", "tokenizer/merges.txt"]'
        assert scale == "0.18215"
        assert "$" not in swift
        versions.add(next(line for line in swift.splitlines() if "system.majorVersion" in line))
    assert len(versions) == len(bundles)
