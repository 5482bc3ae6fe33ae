"""An ONNX Runtime session as a Run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgepack.errors import BundleError, InputError, MissingExtra
from edgepack.records import TensorSpec
from edgepack.runtime import graphs
from edgepack.runtime.types import Array, Outputs

PACKAGE, PACKAGES = ".mlpackage", ".mlpackages"  # one of Core ML, and a folder of several in a row
CORE_ML = (PACKAGE, PACKAGES)
# Computing constants in advance runs parts of the graph while it is opened, for as long and as large as they are.
# Graphs that edgepack writes hold their constants, so nothing becomes slower.
_NOT_AT_LOAD = ["ConstantFolding"]
_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64", "tensor(int32)": "int32",
    "tensor(bool)": "bool", "tensor(uint8)": "uint8",
}  # fmt: skip


class Session:
    """``session(feeds)`` runs the model; inputs the graph does not have are left out.

    ``optional`` are the inputs with a default, which need no feeding. A language model gives the logits that are
    asked for (graphs.FIRST), the last token's where nothing is said. ``graph``, a part of the file's own, is opened in
    its place, with the weights that lie beside the file; it gives all that it computes.
    """

    def __init__(self, path: Path, threads: int, graph: bytes | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        try:
            self._session = onnxruntime.InferenceSession(
                graph or path,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_NOT_AT_LOAD,
                enable_fallback=0,  # which would print, and try the same again
            )
        except Exception as error:  # onnxruntime raises bare classes of its own for each kind of bad file
            line = _line(error)
            raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot open {path.name}: {line}") from error
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.optional = tuple(_spec(node) for node in self._session.get_overridable_initializers())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self.path, self.threads, self.runtime = path, threads, f"onnxruntime {onnxruntime.__version__}"
        self._speaks = (
            graph is None
            and any(spec.name == graphs.LOGITS for spec in self.outputs)
            and any(spec.name.startswith(graphs.PAST) for spec in self.inputs)
        )

    def __call__(self, feeds: Mapping[str, Array], names: list[str] | None = None) -> Outputs:
        """The outputs (all, or ``names``). Raises InputError where an input is missing or has the wrong shape."""
        if self._speaks:
            feeds = graphs.completed(feeds, [spec.name for spec in self.inputs])
        missing = [spec.name for spec in self.inputs if spec.name not in feeds]
        if missing:
            raise InputError(f"the model also needs the input {missing[0]!r}")
        wanted = names or [spec.name for spec in self.outputs]
        try:
            given = {
                spec.name: np.asarray(feeds[spec.name], spec.dtype)
                for spec in (*self.inputs, *self.optional)
                if spec.name in feeds
            }
            outputs = dict(zip(wanted, self._session.run(wanted, given), strict=True))
        except Exception as error:  # as above, or numpy's; the message names the input and both shapes
            raise _refused(error) from error
        return graphs.cut(outputs, feeds) if self._speaks else outputs

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """The outputs for each of ``feeds``."""
        return map(self, feeds)

    def binding(self) -> Any:
        """A new onnxruntime.IOBinding: inputs and outputs at places in memory that the caller owns."""
        return self._session.io_binding()

    def run_bound(self, binding: Any) -> None:
        """Run on what is bound, with no array made. Raises InputError."""
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as above
            raise _refused(error) from error


def open_session(path: Path, threads: int | None = None) -> Any:
    """The model at ``path`` with ``threads`` threads (default: as many as the machine has).

    Core ML packages are computed by edgepack.coreml. Raises MissingExtra where that is not installed.
    """
    available = os.cpu_count() or 1
    threads = min(threads, available) if threads else available
    if path.suffix not in CORE_ML:
        return Session(path, threads)
    try:
        return importlib.import_module("edgepack.coreml.session").Session(path, threads)
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing.name).split(".")[0], "coreml") from missing


def _refused(error: Exception) -> InputError:
    return InputError(f"the model cannot run on this input: {_line(error)}")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(name=node.name, dtype=_DTYPES.get(node.type, node.type), shape=tuple(node.shape))
