"""The memory of activations: what a layer of a model holds at the longest text, or the largest image, that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgepack import sample_size
from edgepack.documents import JsonObject
from edgepack.errors import UnsupportedModel
from edgepack.runtime.processing import Processing, Size

# A config.json to bytes, and the shape that they were estimated for
Activations = Callable[[JsonObject], tuple[int, str]]

_FLOAT = 4  # bytes
_VISION = 224  # pixels of a side, transformers' default
_MAPS, _GUIDED = 6, 2  # maps that are alive at once in a residual block; rows of a guided step
_HEADS = ("num_attention_heads", "n_heads", "num_heads")  # a config without any is of a network without attention


def of(config: JsonObject, processing: Processing, stated: Activations | None = None) -> tuple[int, str]:
    """Estimate the bytes for one text or one image of ``processing``, the larger of both, and name its shape.

    ``stated`` is a task's own estimate, of a submodel whose inputs ``processing`` does not tell.
    """
    if stated is not None:
        return stated(config)
    needs = [_image(config, processing.image.size)] if processing.image else []
    if processing.text:
        needs.append(_tokens(config, processing.text.max_length))
    if not needs:
        raise UnsupportedModel(
            "the memory of this model cannot be estimated: it takes neither texts nor images",
            hint="its task has to name a text or an image in the processing",
        )
    return max(needs)


def texts(config: JsonObject) -> tuple[int, str]:
    """Estimate a text encoder at all positions that its config states."""
    return _tokens(config, int(config["max_position_embeddings"]))


def images(config: JsonObject) -> tuple[int, str]:
    """Estimate an image encoder by the ``vision_config`` that stands beside others in its config."""
    vision: Mapping[str, int] = config["vision_config"]
    side = int(vision["image_size"]) if "image_size" in vision else _VISION
    return _image(vision, Size(height=side, width=side))


def maps(config: JsonObject) -> tuple[int, str]:
    """Estimate a UNet's or an autoencoder's widest layer: a few maps of its first channels at full size, twice where
    a prompt guides (classifier-free guidance runs two rows).
    """
    height, width = sample_size.sides(config) or (0, 0)
    rows = _GUIDED if config["_class_name"] == "UNet2DConditionModel" else 1
    wide = int(config["block_out_channels"][0])
    return _FLOAT * rows * _MAPS * wide * height * width, f"{rows} x {height} x {width}"


def _tokens(config: JsonObject, length: int) -> tuple[int, str]:
    return _transformer(config, length), f"1 x {length} tokens"


def _image(config: JsonObject, size: Size) -> tuple[int, str]:
    height, width = size.height, size.width
    shape = f"1 x {height} x {width} pixels"
    # convolutional: input and output of the first layers, 32 channels each at half the resolution
    maps = 2 * 32 * (height // 2) * (width // 2) * _FLOAT
    patch = config.get("patch_size")
    if isinstance(patch, int) and config.get("neck_hidden_sizes"):  # MobileViT's patches are of maps at an eighth
        return max(maps, _transformer(config, (height // (8 * patch)) * (width // (8 * patch)) * patch * patch)), shape
    if isinstance(patch, int) and any(config.get(name) for name in _HEADS):
        return _transformer(config, (height // patch) * (width // patch) + 1), shape
    return maps, shape


def _transformer(config: JsonObject, length: int) -> int:
    """Return hidden states, q, k, v, the feed-forward product and the attention scores of one layer."""
    hidden = hidden_size(config)
    inner = int(config.get("intermediate_size") or config.get("hidden_dim") or 4 * hidden)
    heads = next((config[name] for name in _HEADS if config.get(name)), 12)
    heads = int(max(heads) if isinstance(heads, list) else heads)  # of the widest stage, where they have their own
    window = config.get("window_size")  # of images, whose tokens see their window alone
    seen = min(length, window * window) if isinstance(window, int) and window else length
    return _FLOAT * (length * (6 * hidden + 2 * inner) + 2 * heads * length * seen)


def hidden_size(config: JsonObject) -> int:
    """Return the width of a model's states."""
    return int(config.get("hidden_size") or config.get("dim") or config.get("n_embd") or 768)
