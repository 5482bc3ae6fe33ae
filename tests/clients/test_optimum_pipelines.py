"""optimum-onnx 0.1's pipelines of Stable Diffusion open bundles, and make the latents that edgepack's runtime makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests import diffusion_models
from tests.clients import environments

import edgepack
from edgepack.records import Bundle

KINDS = ["sd", "xl"]
ASKED = {"prompt": "a red sofa", "negative": "dark", "steps": 5, "seed": 1}


@pytest.fixture(scope="module")
def bundles(build: Callable[..., tuple[Bundle, ...]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pipelines")
    models = {kind: diffusion_models.save(kind, folder / kind) for kind in KINDS}
    return {kind: build(model, "rpi", recipes=("fp32",))[0].path for kind, model in models.items()}


def test_the_latents_are_those_of_our_runtime(bundles: dict[str, Path]) -> None:
    jobs = [{"kind": kind, "folder": str(bundle), **ASKED} for kind, bundle in bundles.items()]
    program = environments.HERE / "programs" / "with_optimum_pipelines.py"
    theirs = environments.ask([environments.python("optimum"), program], jobs)
    for bundle, found in zip(bundles.values(), theirs, strict=True):
        (made,) = edgepack.load(bundle).generate(
            ASKED["prompt"], negative_prompt=ASKED["negative"], steps=ASKED["steps"], seed=ASKED["seed"]
        )
        ours = made.latents.reshape(-1)
        assert np.abs(ours - np.array(found)).max() < 1e-4 * np.abs(ours).max()
