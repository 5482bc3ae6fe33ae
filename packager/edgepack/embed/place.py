"""Put an embedding into an app: whole or not at all, and nothing of the user's lost.

The new folder is filled beside its place and changes places with an earlier one in one step. Files that the user put
into that one go along; generated files that the user edited do too, in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from edgepack import outfolder
from edgepack.contents import Signature, signature
from edgepack.embed.generated import Embedding
from edgepack.embed.record import KEPT, Record, states
from edgepack.errors import AppFolderTaken
from edgepack.ours import EMBEDDED
from edgepack.runtime import manifest


def put(embedding: Embedding, folder: Path, earlier: Record | None) -> tuple[Record, list[str]]:
    """Write ``embedding`` as ``folder``, in place of the one that ``earlier`` records; the record, and what was kept
    aside, as paths in the folder.

    Raises AppFolderTaken where the folder changes meanwhile, FileTrouble, DiskFull.
    """
    seen = signature(folder) if earlier else None
    with outfolder.replacing(folder, partial(_check, seen=seen)) as fresh:
        fresh.mkdir()
        made = embedding.write(fresh)
        kept = _carried(folder, fresh, earlier, made) if earlier else []
        (fresh / EMBEDDED).write_text(made.to_json(), "utf-8")
    return made, kept


def _check(folder: Path, *, seen: Signature | None) -> None:
    """Raises AppFolderTaken where ``folder`` is not what it was; None: where there is something."""
    outfolder.check_kind(folder)
    if seen is None and os.path.lexists(folder):
        raise AppFolderTaken(f"{folder} is there already", hint="--name gives the bundle another folder")
    if seen is not None and signature(folder) != seen:
        raise AppFolderTaken(f"{folder} was changed while it was being replaced", hint="try again")


def _carried(old: Path, fresh: Path, earlier: Record, made: Record) -> list[str]:
    """Bring along what is the user's in ``old``; the paths of what was kept aside."""
    changed = states(old, earlier)
    mine = [name for name, state in changed.items() if state == "yours" and name not in made.files]
    mine += [name for name in manifest.found(old) if name.startswith(f"{KEPT}/")]
    _bring(old, fresh, mine, "")
    aside = sorted(
        name for name, state in changed.items() if state == "changed" or (state == "yours" and name in made.files)
    )
    place = _free(fresh / KEPT)
    _bring(old, fresh, aside, place)
    return [f"{place}{name}" for name in aside]


def _bring(old: Path, fresh: Path, names: Iterable[str], place: str) -> None:
    for name in names:
        source, copy = old / name, fresh / f"{place}{name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.symlink_to(os.readlink(source))
            continue
        outfolder.check_kind(source)
        try:
            os.link(source, copy)
        except OSError:  # a file system without links
            shutil.copy2(source, copy)


def _free(kept: Path) -> str:
    """Return the first of .edgepack-kept/1/, 2/, … that is not there."""
    number = 1
    while (kept / str(number)).exists():
        number += 1
    return f"{KEPT}/{number}/"
