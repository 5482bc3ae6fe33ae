"""Nothing outside of a folder is read or written because something in it says so: one rule for every name.

A name is relative, with forward slashes, climbs nowhere and holds nothing that some system reads as more than a name.
What lies there is a regular file (no FIFO, device or socket), and no link on the way leads out of the folder.
``contained`` returns a path, for libraries that open one. ``open_file`` opens the file itself, folder by folder and
without following links, so that no link that is swapped in after the check leads it out.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import BundleFileMissing, BundleUnsafe, EdgepackError, FileTrouble
from edgepack.folder import DESCRIPTORS, Folder

Failure = type[EdgepackError]
READABLE = "change its permissions, for example with chmod u+r"
_HINT = "do not use it, unless you know why it is so"
_CHUNK = 1 << 20  # bytes
_LINK = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}  # what systems say of a link that is not to be followed
_WRONG = re.compile(r"[\x00-\x1f\x7f\\:]")  # control characters; what Windows separates paths, drives and streams by


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The owner of files: its failures, and where its links may lead beside its own folder."""

    unsafe: Failure = BundleUnsafe  # of a name or a link that leads out, and of what is not a regular file
    missing: Failure = BundleFileMissing
    within: Sequence[Path] = ()
    hint: str = _HINT


BUNDLE = Holder()


def contained(folder: Path, name: object, holder: Holder = BUNDLE) -> Path:
    """Return the regular file ``folder/name``. Raises what ``holder`` says, and FileTrouble."""
    path = folder / checked_name(name, folder, holder.unsafe, holder.hint)
    check_file(path, folder, holder)
    return path


def open_file(folder: Path, name: object, holder: Holder = BUNDLE) -> int:
    """Return a descriptor of the regular file ``folder/name``, open for reading.

    What is open is what was checked. Raises as ``contained`` does, and FileTrouble for a file that cannot be read.
    """
    path = contained(folder, name, holder)
    try:
        way = _way(path, (folder, *holder.within))
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)) if way is None else _opened(*way)
    except _NotRegular as error:
        raise holder.unsafe(f"{name!r} in {folder} is not a regular file", hint=holder.hint) from error
    except FileNotFoundError as error:
        raise holder.missing(f"{folder} lacks {name}", hint="copy it again") from error
    except OSError as error:
        if error.errno in _LINK:
            raise holder.unsafe(f"{name!r} in {folder} is a link out of its folder", hint=holder.hint) from error
        raise FileTrouble(f"{path} cannot be read: {error.strerror}", hint=READABLE) from error


def copy_file(folder: Path, name: str, to: Path, holder: Holder = BUNDLE) -> None:
    """Copy the regular file ``folder/name`` to the path ``to``, whose folder is made. Raises as ``open_file`` does."""
    with open(open_file(folder, name, holder), "rb") as source:
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)


class _NotRegular(Exception):
    """A FIFO, a device or a socket has the name."""


def _way(path: Path, homes: Iterable[Path]) -> tuple[Path, str] | None:
    """Return which of ``homes`` the file is in, and its name from there, without links; None where the system has no
    descriptors of folders.
    """
    if not DESCRIPTORS:
        return None
    real = Path(os.path.realpath(path))
    for home in map(Path, map(os.path.realpath, homes)):
        if real.is_relative_to(home) and real != home:
            return home, real.relative_to(home).as_posix()
    raise NotADirectoryError(errno.ENOTDIR, "a link was put there")


def _opened(home: Path, name: str) -> int:
    with Folder(home) as start, start.holding(name) as (folder, last):
        if not stat.S_ISREG(folder.stat(last).st_mode):
            raise _NotRegular
        descriptor = folder.open(last, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _NotRegular
    return descriptor


def check_file(path: Path, folder: Path, holder: Holder = BUNDLE) -> None:
    """Check a ``path`` below ``folder`` that was found there, as ``contained`` does; a folder on the way that this user
    may not enter raises FileTrouble.
    """
    _check_way(path, folder, holder)
    name = path.relative_to(folder).as_posix()
    try:
        kind = path.stat().st_mode
    except PermissionError as error:
        raise FileTrouble(f"{path} cannot be read: {error.strerror}", hint=READABLE) from error
    except OSError as error:
        raise holder.missing(f"{folder} lacks {name}", hint="copy it again") from error
    if not stat.S_ISREG(kind):
        raise holder.unsafe(f"{name!r} in {folder} is not a regular file", hint=holder.hint)


def checked_name(name: object, place: object, unsafe: Failure = BundleUnsafe, hint: str = _HINT) -> str:
    """Return ``name``, where it stays in its folder by its letters. Raises ``unsafe``."""
    parts = name.split("/") if isinstance(name, str) else [""]
    if not isinstance(name, str) or any(part in ("", ".", "..") for part in parts) or _WRONG.search(name):
        raise unsafe(f"{place} names a path outside its folder, or none at all: {name!r}", hint=hint)
    return name


def check_distinct(names: Iterable[str], place: object, unsafe: Failure = BundleUnsafe, hint: str = _HINT) -> None:
    """Raises ``unsafe`` where two names are one file on systems that ignore case or compose accents."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise unsafe(f"{place} names {other!r} and {name!r}, which are one file on some systems", hint=hint)


def _links(folder: Path, path: Path) -> bool:
    """Return whether ``path``, or a folder on the way to it from ``folder``, is a link."""
    while path != folder:
        if os.path.islink(path):  # False too for names that are too long
            return True
        path = path.parent
    return False


def _check_way(path: Path, folder: Path, holder: Holder) -> None:
    if not _links(folder, path):
        return
    real = os.path.realpath(path)
    homes = [os.path.realpath(home) for home in (folder, *holder.within)]
    if not any(real.startswith(home.rstrip(os.sep) + os.sep) for home in homes):
        name = path.relative_to(folder).as_posix()
        raise holder.unsafe(f"{name!r} in {folder} is a link out of its folder", hint=holder.hint)
