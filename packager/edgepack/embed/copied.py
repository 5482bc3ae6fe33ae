"""edgepack's runtime as a package of an app's own, which needs no edgepack and gets in the way of none.

Its modules are copied with their imports, and the names that they load modules by, moved into the app's package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from edgepack import closure, installed

_IMPORT = re.compile(r"^(\s*(?:from|import) )edgepack\b", re.MULTILINE)


def runtime(modules: Sequence[str], rename: Callable[[str], str]) -> dict[str, str]:
    """Return the text of each file of ``modules`` and of what they import, by its place in the app's package.

    ``rename`` is what ``renaming`` returns for them.
    """
    found = closure.files(modules)
    texts = {name.partition("/")[2]: file.read_text("utf-8") for name, file in found.items()}
    return {name: rename(text) if name.endswith(".py") else text for name, text in texts.items()}


def requirements(modules: Sequence[str]) -> list[str]:
    """Return what those files need from PyPI, with the versions that will do."""
    wanted = {need.name: need.wanted for need in installed.needs()}
    names = sorted(set(map(installed.distribution_of, closure.libraries(modules))))
    return [f"{name}{wanted.get(name, '')}" for name in names]


def renaming(modules: Sequence[str], package: str) -> Callable[[str], str]:
    """Return what makes of Python source the same with ``modules``, and what they import, as those of ``package``.

    Imports are changed, and texts that are the name of such a module or begin one that is put together.
    """
    heads = {name.split("/")[1].removesuffix(".py") for name in closure.files(modules)} - {"__init__"}
    named = "|".join(sorted(map(re.escape, heads)))
    text = re.compile(rf"(?<=[\"'])edgepack\.(?=(?:{named})\b|\{{)")
    return lambda source: text.sub(f"{package}.", _IMPORT.sub(rf"\g<1>{package}", source))
