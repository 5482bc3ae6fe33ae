"""A diffusers pipeline at work: what each of its parts is fed, from the tokens to the last latents.

diffusers' own pipeline makes an image of each prompt; its modules are watched. What is recorded is kept in the cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack import cache, plugins
from edgepack.arrays import Feeds
from edgepack.documents import JsonObject
from edgepack.original import Original
from edgepack.original.recorders import Recorded, Recording
from edgepack.plans import Subject
from edgepack.tasks import _diffusion

_KIND, _FILE = "recordings", "feeds.npz"  # of the cache
_STEPS = 8
_TOOLS = ("torch", "transformers", "diffusers")

Runs = Sequence[Mapping[str, Sequence[Feeds]]]  # of each prompt, by submodel


def record(subject: Subject, originals: Mapping[str, Original]) -> Recording:
    """Return the inputs of each submodel: even prompts calibrate, odd ones measure agreement."""
    source = subject.source
    facts = {
        "model": source.name,
        "sha256": source.sha256,
        "prompts": [repr(prompt) for prompt in _diffusion.PROMPTS],
        "steps": _STEPS,
        "tools": plugins.versions(_TOOLS),
    }
    folder = cache.fetch(_KIND, facts, lambda folder: _save(folder / _FILE, _run(subject, originals)))
    runs = _load(folder / _FILE)
    return {
        name: Recorded(
            calibration=[feeds for run in runs[0::2] for feeds in run.get(name, ())],
            agreement=[feeds for run in runs[1::2] for feeds in run.get(name, ())],
        )
        for name in originals
    }


def _run(subject: Subject, originals: Mapping[str, Original]) -> Runs:
    made: Runs = plugins.load_module("edgepack.original.diffusion").watch(
        subject.source.path, {name: original.module for name, original in originals.items()}, _diffusion.PROMPTS, _STEPS
    )
    return made


def _save(file: Path, runs: Runs) -> None:
    arrays = {
        f"{prompt}/{name}/{index}/{key}": value
        for prompt, run in enumerate(runs)
        for name, recorded in run.items()
        for index, feeds in enumerate(recorded)
        for key, value in feeds.items()
    }
    np.savez(file, allow_pickle=False, **arrays)


def _load(file: Path) -> Runs:
    runs: dict[int, dict[str, dict[int, Feeds]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    with np.load(file) as stored:
        for path in stored.files:
            prompt, name, index, key = path.split("/")
            feeds: JsonObject = runs[int(prompt)][name][int(index)]
            feeds[key] = stored[path]  # type: ignore[index]
    return [
        {name: [recorded[index] for index in sorted(recorded)] for name, recorded in run.items()}
        for _, run in sorted(runs.items())
    ]
