"""Make the bundle's folder: whole, or not there.

A bundle is filled in a hidden sibling of its final place and renamed at the end; an earlier bundle of that
name is swapped out in the last step, so an interrupted build leaves it as it was.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgepack import client_files, client_pictures, licences, local_paths, weights
from edgepack.errors import DiskFull
from edgepack.records import Artifact, Recipe, Source, Target
from edgepack.runtime.manifest import MANIFEST, SCHEMA, digest

_STALE = ".building-"


@contextmanager
def workspace(out: Path, name: str) -> Iterator[Path]:
    """A folder to fill; on leaving without an error it becomes ``out/name``, on an error it is gone.

    Raises DiskFull where the space runs out.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        fresh = Path(tempfile.mkdtemp(prefix=f"{_STALE}{os.getpid()}-", dir=out))
        try:
            yield fresh
            fresh.chmod(0o755)
            _swap(fresh, out / name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left on the disk of {out}", hint="free some, or choose another place with --out"
            ) from error
        raise


def _swap(fresh: Path, final: Path) -> None:
    """Rename ``fresh`` to ``final``; what stood there goes only once the new one is complete."""
    old = fresh.with_name(fresh.name + "-old")
    try:
        while not _swapped(fresh, final, old):
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old.exists():
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _swapped(fresh: Path, final: Path, old: Path) -> bool:
    """Whether it was done; not where another build of the same name was there first."""
    with suppress(FileNotFoundError):
        final.rename(old)
    try:
        fresh.rename(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _sweep(out: Path) -> None:
    """Clear what killed builds left: their process is gone. A swapped-out bundle goes back into place."""
    for folder in out.glob(f"{_STALE}*"):
        pid = folder.name.removeprefix(_STALE).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc").is_dir():
            _restore(folder, out)
            shutil.rmtree(folder, ignore_errors=True)


def _restore(folder: Path, out: Path) -> None:
    """Bring back an earlier bundle when the kill fell between the two renames of a swap."""
    manifest = folder / MANIFEST
    if folder.name.endswith("-old") and manifest.is_file():
        final = out / json.loads(manifest.read_text("utf-8"))["name"]
        if not final.exists():
            folder.rename(final)


def model_file(target: Target, recipe: Recipe, suffix: str) -> str:
    """Where the model lies in the bundle, as the target's usual clients look for it."""
    if target.layout == "transformers.js":
        return f"onnx/model{_TRANSFORMERS_JS.get(recipe.name, '_quantized')}{suffix}"
    return f"model{suffix}"


# transformers.js finds a file by the suffix of its dtype; "_quantized" is q8, its default for wasm
_TRANSFORMERS_JS = {"fp32": "", "fp16": "_fp16", "int4": "_q4"}
_DTYPES = {"": "fp32", "_fp16": "fp16", "_q4": "q4", "_quantized": "q8"}


def copy_files(source: Source, target: Target, recipe: Recipe, processing: Mapping[str, Any], folder: Path) -> None:
    """The tokenizer and configs, the model card, the licence and the notices."""
    client_files.write(source.path, folder, processing)
    if target.layout == "transformers.js":
        _tell_transformers_js(folder / "config.json", source, recipe)
    vocabularies = {"tokenizer.json", "vocab.json", "added_tokens.json"}
    configs = [file for file in sorted(folder.rglob("*.json")) if file.name not in vocabularies]
    inside = {artifact.parent for artifact in folder.rglob("Manifest.json")}  # of packages
    local_paths.remove([file for file in configs if file.parent not in inside], source.credited)
    pictures = target.layout == "transformers.js" and "channels" in processing
    licences.write(source, target, recipe, folder, client_pictures.notes(processing) if pictures else ())


def _tell_transformers_js(config: Path, source: Source, recipe: Recipe) -> None:
    """Tell transformers.js which files to load (config.json's transformers.js_config)."""
    table = json.loads(config.read_text("utf-8"))
    dtype = _DTYPES[_TRANSFORMERS_JS.get(recipe.name, "_quantized")]
    beside = {"use_external_data_format": True} if source.task == "text-generation" else {}
    table["transformers.js_config"] = {"dtype": dtype, **beside}
    config.write_text(json.dumps(table, indent=2) + "\n", "utf-8")


def write_golden(
    folder: Path, vectors: Sequence[tuple[Any, Mapping[str, np.ndarray]]], outputs: Sequence[np.ndarray], name: str
) -> str:
    """golden.safetensors: examples as they are before pre-processing, what it makes of them, the original's ``name``.

    An example is a picture, uint8 [h, w] or [h, w, 3], or a text (two of a pair) as JSON. Returns the file's name.
    """
    tensors: dict[str, np.ndarray] = {}
    for index, ((example, feed), output) in enumerate(zip(vectors, outputs, strict=True)):
        kind = "picture" if isinstance(example, np.ndarray) else "text"
        text = np.frombuffer(json.dumps(example).encode(), np.uint8) if kind == "text" else example
        tensors[f"{index}.{kind}"] = np.ascontiguousarray(text)
        tensors |= {f"{index}.input.{key}": np.ascontiguousarray(value) for key, value in feed.items()}
        tensors[f"{index}.output.{name}"] = np.ascontiguousarray(output)
    (folder / "golden.safetensors").write_bytes(weights.encode(tensors))
    return "golden.safetensors"


def write_manifest(
    folder: Path,
    *,
    name: str,
    source: Source,
    target: Target,
    recipe: Recipe,
    artifact: Artifact,
    facts: Mapping[str, Any],
) -> None:
    """edgepack.json: what is in the folder, with a hash of every file. ``facts`` are processing, golden, reproduce."""
    (folder / MANIFEST).write_text(
        json.dumps(
            {
                "schema": SCHEMA,
                "edgepack": importlib.metadata.version("edgepack"),
                "name": name,
                "task": source.task,
                "source": _source(source),
                "target": {
                    "name": target.name,
                    "profile": target.profile.name,
                    "isa": target.profile.isa,
                    "runtime": target.runtime,
                    "runtime_version": target.runtime_version,
                    "threads": target.profile.threads,
                },
                "recipe": asdict(recipe),
                "model": _model(artifact, folder),
                **facts,
                "files": _hashes(folder),
            },
            indent=1,
            sort_keys=False,
        )
        + "\n",
        "utf-8",
    )


def _source(source: Source) -> dict[str, Any]:
    facts = _of(source, "model revision architecture model_type licence parameters sha256")
    return facts | ({"adapter": source.adapter} if source.adapter else {})


def _of(record: Any, names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names.split()}


def _model(artifact: Artifact, folder: Path) -> dict[str, Any]:
    return {
        "file": artifact.path.relative_to(folder).as_posix(),
        "format": artifact.format,
        "opset": artifact.opset,
        "needs": artifact.needs,
        "inputs": [asdict(spec) for spec in artifact.inputs],
        "outputs": [asdict(spec) for spec in artifact.outputs],
        "components": [asdict(component) for component in artifact.components],
        "coverage": asdict(artifact.coverage),
        "operators": dict(sorted(artifact.operators.items())),
    }


def _hashes(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        file.relative_to(folder).as_posix(): {
            "sha256": digest(file),
            "bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in {MANIFEST, "measurements.json"}
    }
