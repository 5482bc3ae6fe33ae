"""A model folder that an installed Python package carries: ``python:package/folder``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgepack import installed
from edgepack.errors import ModelNotFound
from edgepack.progress import Say
from edgepack.sources import Fetched, named


def fetch(reference: str, say: Say) -> Fetched:
    """Find the folder inside the package, which is not imported. Raises ModelNotFound."""
    package, _, inside = reference.removeprefix("python:").partition("/")
    if not package:
        raise ModelNotFound(f"{reference!r} names no Python package", hint="python:package/folder")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        extra = installed.extra_of(name)  # which brings a version that goes with edgepack's other packages
        raise ModelNotFound(
            f"no Python package {package!r} is installed",
            hint=f"pip install 'edgepack[{extra}]'" if extra else f"pip install {name}",
        )
    root = Path(next(iter(spec.submodule_search_locations))).resolve()
    path = (root / inside).resolve()
    if not path.is_dir() or not path.is_relative_to(root):
        raise ModelNotFound(f"the package {package!r} has no folder {inside!r}", hint=f"it lies in {root}")
    return Fetched(path, named(path, package.replace("_", "-")))
