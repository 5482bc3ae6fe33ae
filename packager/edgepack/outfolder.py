"""What is written into a user's folder: a bundle whole or not at all, and nothing of the user's replaced.

A bundle is filled in a hidden folder beside its place (workfolder.py) and changes places with an earlier one in a
single step (exchange.py), so that whoever reads it finds the old one or the new one. Where the file system cannot do
that, two renames follow each other: for a moment there is none, and after a kill in that moment the next build into the
folder brings the old one back. What edgepack did not make is replaced only by force.
"""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgepack.durable import sync, sync_folder
from edgepack.errors import BundleError, DiskFull, FileTrouble
from edgepack.exchange import move, replace
from edgepack.runtime import documents, manifest
from edgepack.runtime.manifest import BESIDE, MANIFEST
from edgepack.workfolder import remove, sweep, workfolder

PREFIX = ".building-"
_NEW, _OLD = "new", "old"  # in the work folder, each with a bundle of its own name in it
_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave in every folder
_HEAD = 65_536  # bytes of a report, within which its mark lies


@contextmanager
def workspace(out: Path, name: str, *, force: bool = False) -> Iterator[Path]:
    """A folder to fill; on leaving without an error it becomes ``out/name``, on an error it is gone.

    ``force`` replaces whatever is there; without it, what is not a bundle of this name raises FileTrouble. Raises
    DiskFull.
    """
    with _telling(out):
        out.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        check_bundle(out / name, force=force)
        with workfolder(out, PREFIX) as work:
            fresh = work / _NEW / name
            fresh.mkdir(parents=True)
            yield fresh
            sync(fresh)
            (work / _OLD).mkdir()
            replace(fresh, out / name, work / _OLD / name, lambda place: check_bundle(place, force=force))
            sync_folder(out)


def write(file: Path, text: str, *, mark: str, force: bool = False) -> None:
    """Write ``text`` in one step, in place of an earlier file of ours with ``mark`` in it or, by ``force``, of any.

    Raises FileTrouble, DiskFull.
    """
    with replacing(file, lambda: check_file(file, mark=mark, force=force)) as fresh:
        fresh.write_text(text, "utf-8")


@contextmanager
def replacing(file: Path, check: Callable[[], None]) -> Iterator[Path]:
    """A path to write to; on leaving without an error it becomes ``file``, on an error it is gone.

    ``check()`` raises where what stands there has to stay. Raises DiskFull.
    """
    with _telling(file.parent), workfolder(file.parent, PREFIX) as work:
        _sweep(file.parent)
        fresh = work / file.name
        yield fresh
        sync(work)
        check()
        if file.is_dir():  # by force
            remove(file)
        fresh.replace(file)
        sync_folder(file.parent)


def check_bundle(place: Path, *, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a bundle of this name, or holds other files too."""
    if not force and os.path.lexists(place):
        _refuse(place, _not_a_bundle(place))


def check_file(file: Path, *, mark: str, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a file with ``mark`` near its beginning."""
    if not force and os.path.lexists(file):
        _refuse(file, "" if _regular(file) and mark.encode() in _beginning(file) else "is not edgepack's")


def check_archive(file: Path, *, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a bundle in its one-file form."""
    if not force and os.path.lexists(file):
        _refuse(file, "" if _regular(file) and _holds_manifest(file) else "is not a bundle")


def _refuse(place: Path, why: str) -> None:
    if why:
        raise FileTrouble(f"{place} {why}, and would be replaced", hint="--force replaces it, or choose another --out")


@contextmanager
def _telling(out: Path) -> Iterator[None]:
    """Raises DiskFull where the space runs out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left on the disk of {out}", hint="free some, or choose another place with --out"
            ) from error
        raise


def _sweep(out: Path) -> None:
    sweep(out, PREFIX, lambda work: _rescue(work, out))


def _rescue(work: Path, out: Path) -> None:
    """Bring back an earlier bundle when a kill fell between two renames: a whole one, under the name that it had."""
    for old in (work / _OLD).glob("*"):
        if not os.path.lexists(out / old.name) and not old.is_symlink() and _whole(old):
            move(old, out / old.name)


def _whole(bundle: Path) -> bool:
    """Whether nothing is missing or changed, by the hashes."""
    try:
        listed = manifest.read(bundle)
        manifest.verify(listed)
    except (BundleError, OSError):
        return False
    return listed.name == bundle.name


def _not_a_bundle(place: Path) -> str:
    """Why ``place`` is not a bundle of this name and no more, in a clause; "" where it is."""
    kind = place.lstat().st_mode
    if stat.S_ISLNK(kind):
        return "is a link"
    if not stat.S_ISDIR(kind):
        return "is not a folder"
    table = _manifest(place / MANIFEST)
    if table is None:
        return f"is a folder without edgepack's {MANIFEST}"
    if table["name"] != place.name:
        return f"is the bundle {table['name']!r}"
    others = _names(place) - {*table["files"], *BESIDE}
    mine = sorted(name for name in others if Path(name).name not in _BY_SYSTEMS)
    return f"holds {mine[0]!r}, which is not the bundle's" if mine else ""


def _manifest(file: Path) -> Mapping[str, Any] | None:
    """What a manifest says, where it is one; a damaged bundle's is good enough."""
    if not _regular(file):
        return None
    try:
        table = documents.read_object(file)
    except BundleError:
        return None
    ours = {"schema", "edgepack", "name", "files"} <= set(table)
    return table if ours and isinstance(table["files"], dict) else None


def _names(folder: Path) -> set[str]:
    """Every file and link below ``folder``, which is not left by any link."""
    found = set()
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]
        found |= {Path(where, name).relative_to(folder).as_posix() for name in (*files, *links)}
    return found


def _regular(file: Path) -> bool:
    return os.path.lexists(file) and stat.S_ISREG(file.lstat().st_mode)


def _beginning(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_HEAD)


def _holds_manifest(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return MANIFEST in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
