"""The format npz: fits the Protocol edgepack.formats.Format."""

from edgepack.formats import Route
from edgepack.records import Artifact, Target
from lang_id import linear

TITLE = "NPZ"
ROUTES = {"linear": ""}  # its route, and the extra of this package that it takes: none
SUFFIX = ".npz"
LENGTHS = False


def route(name: str) -> Route:
    return linear  # there is one


def needs(artifact: Artifact, target: Target) -> str:
    return f"{target.runtime} {target.runtime_version}"
