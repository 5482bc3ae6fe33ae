"""A diffusers pipeline at work: what each of its parts is fed, the latents of every step, and the images.

diffusers' own pipeline makes an image of each prompt; its modules are watched. What is recorded is kept in the cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgepack import cache, plugins
from edgepack.arrays import Array, Feeds, TaskModel
from edgepack.metrics import agreement as measures
from edgepack.metrics.pictures import IMAGE_PSNR, LATENTS_PSNR, ONE_STEP_PSNR, PicturePair
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
_DATA = "edgepack's own prompts, steps: {}, equal seeds"
_PEAK = 255  # of an image's values


@dataclass
class Run:
    """A run of one prompt."""

    feeds: dict[str, list[Feeds]] = field(default_factory=lambda: defaultdict(list))  # by submodel, in order
    latents: list[Array] = field(default_factory=list)  # after each step, float32 [1, channels, height, width]
    image: Array = field(default_factory=lambda: np.zeros(0, np.uint8))  # uint8 [height, width, 3]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Prompts and their runs, in the steps that were asked for and in a single one."""

    whole: Sequence[tuple[Prompt, Run]]
    single: Sequence[tuple[Prompt, Run]]


def record(subject: Subject, originals: Mapping[str, Original]) -> Recording:
    """Return the runs of diffusers' pipeline: even prompts calibrate, odd ones measure agreement, in one step too."""
    source = subject.source
    asked = _diffusion.prompts(source.parameters)
    short = [replace(prompt, steps=1) for prompt in asked[1::2]]
    prompts = [*asked, *short]
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
            calibration=[feeds for run in runs[0 : len(asked) : 2] for feeds in run.feeds[name]],
            agreement=[feeds for run in runs[1 : len(asked) : 2] for feeds in run.feeds[name]],
        )
        for name in originals
    }
    whole, single = zip(asked[1::2], runs[1 : len(asked) : 2], strict=True), zip(short, runs[len(asked) :], strict=True)
    return Recording(submodels=submodels, results=Results(whole=list(whole), single=list(single)))


def check(recording: Recording, model: TaskModel) -> tuple[Accuracy, ...]:
    """Return how far our loop around diffusers' modules is from diffusers' pipeline, of the largest final latent."""
    apart = []
    for prompt, run in recording.results.whole:
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
    pictures = tuple(_beside(prompt, true, model) for prompt, true in recording.results.whole)
    figures = {
        ONE_STEP_PSNR: [_beside(prompt, true, model).by_step[-1] for prompt, true in recording.results.single],
        LATENTS_PSNR: [pair.by_step[-1] for pair in pictures],
        IMAGE_PSNR: [pair.image_psnr for pair in pictures],
    }
    return Judgement(
        accuracy=tuple(
            Accuracy(
                metric=name,
                compressed=float(np.mean(values)),
                floor=floors.get(name),
                samples=len(values),
                data=_DATA.format(1 if name == ONE_STEP_PSNR else _steps(recording)),
                higher_is_better=True,
            )
            for name, values in figures.items()
        ),
        pictures=pictures,
    )


def _beside(prompt: Prompt, true: Run, model: TaskModel) -> PicturePair:
    made = _made(model, prompt, true.image.shape[:2])
    return PicturePair(
        prompt=prompt.text,
        seed=prompt.seed,
        steps=prompt.steps,
        by_step=[measures.psnr(a, b) for a, b in zip(true.latents, made.latents, strict=True)],
        image_psnr=measures.psnr(true.image, made.image, _PEAK),
        original=true.image,
        compressed=made.image,
    )


def _guidance(subject: Subject) -> float:
    return subject.processing.section(Diffusion).guidance


def _steps(recording: Recording) -> int:
    return int(max(prompt.steps for prompt, _ in recording.results.whole))


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
