"""Runs of a pipeline, by the original or by a bundle: made, compared, and kept in a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Outputs, TaskModel
from edgepack.metrics import agreement as measures
from edgepack.metrics.images import ImagePair
from edgepack.runtime.diffusion.denoising import Step
from edgepack.tasks import _diffusion
from edgepack.tasks._diffusion import Prompt

_LATENTS, _IMAGE, _FED, _MADE = "latents", "image", "fed", "made"
_PEAK = 255  # of an image's values


@dataclass
class Run:
    """A run of one prompt."""

    feeds: dict[str, list[Feeds]] = field(default_factory=lambda: defaultdict(list))  # by submodel, in order
    outputs: dict[str, list[Outputs]] = field(default_factory=lambda: defaultdict(list))  # of those that were kept
    latents: list[Array] = field(default_factory=list)  # after each step, float32 [1, channels, height, width]
    image: Array = field(default_factory=lambda: np.zeros(0, np.uint8))  # uint8 [height, width, 3]


def made(model: TaskModel, prompt: Prompt, size: tuple[int, int]) -> Run:
    """Let ``model`` make the image, of a model that paints parts of images the recorded scene's.

    A prompt whose latents are not decoded ends before that.
    """
    run, remaining = Run(), 1

    def keep(step: Step) -> None:
        nonlocal remaining
        run.latents.append(np.array(step.latents))
        remaining = step.count - step.index - 1

    image, mask = _diffusion.scene(*size) if model.repaints else (None, None)
    images = model.generate(
        prompt.text,
        negative_prompt=prompt.negative,
        steps=prompt.steps,
        image=image,
        mask=mask,
        seed=prompt.seed,
        guidance=prompt.guidance,
        progress=keep,
        stop=lambda: not (remaining or prompt.decoded),
    )
    for one in images:
        run.image = one.pixels
    return run


def beside(prompt: Prompt, true: Run, model: TaskModel) -> ImagePair:
    """Let ``model`` make the image of ``true``, the original's run, and compare them."""
    ours = made(model, prompt, true.image.shape[:2])
    return ImagePair(
        prompt=prompt.text,
        seed=prompt.seed,
        steps=prompt.steps,
        by_step=[measures.psnr(a, b) for a, b in zip(true.latents, ours.latents, strict=True)],
        image_psnr=measures.psnr(true.image, ours.image, _PEAK),
        original=true.image,
        compressed=ours.image,
    )


def save(file: Path, runs: Sequence[Run]) -> None:
    """Write what ``load`` reads."""
    arrays: dict[str, Array] = {}
    for prompt, run in enumerate(runs):
        arrays |= {f"{prompt}/{_LATENTS}/{index}/": latents for index, latents in enumerate(run.latents)}
        arrays[f"{prompt}/{_IMAGE}/0/"] = run.image
        for kind, recorded in ((_FED, run.feeds), (_MADE, run.outputs)):
            for name, calls in recorded.items():
                for index, values in enumerate(calls):
                    arrays |= {f"{prompt}/{kind}.{name}/{index}/{key}": value for key, value in values.items()}
    np.savez(file, allow_pickle=False, **arrays)


def load(file: Path, count: int) -> list[Run]:
    """Return ``count`` runs, which ``save`` has written."""
    runs = [Run() for _ in range(count)]
    with np.load(file) as stored:
        for path in stored.files:
            prompt, name, index, key = path.split("/")
            run, value = runs[int(prompt)], stored[path]
            if name == _LATENTS:
                run.latents.append(value)
            elif name == _IMAGE:
                run.image = value
            else:
                kind, _, part = name.partition(".")
                calls = (run.feeds if kind == _FED else run.outputs)[part]
                calls += [{} for _ in range(int(index) + 1 - len(calls))]
                calls[int(index)][key] = value
    return runs
