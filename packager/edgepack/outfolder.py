"""Writing into a user's folder: a bundle whole or not at all, and nothing of the user's replaced.

A bundle is filled in a hidden folder beside its place (workfolder.py) and changes places with an earlier one in a
single step (exchange.py), so that whoever reads it finds the old one or the new one. Where the file system cannot do
that, two renames follow each other: for a moment there is none, and after a kill in that moment the next build into
the folder brings the old one back. What edgepack did not make (ours.py) is replaced only by force, and a device, a
FIFO or a socket never; what came out of the place is looked at once more, and put back where it has to stay.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from edgepack import ours
from edgepack.durable import sync, sync_folder
from edgepack.errors import BundleError, DiskFull, FileTrouble
from edgepack.exchange import move, replace
from edgepack.folder import Folder
from edgepack.runtime import manifest
from edgepack.workfolder import sweep, workfolder

PREFIX = ".building-"
_NEW, _OLD = "new", "old"  # in the work folder, each with a bundle or a file of its own name in it
_FORMER = "former"  # the same as the old, of another folder than that of the work folder: it is not brought back
_REPLACED = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)  # kinds of what force replaces


@contextmanager
def workspace(out: Path, name: str, *, force: bool = False) -> Iterator[Path]:
    """Provide a folder to fill; on leaving without an error it becomes ``out/name``, on an error it is gone, and so is
    ``out`` where it was made for it.

    ``force`` replaces whatever is there; without it, what is not a bundle of this name raises FileTrouble. Raises
    DiskFull.
    """
    with _telling(out), _made(out):
        clear_leftovers(out, name)
        check_bundle(out / name, force=force)
        with workfolder(out, PREFIX) as work:
            fresh = work / _NEW / name
            fresh.mkdir(parents=True)
            yield fresh
            sync(fresh)
            (work / _OLD).mkdir()
            replace(fresh, out / name, work / _OLD / name, partial(check_bundle, force=force))
            sync_folder(out)


def write(file: Path, text: str, *, mark: str, force: bool = False) -> None:
    """Write ``text`` in one step, in place of an earlier file of ours with ``mark`` in it or, by ``force``, of any.

    Raises FileTrouble, DiskFull.
    """
    with replacing(file, partial(check_file, mark=mark, force=force)) as fresh:
        fresh.write_text(text, "utf-8")


@contextmanager
def replacing(file: Path, check: Callable[[Path], None], *, beside: Path | None = None) -> Iterator[Path]:
    """Provide a path to write to; on leaving without an error it becomes ``file``, on an error it is gone.

    ``check(path)`` raises where what stands there, under the file's name, has to stay. The work is done in the folder
    ``beside`` (default: the file's own). Raises DiskFull, FileTrouble where there is no such folder.
    """
    room = beside or file.parent
    if not room.is_dir():
        raise FileTrouble(f"there is no folder {room} for {file.name}", hint="make it, or choose another place")
    with _telling(file.parent), workfolder(room, PREFIX) as work:
        clear_leftovers(room)
        old = work / (_OLD if room == file.parent else _FORMER)
        fresh = work / _NEW / file.name
        for place in (fresh.parent, old):
            place.mkdir()
        yield fresh
        sync(work)
        replace(fresh, file, old / file.name, check)
        sync_folder(file.parent)


def beside(bundle: Path) -> Path:
    """Return the folder to work in for a file of ``bundle``, so that it holds no others meanwhile: the one that it lies
    in, or itself where that one is another disk or nobody may write there.
    """
    parent = bundle.resolve().parent
    same = parent.stat().st_dev == bundle.stat().st_dev
    return parent if same and os.access(parent, os.W_OK) else bundle


def clear_leftovers(out: Path, name: str = "") -> None:
    """Delete what killed commands left in ``out``, and in the bundle ``name`` there; an earlier bundle comes back."""
    sweep(out, PREFIX, lambda work: _rescue(work, out))
    if name and not (out / name).is_symlink():
        sweep(out / name, PREFIX)


def check_bundle(place: Path, *, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a bundle of this name, or holds other files too."""
    _check(place, ours.not_a_bundle, force)


def check_file(file: Path, *, mark: str, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a file with ``mark`` near its beginning."""
    _check(file, lambda place: "" if ours.has_mark(place, mark) else "is not edgepack's", force)


def check_signature(file: Path, *, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a bundle's signature."""
    _check(file, lambda place: "" if ours.is_signature(place) else "is not a signature", force)


def check_archive(file: Path, *, force: bool = False) -> None:
    """Raises FileTrouble where something stands that is not a bundle in its one-file form, or holds other files too."""
    _check(file, ours.not_an_archive, force)


def check_kind(place: Path) -> None:
    """Raises FileTrouble where a device, a FIFO or a socket stands, or a link leads to one: nothing replaces it."""
    for look in (Path.lstat, Path.stat):
        try:
            kind = stat.S_IFMT(look(place).st_mode)
        except (OSError, ValueError):  # nothing there, a link that leads nowhere
            continue
        if kind not in _REPLACED:
            raise FileTrouble(f"{place} is a device, a FIFO or a socket, not a file", hint="choose another place")


def _check(place: Path, why_not: Callable[[Path], str], force: bool) -> None:
    """Raises FileTrouble where ``why_not(place)``, a clause, tells why that has to stay; ``force`` overrules it."""
    check_kind(place)
    why = why_not(place) if not force and os.path.lexists(place) else ""
    if why:
        raise FileTrouble(f"{place} {why}, and would be replaced", hint="--force replaces it, or choose another place")


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


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make ``folder``; on an error, what was made of it and holds nothing is gone."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # it holds what another build made
            for place in new:
                place.rmdir()
        raise


def _rescue(work: Folder, out: Path) -> None:
    """Bring back what stood in ``out`` when a kill fell between two renames, under the name that it had: a file, a
    whole bundle, or a part of an app that a bundle was embedded in.
    """
    with suppress(OSError), work.below(_OLD) as old:
        for name in old.names():
            kind = old.stat(name).st_mode
            if stat.S_ISREG(kind) or (stat.S_ISDIR(kind) and _returns(old.path / name)):
                move(Path(name), out / name, old)  # where the name is free


def _returns(folder: Path) -> bool:
    """Return whether a folder is one that is brought back."""
    return (folder / ours.EMBEDDED).is_file() or _whole(folder)


def _whole(bundle: Path) -> bool:
    """Return whether nothing is missing or changed, by the hashes."""
    try:
        listed = manifest.read(bundle)
        manifest.verify(listed)
    except (BundleError, FileTrouble, OSError):
        return False
    return listed.name == bundle.name
