"""Parts of the tasks whose inputs are short: batches, golden vectors, no choice of a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgepack.arrays import Example, Feeds, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import UsageError
from edgepack.runtime.batch import BATCH, text_length
from edgepack.runtime.processing import Processing

TRIALS: JsonObject = {}
PAIRS: Mapping[str, tuple[str, ...]] = {}
_LEAST = 8  # tokens: a short text with its marks
_VECTORS = 4  # golden ones: enough to notice a wrong kernel, small beside the model
_MIXED = 6  # examples in batches of one, two and three
_SIDE = 48  # pixels of their images


def sized(processing: Processing, context: int | None) -> Processing:
    """Return ``processing`` for texts of at most ``context`` tokens (None: as long as the model takes).

    Raises UsageError for more than it takes, hardly any, and for images and sounds.
    """
    if context is None:
        return processing
    if processing.text is None:
        raise UsageError(f"{_others(processing)} have no context to choose", hint="leave --context out")
    longest = processing.text.max_length
    _check_fixed(processing, [context])
    if not _LEAST <= context <= longest:
        raise UsageError(f"a context of {context:,} tokens: the model takes texts of {_LEAST} to {longest:,}")
    return replace(processing, text=replace(processing.text, max_length=context))


def limited(processing: Processing, lengths: Sequence[int]) -> Processing:
    """Return ``processing`` for a model that takes texts of ``lengths`` in tokens, ascending (none: any).

    Raises UsageError for those that no text of this model has.
    """
    if not lengths:
        return processing
    if processing.text is None:
        raise UsageError(f"{_others(processing)} have no length in tokens", hint="leave --lengths out")
    longest = processing.text.max_length
    _check_fixed(processing, lengths)
    if not _LEAST <= lengths[0] <= lengths[-1] <= longest:
        wrong = lengths[0] if lengths[0] < _LEAST else lengths[-1]
        raise UsageError(f"texts of {wrong:,} tokens: the model can be made for lengths of {_LEAST} to {longest:,}")
    return replace(processing, text=replace(processing.text, max_length=lengths[-1]))


def _check_fixed(processing: Processing, lengths: Sequence[int]) -> None:
    """Raises UsageError for other lengths than the one of all texts of a model that was trained with padding."""
    text = processing.text
    if text is not None and text.fixed_length and set(lengths) != {text.fixed_length}:
        raise UsageError(
            f"this model's texts are padded to {text.fixed_length} tokens each, as it was trained",
            hint="leave --context and --lengths out",
        )


def contexts(processing: Processing) -> list[int | None]:
    """Return a single choice: the context is fixed."""
    return [None]


def batches(model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
    """Return the feeds of ``examples`` in batches, made by the shipping pre-processing; texts of like length together.

    For "agreement" batches of one, two and three come first, short texts beside long ones: a graph may hold the size of
    the batch that it was traced with, or take padding for text. Their texts come once more, padded otherwise; images,
    which make the same inputs in any batch, do not.
    """
    texts = all(isinstance(example, str | tuple) for example in examples)
    ordered = sorted(examples, key=text_length) if texts else list(examples)
    places = range(len(ordered))[:: max(len(ordered) // _MIXED, 1)] if use == "agreement" else range(0)
    mixed = [places[:1], places[-2:], places[1:4]] if len(places) >= _MIXED else []
    done = set() if texts else {place for batch in mixed for place in batch}
    rest = [place for place in range(len(ordered)) if place not in done]
    likes = [rest[start : start + BATCH] for start in range(0, len(rest), BATCH)]
    return [model.feeds([ordered[place] for place in batch]) for batch in (*mixed, *likes)]


def golden(model: TaskModel, examples: Sequence[Example]) -> list[tuple[Example, Feeds]]:
    """Return a few of ``examples``, each with its feeds: short texts and long ones, or small parts of images."""
    if isinstance(examples[0], np.ndarray):
        side = None if model.image.fixed else _SIDE
        chosen = [np.ascontiguousarray(image[:side, :side]) for image in examples[:_VECTORS]]
    else:
        ordered = sorted(examples, key=text_length)
        chosen = [ordered[place] for place in np.linspace(0, len(ordered) - 1, _VECTORS).astype(int)]
    return [(example, model.feeds([example])) for example in chosen]


def _others(processing: Processing) -> str:
    return "sounds" if processing.audio else "images"
