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


def said(timings: Sequence[Timing]) -> str:
    """Say what a result takes: "2 × text_encoder, 21 × unet, 1 × vae_decoder"."""
    return ", ".join(f"{t.calls} × {t.submodel}" for t in timings)
