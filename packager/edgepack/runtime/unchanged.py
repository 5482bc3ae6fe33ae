"""Files that stay as they were between their check and their use: what was hashed is what was opened.

The system's times of change tell, which are as fine as its file systems keep them (milliseconds, on most). Who may set
the clock, or write below the file system, is not seen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack.errors import BundleDamaged, BundleFileMissing
from edgepack.runtime.manifest import Manifest


def watched(manifest: Manifest) -> Manifest:
    """Return the manifest with the present states of its files, to be taken before they are hashed."""
    states = {name: _state(manifest.folder, name) for name in manifest.table["files"]}
    return replace(manifest, states=states)


def check_unchanged(manifest: Manifest) -> None:
    """Raises BundleDamaged for a file that changed since ``watched``, if that was called, and BundleFileMissing."""
    for name, state in manifest.states.items():
        if _state(manifest.folder, name) != state:
            raise BundleDamaged(
                f"{name} in {manifest.folder} was changed while the bundle was being opened",
                hint="make sure that nothing writes there, and try again",
            )


def _state(folder: Path, name: str) -> tuple[int, ...]:
    try:
        facts = (folder / name).stat()
    except OSError as error:
        raise BundleFileMissing(f"{folder} lacks {name}", hint="copy it again") from error
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
