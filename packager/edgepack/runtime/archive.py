"""The one-file form of a bundle: a zip with the extension ``.edgepack``."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path

from edgepack.errors import BundleError, BundleUnsafe
from edgepack.runtime.manifest import MANIFEST, MEASUREMENTS, digest, inside

SUFFIX = ".edgepack"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same bytes on every build
_MOST_FILES = 1000
_MOST_BESIDE = 10_000_000  # bytes of manifest and measurements, which the manifest does not list
_CHUNK = 1 << 20


def zip_folder(folder: Path, file: Path) -> Path:
    """Write the bundle in ``folder`` to ``file``: the same bytes for the same content."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                with path.open("rb") as source, archive.open(info, "w") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return file


def opened(file: Path) -> Path:
    """The folder that ``file`` unpacks to, in the cache, by the file's hash; safe for two processes at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgepack" / "bundles"
    folder = cache / digest(file)[:32]
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
        try:
            unpack(file, fresh)
            if not folder.is_dir():
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def unpack(file: Path, into: Path) -> Path:
    """Unpack ``file`` into the folder ``into``.

    Raises BundleError (no zip, no manifest), BundleUnsafe (a path that climbs out; more bytes or files than
    the manifest lists: a zip bomb).
    """
    try:
        with zipfile.ZipFile(file) as archive:
            limits = _limits(archive, file)
            for info in archive.infolist():
                if not info.is_dir():
                    _extract(archive, info, into, limits.get(info.filename, _MOST_BESIDE))
    except zipfile.BadZipFile as error:
        raise BundleError(f"{file} is no bundle: {error}", hint="copy the file again") from error
    return into


def _limits(archive: zipfile.ZipFile, file: Path) -> dict[str, int]:
    """The bytes that each file may have, as the manifest inside says."""
    names = archive.namelist()
    if MANIFEST not in names:
        raise BundleError(f"{file} is no bundle: it holds no {MANIFEST}", hint="edgepack pack --zip makes one")
    if len(names) > _MOST_FILES or len(set(names)) != len(names):
        raise BundleUnsafe(f"{file} holds {len(names)} files", hint="do not use this bundle")
    with archive.open(MANIFEST) as stream:
        text = stream.read(_MOST_BESIDE + 1)
    try:
        limits = {name: int(entry["bytes"]) for name, entry in json.loads(text)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"the {MANIFEST} in {file} cannot be read") from error
    for name in names:
        if not name.endswith("/") and name not in limits and name not in {MANIFEST, MEASUREMENTS}:
            inside(Path("."), name)
            raise BundleUnsafe(
                f"{file} holds {name!r}, which its manifest does not list", hint="do not use this bundle"
            )
    return limits


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, into: Path, limit: int) -> None:
    """One file, reading no more than ``limit`` bytes whatever the zip's own sizes say."""
    target = inside(into, info.filename)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = limit
    with archive.open(info) as source, target.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BundleUnsafe(
                    f"{info.filename} unpacks to more than the {limit:,} bytes it should have",
                    hint="this is how a zip bomb looks; do not use this bundle",
                )
            sink.write(chunk)
