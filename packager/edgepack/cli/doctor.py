"""edgepack doctor: what is installed, and what each target still needs."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from edgepack import __version__, cache
from edgepack import targets as known
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.reports.table import Table
from edgepack.runtime import machine

# What can be done, with the extra that enables it ("": none is needed) and the distributions that it takes.
_USES = {
    "use bundles": ("", ("numpy", "onnxruntime", "tokenizers", "typer", "rich")),
    "read picture files": ("images", ("pillow",)),
    "read Parquet data": ("data", ("pyarrow",)),
    "sign bundles and check signatures": ("sign", ("cryptography",)),
    "build language models for ONNX targets": ("llm", ("huggingface-hub", "onnx", "onnx-ir", "threadpoolctl")),
    "build for ONNX targets": ("build", ("torch", "transformers", "optimum", "onnx", "onnx-ir", "safetensors")),
    "build for Core ML targets": ("coreml", ("torch", "transformers", "optimum", "safetensors", "coremltools")),
}
_BUILDS = {"onnx": "build for ONNX targets", "coreml": "build for Core ML targets"}  # by a target's format


def doctor(json: Json = False) -> None:
    """Show what this machine can do, and what to install for the rest."""
    versions = {name: _version(name) for _, names in _USES.values() for name in names}
    ready = {use: all(versions[name] for name in names) for use, (_, names) in _USES.items()}
    uses = {name: _BUILDS[known.load(name).format] for name in known.names()}
    builds = {name: ready[use] for name, use in uses.items()}
    if json:
        show.as_json({"edgepack": __version__, "versions": versions, "ready": ready, "targets": builds})
        return
    facts = [
        ["edgepack", __version__],
        ["python", sys.version.split()[0]],
        ["machine", f"{machine.processor()}, {machine.isa()}, {platform.system()}"],
        ["cache", str(cache.root())],
    ]
    show.table("this machine", Table(["", ""], facts))
    rows = [[use, _packages(names, versions), _advice(use, ready[use])] for use, (_, names) in _USES.items()]
    show.table("what works", Table(["to", "packages", ""], rows, list(ready.values())))
    targets = [[name, _advice(use, ready[use])] for name, use in uses.items()]
    show.table("targets", Table(["target", "to build for it"], targets, list(builds.values())))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages(names: tuple[str, ...], versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {versions[name] or 'missing'}" for name in names)


def _advice(use: str, ready: bool) -> str:
    extra, _ = _USES[use]
    return "ready" if ready else f"pip install 'edgepack[{extra}]'" if extra else "pip install edgepack"
