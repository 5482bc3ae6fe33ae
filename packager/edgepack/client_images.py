"""Image processing as other libraries do it: a file that they read alike, and where one differs.

transformers.js knows some of transformers' classes (the others fall back to its plain one), lets the browser's canvas
resize, and in Node.js lets sharp do it. Read in its releases 3.8.1 and 4.3.2, whose image processors do the same.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import NamedTuple

from edgepack.documents import JsonDict
from edgepack.errors import UnsupportedModel
from edgepack.runtime.image import affine
from edgepack.runtime.processing import (
    CenterCrop,
    CenterCropRatio,
    Cropping,
    Image,
    Normalize,
    Resize,
    ResizeShortestEdge,
    ResizeWithin,
    Resizing,
    ReverseChannels,
)
from edgepack.runtime.resize import RESAMPLINGS

# Classes of transformers: ViT's takes a height and a width alone in version 4, CLIP's a shortest edge and a crop too.
_PLAIN, _CROPPING, _REVERSED = "ViTImageProcessor", "CLIPImageProcessor", "MobileViTImageProcessor"
_LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # Pillow's grey of red, green and blue


class Difference(NamedTuple):
    """One thing that a client does otherwise."""

    step: str  # of the processing: "channels", "resize", "center_crop", …
    what: str  # a clause that says what the client does
    in_graph: bool  # whether the graph can do it instead: it comes after the resize and the crop


def preprocessor_config(image: Image) -> JsonDict | None:
    """Write preprocessor_config.json, in settings that clients read alike; None where there are none that say the same.

    Every class's own rules (crop_pct, include_top, LeViT's 256/224, …) are worked into plain sizes, means and
    standard deviations; transformers computes the same from it as from the model's own file.
    """
    geometry = _geometry(image)
    kinds = [Resizing if isinstance(step, Resizing) else Cropping for step in geometry]
    if kinds not in ([], [Resizing], [Cropping], [Resizing, Cropping]) or not all(map(_is_plain, geometry)):
        return None
    facts = affine(image)
    resize = next((step for step in geometry if isinstance(step, Resizing)), None)
    crop = next((step for step in geometry if isinstance(step, CenterCrop)), None)
    mean = [value - facts.offset for value in facts.mean]
    normalize = any(mean) or any(value != 1.0 for value in facts.std)
    if facts.reverse and normalize:
        return None
    written: JsonDict = {
        "image_processor_type": _class(resize, crop, reverse=facts.reverse),
        "do_convert_rgb": True if image.alpha == "white" or image.mix else None,
        "do_resize": resize is not None,
        "size": _size(resize) if resize else asdict(image.size),
        "resample": RESAMPLINGS.index(resize.resample) if resize else 2,
        "do_center_crop": crop is not None,
        "crop_size": {"height": crop.height, "width": crop.width} if crop else None,
        "do_rescale": facts.scale != 1.0,
        "rescale_factor": facts.scale,
        "do_normalize": normalize,
        "image_mean": mean,
        "image_std": list(facts.std),
    }
    if facts.reverse:
        written["do_flip_channel_order"] = True
    if image.channels == 1:
        written["do_convert_rgb"] = False
    return {key: value for key, value in written.items() if value is not None}


def _class(resize: Resizing | None, crop: CenterCrop | None, *, reverse: bool) -> str:
    if reverse:
        return _REVERSED
    return _CROPPING if crop is not None or isinstance(resize, ResizeShortestEdge) else _PLAIN


def for_transformers_js(image: Image) -> Image:
    """Return what transformers.js can do of ``image``: what it cannot do to channels becomes the graph's ("mix").

    Raises UnsupportedModel where no plain settings say the rest.
    """
    made = image
    for difference in transformers_js(image):
        if difference.in_graph:
            made = _grey_in_graph(made) if difference.step == "channels" else _reversed_in_graph(made)
    if preprocessor_config(made) is None:
        clauses = "; it ".join(found.what for found in transformers_js(made)) or "has no settings for it"
        raise UnsupportedModel(
            f"transformers.js cannot prepare this model's images: it {clauses}",
            hint="--target desktop, for onnxruntime; or a model whose images are resized to a height and a width",
        )
    return made


def notes(image: Image) -> list[str]:
    """Say what is near but not equal in transformers.js, in sentences."""
    clauses = [found.what for found in transformers_js(image)]
    filtered = transformers_js_filter(image)
    written = [f"transformers.js resizes otherwise than was measured: {filtered}."] if filtered else []
    if image.mix:
        written.append("The graph takes red, green and blue, and turns them into the channels of the model.")
    return [*written, *(f"transformers.js {clause}." for clause in clauses)]


def _grey_in_graph(image: Image) -> Image:
    """Take three channels, each with the only one's scale, mean and deviation: their sum by luma has them too."""
    steps = tuple(
        Normalize(mean=3 * step.mean, std=3 * step.std) if isinstance(step, Normalize) else step
        for step in image.steps
        if not isinstance(step, ReverseChannels)
    )
    return replace(image, channels=3, steps=steps, mix=(_LUMA,))


