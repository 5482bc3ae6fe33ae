"""A diffusers pipeline at work: what each of its parts is fed, the latents of every step, and the images.

diffusers' own pipeline makes an image of each prompt; its modules are watched. What is recorded is kept in the cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgepack import cache, plugins
from edgepack.arrays import Array, Feeds, TaskModel
from edgepack.metrics import agreement as measures
from edgepack.original import Original
from edgepack.original.recorders import Judgement, Recorded, Recording
from edgepack.plans import Subject
from edgepack.records import Accuracy
from edgepack.runtime.processing import Diffusion
from edgepack.tasks import _diffusion
from edgepack.tasks._diffusion import Prompt

READING = "reading"
UNUSED = ("safety_checker",)  # which would refuse images: it is compared by itself
CLOSE = 1e-4  # of the largest latent
_KIND, _FILE = "recordings", "run.npz"  # of the cache
_TOOLS = ("torch", "transformers", "diffusers")
_LATENTS, _IMAGE = "latents", "image"
_PEAK = 255  # of an image's values


@dataclass
class Run:
    """A run of one prompt."""

    feeds: dict[str, list[Feeds]] = field(default_factory=lambda: defaultdict(list))  # by submodel, in order
    latents: list[Array] = field(default_factory=list)  # after each step, float32 [1, channels, height, width]
    image: Array = field(default_factory=lambda: np.zeros(0, np.uint8))  # uint8 [height, width, 3]


def record(subject: Subject, originals: Mapping[str, Original]) -> Recording:
    """Return the runs of diffusers' pipeline: even prompts calibrate, odd ones measure agreement."""
    source = subject.source
    prompts = _diffusion.prompts(source.parameters)
    facts = {
        "model": source.name,
        "sha256": source.sha256,
        "guidance": _guidance(subject),
        "prompts": [repr(prompt) for prompt in prompts],
        "tools": plugins.versions(_TOOLS),
    }
    folder = cache.fetch(_KIND, facts, lambda folder: _save(folder / _FILE, _watched(subject, originals, prompts)))
    runs = _load(folder / _FILE, len(prompts))
    submodels = {
        name: Recorded(
            calibration=[feeds for run in runs[0::2] for feeds in run.feeds[name]],
            agreement=[feeds for run in runs[1::2] for feeds in run.feeds[name]],
        )
        for name in originals
    }
    return Recording(submodels=submodels, results=list(zip(prompts[1::2], runs[1::2], strict=True)))


def check(recording: Recording, model: TaskModel) -> tuple[Accuracy, ...]:
    """Return how far our loop around diffusers' modules is from diffusers' pipeline, of the largest final latent."""
    apart = []
    for prompt, run in recording.results:
        ours, theirs = _made(model, prompt, run.image.shape[:2]).latents[-1], run.latents[-1]
        apart.append(float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    return (
        Accuracy(
            metric=READING,
            compressed=max(apart),
            floor=CLOSE,
            samples=len(apart),
            data=f"diffusers' pipeline, {_steps(recording)} steps",
            higher_is_better=False,
        ),
    )


def judge(recording: Recording, model: TaskModel, floors: Mapping[str, float]) -> Judgement:
    """Return the peak signal to noise ratio of the final latents and images, beside diffusers' at equal seed."""
    made = [(_made(model, prompt, run.image.shape[:2]), run) for prompt, run in recording.results]
    steps = [[measures.psnr(a, b) for a, b in zip(true.latents, run.latents, strict=True)] for run, true in made]
    images = [_image_psnr(true.image, run.image) for run, true in made]
    figures = {"latents_psnr": [course[-1] for course in steps], "image_psnr": images}
    return Judgement(
        accuracy=tuple(
            Accuracy(
                metric=name,
                compressed=float(np.mean(values)),
                floor=floors.get(name),
                samples=len(values),
                data=f"edgepack's own prompts, {_steps(recording)} steps, equal seeds",
                higher_is_better=True,
            )
            for name, values in figures.items()
        ),
        samples={"latents psnr by step": np.mean(steps, axis=0)},
    )


def _guidance(subject: Subject) -> float:
    return subject.processing.section(Diffusion).guidance


def _steps(recording: Recording) -> int:
    return int(max(prompt.steps for prompt, _ in recording.results))


def _made(model: TaskModel, prompt: Prompt, size: tuple[int, int]) -> Run:
    """Let ``model`` make the image, of a model that paints parts of images the recorded scene's."""
    run = Run()
    image, mask = _diffusion.scene(*size) if model.repaints else (None, None)
    (picture,) = model.generate(
        prompt.text,
        negative_prompt=prompt.negative,
        steps=prompt.steps,
        image=image,
        mask=mask,
        seed=prompt.seed,
        progress=lambda step: run.latents.append(np.array(step.latents)),
    )
    run.image = picture.pixels
    return run


def _image_psnr(true: Array, made: Array) -> float:
    error = float(np.sqrt(((true.astype(np.float64) - made.astype(np.float64)) ** 2).mean()))
    return float(20 * np.log10(_PEAK / max(error, 1e-6)))  # equal images: 168 dB


def _watched(subject: Subject, originals: Mapping[str, Original], prompts: Sequence[Prompt]) -> Sequence[Run]:
    modules = {name: original.module for name, original in originals.items()}
    watch = plugins.load_module("edgepack.original.diffusion").watch
    return [Run(**made) for made in watch(subject.source.path, modules, prompts, _guidance(subject))]


def _save(file: Path, runs: Sequence[Run]) -> None:
    arrays: dict[str, Array] = {}
    for prompt, run in enumerate(runs):
        arrays |= {f"{prompt}/{_LATENTS}/{index}/": latents for index, latents in enumerate(run.latents)}
        arrays[f"{prompt}/{_IMAGE}/0/"] = run.image
        for name, recorded in run.feeds.items():
            for index, feeds in enumerate(recorded):
                arrays |= {f"{prompt}/{name}/{index}/{key}": value for key, value in feeds.items()}
    np.savez(file, allow_pickle=False, **arrays)


def _load(file: Path, count: int) -> list[Run]:
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
                recorded = run.feeds[name]
                recorded += [{} for _ in range(int(index) + 1 - len(recorded))]
                recorded[int(index)][key] = value
    return runs
