"""Measure a bundle's speed on this machine, by the protocol of runtime/clock.py."""

from __future__ import annotations

from edgepack.records import Timings
from edgepack.runtime import clock
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.shapes import feeds, shapes


def bench(
    manifest: Manifest,
    *,
    threads: int | None = None,
    runs: int = 64,
    seconds: float = 2.0,
    inputs: tuple[str, ...] = (),
) -> Timings:
    """Return one Timing per input shape (default: the stated ones), or why there is none.

    Raises InputError, BundleError.
    """
    if untimed := clock.untimed(manifest.model.format):
        return untimed
    asked = [(shape, feeds(manifest, shape)) for shape in inputs or shapes(manifest)]
    return clock.measure(
        manifest.model.path,
        manifest.model.format,
        asked,
        threads=threads or manifest.threads,
        target_isa=manifest.isa,
        runs=runs,
        seconds=seconds,
    )
