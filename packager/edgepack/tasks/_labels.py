"""The labels of a classifier: their names, what makes scores of logits, and a data set's labels against them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edgepack.arrays import Example
from edgepack.documents import JsonObject
from edgepack.errors import DataError, ModelError, UnsupportedModel, nearest
from edgepack.runtime.processing import Classes, ProblemType
from edgepack.tasks import read_config

REGRESSION: Final = "regression"
MULTIPLE: Final = "multi_label_classification"
SINGLE: Final = "single_label_classification"
_ACTIVATIONS: dict[str, ProblemType] = {"Sigmoid": MULTIPLE, "Identity": REGRESSION, "Softmax": SINGLE}

_USUAL = 2  # labels where config.json says nothing
_NUMBERED = 'it names each label by its number: "id2label": {"0": "negative", "1": "positive"}'


def classes(config: JsonObject, folder: Path | None = None) -> Classes:
    """Read the class names in the order of the logits, and the problem_type that says what makes scores of them.

    As transformers' pipelines and sentence-transformers' CrossEncoder have it: one label is a sigmoid, several are a
    softmax, unless problem_type or a CrossEncoder's own activation (in ``folder``) says otherwise. Raises ModelError
    for labels that are not numbered from 0, UnsupportedModel for another activation.
    """
    names, count = numbered(config)
    labels = tuple(names.get(i, f"LABEL_{i}") for i in range(count))
    return Classes(labels=labels, problem_type=_problem(config, count, folder))


def numbered(config: JsonObject) -> tuple[dict[int, str], int]:
    """Return config.json's names of labels by their numbers, and how many labels there are. Raises ModelError."""
    listed = config.get("label_names")  # of timm
    stated = config.get("id2label") or dict(enumerate(listed if isinstance(listed, list) else ()))
    count = config.get("num_labels", config.get("num_classes"))
    if not isinstance(stated, Mapping) or any(_number(str(number)) is None for number in stated):
        raise ModelError(f"config.json: id2label is {json.dumps(stated)[:60]}", hint=_NUMBERED)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise ModelError(f"config.json: num_labels is {count!r}, which is not a whole number", hint=_NUMBERED)
    names = {int(number): str(name) for number, name in stated.items()}
    if names and sorted(names) != list(range(len(names))):
        raise ModelError(f"config.json numbers its labels {sorted(names)}, not 0 to {len(names) - 1}", hint=_NUMBERED)
    return names, len(names) or (_USUAL if count is None else count)


def named(references: Sequence[Example], names: Sequence[str], data: str) -> list[str]:
    """Return a data set's labels as the model names them.

    Numbers that are no names of the model stand for its labels by their number, where all of the data set's are such.
    Raises DataError for a label that the model does not have.
    """
    given, known = [str(label) for label in references], set(names)
    unknown = sorted(set(given) - known)
    numbers = [_number(label) for label in dict.fromkeys(given)]
    if unknown and not known & set(given) and all(n is not None and 0 <= n < len(names) for n in numbers):
        return [names[_number(label) or 0] for label in given]
    if unknown:
        close = nearest(unknown[0], names)
        raise DataError(
            f"{data} has the label {unknown[0]!r}, which the model does not; it has {_listed(names)}",
            hint=(f"did you mean {close!r}? " if close else "")
            + f"the data set's are {_listed(sorted(set(given)))}: write the model's names, or its numbers from 0",
        )
    return given


def _problem(config: JsonObject, count: int, folder: Path | None) -> ProblemType:
    own = _activation(config, folder) if folder else None
    if own and not (count > 1 and own == REGRESSION):  # a CrossEncoder of several labels says so by default
        return own
    told = config.get("problem_type")
    if told not in (None, REGRESSION, MULTIPLE, SINGLE):
        raise ModelError(f"config.json: no problem_type {told!r}", hint=f"known: {REGRESSION}, {MULTIPLE}, {SINGLE}")
    return MULTIPLE if count == 1 and told != REGRESSION else told or SINGLE


def _activation(config: JsonObject, folder: Path) -> ProblemType | None:
    """Read what sentence-transformers (the newest release's place first) says makes scores of logits, if anything."""
    newest = read_config(folder / "config_sentence_transformers.json")
    name = newest.get("activation_fn") if newest.get("model_type") == "CrossEncoder" else None
    name = name or (config.get("sentence_transformers") or {}).get("activation_fn")
    name = name or config.get("sbert_ce_default_activation_function")
    if not name:
        return None
    found = _ACTIVATIONS.get(str(name).rsplit(".", 1)[-1]) if str(name).startswith("torch.") else None
    if found is None:
        raise UnsupportedModel(
            f"{folder.name} turns logits into scores with {name}, which is not supported",
            hint=f"known: {', '.join(_ACTIVATIONS)} of torch",
        )
    return found


def _number(label: str) -> int | None:
    """Return 0 for "0" and for "0.0", as tables write whole numbers; None for other texts."""
    whole = label.removesuffix(".0")
    return int(whole) if whole.isascii() and whole.isdigit() else None


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
