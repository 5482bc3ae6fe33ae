"""The size that a diffusion model of diffusers was made for, as diffusers' pipelines read it from its config.json."""

from __future__ import annotations

from edgepack.documents import JsonObject

_LEAST = 64  # of Stable Diffusion 1's UNets
_TOLD = "0.9.0"  # of diffusers: before, it saved 32 whatever the UNet was trained for
_LATER = ("addition_embed_type", "time_cond_proj_dim")  # settings of kinds of UNets that came after it


def sides(config: JsonObject) -> tuple[int, int] | None:
    """Return the height and width of the maps that the model of ``config`` takes; None where they are not stated.

    A UNet that diffusers saved before 0.9 with a side below 64 has one of 64, as its pipelines correct it (0.42).
    """
    side = config.get("sample_size")
    height, width = side if isinstance(side, list) and len(side) == 2 else (side, side)
    if not isinstance(height, int) or not isinstance(width, int):
        return None
    if isinstance(side, int) and side < _LEAST and _is_old(config):
        return _LEAST, _LEAST
    return height, width


def _is_old(config: JsonObject) -> bool:
    if config.get("_class_name") != "UNet2DConditionModel" or any(config.get(name) for name in _LATER):
        return False
    from packaging.version import InvalidVersion, Version  # what asks for no pipeline does without its milliseconds

    try:
        return Version(Version(str(config.get("_diffusers_version"))).base_version) < Version(_TOLD)
    except InvalidVersion:
        return False
