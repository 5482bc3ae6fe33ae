"""Which systems a package needs, and which ops they have: the facts are in opsets.toml."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from edgepack.coreml.program import Function
from edgepack.errors import OperatorTooNew, PackageDamaged, PackageTooNew

_FACTS = tomllib.loads((files("edgepack.coreml") / "opsets.toml").read_text("utf-8"))
_SYSTEMS = {int(version): system for version, (_, system) in _FACTS["versions"].items()}
_VERSIONS = {opset: int(version) for version, (opset, _) in _FACTS["versions"].items()}
SINCE = {op: int(version) for version, ops in _FACTS["since"].items() for op in ops}
NEWEST = max(_SYSTEMS)


def system(version: int) -> str:
    """Return the first system that reads specification ``version``: "iOS 16". Raises PackageTooNew."""
    if version > NEWEST:
        raise PackageTooNew(
            f"the package has specification version {version}; this edgepack knows {NEWEST} ({_SYSTEMS[NEWEST]})",
            hint="pip install --upgrade edgepack, or convert for an earlier deployment target",
        )
    return _SYSTEMS[max(version, min(_SYSTEMS))]


def check_opset(function: Function) -> None:
    """Raises PackageTooNew, PackageDamaged (no such opset), OperatorTooNew (an op that came later)."""
    if function.opset not in _VERSIONS:
        known = ", ".join(_VERSIONS)
        newer = function.opset.removeprefix("CoreML").isdecimal()
        kind = PackageTooNew if newer else PackageDamaged
        raise kind(f"the function {function.name!r} has the opset {function.opset!r}; known: {known}")
    version = _VERSIONS[function.opset]
    for operation in function.block.walk():
        first = SINCE.get(operation.kind, version)
        if first > version:
            raise OperatorTooNew(
                f"the op {operation.kind!r} ({operation.name}) needs {_SYSTEMS[first]}; the package is for "
                f"{_SYSTEMS[version]}",
                hint=f"convert with minimum_deployment_target {_SYSTEMS[first].replace(' ', '')} or later",
            )
