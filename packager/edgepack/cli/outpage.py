"""The HTML page that a command writes on request."""

from __future__ import annotations

from pathlib import Path

from edgepack import outfolder
from edgepack.reports import MARK
from edgepack.runtime import archive
from edgepack.runtime.manifest import Manifest


def check(html: Path | None, listed: Manifest | None, *, force: bool) -> None:
    """Raises FileTrouble before the work where a file of the user's stands, UsageError in the bundle."""
    if html is not None:
        outfolder.check_file(html, mark=MARK, force=force)
        if listed is not None:
            archive.check_outside(listed.folder, html)
