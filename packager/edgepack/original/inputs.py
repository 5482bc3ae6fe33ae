"""Inputs of the original, made of a text, an image or a sound by the authors' own pre-processing.

transformers' tokenizer (with what a sentence-transformers folder says), its image processor and its feature extractor;
nothing of edgepack's runtime takes part, so that a setting that is read wrongly shows as a difference. WAV files alone
are read and resampled as the bundle does it: transformers leaves that to other programs.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import transformers
from PIL import Image
from transformers.utils import is_speech_available

from edgepack import plugins
from edgepack.arrays import Example, Feeds
from edgepack.original import imports, matching, tokenizers
from edgepack.records import Source
from edgepack.runtime.audio.input import AudioInput
from edgepack.runtime.processing import Audio, Processing, Text
from edgepack.runtime.processing import Image as ImageRecord
from edgepack.tasks import Task, _image_settings, _timm


def match(
    source: Source, task: Task, processing: Processing, examples: Sequence[Example], ours: Feeds
) -> tuple[Feeds, float]:
    """Return the authors' arrays for one batch, and how far from them ``ours`` are: 0 for ids; pixels in levels of 255;
    of sounds the values' difference.

    Raises PreprocessingDiffers where ids differ, or pixels by more than a level, or sounds; ModelError.
    """
    if "audio" in task.INPUTS:
        theirs = _heard(source, processing.section(Audio), examples)
        return theirs, matching.sounds_apart(ours, theirs, source.name, torchaudio=is_speech_available())
    if "image" not in task.INPUTS:
        theirs = tokenizers.encode(source, processing.section(Text), examples)
        tokenizers.compare(examples, ours, theirs)
        return theirs, 0.0
    image = processing.section(ImageRecord)
    opened = [_image(example, image.channels) for example in examples]
    theirs = {image.input: _prepared(source, opened)[image.input]}
    return theirs, matching.pixels_apart(ours, theirs, image, source.name)


def _prepared(source: Source, images: Sequence[Image.Image]) -> Feeds:
    """Return what the model's own library makes of ``images``, float32."""
    if source.model_type == _timm.MODEL_TYPE:
        imports.import_timm()
        return {"pixel_values": plugins.load_module("edgepack.original.timm_models").prepared(source.path, images)}
    made = _processor(source.origin, source.sha256)(images=images, return_tensors="np")
    return {name: np.asarray(value, np.float32) for name, value in made.items()}


def _heard(source: Source, audio: Audio, examples: Sequence[Example]) -> Feeds:
    """Return what the feature extractor makes, its attention mask too where it gives one."""
    reader, rate = AudioInput(audio), audio.sampling_rate
    made = _extractor(source.origin, source.sha256)(
        [reader.samples(one) for one in examples], sampling_rate=rate, return_tensors="np"
    )
    return {name: np.asarray(made[name]) for name in made}


@lru_cache(maxsize=1)
def _extractor(folder: Path, sha256: str) -> transformers.FeatureExtractionMixin:
    """Return the feature extractor of ``folder``; another model may come to lie there, of another ``sha256``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of bands that are narrower than the spectrum's, as AST's are
        return transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@lru_cache(maxsize=1)
def _processor(folder: Path, sha256: str) -> transformers.BaseImageProcessor:
    """Return the image processor on its Pillow backend, whether or not torchvision is installed; else on what it has.

    Another model may come to lie in ``folder``, of another ``sha256``. Raises MissingExtra and UnsupportedModel where
    it needs torchvision.
    """
    if _image_settings.needs_torchvision(folder):
        imports.check_torchvision()
    return transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", local_files_only=True, trust_remote_code=False
    )


def _image(example: Example, channels: int) -> Image.Image:
    """Open an image as transformers' pipelines do: in colour, unless the model takes one channel.

    What has an alpha channel as an array goes to the processor with it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of Pillow, at a palette with an alpha per colour
        if isinstance(example, str | Path):
            opened: Image.Image = transformers.image_utils.load_image(str(example))
        elif isinstance(example, bytes | bytearray | memoryview):
            opened = transformers.image_utils.load_image(Image.open(io.BytesIO(example)))
        else:
            opened = Image.fromarray(np.asarray(example))
    if channels == 1:
        return opened.convert("L")
    return opened if opened.mode == "RGBA" else opened.convert("RGB")
