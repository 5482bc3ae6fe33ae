"""The protobuf classes of Core ML's specification, without the seconds that coremltools takes to be imported.

coremltools/proto holds generated files that need protobuf alone; they are loaded from there under a name of their own.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from edgepack.coreml.values import Message
from edgepack.errors import MissingExtra, PackageDamaged

_NAME = "edgepack_coreml_proto"


def model(file: Path) -> Message:
    """Return the ``Model`` message in ``file``.

    Raises PackageDamaged, MissingExtra where coremltools is not installed.
    """
    message = _generated("Model_pb2").Model()
    try:
        message.ParseFromString(file.read_bytes())
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise PackageDamaged(f"{file} cannot be read", hint="copy or convert the package again") from error
    return message


def _generated(module: str) -> ModuleType:
    if _NAME not in sys.modules:
        found = find_spec("coremltools")
        if found is None or found.origin is None:
            raise MissingExtra("coremltools", "coreml")
        package = ModuleType(_NAME)
        package.__path__ = [str(Path(found.origin).parent / "proto")]
        sys.modules[_NAME] = package
    return importlib.import_module(f"{_NAME}.{module}")
