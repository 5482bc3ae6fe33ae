"""Measure a bundle's speed by the protocol of runtime/clock.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.records import Timing
from edgepack.runtime import clock
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.types import Feeds

LENGTHS = (32, 128)  # tokens of the stated inputs


def shapes(manifest: Manifest) -> list[str]:
    """The inputs that a speed is stated for: "1x32" and "1x128" tokens, or one picture."""
    longest = manifest.processing.get("max_length")
    if longest is None:
        return ["1 picture"]
    return [f"1x{length}" for length in LENGTHS if length <= longest] or [f"1x{longest}"]


def feeds(manifest: Manifest, shape: str) -> Feeds:
    """Inputs of that shape: the same for every run and machine."""
    if shape == "1 picture":
        return _picture(manifest)
    batch, length = (int(part) for part in shape.split("x"))
    return {spec.name: _tokens(spec.name, batch, length) for spec in manifest.inputs}


def _tokens(name: str, batch: int, length: int) -> np.ndarray[Any, Any]:
    if name == "input_ids":
        ids = 1 + np.arange(batch * length, dtype=np.int64).reshape(batch, length) * 7 % 97
        return ids
    return np.full((batch, length), 1 if name == "attention_mask" else 0, np.int64)


def _picture(manifest: Manifest) -> Feeds:
    side = _side(manifest.processing)
    shape = (1, int(manifest.processing.get("channels", 3)), *side)
    ramp = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32)
    return {manifest.inputs[0].name: ramp.reshape(shape)}


def _side(processing: Mapping[str, Any]) -> tuple[int, int]:
    for box in (processing.get("crop"), processing.get("resize")):
        if box and "height" in box:
            return int(box["height"]), int(box["width"])
    edge = int((processing.get("resize") or {}).get("shortest_edge", 224))
    return edge, edge


def bench(manifest: Manifest, *, threads: int | None = None, runs: int = 64, seconds: float = 2.0) -> tuple[Timing, ...]:
    """One Timing per stated shape, on this machine."""
    count = threads or manifest.threads
    path: Path = manifest.folder / manifest.model_file
    return tuple(
        clock.measure(
            path,
            feeds(manifest, shape),
            what=shape,
            threads=count,
            target_isa=manifest.isa,
            runs=runs,
            seconds=seconds,
        )
        for shape in shapes(manifest)
    )
