"""The folder of the cache: where it lies, and how what lies in it is put there and deleted.

A user may have chosen any folder for it, with files of theirs in it. So entries are gone through by descriptors, links
lead nowhere, and only files that an entry is known to consist of are deleted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgepack.errors import FileTrouble
from edgepack.exchange import keep, replace
from edgepack.folder import Folder, size
from edgepack.workfolder import sweep, workfolder

WORK = ".new-"  # what is being made
VARIABLE = "EDGEPACK_CACHE"
HINT = f"{VARIABLE} names another folder for the cache"
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.EEXIST}


def root() -> Path:
    """Return the cache folder: EDGEPACK_CACHE, else edgepack below XDG_CACHE_HOME or ~/.cache.

    Raises FileTrouble where that is something else, or a link that leads nowhere.
    """
    own = os.environ.get(VARIABLE)
    place = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgepack"
    if os.path.lexists(place) and not place.is_dir():
        raise FileTrouble(f"the cache {place} is not a folder", hint=HINT)
    return place


@contextmanager
def room(kind: str) -> Iterator[Path]:
    """Provide a work folder in the cache for entries of this kind. Raises FileTrouble where it cannot be written."""
    place = root() / kind
    with ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            sweep(place, WORK)
            work = stack.enter_context(workfolder(place, WORK))
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            raise FileTrouble(f"the cache {place} cannot be written: {error.strerror}", hint=HINT) from error
        yield work


def put(fresh: Path, place: Path, own: Collection[str] | None = None) -> None:
    """Move the folder ``fresh`` of a work folder to ``place``; an earlier one there is deleted.

    ``own`` are the files that the earlier one is known to consist of (None: those that ``fresh`` has). What somebody
    else has put there is kept beside it.
    """
    if own is None:
        with Folder(fresh) as folder:
            own = [name for name, _ in folder.walk()]
    old = fresh.parent / "old" / fresh.name
    old.parent.mkdir()
    replace(fresh, place, old)
    for earlier in (fresh, old):
        if os.path.lexists(earlier) and _holds_others(earlier, own):
            keep(earlier, place)


def _holds_others(earlier: Path, own: Collection[str]) -> bool:
    """Delete the files ``own``; whether there is anything else."""
    if not stat.S_ISDIR(earlier.lstat().st_mode):
        return True
    with Folder(earlier) as folder:
        delete(folder, own)
        return bool(folder.names())


def delete(folder: Folder, names: Collection[str]) -> int:
    """Delete the files ``names`` in ``folder``, and the folders below it that are then empty; the bytes set free.

    Raises OSError, with all deleted that can be.
    """
    freed, trouble = 0, None
    for name in names:
        try:
            with suppress(FileNotFoundError), folder.holding(name) as (holder, last):
                state = holder.stat(last)
                holder.unlink(last)
                freed += size(state)
        except OSError as error:
            trouble = error
    folder.prune()
    if trouble is not None:
        raise trouble
    return freed
