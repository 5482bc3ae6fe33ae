"""The bundle's pre-processing compared with the authors' own, wherever inputs are made.

``Matched`` stands in the place of a task object's ``text``, ``image`` or ``audio``: it makes the shipping inputs, and
has the original compare them with its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from tokenizers import Encoding

from edgepack.arrays import Example, Feeds
from edgepack.errors import PreprocessingDiffers
from edgepack.runtime.audio.input import CLOSE, AudioInput
from edgepack.runtime.image import LEVELS, ImageInput, levels_apart
from edgepack.runtime.processing import Image
from edgepack.runtime.text import TextInput

_HINT = "a setting of preprocessor_config.json is not read as transformers reads it: please report the model"
_TORCHAUDIO = "build where torchaudio is not installed: with it transformers makes other log-mel features than in numpy"
Match = Callable[[Sequence[Example], Feeds], None]


class Matched:
    """A TextInput, ImageInput or AudioInput whose every batch is told to ``match(examples, feeds)``."""

    def __init__(self, inner: TextInput | ImageInput | AudioInput, match: Match) -> None:
        self._inner, self._match = inner, match

    def __getattr__(self, name: str) -> Any:  # whatever the input that it stands for has
        return getattr(self._inner, name)

    def encode(self, texts: Sequence[Example], prompt: str = "") -> tuple[Feeds, list[Encoding]]:
        """Return the feeds and encodings of a batch of texts, with their default prompt.

        Raises PreprocessingDiffers.
        """
        inner = cast(TextInput, self._inner)  # images are not encoded
        made, encodings = inner.encode(texts, prompt)
        self._match(texts, made)
        return made, encodings

    def feeds(self, examples: Sequence[Example]) -> Feeds:
        """Return the feeds of a batch of images or sounds, or of encodings that were made before.

        Raises PreprocessingDiffers.
        """
        made: Feeds = self._inner.feeds(examples)
        if isinstance(self._inner, ImageInput | AudioInput):
            self._match(examples, made)
        return made


def pixels_apart(ours: Feeds, theirs: Feeds, image: Image, name: str) -> float:
    """Return the largest difference of two batches of images, in levels of 255.

    Raises PreprocessingDiffers where it is more than LEVELS, or the shapes are not the same.
    """
    worst = 0.0
    for key, true in theirs.items():
        if ours[key].shape != true.shape:
            raise PreprocessingDiffers(
                f"{name}: the bundle makes {key} of the shape {list(ours[key].shape)}, transformers {list(true.shape)}",
                hint=_HINT,
            )
        worst = max(worst, levels_apart(ours[key], true, image))
    if not worst <= LEVELS:
        raise PreprocessingDiffers(
            f"{name}: the bundle's pixels differ from transformers' by up to {worst:.1f} levels of 255", hint=_HINT
        )
    return worst


def sounds_apart(ours: Feeds, theirs: Feeds, name: str, *, torchaudio: bool) -> float:
    """Return the largest difference of two batches of sounds, of the values that the model takes.

    ``torchaudio`` tells whether transformers has it, and lets it make AST's features. Raises PreprocessingDiffers where
    it is more than CLOSE, or the shapes are not the same.
    """
    worst, hint = 0.0, _TORCHAUDIO if torchaudio else _HINT
    for key, mine in ours.items():
        true = theirs[key]
        if mine.shape != true.shape:
            raise PreprocessingDiffers(
                f"{name}: the bundle makes {key} of the shape {list(mine.shape)}, transformers {list(true.shape)}",
                hint=hint,
            )
        worst = max(worst, float(np.abs(mine.astype(np.float64) - true).max()))
    if not worst <= CLOSE:
        raise PreprocessingDiffers(
            f"{name}: the bundle's sounds differ from transformers' by up to {worst:.1e}", hint=hint
        )
    return worst
