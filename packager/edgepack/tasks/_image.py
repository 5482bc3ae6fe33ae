"""What image tasks share: the image processor's numbers, and pictures that edgepack draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import ModelError
from edgepack.runtime.types import Array
from edgepack.tasks import table

_RESAMPLINGS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}  # Pillow's numbers
_PICTURES = 64


def processing(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Resize, crop, rescale and normalise as preprocessor_config.json says. Raises ModelError without one."""
    facts = table(folder / "preprocessor_config.json")
    if not facts:
        raise ModelError(
            f"{folder} has no preprocessor_config.json, so it is unclear how pictures are prepared",
            hint="copy it from the model's repository",
        )
    channels = int(config.get("num_channels") or 3)
    normal = facts.get("do_normalize", True)
    return {
        "inputs": ["pixel_values"],
        "channels": channels,
        "resize": _box(facts.get("size")) if facts.get("do_resize", True) else None,
        "resample": _RESAMPLINGS[int(facts.get("resample", 2))],
        "crop": _square(facts.get("crop_size")) if facts.get("do_center_crop", False) else None,
        "scale": float(facts.get("rescale_factor", 1 / 255)) if facts.get("do_rescale", True) else 1.0,
        "offset": 0.0,
        "mean": facts.get("image_mean", [0.5] * channels) if normal else [0.0] * channels,
        "std": facts.get("image_std", [0.5] * channels) if normal else [1.0] * channels,
    }


def pictures(processing: Mapping[str, Any]) -> list[Array]:
    """Seeded pictures, uint8 [h, w, 3]: smooth colour fields with shapes on them, the sizes vary."""
    rng = np.random.default_rng(0)
    return [_picture(rng) for _ in range(_PICTURES)]


def example(value: Any) -> Any:
    """A data set's picture: a path, or rows of numbers 0..255."""
    return np.asarray(value, np.uint8) if isinstance(value, list) else value


def _picture(rng: np.random.Generator) -> Array:
    height, width = (int(side) for side in rng.integers(96, 320, 2))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    field = np.zeros((height, width, 3))
    for channel in range(3):
        for _ in range(4):
            fy, fx, phase = rng.uniform(0, 9), rng.uniform(0, 9), rng.uniform(0, 6)
            field[..., channel] += rng.normal() * np.sin(fy * y + fx * x + phase)
    for _ in range(int(rng.integers(1, 6))):
        cy, cx, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.3)
        field[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.normal(size=3) * 2
    field += rng.normal(scale=0.1, size=field.shape)
    low, high = field.min(), field.max()
    return np.asarray((field - low) / (high - low) * 255, np.uint8)


def _box(size: Any) -> dict[str, int] | None:
    if isinstance(size, dict):
        return {key: int(size[key]) for key in ("height", "width", "shortest_edge") if key in size}
    return {"height": int(size), "width": int(size)} if size else None


def _square(size: Any) -> dict[str, int] | None:
    return _box(size) if not isinstance(size, int) else {"height": size, "width": size}
