"""The last line of defence: what nobody foresaw becomes one line, and a file that tells all of it."""

from __future__ import annotations

import platform
import tempfile
import traceback

from edgepack import __version__, plugins
from edgepack.errors import Unexpected


def told(error: BaseException, arguments: list[str]) -> Unexpected:
    """Return ``error`` as an edgepack error that says where the full trace lies; it is written here."""
    name, plug_in = type(error).__name__, _plug_in(error)
    see = "" if plug_in else ": see docs/security.md"
    authors = f" to the authors of {plug_in}" if plug_in else ""
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
        place = f"report it{authors} with {file.name}, where all of it is written{see}"
    except OSError as trouble:
        place = f"there is no place to write the trace ({trouble.strerror}); report what you did{authors}{see}"
    happened = f"{plug_in}, a plug-in, failed" if plug_in else "this should not happen"
    return Unexpected(f"{happened}: {name}{f': {said}' if said else ''}", hint=place)


def _plug_in(error: BaseException) -> str:
    """Return the distribution whose plug-in ``error`` came through, the last of several; "" where there was none."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((found for module in reversed(modules) if (found := plugins.bringing(module))), "")
