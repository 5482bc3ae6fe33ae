"""Fill the bundle's folder: clients' files, golden vectors and the manifest (outfolder.py puts it into its place)."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edgepack import (
    client_apple,
    client_files,
    client_images,
    client_pipeline,
    client_tokenizers,
    formats,
    licences,
    local_paths,
    weights,
)
from edgepack.arrays import Example
from edgepack.documents import Json, JsonDict, JsonObject, read_object
from edgepack.errors import BundleError, Unexpected
from edgepack.inputs import SubmodelInputs
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe, Source
from edgepack.runtime import graphs
from edgepack.runtime.manifest import BESIDE, MANIFEST, SCHEMA, checked, digest
from edgepack.runtime.processing import Diffusion
from edgepack.runtime.submodel import MODEL, Golden
from edgepack.tasks import _pipeline_folder, submodels
from edgepack.tasks._diffusion import TINY_VAE_ENCODER

_LEAST_COSINE = 0.9  # of a golden vector where the target has no floor: a bundle below computes something else


def model_files(plan: Plan, folder: Path) -> dict[str, Path]:
    """Return where each submodel lies in the bundle's ``folder``, as the target's usual clients look for it."""
    suffix = formats.find(plan.target.format).SUFFIX
    if plan.target.layout == "transformers.js":
        dtype = _TRANSFORMERS_JS.get(plan.recipe.name, "_quantized")
        return {name: folder / "onnx" / f"{name}{dtype}{suffix}" for name in plan.submodels}
    named = submodels(plan.task)
    stems = {name: part.files.get(plan.target.format, name) for name, part in named.items()}
    return {name: folder / f"{stems.get(name, name)}{suffix}" for name in plan.submodels}


# transformers.js finds a file by the suffix of its dtype; "_quantized" is q8, its default for wasm
_TRANSFORMERS_JS = {"fp32": "", "fp16": "_fp16", "int4": "_q4"}
_DTYPES = {"": "fp32", "_fp16": "fp16", "_q4": "q4", "_quantized": "q8"}


def _unread(plan: Plan, folder: Path) -> list[Path]:
    """Return the packages that Apple's client cannot read: encoders of latents alone, where it reads a distribution."""
    files = model_files(plan, folder)
    return [files[name] for name, part in plan.submodels.items() if part.task is TINY_VAE_ENCODER]


def copy_files(plan: Plan, folder: Path) -> None:
    """Write the tokenizer and configs, the model card, the licence and the notices."""
    source, target, recipe, processing = plan.source, plan.target, plan.recipe, plan.processing
    if _pipeline_folder.is_one(source.path):
        client_pipeline.write(source.path, folder, plan.submodels, source.origin)
        if target.format == "coreml":
            unread = _unread(plan, folder)
            client_apple.write(folder, plan.name, processing.section(Diffusion).scaling_factor, unread)
    else:
        client_files.write(source.path, folder, processing, source.origin)
    notes: tuple[str, ...] = ()
    if target.layout == "transformers.js":
        _tell_transformers_js(folder / "config.json", source, recipe)
        notes = client_tokenizers.write(folder, processing.text.inputs) if processing.text else ()
        notes += tuple(client_images.notes(processing.image)) if processing.image else ()
    vocabularies = {"tokenizer.json", "vocab.json", "added_tokens.json"}
    configs = [file for file in sorted(folder.rglob("*.json")) if file.name not in vocabularies]
    inside = {artifact.parent for artifact in folder.rglob("Manifest.json")}  # of packages
    local_paths.remove([file for file in configs if file.parent not in inside], source.credited)
    tools = formats.tools(target, plan.task)
    licences.write(folder, source, target, recipe, tools=tools, notes=notes)
    local_paths.remove_from_text(folder / "MODEL_CARD.md")


def _tell_transformers_js(config: Path, source: Source, recipe: Recipe) -> None:
    """Tell transformers.js which files to load (config.json's transformers.js_config)."""
    table = read_object(config)
    dtype = _DTYPES[_TRANSFORMERS_JS.get(recipe.name, "_quantized")]
    beside = {"use_external_data_format": True} if source.task == "text-generation" else {}
    table["transformers.js_config"] = {"dtype": dtype, **beside}
    config.write_text(json.dumps(table, indent=2) + "\n", "utf-8")


