"""edgepack run: try a bundle."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from edgepack import runtime
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Threads
from edgepack.errors import UsageError
from edgepack.reports.page import Table
from edgepack.runtime import manifest

_NUMBERS = 6  # of a vector that are shown


def run(
    bundle: Bundle,
    inputs: Annotated[list[str], typer.Argument(help="Texts, pictures' paths, or a question and its context.")],
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Run a bundle on the inputs given."""
    folder = runtime.folder_of(bundle)
    task = manifest.read(folder).task
    examples = _examples(task, inputs)
    results = runtime.load(folder, threads=threads).predict(examples)
    if json:
        show.as_json([{"input": example, "result": result} for example, result in zip(examples, results, strict=True)])
        return
    for example, result in zip(examples, results, strict=True):
        show.line(str(example) if isinstance(example, str) else " | ".join(example), "bold")
        _show(result)
    if isinstance(results[0], np.ndarray) and len(results) > 1:
        _likeness(examples, results)


def _examples(task: str, inputs: list[str]) -> list[Any]:
    if task != "question-answering":
        return list(inputs)
    if len(inputs) != 2:
        raise UsageError("this model takes a question and a context", hint='edgepack run BUNDLE "Who?" "Ada wrote it."')
    return [(inputs[0], inputs[1])]


def _show(result: Any) -> None:
    if isinstance(result, np.ndarray):
        numbers = ", ".join(f"{value:.4f}" for value in result[:_NUMBERS])
        show.line(f"  [{numbers}, …] {result.shape[0]} numbers")
    elif isinstance(result, list):
        for entry in result[:5]:
            show.line(f"  {_entry(entry)}")
    else:
        show.line(f"  {_entry(result)}")


def _entry(entry: Any) -> str:
    return "  ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in vars(entry).values())


def _likeness(examples: list[Any], vectors: list[np.ndarray]) -> None:
    """How alike the inputs are: the cosine of each pair."""
    unit = np.stack(vectors) / np.linalg.norm(np.stack(vectors), axis=1, keepdims=True)
    rows = [
        [f"{unit[i] @ unit[j]:.4f}", str(examples[i]), str(examples[j])]
        for i in range(len(vectors))
        for j in range(i + 1, len(vectors))
    ]
    rows.sort(key=lambda row: row[0], reverse=True)
    show.table("likeness", Table(["cosine", "", ""], rows))
