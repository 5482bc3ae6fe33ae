"""A submodel: one model of a bundle, opened by one engine, and what the manifest says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.records import Component, Coverage, Skipped, TensorSpec
from edgepack.runtime import graphs

MODEL = "model"  # the name of the submodel of a task that has one
TEXT_MODEL, VISION_MODEL = "text_model", "vision_model"  # of CLIP, as transformers.js calls the files
UNET = "unet"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A submodel's golden vectors: their file, the output that they hold, and the least cosine to it."""

    file: str  # relative to the bundle
    output: str
    least_cosine: float


@dataclass(frozen=True, kw_only=True)
class Submodel:
    """An entry of the manifest's ``models``."""

    name: str
    path: Path  # of what its engine opens: a file, or the folder of a package or of packages
    format: str  # names its engine: onnx, coreml
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    components: tuple[Component, ...]
    coverage: Coverage
    operators: Mapping[str, int]  # operator -> how often
    needs: str  # of the device, in words
    parts: tuple[Path, ...]  # graphs that a decoder is cut into, in order; of most models none
    files: tuple[str, ...]  # all that it consists of, relative to the bundle: graphs, weights, a package's files
    bytes: int  # of all its files
    golden: Golden


def read(name: str, entry: JsonObject, folder: Path, files: Mapping[str, JsonObject]) -> Submodel:
    """Return the submodel ``name`` of the bundle in ``folder``, whose manifest keeps the schema.

    ``files`` are the manifest's, by which it knows its size.
    """
    coverage = entry["coverage"]
    return Submodel(
        name=name,
        path=folder / entry["file"],
        format=entry["format"],
        opset=entry["opset"],
        inputs=_specs(entry["inputs"]),
        outputs=_specs(entry["outputs"]),
        components=tuple(Component(**component) for component in entry["components"]),
        coverage=Coverage(**{**coverage, "skipped": tuple(Skipped(**one) for one in coverage["skipped"])}),
        operators=entry["operators"],
        needs=entry["needs"],
        parts=graphs.parts(folder / entry["file"], (folder / file for file in entry["files"])),
        files=tuple(entry["files"]),
        bytes=sum(files[file]["bytes"] for file in entry["files"]),
        golden=Golden(**entry["golden"]),
    )


def _specs(entries: Sequence[JsonObject]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=spec["name"], dtype=spec["dtype"], shape=tuple(spec["shape"])) for spec in entries)
