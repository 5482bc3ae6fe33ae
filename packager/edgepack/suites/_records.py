"""Records of a suite: its checks, and the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgepack.data import DataSpec
from edgepack.metrics.images import ImagePair
from edgepack.records import Accuracy, NotMeasured, Timing, Where

LIMITS = ("at_least", "at_most", "at_least_share", "at_most_share", "at_most_loss")
IMAGES = ("latents", "image")  # that checks of the kind psnr compare


@dataclass(frozen=True, kw_only=True)
class Check:
    """One demand; ``limits`` are in bytes, seconds or the metric's own unit."""

    kind: str
    name: str
    limits: Mapping[str, float]
    metric: str = ""
    statistic: str = "mean"
    data: DataSpec | None = None
    sure: bool = False
    input: str = ""  # batch x tokens; the longest stated one where nothing is said
    percentile: int = 50
    submodel: str = ""  # that it is about; "": all of them
    steps: int | None = None  # of images; None: the data set's own, else the bundle's usual ones
    clip: Path | None = None  # a bundle of CLIP, which judges images by their prompts


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The checks of a file, in its order."""

    name: str
    checks: tuple[Check, ...]
    original: str = ""  # "transformers": a language model's original is transformers itself


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of a check: its value, what it was compared with, and whether it passed.

    ``passed`` is None when it could not be measured, which does not count as passed. ``where`` is what the bundle ran
    on for it; None where nothing ran.
    """

    check: Check
    value: float | NotMeasured
    original: float | None = None
    interval: tuple[float, float] | None = None
    passed: bool | None = None
    reason: str = ""
    where: Where | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """A whole run: the results, and the samples and timings behind them for plots."""

    suite: str
    bundle: str
    results: tuple[CheckResult, ...]
    accuracy: tuple[Accuracy, ...] = ()
    timings: tuple[Timing, ...] = ()
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pairs: Sequence[tuple[float, float]] = ()
    images: Sequence[ImagePair] = ()
    device: str = "local"  # that the bundle ran on, as it was asked for

    @property
    def passed(self) -> bool:
        """True if every check was measured and kept."""
        return all(result.passed for result in self.results)
