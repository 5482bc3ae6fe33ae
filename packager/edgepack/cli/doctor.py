"""edgepack doctor: what is installed, and what each target still needs."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from edgepack import __version__, cache
from edgepack import targets as known
from edgepack.cli import show
from edgepack.cli.options import Json
from edgepack.reports.page import Table
from edgepack.runtime import machine

# What each extra enables, by the distributions it needs.
_NEEDS = {
    "use bundles": ("numpy", "onnxruntime", "tokenizers", "typer", "rich"),
    "build for ONNX targets": (
        "torch",
        "transformers",
        "optimum",
        "onnx",
        "safetensors",
        "huggingface-hub",
    ),
    "build for Core ML targets": ("torch", "transformers", "safetensors", "coremltools"),
    "read picture files": ("pillow",),
    "read Parquet data": ("pyarrow",),
}
_EXTRAS = {"build for ONNX targets": "build", "read picture files": "images", "read Parquet data": "data"}


def doctor(json: Json = False) -> None:
    """Show what this machine can do, and what to install for the rest."""
    versions = {name: _version(name) for names in _NEEDS.values() for name in names}
    ready = {use: all(versions[name] for name in names) for use, names in _NEEDS.items()}
    builds = dict.fromkeys(known.names(), ready["build for ONNX targets"])
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
    rows = [[use, _packages(names, versions), _advice(use, ready[use])] for use, names in _NEEDS.items()]
    show.table("what works", Table(["to", "packages", ""], rows, list(ready.values())))
    targets = [[name, "ready" if ok else "pip install 'edgepack[build]'"] for name, ok in builds.items()]
    show.table("targets", Table(["target", "to build for it"], targets, list(builds.values())))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages(names: tuple[str, ...], versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {versions[name] or 'missing'}" for name in names)


def _advice(use: str, ready: bool) -> str:
    return "ready" if ready else f"pip install 'edgepack[{_EXTRAS[use]}]'"
