"""edgepack.toml: what a project builds, so that ``edgepack build`` needs no arguments.

model = "sentence-transformers/all-MiniLM-L6-v2"
adapter = "./my-lora"               # optional: a LoRA to merge into the weights, or a list of them
targets = ["rpi", "android"]
recipes = ["int8"]                 # optional: the target's default for the task

[recipe.int8]                      # optional: other numbers for a recipe
block_size = 64

[calibration]                      # optional: inputs that the quantizer looks at
path = "calibration.jsonl"

[evaluation]                       # optional: the task's metric, original against bundle
path = "stsb.csv"
columns = { sentence1 = 0, sentence2 = 1, score = 2 }

suite = "release.toml"             # optional: what `edgepack validate` runs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgepack.data import DataSpec
from edgepack.documents import JsonObject
from edgepack.errors import ProjectError
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table, read_toml

FILE = "edgepack.toml"
_STRING = {"type": "string", "maxLength": 4000}
_TYPES: Schema = {
    "properties": {
        **dict.fromkeys(("model", "task", "suite", "out"), _STRING),
        "adapter": {},  # as _adapters reads it
        "recipe": {"type": "object", "additionalProperties": {"type": "object"}},
        "targets": {},  # as _names and DataSpec read them
        "recipes": {},
        "calibration": {},
        "evaluation": {},
    }
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """The content of an edgepack.toml; paths are already relative to the file's folder."""

    model: str | None = None
    adapters: tuple[str, ...] = ()
    task: str | None = None
    targets: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    overrides: Mapping[str, JsonObject] = field(default_factory=dict)  # recipe -> field -> value
    calibration: DataSpec | None = None
    evaluation: DataSpec | None = None
    suite: Path | None = None
    out: Path = Path("dist")


def read(file: Path) -> Project:
    """Return the project of ``file``. Raises ProjectError."""
    if not file.exists():
        raise ProjectError(f"there is no {file}", hint="edgepack init writes one")
    table = read_toml(file, ProjectError)
    check_table(table, _TYPES, file, ProjectError)
    root = file.parent
    model = table.get("model")
    return Project(
        model=_below(root, model) if isinstance(model, str) else None,
        adapters=tuple(_below(root, adapter) for adapter in _adapters(table, file)),
        task=table.get("task"),
        targets=tuple(_names(table, "targets", file)),
        recipes=tuple(_names(table, "recipes", file)),
        overrides=table.get("recipe", {}),
        calibration=_data(table, "calibration", file),
        evaluation=_data(table, "evaluation", file),
        suite=root / table["suite"] if "suite" in table else None,
        out=root / table.get("out", "dist"),
    )


def template(model: str, targets: tuple[str, ...]) -> str:
    """Return the text of a new edgepack.toml."""
    listed = ", ".join(f'"{name}"' for name in targets)
    return (
        "# What `edgepack build` builds here; options of the command line come first.\n"
        "# Remove the # in front of a setting to use it.\n"
        "\n"
        f'model = "{model}"\n'
        f"targets = [{listed}]  # `edgepack targets` lists them\n"
        '# recipes = ["int8", "int4"]  # a bundle for each; without it, the recipe that `edgepack targets` names\n'
        '# suite = "release.toml"  # the checks of `edgepack validate`\n'
        '# out = "dist"  # where bundles are written\n'
        "\n"
        "# A data set on which original and bundle are compared: a CSV, TSV, JSONL or Parquet file, or for images\n"
        "# and sounds a folder with a sub-folder for each label. `columns` is for files with other column names.\n"
        "# [evaluation]\n"
        '# path = "data.csv"\n'
        '# columns = { text = "review", label = "stars" }\n'
    )


def _below(root: Path, model: str) -> str:
    """Return a relative folder is meant from the file's place; ids and python: references stay as they are."""
    return str(root / model) if model.startswith(".") else model


def _adapters(table: JsonObject, file: Path) -> list[str]:
    """Return the adapters: one name, or a list of them."""
    adapter = table.get("adapter")
    return [adapter] if isinstance(adapter, str) else _names(table, "adapter", file)


def _names(table: JsonObject, key: str, file: Path) -> list[str]:
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ProjectError(f"{file}: {key} must be a list of names", hint=f'for example {key} = ["rpi"]')
    return names


def _data(table: JsonObject, key: str, file: Path) -> DataSpec | None:
    return DataSpec.parse(table[key], root=file.parent) if key in table else None
