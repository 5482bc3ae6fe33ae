"""Core ML packages (.mlpackage, ML Programs).

They are converted, compressed and compared on any machine: edgepack.coreml computes what was saved.
"""

from __future__ import annotations

import logging
from typing import cast

from edgepack import plugins
from edgepack.coreml.folder import PACKAGE
from edgepack.formats import Route
from edgepack.formats.coreml._requirements import systems
from edgepack.records import Artifact, Target

logging.getLogger("coremltools").setLevel(logging.CRITICAL)  # it warns of each library that only a Mac has

TITLE = "Core ML"
ROUTES = {"export": "coreml", "builder": "coreml"}
SUFFIX = PACKAGE
LENGTHS = True  # a package can be made for some lengths of texts alone


def route(name: str) -> Route:
    """Find one of ROUTES. Raises MissingExtra."""
    return cast(Route, plugins.load("formats.coreml", name))


def needs(artifact: Artifact, target: Target) -> str:
    """Return the systems that have its operators."""
    return systems(artifact.opset)
