"""Measure a bundle's speed where it runs, by the protocol of runtime/clock.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgepack.records import NotMeasured, Timing, Timings
from edgepack.runtime.clock import EMULATED
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Here, Runner
from edgepack.runtime.shapes import calls, feeds, shapes, takes
from edgepack.units import size

# Of the speed check in a build, at most: runs of each input, seconds of all submodels; `edgepack bench` takes longer
_QUICK_RUNS, _QUICK_SECONDS = 16, 12.0
_ONCE = Rules(runs=1, seconds=0.0, rounds=1, repeat=0)  # where memory alone is counted


def quick(manifest: Manifest) -> Timings:
    """Return the timings of a build's short speed check. Raises as ``bench`` does."""
    longest = _QUICK_SECONDS / len(manifest.models)
    return bench(Here(manifest), Rules(runs=_QUICK_RUNS, seconds=0.0, longest=longest, rounds=1, repeat=0))


def bench(
    runner: Runner,
    rules: Rules,
    *,
    inputs: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Timings:
    """Return one Timing per submodel and input shape (default: the stated ones), or why there is none.

    Of several submodels each is timed with those of ``inputs`` that it takes. Raises InputError, BundleError,
    DeviceError.
    """
    manifest, timings, untimed = runner.manifest, list[Timing](), None
    for shape in inputs:
        if not any(takes(manifest, shape, name) for name in manifest.models):
            feeds(manifest, shape, next(iter(manifest.models)))  # raises
    for name in manifest.models:
        untimed = runner.untimed(name)
        if untimed and untimed != EMULATED:
            return untimed
        own = [shape for shape in inputs if takes(manifest, shape, name)] if inputs else shapes(manifest, name)
        say(f"measuring {manifest.label_of(name) or manifest.name}")
        made = runner.measure(name, own, _ONCE if untimed else rules, say=say)
        often = calls(manifest, name)
        timings += (replace(timing, submodel=manifest.label_of(name), calls=often) for timing in made)
    return _counted(timings) if untimed else tuple(timings)


def _counted(timings: Sequence[Timing]) -> NotMeasured:
    """Return why an emulated board is not timed, with what was counted there."""
    known = [timing.peak_memory for timing in timings if not isinstance(timing.peak_memory, NotMeasured)]
    if not known:
        return EMULATED
    return NotMeasured(reason=f"{EMULATED.reason}; peak memory, the emulator's own included: {size(max(known))}")
