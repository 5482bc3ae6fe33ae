"""The memory of activations: what a layer of a model holds at the longest text, the largest image or the longest sound
that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgepack import sample_size
from edgepack.documents import JsonObject
from edgepack.errors import UnsupportedModel
from edgepack.runtime.processing import Audio, Processing, Size, Waveform

# A config.json to bytes, and the shape that they were estimated for
Activations = Callable[[JsonObject], tuple[int, str]]

_FLOAT = 4  # bytes
_VISION = 224  # pixels of a side, transformers' default
_MAPS, _GUIDED = 6, 2  # maps that are alive at once in a residual block; rows of a guided step
_WIDTH, _STRIDE = 512, 5  # of the first layer over samples, as wav2vec 2.0 has it
_FRAME = 320  # samples of its frames
_PATCHES = {"patch_size": 16, "frequency_stride": 10, "time_stride": 10}  # of spectrograms, as AST has them
_HEADS = ("num_attention_heads", "n_heads", "num_heads")  # a config without any is of a network without attention


def of(config: JsonObject, processing: Processing, stated: Activations | None = None) -> tuple[int, str]:
    """Estimate the bytes for one text, image or sound of ``processing``, the largest of them, and name its shape.

    ``stated`` is a task's own estimate, of a submodel whose inputs ``processing`` does not tell.
    """
    if stated is not None:
        return stated(config)
    needs = [_image(config, processing.image.size)] if processing.image else []
    if processing.text:
        needs.append(_tokens(config, processing.text.max_length))
    if processing.audio:
        needs.append(_sound(config, processing.audio))
    if not needs:
        raise UnsupportedModel(
            "the memory of this model cannot be estimated: it takes neither texts nor images nor sounds",
            hint="its task has to name a text, an image or a sound in the processing",
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


def _sound(config: JsonObject, audio: Audio) -> tuple[int, str]:
    """Estimate a waveform's first maps, of which a layer, its norm and its activation hold three, or a transformer of
    its frames; of a spectrogram the transformer of its patches.
    """
    features = audio.features
    if isinstance(features, Waveform):
        samples = features.max_samples
        width, stride = _first(config, "conv_dim", _WIDTH), _first(config, "conv_stride", _STRIDE)
        maps = 3 * width * (samples // stride) * _FLOAT
        return max(maps, _transformer(config, samples // _FRAME)), f"1 x {samples:,} samples"
    patch, across, along = (int(config.get(key, usual)) for key, usual in _PATCHES.items())
    patches = ((features.mel_bins - patch) // across + 1) * ((features.frames - patch) // along + 1)
    return _transformer(config, patches + 2), f"1 x {features.frames} frames"


def _first(config: JsonObject, key: str, usual: int) -> int:
    sizes = config.get(key)
    return int(sizes[0]) if isinstance(sizes, list | tuple) and sizes else usual


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
