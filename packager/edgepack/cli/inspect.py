"""edgepack inspect: what is inside a bundle, or in any Core ML package."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edgepack import plugins
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Trust
from edgepack.coreml.folder import PACKAGE
from edgepack.documents import JsonObject
from edgepack.records import TensorSpec
from edgepack.reports.accuracy import accuracy_table
from edgepack.reports.sizes import components, compressed, coverage, needs, parameters, sizes_table
from edgepack.reports.speed import speed_table
from edgepack.reports.submodels import submodels_table
from edgepack.reports.table import DASH, Table
from edgepack.runtime import manifest, measurements
from edgepack.runtime.manifest import SIGNATURE, Manifest
from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Audio, Schedule, Waveform
from edgepack.runtime.submodel import Submodel
from edgepack.units import size

_NUMBER = re.compile(r"\d+")
_SHORT = 12  # digits of a hash that are shown; --json has all of them


def inspect(bundle: Bundle, trust: Trust = False, json: Json = False) -> None:
    """Show what is in a bundle, or in any Core ML package.

    Shows facts, accuracy, speed, sizes, inputs and outputs, operators and hashes.
    """
    if bundle.suffix == PACKAGE:
        _package(bundle, json)
    else:
        _bundle(bundle, trust, json)


def _bundle(bundle: Path, trust: bool, json: bool) -> None:
    listed = opened(bundle, verify=False, trust=trust)
    extra = manifest.verify(listed)
    accuracy, timings = measurements.read(listed.folder)
    if json:
        show.as_json(
            {**listed.table, "accuracy": accuracy, "timings": timings, "unlisted": extra, "signed": _signed(listed)}
        )
        return
    show.line(f"{listed.name}  {size(listed.model_bytes)}", "bold")
    show.table("facts", Table(["", ""], _facts(listed)))
    show.table("accuracy, against the original on the same inputs", accuracy_table(accuracy))
    show.table("accuracy of the submodels", submodels_table(accuracy))
    show.table("speed", speed_table(timings))
    for submodel in listed.models.values():
        _submodel(submodel, f"{submodel.name}: " if len(listed.models) > 1 else "")
    show.table("files", _files(listed.table["files"]))
    if extra:
        show.line(f"not listed in the manifest: {', '.join(extra)}", "yellow")


def _submodel(submodel: Submodel, whose: str) -> None:
    """Show what a submodel holds, takes, gives and computes, under titles that begin with ``whose``."""
    show.table(f"{whose}size", sizes_table(components({submodel.name: submodel})))
    left = [[skipped.tensor, skipped.reason] for skipped in submodel.coverage.skipped]
    show.table(f"{whose}left uncompressed", Table(["weight", "why"], left))
    show.table(f"{whose}inputs and outputs", _interface({"input": submodel.inputs, "output": submodel.outputs}))
    show.table(f"{whose}operators", Table([], [], notes=[_counts(submodel.operators)]))


def _facts(listed: Manifest) -> list[list[str]]:
    source, target, recipe = (listed.table[key] for key in ("source", "target", "recipe"))
    longest, image, audio = listed.processing.max_length, listed.processing.image, listed.processing.audio
    told, needed = f"{target['runtime']} {target['runtime_version']}", needs(listed.models)
    if any(submodel.format == "coreml" for submodel in listed.models.values()):
        told = str(target["runtime"])  # the bundle's own systems may be newer than the target's oldest
    facts = [
        ["model", str(source["model"])],
        ["revision", source["revision"]],
        ["licence", str(source["licence"] or "not stated")],
        ["task", listed.task],
        ["target", f"{target['name']}:{target['profile']} ({target['isa']})"],
        ["runtime", told if needed == told else f"{told}; needs {needed}"],
        [
            "context" if listed.processing.generation else "longest text",
            f"{longest:,} tokens" if longest is not None else None,
        ],
        ["output", _images(listed)],
        [
            "image size",
            f"{image.size.width} × {image.size.height} pixels" if image and not listed.processing.diffusion else None,
        ],
        ["sounds", _sounds(audio) if audio else None],
        ["recipe", f"{recipe['name']}: {recipe['weight_bits']}-bit weights"],
        ["parameters", parameters(source["parameters"], components(listed.models))],
        ["compressed", compressed(coverage(listed.models))],
        ["signed", "yes; by whom, edgepack validate --public-key tells" if _signed(listed) else "no"],
    ]
    return [[name, value] for name, value in facts if value is not None]


def _sounds(audio: Audio) -> str:
    """Say at which rate sounds come, and how long they may be, or what is made of them."""
    features, rate = audio.features, audio.sampling_rate
    if isinstance(features, Waveform):
        return f"{rate:,} samples per second, up to {features.max_samples / rate:g} s"
    return f"{rate:,} samples per second, {features.frames:,} frames of {features.mel_bins} mel bins"


def _images(listed: Manifest) -> str | None:
    """Say what images from prompts are like where nothing is asked for; None of what makes none."""
    if listed.processing.diffusion is None:
        return None
    usual, algorithm = listed.processing.diffusion, listed.processing.section(Schedule).algorithm
    said = f"{usual.width} × {usual.height} pixels, {usual.steps} steps of {algorithm}, guidance {usual.guidance:g}"
    return said if not usual.fixed_size else f"{said}; no other size"


def _signed(listed: Manifest) -> bool:
    """Tell whether there is a signature, which is not checked here."""
    return os.path.lexists(listed.folder / SIGNATURE)


def _files(listed: JsonObject) -> Table:
    """Tabulate files; those that are alike but for a number in the name share a row."""
    rows: dict[str, list[str]] = {}
    for name in listed:
        rows.setdefault(_NUMBER.sub("#", name), []).append(name)
    cells = [
        [
            _range(names),
            size(sum(listed[name]["bytes"] for name in names)),
            listed[names[0]]["sha256"][:_SHORT] if len(names) == 1 else f"{len(names)} files",
        ]
        for names in rows.values()
    ]
    return Table(["file", "bytes", f"sha256, first {_SHORT}"], cells, figures=["bytes"])


def _interface(parts: Mapping[str, Sequence[TensorSpec]]) -> Table:
    """Tabulate tensors; those of all layers, alike but for a number in the name, share a row.

    A size that only the exporter has a name for, as of an inner node, is shown as "…"; of an output without a shape
    nothing is known.
    """
    named = {side for spec in parts.get("input", ()) for side in spec.shape}
    rows: dict[tuple[str, ...], list[str]] = {}
    for part, specs in parts.items():
        for spec in specs:
            shape = " × ".join(_side(side, named) for side in spec.shape) or ("one value" if part == "input" else DASH)
            rows.setdefault((part, _NUMBER.sub("#", spec.name), spec.dtype, shape), []).append(spec.name)
    return Table(["", "name", "type", "shape"], [[key[0], _range(names), *key[2:]] for key, names in rows.items()])


def _range(names: Sequence[str]) -> str:
    """Write names that differ in a number as one: past_key_values.0–3.key."""
    if len(names) == 1:
        return names[0]
    first, last = (_NUMBER.findall(name) for name in (names[0], names[-1]))
    ends = iter(low if low == high else f"{low}–{high}" for low, high in zip(first, last, strict=True))
    return _NUMBER.sub(lambda _: next(ends), names[0])


def _side(side: int | str, named: Collection[int | str]) -> str:
    return str(side) if isinstance(side, int) or side in named else "…"


def _counts(operators: Mapping[str, int]) -> str:
    """Write how often each operator occurs, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in Counter(operators).most_common())