def _reversed_in_graph(image: Image) -> Image:
    """Take red, green and blue with their own means and standard deviations, turned around behind them."""
    steps = tuple(
        Normalize(mean=step.mean[::-1], std=step.std[::-1]) if isinstance(step, Normalize) else step
        for step in image.steps
        if not isinstance(step, ReverseChannels)
    )
    return replace(image, steps=steps, mix=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))


def transformers_js(image: Image) -> list[Difference]:
    """Say what transformers.js does otherwise with the file of ``preprocessor_config``; [] where only the filter.

    That one is never Pillow's: see ``transformers_js_filter``.
    """
    found = []
    if image.channels == 1:
        what = "leaves a colour image its three channels, and stops at a mean for one"
        found.append(Difference("channels", what, True))
    before: Resizing | Cropping | None = None
    for step in _geometry(image):
        clause = _resized(step) if isinstance(step, Resizing) else _cropped(step, before)
        name = "resize" if isinstance(step, Resizing) else "center_crop"
        found += [Difference(name, clause, False)] if clause else []
        before = step
    facts = affine(image)
    if facts.reverse and (any(facts.mean) or any(value != 1.0 for value in facts.std)):
        found.append(Difference("reverse_channels", "turns the channels around after mean and std", True))
    return found


def transformers_js_filter(image: Image) -> str:
    """Say with what transformers.js resizes, in a clause; "" where nothing is resized.

    Measured in Node.js on an image with edges, 240 x 150 to 64 x 64: bilinear and bicubic are 9 levels of 255 off on
    average and 160 to 170 at most, lanczos 0.2 and 8. A browser's canvas also cuts odd margins at half a pixel.
    """
    kind = next((step.resample for step in image.steps if isinstance(step, Resizing)), None)
    if kind is None:
        return ""
    node = {"lanczos": "lanczos3", "box": "bilinear, not smoothed", "hamming": "bilinear, not smoothed"}
    return (
        f"a browser's canvas interpolates in its own way, whatever the setting ({kind}); in Node.js sharp does, "
        f"{node.get(kind, kind + ', not smoothed')}"
    )


def _geometry(image: Image) -> list[Resizing | Cropping]:
    return [step for step in image.steps if isinstance(step, Resizing | Cropping)]


def _is_plain(step: Resizing | Cropping) -> bool:
    """Return whether every client has settings for the step."""
    if isinstance(step, ResizeShortestEdge):
        return step.longest_edge is None and step.multiple_of is None
    return isinstance(step, Resize) or (isinstance(step, CenterCrop) and step.odd is None)


def _size(step: Resizing) -> dict[str, int]:
    return {key: value for key, value in asdict(step).items() if key != "resample" and value is not None}


def _resized(step: Resizing) -> str:
    if isinstance(step, ResizeWithin):
        return "cannot resize to max_height and max_width, and stops"
    if isinstance(step, Resize):
        return ""
    if step.multiple_of is not None:
        return f"rounds the sides down to multiples of {step.multiple_of}, not up"
    return "" if step.longest_edge is None else "rounds the longer side otherwise"


def _cropped(step: Cropping, before: Resizing | Cropping | None) -> str:
    if isinstance(step, CenterCropRatio):
        return "crops after the resize, and to a fixed size"
    height, width = _least(before)
    if height >= step.height and width >= step.width:
        return ""
    return "pads an image that is smaller than the crop a pixel further up and left, or stops"


def _least(step: Resizing | Cropping | None) -> tuple[int, int]:
    """Return the height and the width that an image has at least after ``step``."""
    if isinstance(step, Resize | CenterCrop):
        return step.height, step.width
    if isinstance(step, ResizeShortestEdge) and step.longest_edge is None:
        return step.shortest_edge, step.shortest_edge
    return 0, 0
