"""A diffusers pipeline at work: what each of its parts is fed, the latents of every step, and the images.

diffusers' own pipeline makes an image of each prompt; its modules are watched. What is recorded is kept in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepack import cache, plugins
from edgepack.arrays import Array, Feeds, Rows, Run, TaskModel
from edgepack.metrics import agreement as measures
from edgepack.metrics.images import ONE_STEP_PSNR, ImagePair
from edgepack.original import Original
from edgepack.original.library import Component
from edgepack.original.recorders import Judgement, Recorded, Recording, image_figures
from edgepack.original.recorders._replay import Replayed
from edgepack.original.recorders._runs import Run as RecordedRun
from edgepack.original.recorders._runs import beside, load, made, save
from edgepack.plans import Subject
from edgepack.records import Accuracy, NotMeasured
from edgepack.runtime.diffusion.schedulers import nearest_steps
from edgepack.runtime.processing import Diffusion, Processing, Schedule
from edgepack.tasks import _diffusion, _prompts
from edgepack.tasks._diffusion import Prompt

READING = "reading"
UNUSED = ("safety_checker",)  # which would refuse images: it is compared by itself
_DIGITS = 6  # of a weight of a colour
CLOSE = 1e-4  # of the largest latent
_FEW = 3  # calls
_ROUNDED, _WHITE = 1, 255  # levels of an image: between which its values are rounded, and the highest
_KIND, _FILE, _LAYOUT = "recordings", "run.npz", 3  # of the cache; the number of what the file holds
_TOOLS = ("torch", "transformers", "diffusers")
_DATA = "edgepack's own prompts, steps: {}, equal seeds"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Prompts and their runs, in the steps that were asked for and in a single one."""

    whole: Sequence[tuple[Prompt, RecordedRun]]
    single: Sequence[tuple[Prompt, RecordedRun]]


def record(subject: Subject, originals: Mapping[str, Original]) -> Recording:
    """Return the runs of diffusers' pipeline: even prompts calibrate, odd ones measure agreement, in one step too.

    Where the scheduler cannot take so many steps, they have as many as it can, and those of one step are left out.
    """
    asked = [_possible(subject, prompt) for prompt in _diffusion.prompts(subject.source.parameters)]
    if subject.source.parameters >= _diffusion.LARGE:
        asked[0::2] = [replace(prompt, decoded=False) for prompt in asked[0::2]]
    short = [
        prompt
        for prompt in (replace(prompt, steps=1, decoded=False) for prompt in asked[1::2])
        if _possible(subject, prompt) == prompt
    ]
    runs = _recorded(subject, originals, [*asked, *short], fed=True)
    for run in runs:  # so that nothing that the run computed is computed again
        for name, answers in run.outputs.items():
            for feeds, outputs in zip(run.feeds[name][: len(answers)], answers, strict=True):
                originals[name].remember(feeds, outputs)
    submodels = {
        name: Recorded(
            calibration=[feeds for run in runs[0 : len(asked) : 2] for feeds in run.feeds[name]],
            agreement=[feeds for run in runs[1 : len(asked) : 2] for feeds in _measured(subject, run.feeds[name])],
        )
        for name in originals
    }
    whole, single = zip(asked[1::2], runs[1 : len(asked) : 2], strict=True), zip(short, runs[len(asked) :], strict=True)
    return Recording(submodels=submodels, results=Results(whole=list(whole), single=list(single)))


def _measured(subject: Subject, fed: Sequence[Feeds]) -> Sequence[Feeds]:
    """Return the calls of a run that agreement is measured on: all; of large models the first, middle and last."""
    if subject.source.parameters < _diffusion.LARGE or len(fed) <= _FEW:
        return fed
    return [fed[round(place)] for place in np.linspace(0, len(fed) - 1, _FEW)]


def images(
    subject: Subject, originals: Mapping[str, Original], model: TaskModel, prompts: Sequence[Prompt]
) -> tuple[ImagePair, ...]:
    """Return the images of ``prompts`` by diffusers' pipeline, which the cache may hold, and by ``model``."""
    runs = _recorded(subject, originals, prompts, fed=False)
    return tuple(beside(prompt, true, model) for prompt, true in zip(prompts, runs, strict=True))


def prompts(rows: Rows, steps: int) -> list[Prompt]:
    """Return the runs that a data set asks for, of ``steps`` where a row states none. Raises DataError."""
    return [_prompts.prompt(row, index, steps) for index, row in enumerate(rows)]


def own(parameters: int, steps: int | None) -> list[Prompt]:
    """Return those of edgepack's own prompts that measure agreement, in so many steps if any are stated."""
    found = _diffusion.prompts(parameters)[1::2]
    return [prompt if steps is None else replace(prompt, steps=steps) for prompt in found]


def image(model: TaskModel, prompt: Prompt, size: tuple[int, int]) -> tuple[str, Array]:
    """Return the text of ``prompt`` and its image by ``model``, uint8 [height, width, 3]."""
    return prompt.text, made(model, prompt, size).image


