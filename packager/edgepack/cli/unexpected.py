"""The last line of defence: what nobody foresaw becomes one line, and a file that tells all of it."""

from __future__ import annotations

import platform
import tempfile
import traceback

from edgepack import __version__
from edgepack.errors import Unexpected


def told(error: BaseException, arguments: list[str]) -> Unexpected:
    """Return ``error`` as an edgepack error that says where the full trace lies; it is written here."""
    name = type(error).__name__
    said = (str(error).splitlines() or [""])[0][:200]
    head = [
        f"edgepack {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"arguments: {arguments!r}",
        "",
    ]
    text = "\n".join([*head, *traceback.format_exception(error)])
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="edgepack-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
        place = f"report it with {file.name}, where all of it is written: see docs/security.md"
    except OSError as trouble:
        place = f"there is no place to write the trace ({trouble.strerror}); report what you did: see docs/security.md"
    return Unexpected(f"this should not happen: {name}{f': {said}' if said else ''}", hint=place)
