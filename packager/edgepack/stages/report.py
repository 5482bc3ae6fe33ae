"""A build's report: a page beside the bundle, and the places of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack import outfolder, reports
from edgepack.arrays import Array
from edgepack.metrics.images import ImagePair
from edgepack.records import Bundle


def check_place(out: Path, name: str, *, force: bool) -> None:
    """Raises FileTrouble before the work where something of the user's stands in the bundle's or the report's place."""
    outfolder.clear_leftovers(out, name)
    outfolder.check_bundle(out / name, force=force)
    outfolder.check_file(_place(out / name), mark=reports.MARK, force=force)


def keep(bundle: Bundle, samples: Mapping[str, Array], images: Sequence[ImagePair], *, force: bool) -> Path:
    """Write the report beside the bundle, so that it stays when a floor is missed, and return its place.

    ``samples`` is the agreement by sample, ``images`` those of both models. Raises FileTrouble.
    """
    place = _place(bundle.path)
    outfolder.write(place, reports.of_bundle(bundle, samples, images), mark=reports.MARK, force=force)
    return place


def _place(bundle: Path) -> Path:
    return bundle.with_name(f"{bundle.name}.html")
