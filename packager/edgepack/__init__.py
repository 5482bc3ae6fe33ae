"""edgepack: pack open models for the device that will run them.

``edgepack.load(bundle)`` opens a bundle for use in an app; everything else is the command ``edgepack``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepack.runtime import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # what is asked for by name
    """Load the runtime when it is first asked for, so that ``import edgepack`` costs nothing."""
    if name == "load":
        return importlib.import_module("edgepack.runtime").load
    raise AttributeError(f"module 'edgepack' has no attribute {name!r}")
