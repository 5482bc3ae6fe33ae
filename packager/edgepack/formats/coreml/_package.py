"""Save an ML Program such that the same model gives the same bytes."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

from edgepack.coreml import proto
from edgepack.coreml.folder import model_file
from edgepack.documents import JsonObject, read_object
from edgepack.formats.coreml._mil import MLModel

_MANIFEST = "Manifest.json"
_SPACE = uuid.UUID("6f1d3c52-6c37-4f5b-9a51-0d2f4f0a7f5e")  # for names of our own
_TOOLS = ("com.github.apple.coremltools",)  # metadata whose values tell when and with what it was made


def save(model: MLModel, out: Path) -> None:
    """Move ``model`` (a coremltools MLModel, made and not opened) to ``out``, a folder that is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    for key in [key for key in model.user_defined_metadata if key.startswith(_TOOLS)]:
        del model.user_defined_metadata[key]
    model.save(str(out))
    shutil.rmtree(model.package_path)  # coremltools' own copy, which it would leave to the end of the process
    _settle(out)
    file = model_file(out)
    file.write_bytes(proto.model(file).SerializeToString(deterministic=True))  # maps in the order of their keys


def _settle(out: Path) -> None:
    """Name the parts after their paths, where coremltools draws names by lot."""
    manifest = read_object(out / _MANIFEST)
    entries = manifest["itemInfoEntries"]
    named = {key: identifier(entry["path"]) for key, entry in entries.items()}
    manifest["itemInfoEntries"] = {named[key]: entry for key, entry in entries.items()}
    manifest["rootModelIdentifier"] = named[manifest["rootModelIdentifier"]]
    write_manifest(out, manifest)


def copy_manifest(package: Path, out: Path) -> None:
    """Give ``out`` the manifest of ``package``, whose parts have the same paths."""
    write_manifest(out, read_object(package / _MANIFEST))


def write_manifest(out: Path, manifest: JsonObject) -> None:
    """Write the manifest sorted and indented as coremltools does whenever it opens the package at ``out``."""
    (out / _MANIFEST).write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", "utf-8")


def identifier(path: str) -> str:
    """Return what a manifest calls the part at ``path``: made of it, so that every build gives the same."""
    return str(uuid.uuid5(_SPACE, path)).upper()
