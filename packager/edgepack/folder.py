"""A folder by its descriptor: a link that is put in its place, or in the place of a folder below it, leads nowhere.

Windows has no descriptors of folders. There a folder goes by its path, and what is swapped in meanwhile is followed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

DESCRIPTORS = os.scandir in os.supports_fd and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
# of a file: a FIFO without a writer would be waited for without O_NONBLOCK
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Folder:
    """An open folder. ``path`` is how it was found; names are those of things in it, and links are never followed.

    All methods raise OSError.
    """

    def __init__(self, path: Path, above: Folder | None = None) -> None:
        """Open ``path``, or of the folder ``above`` what has the name ``path.name``; a link is not a folder."""
        self.path = path
        self.descriptor: int | None = None
        name, at = (path, None) if above is None else above.at(path.name)
        if DESCRIPTORS:
            self.descriptor = os.open(name, _FOLDER, dir_fd=at)
        elif not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def at(self, name: str) -> tuple[str | Path, int | None]:
        """Return a path and a ``dir_fd`` by which the system finds ``name`` in this folder, and nowhere else."""
        if name in ("", ".", "..") or "/" in name or os.sep in name:
            raise FileNotFoundError(errno.ENOENT, "not a name in a folder", name)
        return (name, self.descriptor) if DESCRIPTORS else (self.path / name, None)

    def names(self) -> list[str]:
        """Return the names in it, sorted."""
        return sorted(os.listdir(self.path if self.descriptor is None else self.descriptor))

    def stat(self, name: str) -> os.stat_result:
        """Return the state of what has this name, of a link itself."""
        path, at = self.at(name)
        return os.stat(path, dir_fd=at, follow_symlinks=False)

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Return a descriptor of what has this name, opened with ``flags``."""
        path, at = self.at(name)
        return os.open(path, flags | _FILE, mode, dir_fd=at)

    def below(self, name: str) -> Folder:
        """Return the folder of this name, opened."""
        return Folder(self.path / name, self)

    @contextmanager
    def holding(self, name: str) -> Iterator[tuple[Folder, str]]:
        """Provide the folder that holds ``name``, whose parts are separated by "/", and the last part."""
        *above, last = name.split("/")
        with ExitStack() as stack:
            folder = self
            for part in above:
                folder = stack.enter_context(folder.below(part))
            yield folder, last

    def walk(self, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Yield the name from here, with "/", and the state of all below it that is no folder."""
        for name in self.names():
            state = self.stat(name)
            if stat.S_ISDIR(state.st_mode):
                with self.below(name) as inner:
                    yield from inner.walk(f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", state

    def unlink(self, name: str) -> None:
        """Delete a file or a link."""
        path, at = self.at(name)
        os.unlink(path, dir_fd=at)

    def rmdir(self, name: str) -> None:
        """Delete an empty folder."""
        path, at = self.at(name)
        os.rmdir(path, dir_fd=at)

    def remove(self, name: str) -> None:
        """Delete whatever has this name: a folder with all in it that can be, a file, a link, a FIFO; none is no
        error.
        """
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(self.stat(name).st_mode):
                path, at = self.at(name)
                shutil.rmtree(path, ignore_errors=True, dir_fd=at)  # which follows no link where it has descriptors
            else:
                self.unlink(name)

    def prune(self) -> None:
        """Delete the empty folders below it."""
        for name in self.names():
            if stat.S_ISDIR(self.stat(name).st_mode):
                with self.below(name) as inner:
                    inner.prune()
                with suppress(OSError):  # something is in it
                    self.rmdir(name)


def size(state: os.stat_result) -> int:
    """Return the bytes that deleting a file sets free."""
    return state.st_size if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 else 0
