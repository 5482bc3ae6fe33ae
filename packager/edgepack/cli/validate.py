"""edgepack validate: the release gate."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from edgepack import outfolder, project, suites
from edgepack.cli import on_device, show
from edgepack.cli.options import (
    Bundle,
    Json,
    OnDevice,
    Prepare,
    PublicKey,
    RootCertificate,
    Threads,
    Trust,
    output_path,
)
from edgepack.errors import CheckFailed, EdgepackError, ModelError
from edgepack.original import TRANSFORMERS, Original, open_originals
from edgepack.plans import Subject
from edgepack.records import Source
from edgepack.reports import MARK, data, junit, of_suite
from edgepack.reports.checks import checks_table
from edgepack.reports.sizes import components
from edgepack.runtime import archive, signing
from edgepack.runtime.manifest import SIGNATURE, Manifest
from edgepack.runtime.opening import opened
from edgepack.runtime.unchanged import check_unchanged
from edgepack.stages import resolve
from edgepack.stages import validate as stage
from edgepack.suites import Check, Suite, SuiteResult

# what is written with --out, and what each begins with
_MARKS = {"report.html": MARK, "junit.xml": '<testsuites name="edgepack"', "report.json": '{\n "suite": "'}
_GOLDEN = Suite(name="golden vectors", checks=(Check(kind="golden", name="golden vectors", limits={}),))


def validate(
    bundle: Bundle,
    suite: Annotated[
        Path | None,
        typer.Option(
            help="Release suite (default: that of edgepack.toml, else the golden vectors).", show_default=False
        ),
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(
            help="Original model: folder or hub id (default: what the bundle was built from). transformers: run the "
            "original in transformers, language models too.",
            metavar="<model>",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, junit.xml and report.json.",
            parser=output_path,
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in --out that edgepack did not write.")
    ] = False,
    public_key: PublicKey = None,
    root_certificate: RootCertificate = None,
    threads: Threads = None,
    device: OnDevice = None,
    prepare: Prepare = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Check a bundle against a release suite, here or on a device.

    Exit code 1 when a check fails or cannot be measured.
    """
    verifier = signing.verifier(public_key, root_certificate or None)
    listed = opened(bundle, trust=trust, verifier=verifier)
    chosen = _suite(suite)
    _check_places(out, listed, force=force)
    with show.Steps(total=len(chosen.checks)) as steps, ExitStack() as stack:
        subject, originals = _originals(listed, chosen, original, steps, stack)
        runner = stack.enter_context(on_device.runner(listed, device, threads, prepare=prepare, say=steps.note))
        result = stage.validate(
            runner, chosen, subject=subject, originals=originals, device=device or "local", say=steps.step
        )
    check_unchanged(listed)
    written = _write(result, listed, out, force=force)
    if json:
        show.as_json(data.of_suite(result))
    else:
        place = f", on {device}" if device else ""
        show.table(f"{listed.name}: {result.suite}{place}", checks_table(result.results))
        if verifier is not None:
            show.line(f"{SIGNATURE} is valid for these files and the key or certificate given")
        for file in written:
            show.line(f"wrote {file}")
    failed = [r.check.name for r in result.results if not r.passed]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(result.results)} checks did not pass: {', '.join(failed)}")


def _suite(file: Path | None) -> Suite:
    own = Path(project.FILE)
    if file is None and own.is_file():
        file = project.read(own).suite
    return suites.read(file) if file is not None else _GOLDEN


def _originals(
    listed: Manifest, suite: Suite, model: str | None, steps: show.Steps, stack: ExitStack
) -> tuple[Subject | None, Mapping[str, Original]]:
    """Open the originals of the submodels, where a check needs them and they can be had; ``stack`` closes them.

    Checks without them say so themselves.
    """
    if not any(_compares(check) for check in suite.checks):
        return None, {}
    implementation = TRANSFORMERS if model == TRANSFORMERS else suite.original
    model = None if model == TRANSFORMERS else model
    try:
        own, adapters = (model, ()) if model else resolve.references(listed.table["source"])
        source = resolve.resolve(own, task=listed.task, adapters=adapters)
        _check_same(source, listed)
        subject = Subject.of(source)
        return subject, stack.enter_context(open_originals(subject, implementation=implementation))
    except EdgepackError as error:
        if model is not None:
            raise
        steps.note(f"without the original: {error}")
        return None, {}


def _check_same(source: Source, listed: Manifest) -> None:
    """Raises ModelError where the model's files are not those that the bundle was made of."""
    if source.sha256 != listed.table["source"]["sha256"]:
        raise ModelError(
            f"{source.model} is not the model that {listed.name} was built from: its files differ",
            hint="--original takes the folder, or hub id@revision, of the model that it was built from",
        )


def _compares(check: Check) -> bool:
    relative = any(limit.endswith(("_share", "_loss")) for limit in check.limits)
    return check.kind in ("agreement", "metric", "psnr") or (relative and check.kind != "size")


def _write(result: SuiteResult, listed: Manifest, out: Path | None, *, force: bool) -> list[Path]:
    if out is None:
        return []
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "bundle": str(listed.folder),
        "model": str(listed.table["source"]["model"]),
        "target": f"{listed.table['target']['name']} ({listed.table['target']['profile']})",
        "recipe": str(listed.table["recipe"]["name"]),
        "device": result.device,
    }
    texts = {
        "report.html": of_suite(result, components(listed.models), facts),
        "junit.xml": junit.render(result),
        "report.json": json_.dumps(data.of_suite(result), indent=1) + "\n",
    }
    for name, text in texts.items():
        outfolder.write(out / name, text, mark=_MARKS[name], force=force)
    return [out / name for name in texts]


def _check_places(out: Path | None, listed: Manifest, *, force: bool) -> None:
    """Raises FileTrouble before the work where a file of the user's has one of the names, UsageError in the bundle."""
    if out is not None:
        archive.check_outside(listed.folder, out)
        for name, mark in _MARKS.items():
            outfolder.check_file(out / name, mark=mark, force=force)
