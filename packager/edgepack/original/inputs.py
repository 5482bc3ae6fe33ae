"""Inputs of the original, made of a text or an image by the authors' own pre-processing.

transformers' tokenizer (with what a sentence-transformers folder says) and its image processor; nothing of edgepack's
runtime takes part, so that a setting that is read wrongly shows as a difference.
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

from edgepack.arrays import Example, Feeds
from edgepack.original import matching, tokenizers
from edgepack.records import Source
from edgepack.runtime.processing import Image as ImageRecord
from edgepack.runtime.processing import Processing, Text
from edgepack.tasks import Task


def match(
    source: Source, task: Task, processing: Processing, examples: Sequence[Example], ours: Feeds
) -> tuple[Feeds, float]:
    """Return the authors' arrays for one batch, and how far from them ``ours`` are: 0 for ids; pixels in levels of 255.

    Raises PreprocessingDiffers where ids differ, or pixels by more than a level; ModelError.
    """
    if "image" not in task.INPUTS:
        theirs = tokenizers.encode(source, processing.section(Text), examples)
        tokenizers.compare(examples, ours, theirs)
        return theirs, 0.0
    image = processing.section(ImageRecord)
    opened = [_image(example, image.channels) for example in examples]
    made = _processor(source.origin)(images=opened, return_tensors="np")
    theirs = {image.input: np.asarray(made[image.input], np.float32)}
    return theirs, matching.pixels_apart(ours, theirs, image, source.name)


@lru_cache(maxsize=1)
def _processor(folder: Path) -> transformers.BaseImageProcessor:
    return transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


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
