"""The inputs that speed is stated for: the same for every run and machine."""

from __future__ import annotations

import re

import numpy as np

from edgepack.arrays import Array, Feeds
from edgepack.errors import InputError
from edgepack.records import TensorSpec
from edgepack.runtime.diffusion import timing
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Audio, Generation, Image, LogMel, Waveform
from edgepack.runtime.submodel import MODEL, Submodel

LENGTHS = (32, 128)  # tokens
IMAGE, SOUND, INPUT = "1 image", "1 sound", "1 input"
SECONDS = (1, 5)  # of waveforms
GENERATION = "text-generation"


def shapes(manifest: Manifest, name: str = MODEL) -> list[str]:
    """Return "1x32" and "1x128" tokens, as far as the submodel ``name`` takes them, or one image.

    For waveforms "1 s of sound" and "5 s of sound"; for features of one size one sound.

    For language models "prefill 32", "prefill 128" and "decode 128": one token after so many. For the parts of a model
    that makes images the size of its images, such as "512x512", and "1x77" for prompts.
    """
    if _of_pipeline(manifest, name):
        return [timing.shape(manifest.processing, manifest.models[name])]
    if manifest.processing.audio:
        waves = isinstance(manifest.processing.audio.features, Waveform)
        return [f"{seconds} s of sound" for seconds in SECONDS] if waves else [SOUND]
    longest = manifest.processing.max_length
    if longest is None or _takes_images(manifest, name):
        return [IMAGE if manifest.processing.image else INPUT]
    if manifest.processing.generation:
        lengths = [length for length in LENGTHS if length <= longest] or [longest]
        return [*(f"prefill {length}" for length in lengths), f"decode {min(LENGTHS[-1], longest - 1)}"]
    return [f"1x{length}" for length in LENGTHS if length <= longest] or [f"1x{longest}"]


def calls(manifest: Manifest, name: str) -> int:
    """Return how often one result takes the submodel ``name``, with the usual settings; 0 where that is not known."""
    return timing.calls(manifest.processing, name) if manifest.processing.diffusion else 0


def takes(manifest: Manifest, shape: str, name: str) -> bool:
    """Return whether the submodel ``name`` takes inputs of that shape."""
    try:
        feeds(manifest, shape, name)
    except InputError:
        return False
    return True


def feeds(manifest: Manifest, shape: str, name: str = MODEL) -> Feeds:
    """Make inputs for the submodel ``name``, shaped "batch x tokens", "1 image" or "1 s of sound".

    Of language models see _text. Raises InputError.
    """
    if _of_pipeline(manifest, name):
        return timing.feeds(manifest.processing, manifest.models[name], shape)
    if manifest.processing.generation:
        return _text(manifest.processing.generation, shape)
    if _takes_images(manifest, name):
        if shape != IMAGE:
            raise InputError(f"no input {shape!r}", hint=f'it is timed with "{IMAGE}"')
        return _image(manifest.processing.section(Image), manifest.models[name])
    if manifest.processing.audio:
        return {manifest.processing.audio.input: _sound(manifest.processing.audio, shape)}
    if manifest.processing.text is None:
        return {spec.name: _ones(spec) for spec in manifest.models[name].inputs}
    longest, match = manifest.processing.text.max_length, re.fullmatch(r"(\d+)x(\d+)", shape)
    if not match or int(match[2]) > longest or not int(match[1]) * int(match[2]):
        raise InputError(f"no input {shape!r}", hint=f"write batch x tokens, for example 1x{longest} at most")
    return {spec.name: _tokens(spec.name, int(match[1]), int(match[2])) for spec in manifest.models[name].inputs}


def _text(generation: Generation, shape: str) -> Feeds:
    """Return ``input_ids`` that are timed, and ``past_ids`` that are in the cache before, int64 [1, tokens]."""
    longest = generation.max_length
    match = re.fullmatch(r"(prefill|decode) (\d+)", shape)
    length = int(match[2]) if match else 0
    past, new = (length, 1) if shape.startswith("decode") else (0, length)
    if not match or not length or past + new > longest:
        raise InputError(
            f"no input {shape!r}", hint=f'for example "decode 1"; at most "prefill {longest}" or "decode {longest - 1}"'
        )
    ids = _tokens("input_ids", 1, past + new) % generation.vocabulary
    return {"past_ids": ids[:, :past], "input_ids": ids[:, past:]}


def _sound(audio: Audio, shape: str) -> Array:
    """Return an even course of values from -1 to 1: which ones makes no difference to the time."""
    features, match = audio.features, re.fullmatch(r"(\d+) s of sound", shape)
    if isinstance(features, LogMel):
        if shape != SOUND:
            raise InputError(f"no input {shape!r}", hint=f'it is timed with "{SOUND}"')
        sides: tuple[int, ...] = (1, features.frames, features.mel_bins)
    else:
        samples = int(match[1]) * audio.sampling_rate if match else 0
        if not audio.min_samples <= samples <= features.max_samples:
            longest = features.max_samples // audio.sampling_rate
            raise InputError(f"no input {shape!r}", hint=f'write for example "1 s of sound"; {longest} s at most')
        sides = (1, samples)
    return np.linspace(-1, 1, int(np.prod(sides)), dtype=np.float32).reshape(sides)


def _tokens(name: str, batch: int, length: int) -> Array:
    if name == "input_ids":
        # ids that every vocabulary has; which ones makes no difference to the time
        return 1 + np.arange(batch * length, dtype=np.int64).reshape(batch, length) * 7 % 97
    return np.full((batch, length), 1 if name == "attention_mask" else 0, np.int64)


def _ones(spec: TensorSpec) -> Array:
    """Return ones for an input of a third party's task, 1 along every side that has no size."""
    return np.ones([side if isinstance(side, int) else 1 for side in spec.shape], spec.dtype)


def _of_pipeline(manifest: Manifest, name: str) -> bool:
    """Return whether a submodel makes images from prompts with others; a safety checker looks at them as others do."""
    return manifest.processing.diffusion is not None and not _takes_images(manifest, name)


def _takes_images(manifest: Manifest, name: str) -> bool:
    """Return whether a submodel is fed images, of a model that may take texts too."""
    text = manifest.processing.text
    own = {spec.name for spec in manifest.models[name].inputs}
    if manifest.processing.image is None or (
        manifest.processing.diffusion and manifest.processing.image.input not in own
    ):
        return False
    return text is None or not own & set(text.inputs)


def _image(image: Image, submodel: Submodel) -> Feeds:
    shape = (1, image.channels, image.size.height, image.size.width)
    ramp = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    seen = next((spec for spec in submodel.inputs if spec.name == image.input), submodel.inputs[0])
    return {spec.name: ramp if spec is seen else _ones(spec) for spec in submodel.inputs}