def write_golden(
    folder: Path, originals: Mapping[str, Original], plan: Plan, inputs: Mapping[str, SubmodelInputs]
) -> dict[str, Golden]:
    """Write each submodel's golden vectors: golden.safetensors, or golden_NAME.safetensors of each of several.

    They hold examples as they are before pre-processing, what it makes of them, and the original's last output.
    """
    made = {}
    for name, part in plan.submodels.items():
        output, own = part.own_task.OUTPUTS[-1], inputs[name]
        file = "golden.safetensors" if name == MODEL else f"golden_{name}.safetensors"
        answers = [originals[name](feeds)[output] for _, feeds in own.golden]
        (folder / file).write_bytes(weights.encode(_vectors(own.shipped(part).golden, answers, output)))
        least = part.floors.get("cosine_min", _LEAST_COSINE)
        made[name] = Golden(file=file, output=output, least_cosine=least)
    return made


def _vectors(
    vectors: Sequence[tuple[Example, Mapping[str, np.ndarray]]], outputs: Sequence[np.ndarray], name: str
) -> dict[str, np.ndarray]:
    """Return the tensors: an example is an image, uint8 [h, w] or [h, w, 3], a sound, float32 [samples] or a WAV
    file's bytes, or a text (two of a pair) as JSON; None where the inputs were recorded.
    """
    tensors: dict[str, np.ndarray] = {}
    for index, ((example, feed), output) in enumerate(zip(vectors, outputs, strict=True)):
        if example is not None:
            kind, stored = _stored(example)
            tensors[f"{index}.{kind}"] = np.ascontiguousarray(stored)
        tensors |= {f"{index}.input.{key}": np.array(value, order="C") for key, value in feed.items()}
        tensors[f"{index}.output.{name}"] = np.ascontiguousarray(output)
    return tensors


def _stored(example: Example) -> tuple[str, np.ndarray]:
    """Return what an example is, and the tensor that holds it."""
    if isinstance(example, bytes):
        return "audio", np.frombuffer(example, np.uint8)
    if isinstance(example, np.ndarray):
        return "image" if example.dtype == np.uint8 else "audio", example
    return "text", np.frombuffer(json.dumps(example).encode(), np.uint8)


def write_manifest(
    folder: Path, plan: Plan, artifacts: Mapping[str, Artifact], golden: Mapping[str, Golden], *, inputs: str
) -> None:
    """Write edgepack.json: what is in the folder, with a hash of every file.

    ``inputs`` is the hash of what calibrated. Raises Unexpected where the manifest breaks the schema, which is a fault
    of edgepack.
    """
    source, target, recipe = plan.source, plan.target, plan.recipe
    tools = formats.tools(target, plan.task)
    table = _plain(
        {
            "schema": SCHEMA,
            "edgepack": importlib.metadata.version("edgepack"),
            "name": plan.name,
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
            "models": {name: _submodel(artifacts[name], golden[name], folder) for name in artifacts},
            "processing": plan.processing.to_json(),
            "reproduce": {"tools": tools, "calibration_sha256": inputs, "seed": 0},
            "files": _hashes(folder),
        }
    )
    _check_schema(table)
    (folder / MANIFEST).write_text(json.dumps(table, indent=1) + "\n", "utf-8")


def _check_schema(table: JsonObject) -> None:
    """Raises Unexpected where the manifest that was made breaks the schema."""
    try:
        checked(table, MANIFEST)
    except BundleError as error:
        raise Unexpected(
            f"the manifest that this build writes breaks its own schema: {error}",
            hint="this is a bug in edgepack: please report it, with the name of the model",
        ) from error


def _plain(table: JsonObject) -> Json:
    """Return the values of JSON: tuples are lists."""
    return json.loads(json.dumps(table))


def _source(source: Source) -> JsonDict:
    facts = _of(source, "model revision architecture model_type licence parameters sha256")
    adapters = list(source.adapters)
    return facts | ({"adapter": adapters if len(adapters) > 1 else adapters[0]} if adapters else {})


def _of(record: Json, names: str) -> JsonDict:
    return {name: getattr(record, name) for name in names.split()}


def _submodel(artifact: Artifact, golden: Golden, folder: Path) -> JsonDict:
    return {
        "file": artifact.path.relative_to(folder).as_posix(),
        "files": sorted(file.relative_to(folder).as_posix() for file in graphs.files(artifact.path)),
        "format": artifact.format,
        "opset": artifact.opset,
        "needs": artifact.needs,
        "inputs": [asdict(spec) for spec in artifact.inputs],
        "outputs": [asdict(spec) for spec in artifact.outputs],
        "components": [asdict(component) for component in artifact.components],
        "coverage": asdict(artifact.coverage),
        "operators": dict(sorted(artifact.operators.items())),
        "golden": asdict(golden),
    }


def _hashes(folder: Path) -> dict[str, JsonDict]:
    return {
        file.relative_to(folder).as_posix(): {
            "sha256": digest(file),
            "bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in BESIDE
    }
