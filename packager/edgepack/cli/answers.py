"""Show what a bundle makes of inputs: a line for each answer, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass

import numpy as np

from edgepack import plugins
from edgepack.arrays import Example, TaskModel
from edgepack.cli import chat, show
from edgepack.documents import JsonDict
from edgepack.errors import UsageError
from edgepack.reports.table import Table
from edgepack.runtime.generation import Statistics

_NUMBERS = 6  # of a vector that are shown


def complete(model: TaskModel, prompts: list[Example], inputs: list[str], options: JsonDict, json: bool) -> None:
    """Print what follows each prompt, as it is made; or all of it as JSON."""
    results = []
    for prompt, text in zip(prompts, inputs, strict=True):
        pieces = model.generate(prompt, **options)
        if json:
            results.append({"prompt": text, "text": "".join(pieces), **_figures(model.last)})
            continue
        if len(inputs) > 1:
            show.paragraph(text, "bold")
        chat.stream(pieces)
    if json:
        show.as_json(results)


def _figures(last: Statistics) -> dict[str, float]:
    return {"tokens": last.new, "tokens_per_second": last.speed, "seconds_to_first_token": last.first}


def predict(
    predict: Callable[[list[Example]], Sequence[object]], examples: list[Example], json: bool, *, task: str
) -> None:
    """Print the result of ``task`` for each example.

    Raises UsageError where it gives none for one of them, or with ``json`` one that JSON cannot hold.
    """
    results = predict(examples)
    if not isinstance(results, Sequence | np.ndarray) or len(results) != len(examples):
        raise UsageError(f"{task} does not give a list with an answer for each input", hint=plugins.CONTRACT)
    if json:
        try:
            show.as_json([{"input": one, "result": result} for one, result in zip(examples, results, strict=True)])
        except (TypeError, ValueError) as error:
            raise UsageError(f"an answer of {task} is not JSON: {error}", hint=plugins.CONTRACT) from error
        return
    for example, result in zip(examples, results, strict=True):
        show.paragraph(str(example) if isinstance(example, str) else " | ".join(example), "bold")
        _show(result)
    vectors = [result for result in results if isinstance(result, np.ndarray)]
    if len(vectors) > 1:
        _similarity(examples, vectors)


def _show(result: object) -> None:
    if isinstance(result, np.ndarray | np.generic) and result.ndim != 1:
        result = result.tolist()
    if isinstance(result, np.ndarray):
        numbers = ", ".join(f"{value:.4f}" for value in result[:_NUMBERS])
        show.line(f"  [{numbers}, …] {result.shape[0]} numbers")
    elif isinstance(result, list):
        for entry in result[:5]:
            show.line(f"  {_entry(entry)}")
    else:
        show.line(f"  {_entry(result)}")


def _entry(entry: object) -> str:
    """Return an answer in a line: the values of a record or of a dict, or the number or text that it is."""
    facts = vars(entry) if is_dataclass(entry) else entry
    values = facts.values() if isinstance(facts, dict) else [facts]
    return "  ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values)


def _similarity(examples: list[Example], vectors: list[np.ndarray]) -> None:
    """Print how alike the inputs are: the cosine of each pair."""
    unit = np.stack(vectors) / np.linalg.norm(np.stack(vectors), axis=1, keepdims=True)
    rows = [
        [f"{unit[i] @ unit[j]:.4f}", str(examples[i]), str(examples[j])]
        for i in range(len(vectors))
        for j in range(i + 1, len(vectors))
    ]
    rows.sort(key=lambda row: row[0], reverse=True)
    show.table("similarity", Table(["cosine", "", ""], rows))
