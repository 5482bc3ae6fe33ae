"""The inputs that a pipeline's submodels are timed with, and how often an image takes each."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.pipelines import Tiny

from edgepack.errors import InputError
from edgepack.records import NotMeasured, TensorSpec, Timing, Where
from edgepack.runtime import estimate, shapes
from edgepack.runtime.diffusion import timing
from edgepack.runtime.tasks.text_to_image import Model

PARTS = {
    "text_encoder": {"input_ids": ("int64", ("batch", "tokens"))},
    "unet": {
        "sample": ("float32", ("batch", 4, "height", "width")),
        "encoder_hidden_states": ("float32", ("batch", "tokens", 32)),
        "timestep": ("float32", ()),
    },
    "vae_decoder": {"latent_sample": ("float32", ("batch", 4, "height", "width"))},
    "vae_encoder": {"sample": ("float32", ("batch", 3, "height", "width"))},
}
WHERE = Where(machine="a board", isa="arm64", os="Linux", runtime="onnxruntime 1", threads=4, target=True)


@pytest.fixture(scope="module")
def pndm(tmp_path_factory):
    schedule = {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}
    return Tiny(tmp_path_factory.mktemp("tiny"), "PNDMScheduler", schedule)


def submodel(name):
    specs = [TensorSpec(name=key, dtype=dtype, shape=shape) for key, (dtype, shape) in PARTS[name].items()]
    return SimpleNamespace(name=name, inputs=tuple(specs))


def manifest(processing):
    return SimpleNamespace(processing=processing, models={name: submodel(name) for name in PARTS})


def watched(tiny, processing, **options):
    """Shapes that each submodel is fed while an image is made."""
    seen = {}

    def one(name, run):
        def call(given):
            seen.setdefault(name, []).append({key: value.shape for key, value in given.items()})
            return run(given)

        return call

    runs = {name: one(name, run) for name, run in tiny.runs().items()}
    Model(runs, tiny.folder, processing).generate("a sofa", seed=0, **options)
    return seen


def test_inpainting_encodes_the_image_once(tmp_path):
    tiny = Tiny(tmp_path, in_channels=9)
    photo = np.zeros((64, 64, 3), np.uint8)
    seen = watched(tiny, tiny.processing(), image=photo, mask=photo[..., 0] + 255)
    for name in PARTS:
        assert timing.calls(tiny.processing(), name) == len(seen[name])


@pytest.mark.parametrize("guidance", [7.5, 1.0])
def test_inputs_and_calls_are_those_of_the_loop(pndm, guidance):
    """An image is made, and each submodel watched."""
    processing = pndm.processing(guidance=guidance)
    seen = watched(pndm, processing)
    made = manifest(processing)
    for name in PARTS:
        assert timing.calls(processing, name) == shapes.calls(made, name) == len(seen.get(name, ()))
        if name in seen:
            (shape,) = shapes.shapes(made, name)
            fed = shapes.feeds(made, shape, name)
            assert {key: value.shape for key, value in fed.items()} == seen[name][0]
            assert {key: value.dtype for key, value in fed.items()} == {
                key: np.dtype(dtype) for key, (dtype, _) in PARTS[name].items()
            }
    assert len(seen["unet"]) == 6  # PNDM's extra one


def test_what_is_told_the_guidance_takes_no_batch_of_two(pndm):
    processing = pndm.processing(timestep_cond=256)
    assert shapes.feeds(manifest(processing), "64x64", "unet")["sample"].shape == (1, 4, 8, 8)
    assert timing.calls(processing, "text_encoder") == 1


def test_other_sizes(pndm):
    made = manifest(pndm.processing())
    assert shapes.feeds(made, "96x64", "unet")["sample"].shape == (2, 4, 8, 12)
    assert shapes.feeds(made, "96x64", "vae_encoder")["sample"].shape == (1, 3, 64, 96)
    assert not shapes.takes(made, "96x64", "text_encoder")
    for name, shape in (("unet", "97x64"), ("unet", "0x64"), ("unet", "1x77"), ("text_encoder", "2x77"), ("unet", "")):
        with pytest.raises(InputError, match=f"no input '{shape}'"):
            shapes.feeds(made, shape, name)
    fixed = manifest(pndm.processing(fixed_size=True))
    with pytest.raises(InputError, match="96x64"):
        shapes.feeds(fixed, "96x64", "unet")


def test_the_whole_is_estimated():
    few = NotMeasured(reason="few")
    one = Timing(
        what="64x64", load=9.0, first=9.0, warmup=1, runs=3, p50=0.5, p90=few, p99=few, cpu=0.5,
        peak_memory=10**8, where=WHERE, submodel="unet", calls=20,
    )  # fmt: skip
    timings = [one, replace(one, submodel="vae_decoder", p50=2.0, calls=1), replace(one, submodel="x", calls=0)]
    assert estimate.whole(timings) == 12.0
    assert estimate.said(estimate.calls(timings)) == "20 × unet, 1 × vae_decoder"
    assert estimate.whole([*timings, replace(one, what="96x64")]) is None  # which of both?
    assert estimate.whole([replace(one, submodel="", calls=0)]) is None
    assert estimate.whole(few) is None