def completed(recording: Recording, processing: Processing) -> Processing:
    """Return ``processing`` with colours for latents: by least squares, of the last ones of each run and its image."""
    runs = [run for _, run in recording.results.whole]
    diffusion = processing.section(Diffusion)
    latents = [np.moveaxis(run.latents[-1][0], 0, -1).reshape(-1, diffusion.latent_channels) for run in runs]
    colours = [_reduced(run.image, diffusion.vae_scale_factor).reshape(-1, 3) for run in runs]
    given = np.concatenate(latents).astype(np.float64)
    given = np.concatenate([given, np.ones((len(given), 1))], axis=1)
    found, *_ = np.linalg.lstsq(given, np.concatenate(colours), rcond=None)
    rows = tuple(tuple(round(weight, _DIGITS) for weight in row) for row in found.T.tolist())
    return replace(processing, diffusion=replace(diffusion, preview=rows))


def _reduced(image: Array, factor: int) -> Array:
    """Return the means of an image's squares of ``factor`` pixels, from -1 to 1, float64 [height, width, 3]."""
    height, width = (side // factor for side in image.shape[:2])
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(squares.mean(axis=(1, 3)) / 127.5 - 1)


def check(
    recording: Recording, originals: Mapping[str, Original], around: Callable[[Mapping[str, Run]], TaskModel]
) -> tuple[Accuracy, ...]:
    """Return how far our loop is from diffusers' pipeline: of the largest value of the final latents, and the image.

    A module that is fed what it was fed in the recorded run, to rounding, answers what it did there; what differed is
    part of the figure.
    """
    apart = []
    for prompt, run in recording.results.whole:
        played = {
            name: Replayed(list(zip(run.feeds[name], run.outputs[name], strict=True)), original, CLOSE)
            if run.outputs[name]
            else original
            for name, original in originals.items()
        }
        found = made(around(played), prompt, run.image.shape[:2])
        ours, theirs = found.latents[-1], run.latents[-1]
        apart += [part.apart for part in played.values() if isinstance(part, Replayed)]
        apart.append(float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
        apart.append(max(0.0, np.abs(found.image.astype(float) - run.image).max() - _ROUNDED) / _WHITE)
    return (
        Accuracy(
            metric=READING,
            compressed=max(apart),
            floor=CLOSE,
            samples=len(recording.results.whole),
            data=f"diffusers' pipeline, {_steps(recording)} steps",
            higher_is_better=False,
        ),
    )


def judge(recording: Recording, model: TaskModel, floors: Mapping[str, float]) -> Judgement:
    """Return the peak signal to noise ratio of the final latents and images, beside diffusers' at equal seed."""
    pairs = tuple(beside(prompt, true, model) for prompt, true in recording.results.whole)
    figures = image_figures(pairs, floors, _DATA.format(_steps(recording)), None)
    return Judgement(accuracy=(_one_step(recording, model), *figures), images=pairs)


def _one_step(recording: Recording, model: TaskModel) -> Accuracy:
    """Return the mean PSNR (dB) of the latents that a single step makes."""
    size = recording.results.whole[0][1].image.shape[:2]
    found = [
        measures.psnr(true.latents[-1], made(model, prompt, size).latents[-1])
        for prompt, true in recording.results.single
    ]
    if not found:
        return Accuracy(metric=ONE_STEP_PSNR, compressed=NotMeasured(reason="the scheduler takes no single step"))
    return Accuracy(metric=ONE_STEP_PSNR, compressed=sum(found) / len(found), samples=len(found), data=_DATA.format(1))


def _possible(subject: Subject, prompt: Prompt) -> Prompt:
    """Return ``prompt`` in the number of steps nearest to its own that the scheduler can take."""
    return replace(prompt, steps=nearest_steps(subject.processing.section(Schedule), prompt.steps))


def _guidance(subject: Subject) -> float:
    return subject.processing.section(Diffusion).guidance


def _steps(recording: Recording) -> int:
    return int(max(prompt.steps for prompt, _ in recording.results.whole))


def _recorded(
    subject: Subject, originals: Mapping[str, Original], prompts: Sequence[Prompt], *, fed: bool
) -> list[RecordedRun]:
    """Return diffusers' runs of ``prompts``, kept in the cache; with what submodels are ``fed``, or without."""
    facts = {
        "model": subject.source.name,
        "sha256": subject.source.sha256,
        "guidance": _guidance(subject),
        "prompts": [repr(prompt) for prompt in prompts],
        "fed": fed,
        "layout": _LAYOUT,
        "tools": plugins.versions(_TOOLS),
    }

    def fill(folder: Path) -> None:
        runs = _watched(subject, originals, prompts)
        save(folder / _FILE, runs if fed else [replace(run, feeds={}, outputs={}) for run in runs])

    return load(cache.fetch(_KIND, facts, fill) / _FILE, len(prompts))


def _watched(subject: Subject, originals: Mapping[str, Original], prompts: Sequence[Prompt]) -> Sequence[RecordedRun]:
    """Let diffusers work; the weights of large models are in memory in turn."""
    watch = plugins.load_module("edgepack.original.diffusion_run").watch
    folder, guidance = subject.source.path, _guidance(subject)
    if subject.source.parameters < _diffusion.LARGE:
        modules = {name: original.module for name, original in originals.items()}
        return [RecordedRun(**made) for made in watch(folder, modules, prompts, guidance)]

    def opened(name: str) -> Component:
        module = originals[name].module
        originals[name].close()  # which holds it no longer
        return module

    empty = plugins.load_module("edgepack.original.turns").empty
    modules = {}
    for name in originals:
        modules[name] = opened(name)
        empty(modules[name])
    return [RecordedRun(**made) for made in watch(folder, modules, prompts, guidance, opened)]
