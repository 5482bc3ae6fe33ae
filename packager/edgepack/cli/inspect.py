"""edgepack inspect: what is inside a bundle, or in any Core ML package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack import plugins
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Trust
from edgepack.coreml.folder import PACKAGE
from edgepack.records import Coverage, TensorSpec
from edgepack.reports import accuracy_table, sizes_table, speed_table
from edgepack.reports.page import Table
from edgepack.runtime import manifest, measurements
from edgepack.runtime.manifest import SIGNATURE, Manifest
from edgepack.runtime.opening import opened
from edgepack.runtime.submodel import Submodel
from edgepack.units import size


def inspect(bundle: Bundle, trust: Trust = False, json: Json = False) -> None:
    """Show a bundle's facts, sizes, operators, hashes and measurements; of any .mlpackage what is in it."""
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
    show.line(listed.name, "bold")
    show.table("facts", Table(["", ""], _facts(listed)))
    for submodel in listed.models.values():
        _submodel(submodel, f"{submodel.name}: " if len(listed.models) > 1 else "")
    show.table("accuracy", accuracy_table(accuracy))
    show.table("speed", speed_table(timings))
    files = [[name, size(entry["bytes"]), entry["sha256"]] for name, entry in listed.table["files"].items()]
    show.table("files", Table(["file", "bytes", "sha256"], files))
    if extra:
        show.line(f"not listed in the manifest: {', '.join(extra)}", "yellow")


def _submodel(submodel: Submodel, whose: str) -> None:
    """The tables of one submodel, under titles that begin with ``whose``."""
    show.table(f"{whose}takes and gives", _interface({"input": submodel.inputs, "output": submodel.outputs}))
    show.table(f"{whose}size by component", sizes_table(submodel.components))
    operators = [[name, str(count)] for name, count in submodel.operators.items()]
    show.table(f"{whose}operators", Table(["operator", "count"], operators))
    left = [[skipped.tensor, skipped.reason] for skipped in submodel.coverage.skipped]
    show.table(f"{whose}left uncompressed", Table(["weight", "why"], left))


def _facts(listed: Manifest) -> list[list[str]]:
    source, target, recipe = (listed.table[key] for key in ("source", "target", "recipe"))
    covered = [submodel.coverage for submodel in listed.models.values()]
    coverage = Coverage(compressed=sum(one.compressed for one in covered), total=sum(one.total for one in covered))
    return [
        ["model", str(source["model"])],
        ["revision", str(source["revision"] or "–")],
        ["task", listed.task],
        ["licence", str(source["licence"] or "not stated")],
        ["parameters", f"{source['parameters']:,}"],
        ["target", f"{target['name']} ({target['profile']}, {target['isa']})"],
        ["runtime", f"{target['runtime']} {target['runtime_version']}"],
        [
            "recipe",
            f"{recipe['name']}: {recipe['weight_bits']}-bit weights, {recipe['embedding_bits']}-bit tables",
        ],
        ["coverage", f"{coverage.share:.2%} of {coverage.total:,} weights"],
        ["needs", "; ".join(dict.fromkeys(submodel.needs for submodel in listed.models.values()))],
        ["signed", "yes; by whom, validate --public-key tells" if _signed(listed) else "no"],
    ]


def _signed(listed: Manifest) -> bool:
    """Whether there is a signature, which is not checked here."""
    return os.path.lexists(listed.folder / SIGNATURE)


def _interface(parts: Mapping[str, Sequence[TensorSpec]]) -> Table:
    rows = [
        [part, spec.name, spec.dtype, " × ".join(map(str, spec.shape))]
        for part, specs in parts.items()
        for spec in specs
    ]
    return Table(["", "name", "type", "shape"], rows)


def _package(path: Path, json: bool) -> None:
    """A Core ML package, whoever made it. Raises PackageError, and what Package.check does of its operators."""
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
    told = [[str(key), str(value)] for key, value in package.metadata.items() if isinstance(value, str)]
    told += [[key, value] for key, value in package.metadata.get("user_defined", {}).items()]
    show.line(path.name, "bold")
    needs = f"{package.minimum_deployment} (specification {package.specification_version})"
    show.table("facts", Table(["", ""], [["needs", needs], *told]))
    for name, parts in functions.items():
        show.table(f"{name} takes and gives", _interface(parts))
    show.table("weights", Table(["stored", "bytes"], [[how, size(count)] for how, count in stored.most_common()]))
    counts = [[name, str(count)] for name, count in package.operators.most_common()]
    show.table("operators", Table(["operator", "count"], counts))
