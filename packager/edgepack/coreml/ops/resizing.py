"""Images of another size; the last two dimensions are height and width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgepack.coreml.ops.registry import Ints, op

_RESAMPLE = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}


def _points(size: int, wanted: int, mode: str) -> Tensor:
    """Return where in [0, size - 1] each of ``wanted`` points lies (MIL's resize_bilinear defines the modes)."""
    steps = torch.arange(wanted, dtype=torch.float64)
    if mode == "UNALIGN_CORNERS":
        points = (steps + 0.5) * size / wanted - 0.5
    elif mode == "OFFSET_CORNERS":
        points = (steps + 0.5) * max(1, size - 1) / wanted
    elif mode == "DEFAULT":
        points = steps * size / wanted
    elif mode == "ALIGN_CORNERS" and wanted == 1:
        points = steps + (size - 1) / 2
    else:
        points = steps * (size - 1) / max(wanted - 1, 1)
    return points.clamp(0, size - 1)


def _linear(x: Tensor, axis: int, wanted: int, mode: str) -> Tensor:
    points = _points(x.shape[axis], wanted, mode)
    low = points.floor().long()
    high = (low + 1).clamp(max=x.shape[axis] - 1)
    share = (points - low).float().reshape([-1 if place == axis % x.dim() else 1 for place in range(x.dim())])
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share)


def _nearest(x: Tensor, axis: int, wanted: int, mode: str) -> Tensor:
    """Return the index of the pixel at or before the point (DEFAULT) or of the nearest (other modes)."""
    points = _points(x.shape[axis], wanted, mode) + (0.0 if mode == "DEFAULT" else 0.5)
    return x.index_select(axis, points.floor().long().clamp(max=x.shape[axis] - 1))


@op("upsample_nearest_neighbor", exact=True)
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    """Resize by factors; sides are rounded down."""
    x = _nearest(x, -2, int(x.shape[-2] * scale_factor_height), "DEFAULT")
    return _nearest(x, -1, int(x.shape[-1] * scale_factor_width), "DEFAULT")


@op("resize_nearest_neighbor", exact=True)
def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    """Resize to a size."""
    return _nearest(_nearest(x, -2, target_size_height, "DEFAULT"), -1, target_size_width, "DEFAULT")


@op("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Resize by factors; the points are half pixels apart from the edge, unless corners are aligned."""
    centred = half_pixel_centers if half_pixel_centers is not None else True
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if centred else "DEFAULT"
    x = _linear(x, -2, int(x.shape[-2] * scale_factor_height), mode)
    return _linear(x, -1, int(x.shape[-1] * scale_factor_width), mode)


@op("resize_bilinear")
def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Resize to a size."""
    return _linear(_linear(x, -2, target_size_height, sampling_mode), -1, target_size_width, sampling_mode)


@op("resize")
def resize(
    x: Tensor,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """Return the last ``resized_dims`` sides to those of ``shape``; 0 keeps a side."""
    one = _linear if interpolation_mode == "LINEAR" else _nearest
    for axis in range(-resized_dims, 0):
        x = one(x, axis, shape[axis], sampling_mode) if shape[axis] else x
    return x


@op("resample")
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """Return pixels of x [N, C, H, W] at (x, y) coordinates [N, h, w, 2]; outside lies the padding."""
    grid = coordinates.float()
    if coordinates_mode == "normalized_zero_to_one":
        grid = grid * 2 - 1
    elif coordinates_mode == "unnormalized":
        sides = torch.tensor([x.shape[-1], x.shape[-2]], dtype=torch.float32)
        grid, align_corners = grid * 2 / (sides - 1).clamp(min=1) - 1, True
    shifted = x - padding_value if padding_mode == "constant" else x
    picked = F.grid_sample(shifted, grid, sampling_mode, _RESAMPLE[padding_mode], align_corners)
    return picked + padding_value if padding_mode == "constant" else picked
