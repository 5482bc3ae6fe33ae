"""The time of a whole result, estimated from that of the submodels which it takes."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.records import NotMeasured, Timing


def whole(timings: Sequence[Timing] | NotMeasured) -> float | None:
    """Return the sum of the medians, each as often as a result takes the submodel, in seconds; loading is no part.

    None where no number of calls is known, or a submodel was timed with several inputs.
    """
    taken = calls(timings)
    return sum(t.calls * t.p50 for t in taken) if taken else None


def calls(timings: Sequence[Timing] | NotMeasured) -> list[Timing]:
    """Return the timings that ``whole`` adds up."""
    if isinstance(timings, NotMeasured):
        return []
    taken = [t for t in timings if t.calls]
    return taken if len({t.submodel for t in taken}) == len(taken) else []


def energy(timings: Sequence[Timing]) -> float | None:
    """Return the joules of a result, each submodel's as often as it takes it; None where one was not measured."""
    taken = [(t.calls, t.energy) for t in calls(timings)]
    known = [often * joules for often, joules in taken if not isinstance(joules, NotMeasured)]
    return sum(known) if taken and len(known) == len(taken) else None


def said(timings: Sequence[Timing]) -> str:
    """Say what a result takes: "2 × text_encoder, 21 × unet, 1 × vae_decoder"."""
    return ", ".join(f"{t.calls} × {t.submodel}" for t in timings)
