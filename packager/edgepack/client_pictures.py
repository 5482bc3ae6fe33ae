"""What other libraries make of a bundle's image processing: a file that they read alike, and where one differs.

transformers.js knows some of transformers' classes (the others fall back to its plain one), lets the browser's canvas
resize, and in Node.js lets sharp do it. Read in its releases 3.8.1 and 4.3.2, whose image processors do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edgepack.errors import UnsupportedModel
from edgepack.runtime.image import affine, side, steps
from edgepack.runtime.resize import RESAMPLINGS

_PLAIN, _REVERSED = "ViTImageProcessor", "MobileViTImageProcessor"
_LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # Pillow's grey of red, green and blue
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
        "do_convert_rgb": True if processing.get("alpha") == "white" or "mix" in processing else None,
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


def for_transformers_js(processing: Mapping[str, Any]) -> dict[str, Any]:
    """``processing`` that transformers.js can do: what it cannot do to channels becomes the graph's ("mix").

    Raises UnsupportedModel where no plain settings say the rest.
    """
    made = dict(processing)
    for difference in transformers_js(processing):
        if difference.in_graph:
            made = _grey_in_graph(made) if difference.step == "channels" else _reversed_in_graph(made)
    if preprocessor_config(made) is None:
        clauses = "; it ".join(found.what for found in transformers_js(made)) or "has no settings for it"
        raise UnsupportedModel(
            f"transformers.js cannot prepare this model's pictures: it {clauses}",
            hint="--target desktop, for onnxruntime; or a model whose pictures are resized to a height and a width",
        )
    return made


def notes(processing: Mapping[str, Any]) -> list[str]:
    """What is near but not equal in transformers.js, in sentences."""
    clauses = [found.what for found in transformers_js(processing)]
    filtered = transformers_js_filter(processing)
    written = [f"transformers.js resizes otherwise than was measured: {filtered}."] if filtered else []
    if "mix" in processing:
        written.append("The graph takes red, green and blue, and turns them into the channels of the model.")
    return [*written, *(f"transformers.js {clause}." for clause in clauses)]


def _grey_in_graph(processing: Mapping[str, Any]) -> dict[str, Any]:
    """Three channels, each with the only one's scale, mean and standard deviation: their sum by luma has them too."""
    made = [
        {**step, "mean": 3 * list(step["mean"]), "std": 3 * list(step["std"])} if step["op"] == "normalize" else step
        for step in steps(processing)
        if step["op"] != "reverse_channels"
    ]
    return {**processing, "channels": 3, "steps": made, "mix": [list(_LUMA)]}


def _reversed_in_graph(processing: Mapping[str, Any]) -> dict[str, Any]:
    """Red, green and blue with their own means and standard deviations, turned around behind them."""
    made = [
        {**step, "mean": step["mean"][::-1], "std": step["std"][::-1]} if step["op"] == "normalize" else step
        for step in steps(processing)
        if step["op"] != "reverse_channels"
    ]
    return {**processing, "steps": made, "mix": [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]}


def transformers_js(processing: Mapping[str, Any]) -> list[Difference]:
    """What transformers.js does otherwise with the file of ``preprocessor_config``; [] where nothing but the filter.

    That one is never Pillow's: see ``transformers_js_filter``.
    """
    found = []
    if processing["channels"] == 1:
        what = "leaves a colour picture its three channels, and stops at a mean for one"
        found.append(Difference("channels", what, True))
    geometry = [step for step in steps(processing) if step["op"] in ("resize", "center_crop")]
    for before, step in zip([None, *geometry], geometry, strict=False):
        clause = _resized(step) if step["op"] == "resize" else _cropped(step, before)
        found += [Difference(str(step["op"]), clause, False)] if clause else []
    facts = affine(processing)
    if facts.reverse and (any(facts.mean) or any(value != 1.0 for value in facts.std)):
        found.append(Difference("reverse_channels", "turns the channels around after mean and std", True))
    return found


def transformers_js_filter(processing: Mapping[str, Any]) -> str:
    """With what transformers.js resizes, in a clause; "" where nothing is resized.

    Measured in Node.js on a picture with edges, 240 x 150 to 64 x 64: bilinear and bicubic are 9 levels of 255 off on
    average and 160 to 170 at most, lanczos 0.2 and 8. A browser's canvas also cuts odd margins at half a pixel.
    """
    kinds = [str(step["resample"]) for step in steps(processing) if step["op"] == "resize"]
    if not kinds:
        return ""
    node = {"lanczos": "lanczos3", "box": "bilinear, not smoothed", "hamming": "bilinear, not smoothed"}
    return (
        f"a browser's canvas interpolates in its own way, whatever the setting ({kinds[0]}); in Node.js sharp does, "
        f"{node.get(kinds[0], kinds[0] + ', not smoothed')}"
    )


def _plain(geometry: list[Mapping[str, Any]]) -> bool:
    wanted = {"resize": _SIZES, "center_crop": _SIZES[:1]}
    return all(set(step) - {"op", "resample"} in wanted[step["op"]] for step in geometry)


def _size(resize: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(value) for key, value in resize.items() if key not in ("op", "resample")}


def _resized(step: Mapping[str, Any]) -> str:
    if "multiple_of" in step:
        return f"rounds the sides down to multiples of {step['multiple_of']}, not up"
    if "max_height" in step:
        return "cannot resize to max_height and max_width, and stops"
    return "rounds the longer side otherwise" if "longest_edge" in step else ""


def _cropped(step: Mapping[str, Any], resized: Mapping[str, Any] | None) -> str:
    if "height_ratio" in step:
        return "crops after the resize, and to a fixed size"
    least = resized or {"shortest_edge": 0}
    height, width = (least.get(key, least.get("shortest_edge", 0)) for key in ("height", "width"))
    if "longest_edge" not in least and height >= step["height"] and width >= step["width"]:
        return ""
    return "pads a picture that is smaller than the crop a pixel further up and left, or stops"
