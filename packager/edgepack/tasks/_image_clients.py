"""What other libraries make of a bundle's image processing: a file that they read alike, and where one differs.

transformers.js knows some of transformers' classes (the others fall back to its plain one), lets the browser's canvas
resize, and in Node.js lets sharp do it. Read in its releases 3.8.1 and 4.3.2, whose image processors do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edgepack.runtime.image import affine, side, steps
from edgepack.runtime.resize import RESAMPLINGS

_PLAIN, _REVERSED = "ViTImageProcessor", "MobileViTImageProcessor"
_SIZES = ({"height", "width"}, {"shortest_edge"})


class Difference(NamedTuple):
    """One thing that a client does otherwise."""

    step: str  # of the processing: "channels", "resize", "center_crop", …
    what: str  # a clause that says what the client does
    in_graph: bool  # whether the graph can do it instead: it comes after the resize and the crop


def preprocessor_config(processing: Mapping[str, Any]) -> dict[str, Any] | None:
    """preprocessor_config.json that says the same in settings that clients read alike; None where there are none.

    Every class's own rules (crop_pct, include_top, LeViT's 256/224, …) are worked into plain sizes, means and
    standard deviations; transformers computes the same from it as from the model's own file.
    """
    geometry = [step for step in steps(processing) if step["op"] in ("resize", "center_crop")]
    order = [step["op"] for step in geometry]
    if order not in ([], ["resize"], ["center_crop"], ["resize", "center_crop"]) or not _plain(geometry):
        return None
    facts = affine(processing)
    resize = next((step for step in geometry if step["op"] == "resize"), None)
    crop = next((step for step in geometry if step["op"] == "center_crop"), None)
    mean = [value - facts.offset for value in facts.mean]
    normalize = any(mean) or any(value != 1.0 for value in facts.std)
    if facts.reverse and normalize:
        return None
    written: dict[str, Any] = {
        "image_processor_type": _REVERSED if facts.reverse else _PLAIN,
        "do_convert_rgb": True if processing.get("alpha") == "white" else None,
        "do_resize": resize is not None,
        "size": _size(resize) if resize else dict(zip(("height", "width"), side(processing), strict=True)),
        "resample": RESAMPLINGS.index(str(resize["resample"])) if resize else 2,
        "do_center_crop": crop is not None,
        "crop_size": {key: crop[key] for key in ("height", "width")} if crop else None,
        "do_rescale": facts.scale != 1.0,
        "rescale_factor": facts.scale,
        "do_normalize": normalize,
        "image_mean": mean,
        "image_std": list(facts.std),
    }
    if facts.reverse:
        written["do_flip_channel_order"] = True
    if processing["channels"] == 1:
        written["do_convert_rgb"] = False
    return {key: value for key, value in written.items() if value is not None}


def transformers_js(processing: Mapping[str, Any]) -> list[Difference]:
    """What transformers.js does otherwise with the file of ``preprocessor_config``; [] where nothing but the resize.

    That one is never Pillow's: see ``transformers_js_resize``.
    """
    found = []
    if processing["channels"] == 1:
        found.append(
            Difference("channels", "leaves a colour picture's three channels, and stops at a mean for one", True)
        )
    geometry = [step for step in steps(processing) if step["op"] in ("resize", "center_crop")]
    for index, step in enumerate(geometry):
        clause = _otherwise(step, index)
        if clause:
            found.append(Difference(str(step["op"]), clause, False))
    facts = affine(processing)
    if facts.reverse and (any(facts.mean) or any(value != 1.0 for value in facts.std)):
        found.append(Difference("reverse_channels", "turns the channels around after mean and std", True))
    return found


def transformers_js_resize(processing: Mapping[str, Any]) -> str:
    """How transformers.js resizes, in a sentence; "" where nothing is resized.

    The differences are of single pixels at edges where the picture grows, and large where it shrinks: neither way
    smooths (antialiases) as Pillow does, but for lanczos in Node.js.
    """
    kinds = {str(step["resample"]) for step in steps(processing) if step["op"] == "resize"}
    if not kinds:
        return ""
    kind = kinds.pop()
    node = {
        "lanczos": "sharp's lanczos3",
        "box": "sharp's bilinear without antialiasing",
        "hamming": "sharp's bilinear without antialiasing",
    }.get(kind, f"sharp's {kind} without antialiasing")
    return f"in a browser the canvas's own interpolation whatever the setting ({kind}), in Node.js {node}"


def _plain(geometry: list[Mapping[str, Any]]) -> bool:
    wanted = {"resize": _SIZES, "center_crop": _SIZES[:1]}
    return all(set(step) - {"op", "resample"} in wanted[step["op"]] for step in geometry)


def _size(resize: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(value) for key, value in resize.items() if key not in ("op", "resample")}


def _otherwise(step: Mapping[str, Any], index: int) -> str:
    """What transformers.js does with a resize or a crop, beside the filter; "" where the same."""
    if step["op"] == "center_crop":
        if "height_ratio" in step:
            return "crops after the resize, and to a fixed size"
        return "" if index else "crops alone, as asked; odd margins are cut in the browser at half a pixel"
    if "multiple_of" in step:
        return f"rounds the sides down to multiples of {step['multiple_of']}, not up"
    if "max_height" in step:
        return "cannot resize to max_height and max_width, and stops"
    return "rounds the longer side otherwise" if "longest_edge" in step else ""
