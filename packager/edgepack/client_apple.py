"""Files that turn a bundle's packages into a folder for Apple's StableDiffusion, which loads compiled models alone.

``compile.sh`` compiles them on a Mac; ``prepare()`` in Prepare.swift, in an app, once on the device.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from string import Template

from edgepack.coreml.folder import PACKAGE
from edgepack.runtime import manifest

_TEMPLATES = files("edgepack") / "apple"
_VOCABULARY = ("tokenizer/vocab.json", "tokenizer/merges.txt")


def write(folder: Path, name: str, scale: float, unread: Collection[Path] = ()) -> None:
    """Write both into the bundle ``name`` in ``folder``, whose packages are there; ``scale`` is the latents' factor.

    Without the packages ``unread``, whose outputs Apple's package would misread: it does without what is not there.
    """
    packages = [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob(f"*{PACKAGE}")) if path not in unread
    ]
    there = [file for file in _VOCABULARY if (folder / file).is_file()]
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(path for path in (folder / package).rglob("*") if path.is_file()):
            digest.update(manifest.digest(file).encode())
    _fill("compile.sh", folder, packages=" ".join(packages), files=" ".join(there))
    _fill(
        "Prepare.swift",
        folder,
        name=re.sub(r"[^0-9A-Za-z._-]", "-", name),
        type=_type(name),
        packages=_listed(packages),
        files=_listed(there),
        scale=repr(scale),
        version=digest.hexdigest()[:16],
    )


def _fill(file: str, folder: Path, **values: str) -> None:
    (folder / file).write_text(Template((_TEMPLATES / file).read_text("utf-8")).substitute(values), "utf-8")


def _type(name: str) -> str:
    """Return a name for a Swift type: letters and digits, a letter first."""
    words = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", name))
    return words if words[:1].isalpha() else f"Bundle{words}"


def _listed(paths: list[str]) -> str:
    return ", ".join(f'"{path}"' for path in paths)