def _package(path: Path, json: bool) -> None:
    """Show a Core ML package, whoever made it. Raises PackageError, and what Package.check does of its operators."""
    package = plugins.load_module("edgepack.coreml").Package(path)
    for name in package.functions:
        package.check(name)
    functions = {
        name: {part: list(getattr(package, f"{part}s")(name)) for part in ("input", "output", "state")}
        for name in package.functions
    }
    stored = Counter[str]()
    for weight in package.constants():
        stored[f"{weight.scheme}, {weight.bits} bits"] += weight.bytes
    facts = {
        "specification": package.specification_version,
        "needs": package.minimum_deployment,
        "functions": functions,
        "weights": dict(stored.most_common()),
        "operators": dict(package.operators.most_common()),
        "metadata": package.metadata,
    }
    if json:
        show.as_json(facts)
        return
    told = [
        ["licence" if key == "license" else str(key), str(value)]
        for key, value in package.metadata.items()
        if isinstance(value, str)
    ]
    told += [[key, value] for key, value in package.metadata.get("user_defined", {}).items()]
    show.line(path.name, "bold")
    needs = f"{package.minimum_deployment} (specification {package.specification_version})"
    show.table("facts", Table(["", ""], [["needs", needs], *told]))
    for name, parts in functions.items():
        show.table(f"inputs and outputs of {name}", _interface(parts))
    stored_ = [[how, size(count)] for how, count in stored.most_common()]
    show.table("weights", Table(["stored", "bytes"], stored_, figures=["bytes"]))
    show.table("operators", Table([], [], notes=[_counts(package.operators)]))
