"""edgepack embed: a bundle in an app's project, with a typed wrapper and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack import embed as room
from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Trust, output_path
from edgepack.errors import EmbeddingDiffers, UsageError
from edgepack.runtime.opening import opened


def embed(
    bundle: Bundle,
    into: Annotated[
        Path,
        typer.Option(help="Folder of the app's project.", parser=output_path, metavar="<path>", show_default=False),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="How the app brings the bundle: package, assets, background-assets or play-ai-pack, as far as the "
            "target's apps can (default: the first that they can).",
            metavar="<form>",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name in code, e.g. SentenceSearch (default: the bundle's).", metavar="<name>", show_default=False
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="Target that the bundle was built for, where it is a folder of yours (default: what the bundle says).",
            metavar="<target>",
            show_default=False,
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Replace an earlier embedding; edited files are kept aside.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Fail if the embedded copy is not the bundle, and change nothing.")
    ] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Put a bundle, its wrapper and its tests into an app's project.

    Writes one folder into --into and touches nothing else there.
    """
    if update and check:
        raise UsageError("--update and --check exclude each other", hint="--check only looks")
    request = room.Request(listed=opened(bundle, trust=trust), into=into, form=form, name=name, target=target)
    if check:
        _check(request, json)
        return
    made = room.embed(request, update=update)
    if json:
        show.as_json({"folder": made.folder, "kept": made.kept, **_facts(made)})
        return
    show.line(
        f"embedded {made.record.bundle} as {made.record.names.pascal} in {made.folder}: {len(made.record.files)} files"
    )
    for path in made.kept:
        show.line(f"you had edited a generated file; yours is kept as {made.folder / path}", "yellow")
    show.line(f"next: {made.folder / 'README.md'}")


def _check(request: room.Request, json: bool) -> None:
    made, differences = room.check(request)
    if json:
        show.as_json({"folder": made.folder, "differences": differences, **_facts(made)})
    elif not differences:
        show.line(f"{made.folder} is {made.record.bundle}, unchanged: {len(made.record.files)} files")
    else:
        for one in differences:
            show.line(f"{made.folder / one.path} {one.why}", "red")
    if differences:
        raise EmbeddingDiffers(
            f"{len(differences)} of the files in {made.folder} differ", hint="edgepack embed --update writes them again"
        )


def _facts(made: room.Embedded) -> dict[str, str]:
    record = made.record
    return {"bundle": record.bundle, "name": record.names.pascal, "form": record.form, "edgepack": record.edgepack}
