"""edgepack inspect: what is inside a bundle."""

from __future__ import annotations

from typing import Any

from edgepack import runtime
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json
from edgepack.records import Component
from edgepack.reports import accuracy_table, sizes_table, speed_table
from edgepack.reports.page import Table
from edgepack.runtime import manifest, measurements
from edgepack.runtime.manifest import Manifest
from edgepack.units import size


def inspect(bundle: Bundle, json: Json = False) -> None:
    """Show a bundle's facts, sizes, operators, hashes and measurements."""
    listed = manifest.read(runtime.folder_of(bundle))
    extra = manifest.verify(listed)
    accuracy, timings = measurements.read(listed.folder)
    if json:
        show.as_json({**listed.table, "accuracy": accuracy, "timings": timings, "unlisted": extra})
        return
    model: dict[str, Any] = listed.table["model"]
    show.line(listed.name, "bold")
    show.table("facts", Table(["", ""], _facts(listed)))
    show.table("size by component", sizes_table([Component(**entry) for entry in model["components"]]))
    show.table("operators", Table(["operator", "count"], [[k, str(v)] for k, v in model["operators"].items()]))
    coverage = model["coverage"]
    left = [[entry["tensor"], entry["reason"]] for entry in coverage["skipped"]]
    show.table("left uncompressed", Table(["weight", "why"], left))
    show.table("accuracy", accuracy_table(accuracy))
    show.table("speed", speed_table(timings))
    files = [[name, size(entry["bytes"]), entry["sha256"]] for name, entry in listed.table["files"].items()]
    show.table("files", Table(["file", "bytes", "sha256"], files))
    if extra:
        show.line(f"not listed in the manifest: {', '.join(extra)}", "yellow")


def _facts(listed: Manifest) -> list[list[str]]:
    source, target, recipe = (listed.table[key] for key in ("source", "target", "recipe"))
    coverage = listed.table["model"]["coverage"]
    share = coverage["compressed"] / coverage["total"] if coverage["total"] else 1.0
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
        ["coverage", f"{share:.2%} of {coverage['total']:,} weights"],
        ["needs", listed.table["model"]["needs"]],
    ]
