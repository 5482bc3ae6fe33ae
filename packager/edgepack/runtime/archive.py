"""The one-file form of a bundle: a zip with the extension ``.edgepack``."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgepack.cachefolder import put, room, root
from edgepack.containment import check_distinct, checked_name, open_file
from edgepack.documents import JsonObject, parse_json
from edgepack.errors import BundleDamaged, BundleError, BundleUnsafe, UsageError
from edgepack.runtime import central_directory, manifest
from edgepack.runtime.manifest import BESIDE, LARGEST, MANIFEST, digest

SUFFIX = ".edgepack"
UNPACKED = "bundles"  # of the cache
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same bytes on every build
_FILES = 1003  # as many as a manifest may list, with itself, the measurements and the signature
_ENTRY = 2000  # bytes of a file's entry in the zip's directory, at most
_FACTOR, _ROOM = 2, 500_000_000  # an archive may unpack to so many times its size, and so many bytes
_CHUNK = 1 << 20
_UNSAFE = "it looks like a zip bomb; do not use this bundle, unless you --trust it"
# what zipfile raises for broken files, beside BadZipFile
BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, IndexError,
)  # fmt: skip


def zip_folder(folder: Path, file: Path) -> Path:
    """Write what the manifest of the bundle in ``folder`` lists to ``file``: the same bytes for the same content.

    The archive is read again and checked against the manifest before it takes its name. Raises UsageError for a file
    in the folder itself, and BundleError as manifest.read does.
    """
    listed = manifest.read(folder)
    check_outside(folder, file)
    beside = [name for name in BESIDE if os.path.lexists(folder / name)]
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with fresh.open("xb") as stream:  # with the permissions that new files have here
            _write(folder, sorted([*listed.table["files"], *beside]), stream)
        with _reading(fresh) as archive:
            for info, limit in _entries(archive, fresh, trust=True):
                _copy(archive, info, None, limit)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return file


def check_outside(folder: Path, file: Path) -> None:
    """Raises UsageError for a place in the bundle itself."""
    if file.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{file} lies in the bundle {folder}", hint="choose a place beside it")


def opened(file: Path, *, trust: bool = False) -> Path:
    """Return the folder that ``file`` unpacks to, in the cache, by the file's hash; safe for two processes at once.

    What was unpacked before is checked against its manifest, and unpacked again where it is damaged.
    """
    folder = root() / UNPACKED / digest(file)[:32]
    if _whole(folder):
        return folder
    with room(UNPACKED) as work:
        fresh = work / folder.name
        fresh.mkdir()
        unpack(file, fresh, trust=trust)
        if not _whole(folder):  # another process may have been quicker
            put(fresh, folder)
    return folder


def unpack(file: Path, into: Path, *, trust: bool = False) -> Path:
    """Unpack ``file`` into the folder ``into``; what was written is removed again where an error is found.

    Raises BundleError (no zip, no manifest), BundleDamaged (a byte differs), BundleUnsafe (a path that climbs out; more
    bytes or files than the manifest lists, or than an archive of its size may hold unless it has your ``trust``).
    """
    written: list[Path] = []
    try:
        with _reading(file) as archive:
            for info, limit in _entries(archive, file, trust=trust):
                target = into / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                written.append(target)
                with target.open("xb") as sink:
                    _copy(archive, info, sink, limit)
        manifest.read(into)
    except BaseException:
        for target in written:
            target.unlink(missing_ok=True)
        raise
    return into


def _whole(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        manifest.verify(manifest.read(folder))
    except BundleError:
        return False
    return True


def _write(folder: Path, names: list[str], stream: IO[bytes]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            with open(open_file(folder, name), "rb") as source:
                large = os.fstat(source.fileno()).st_size >= zipfile.ZIP64_LIMIT // 2
                with archive.open(info, "w", force_zip64=large) as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)


@contextmanager
def _reading(file: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive if its directory has a size that is worth reading. Raises BundleError for what is not a zip."""
    try:
        if central_directory.size(file) > _FILES * _ENTRY:
            raise BundleUnsafe(f"{file} holds more than {_FILES:,} files", hint=_UNSAFE)
        with zipfile.ZipFile(file) as archive:
            yield archive
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is a place in the file that is none
            raise
        raise BundleError(f"{file} is not a bundle, or is incomplete", hint="copy the file again") from error
    except BROKEN as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{file} is not a bundle, or is incomplete: {said}", hint="copy the file again") from error


class _Limit:
    """The limit of a file of the archive: so many ``bytes``, with this SHA-256 where the manifest tells one."""

    def __init__(self, size: int, sha256: str = "") -> None:
        self.bytes, self.sha256 = size, sha256


def _entries(archive: zipfile.ZipFile, file: Path, *, trust: bool) -> list[tuple[zipfile.ZipInfo, _Limit]]:
    """Return the files and their limits, as the manifest inside says."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    names = [checked_name(info.filename, file) for info in infos]
    check_distinct(names, file)
    if len(infos) > _FILES or len(set(names)) != len(names):
        raise BundleUnsafe(f"{file} holds {len(infos)} files, or one of them twice", hint="do not use this bundle")
    if MANIFEST not in names:
        raise BundleError(f"{file} is not a bundle: it holds no {MANIFEST}", hint="edgepack pack --zip makes one")
    table = _table(archive, file)
    limits = {name: _Limit(entry["bytes"], entry["sha256"]) for name, entry in table["files"].items()}
    limits |= {name: _Limit(LARGEST) for name in BESIDE}
    for name in names:
        if name not in limits:
            raise BundleUnsafe(
                f"{file} holds {name!r}, which its manifest does not list", hint="do not use this bundle"
            )
    _check_total(sum(limits[name].bytes for name in table["files"]), file, trust)
    return [(info, limits[info.filename]) for info in infos]


def _table(archive: zipfile.ZipFile, file: Path) -> JsonObject:
    with archive.open(MANIFEST) as stream:
        text = stream.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise BundleUnsafe(f"the {MANIFEST} in {file} has more than {LARGEST:,} bytes", hint=_UNSAFE)
    place = f"the {MANIFEST} in {file}"
    return manifest.checked(parse_json(text, place), place)


def _check_total(total: int, file: Path, trust: bool) -> None:
    """Raises BundleUnsafe where the files come to more than an archive of this size may hold."""
    most = _FACTOR * file.stat().st_size + _ROOM
    if total > most and not trust:
        raise BundleUnsafe(f"{file} would unpack to {total:,} bytes; {most:,} are allowed", hint=_UNSAFE)


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, sink: IO[bytes] | None, limit: _Limit) -> None:
    """Copy one file, reading no more than its limit whatever the zip's own sizes say; written where there is a
    ``sink``.
    """
    left, total = limit.bytes, hashlib.sha256()
    with archive.open(info) as source:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BundleUnsafe(
                    f"{info.filename} unpacks to more than the {limit.bytes:,} bytes it should have", hint=_UNSAFE
                )
            total.update(chunk)
            if sink is not None:
                sink.write(chunk)
    if limit.sha256 and (left or total.hexdigest() != limit.sha256):
        raise BundleDamaged(f"{info.filename} in the archive is not what its manifest says", hint="copy the file again")
