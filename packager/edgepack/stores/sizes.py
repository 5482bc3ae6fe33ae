"""The size of a bundle in an app: on the disk, and compressed as archives of apps are (deflate, RFC 1951)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgepack.containment import contained
from edgepack.runtime.manifest import MANIFEST, SIGNATURE, Manifest

_CHUNK = 1 << 20
_LEVEL = 6  # zlib's own, as tools that build apps have it


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of each file that goes into an app, by its name in the bundle."""

    disk: Mapping[str, int]
    compressed: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes on the disk."""
        return sum(self.disk.values())

    @property
    def download(self) -> int:
        """Bytes of all files compressed, each by itself."""
        return sum(self.compressed.values())


def files(listed: Manifest) -> list[str]:
    """Return the files of a bundle that go into an app: all but the measurements, which are about other machines."""
    signature = [SIGNATURE] if (listed.folder / SIGNATURE).is_file() else []
    return [*listed.table["files"], MANIFEST, *signature]


def on_disk(listed: Manifest) -> dict[str, int]:
    """Return the bytes of each of those files."""
    return {name: contained(listed.folder, name).stat().st_size for name in files(listed)}


def measured(listed: Manifest) -> Sizes:
    """Compress each file, several at a time, and return the sizes."""
    disk = on_disk(listed)
    with ThreadPoolExecutor() as pool:
        compressed = pool.map(lambda name: _compressed(contained(listed.folder, name)), disk)
        return Sizes(disk=disk, compressed=dict(zip(disk, compressed, strict=True)))


def _compressed(file: Path) -> int:
    packer, total = zlib.compressobj(_LEVEL), 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total += len(packer.compress(chunk))
    return total + len(packer.flush())
