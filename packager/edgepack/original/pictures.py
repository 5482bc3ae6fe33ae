"""The pictures of a model as transformers' own image processor prepares them: the reference for ours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from PIL import Image
from transformers.image_utils import load_image

from edgepack.errors import ModelError
from edgepack.records import Source
from edgepack.runtime.types import Feeds

_FAILURES = (ValueError, OSError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, ZeroDivisionError)


def encode(source: Source, processing: Mapping[str, Any], pictures: Sequence[Any]) -> Feeds:
    """What AutoImageProcessor makes of one batch: float32 [batch, channels, height, width]. Raises ModelError.

    A picture is a uint8 array, a file's path or a file's bytes; edgepack's runtime takes no part in opening it.
    """
    mode = "L" if processing["channels"] == 1 else "RGB"
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            source.origin, local_files_only=True, trust_remote_code=False, backend="pil"
        )
        made = processor([_opened(picture, mode) for picture in pictures], return_tensors="np")["pixel_values"]
    except _FAILURES as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"transformers' image processor of {source.name} fails: {line}") from error
    return {str(processing["inputs"][0]): np.asarray(made, np.float32)}


def _opened(picture: Any, mode: str) -> Any:
    """The picture as transformers takes it; a model of one channel gets Pillow's grey.

    Arrays of four channels stay arrays: what becomes of transparency is the image processor's to say.
    """
    if isinstance(picture, str | Path):
        return load_image(str(picture)).convert(mode)
    if isinstance(picture, bytes | bytearray | memoryview):
        return load_image(Image.open(io.BytesIO(picture))).convert(mode)
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array if array.shape[-1] == 4 and array.ndim == 3 else Image.fromarray(array).convert(mode)
