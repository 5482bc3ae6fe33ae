"""Say of each checkpoint of popular-models.toml whether edgepack packs it, from what its config.json says."""

import json
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import EdgepackError
from edgepack.original import folder_kinds
from edgepack.tasks import _image_settings, _recognition, _sentence_folder, _supported
from edgepack.weights import foreign

LIST = Path(__file__).parent / "popular-models.toml"
_SENTENCES = "sentence_transformers.models."
_MODULES = {
    "st": ("SentenceTransformer", ["Transformer", "Pooling"]),
    "sparse": ("SparseEncoder", ["Transformer", "SpladePooling"]),
    "cross-encoder": ("CrossEncoder", ["Transformer"]),
    "logit-score": ("CrossEncoder", ["Transformer", "LogitScore"]),
}
_QUANTIZED = ("mxfp4", "fp8")


@dataclass(frozen=True)
class Row:
    """A checkpoint: what it is for, what its config.json says, and notes (see popular-models.toml)."""

    task: str
    checkpoint: str
    model_type: str
    architecture: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """``task`` is what edgepack packs it as, "" where it refuses it for the ``reason``; ``how`` is what it has to be
    told.
    """

    row: Row
    task: str = ""
    how: str = ""
    reason: str = ""


def rows() -> list[Row]:
    """The list."""
    table = tomllib.loads(LIST.read_text("utf-8"))
    return [
        Row(task, checkpoint, model_type, architecture, tuple(notes))
        for task, entries in table.items()
        for checkpoint, (model_type, architecture, *notes) in entries.items()
    ]


def verdict(row: Row) -> Verdict:
    """What edgepack says to a folder with such a config.json."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / row.checkpoint.rpartition("/")[2]
        folder.mkdir()
        _write(folder, row)
        try:
            config = folder_kinds.kind_of(folder).config()
            foreign.check(folder, config, [])
            task = _recognition.find(folder, config)
            if row.notes and row.notes[0] in _MODULES:
                _sentence_folder.check(folder, task)
            if task != row.task:  # a classifier of one label, which may be a reranker
                _recognition.check(row.task, config)
            _check_processor(folder, row, config)
        except EdgepackError as error:
            return Verdict(row, reason=str(error).replace(str(folder), folder.name))
    return Verdict(row, task=row.task, how="" if task == row.task else f"--task {row.task}")


def is_proven(found: Verdict) -> bool:
    """Whether the tests build a small model of its type for its task, and compare it with transformers."""
    return _supported.takes(found.task, found.row.model_type)


def _write(folder: Path, row: Row) -> None:
    config: dict[str, Any] = {"model_type": row.model_type, "architectures": [row.architecture], "hidden_size": 8}
    labels = 1 if {"cross-encoder", "one-label", "logit-score"} & set(row.notes) else 3
    config["id2label"] = {str(index): f"LABEL_{index}" for index in range(labels)}
    if "code" in row.notes:
        config["auto_map"] = {"AutoModel": "theirs.Model"}
    if "no-class" in row.notes:
        del config["architectures"]
    if "timm" in row.notes:
        config = {"architecture": row.architecture, "num_features": 8, "pretrained_cfg": {}}
    for scheme in set(_QUANTIZED) & set(row.notes):
        config["quantization_config"] = {"quant_method": scheme}
    _json(folder / "config.json", config)
    kind, modules = next((_MODULES[note] for note in row.notes if note in _MODULES), ("", []))
    if modules:
        paths = ["", *(f"{index + 1}_{name}" for index, name in enumerate(modules[1:]))]
        listed = zip(modules, paths, strict=True)
        _json(folder / "modules.json", [{"type": _SENTENCES + name, "path": path} for name, path in listed])
        _json(folder / "config_sentence_transformers.json", {"model_type": kind})
        words = "LogitScore" in modules
        task = "text-generation" if words else "sequence-classification"
        _json(
            folder / "sentence_bert_config.json",
            {"max_seq_length": 128, **({"transformer_task": task} if kind == "CrossEncoder" else {})},
        )
        for path in paths[1:]:
            (folder / path).mkdir()
            own = {"LogitScore": {"true_token_id": 1}, "SpladePooling": {"pooling_strategy": "max"}}
            _json(folder / path / "config.json", own.get(path[2:], {"pooling_mode": "mean"}))


def _check_processor(folder: Path, row: Row, config: dict[str, Any]) -> None:
    """Raises UnsupportedModel for an image processor that edgepack cannot follow."""
    named = [note for note in row.notes if note.endswith(("Processor", "ProcessorFast"))]
    if row.task.startswith(("image", "zero-shot-image")) and "timm" not in row.notes:
        _json(folder / "preprocessor_config.json", {"image_processor_type": named[0]} if named else {"do_resize": True})
        _image_settings.find(folder, config)


def _json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content), "utf-8")
