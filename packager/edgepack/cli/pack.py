"""edgepack pack: a bundle as one file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgepack import outfolder
from edgepack.cli import show
from edgepack.cli.options import Json, output_path
from edgepack.errors import UsageError
from edgepack.runtime import archive, completeness, manifest, signing
from edgepack.units import size


def pack(
    bundle: Annotated[
        Path, typer.Argument(help="A bundle's folder.", metavar="BUNDLE", show_default=False, readable=False)
    ],
    zip_: Annotated[bool, typer.Option("--zip", help="Write the bundle as one file, BUNDLE.edgepack.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write (default: beside the folder).",
            parser=output_path,
            metavar="<path>",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is not a bundle.")] = False,
    json: Json = False,
) -> None:
    """Check a bundle's files, or write them as one file.

    Without --zip the hashes are checked, and nothing is written.
    """
    bundle = bundle.resolve()  # "." has no name
    outfolder.clear_leftovers(bundle)
    listed = manifest.read(bundle)
    completeness.check_submodels(listed)
    extra = manifest.verify(listed)
    if extra:
        raise UsageError(f"{bundle} holds {extra[0]}, which its manifest does not list", hint="remove that file first")
    signing.signed(listed)
    if not zip_:
        show.as_json({"whole": True}) if json else show.line(
            f"{bundle} is complete and unchanged; --zip writes it as one file"
        )
        return
    place = out or bundle.with_name(bundle.name + archive.SUFFIX)
    archive.check_outside(bundle, place)
    outfolder.check_archive(place, force=force)
    with outfolder.replacing(place, partial(outfolder.check_archive, force=force)) as fresh:
        archive.zip_folder(bundle, fresh)
    found = {"file": place, "bytes": place.stat().st_size, "sha256": manifest.digest(place)}
    if json:
        show.as_json(found)
    else:
        show.line(f"wrote {place}, {size(place.stat().st_size)} to download, sha256 {found['sha256']}")
