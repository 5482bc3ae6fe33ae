"""ONNX Runtime: sessions, and language models over a cache that the graph writes in place.

The graph's GroupQueryAttention appends to its past where past and present are bound to the same memory, so a token
costs no copy of what came before it. Everything else is bound to memory of our own as well: a step writes one id and
reads one row of logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from edgepack import processors
from edgepack.arrays import Array, Outputs
from edgepack.errors import BundleDamaged, BundleError, DoesNotFit, EdgepackError, InputError
from edgepack.records import NotMeasured, TensorSpec
from edgepack.runtime import graphs, huge_pages, session_memory
from edgepack.runtime.decoding import CHUNK, Decoding

EXTRA = ""
_PAST, _PRESENT = graphs.PAST, "present"
_FIRST = 256  # tokens that the cache holds to begin with
# Computing constants in advance runs parts of the graph while it is opened, for as long and as large as they are.
# Graphs that edgepack writes hold their constants, so nothing becomes slower.
_NOT_AT_LOAD = ["ConstantFolding"]
_MAP = 4  # dimensions
_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64", "tensor(int32)": "int32",
    "tensor(bool)": "bool", "tensor(uint8)": "uint8",
}  # fmt: skip


class Session:
    """``session(feeds)`` runs the model; inputs the graph does not have are left out.

    ``optional`` are the inputs with a default, which need no feeding. A language model gives the logits that are
    asked for (graphs.FIRST), the last token's where nothing is said. ``graph``, a part of the file's own, is opened in
    its place, with the weights that lie beside the file; it gives all that it computes. ``brief``: it opens sooner and
    runs longer, as the weights stay in the order and the pages of their file.
    """

    def __init__(self, path: Path, threads: int, graph: bytes | None = None, *, brief: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised, too
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        if brief:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # no layouts
            options.add_session_config_entry("session.disable_prepacking", "1")
        large = graph is None and (graphs.is_large(path) or graphs.is_part(path))
        try:
            if large:
                session_memory.spare(options)
            self._session = onnxruntime.InferenceSession(
                graph or path,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_NOT_AT_LOAD,
                enable_fallback=0,  # which would print, and try the same again
            )
        except Exception as error:  # onnxruntime raises bare classes of its own for each kind of bad file
            if session_memory.is_short(error):
                raise DoesNotFit(
                    f"there is not enough memory to open {path.name}",
                    hint="choose a smaller model, or give the process more memory",
                ) from error
            line = _line(error)
            raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot open {path.name}: {line}") from error
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.optional = tuple(_spec(node) for node in self._session.get_overridable_initializers())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self.path, self.threads, self.runtime = path, threads, f"onnxruntime {onnxruntime.__version__}"
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.decodes = any(spec.name.startswith(_PAST) for spec in self.inputs)
        self._options = session_memory.tidying() if any(map(_is_map, self.inputs)) and not large else None
        self._speaks = graph is None and self.decodes and any(spec.name == graphs.LOGITS for spec in self.outputs)

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs (all, or ``names``).

        Raises InputError where an input is missing or has the wrong shape, DoesNotFit where memory is short.
        """
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
            outputs = dict(zip(wanted, self._session.run(wanted, given, self._options), strict=True))
        except Exception as error:  # as above, or numpy's; the message names the input and both shapes
            raise _refused(error) from error
        return graphs.cut(outputs, feeds) if self._speaks else outputs

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``."""
        return map(self, feeds)

    def decoding(self, longest: int) -> Decoding:
        """Return a language model's tokens, one by one. Raises BundleDamaged where the graph states no sizes."""
        return BoundDecoding(self, longest)

    def binding(self) -> onnxruntime.IOBinding:
        """Return a new onnxruntime.IOBinding: inputs and outputs at places in memory that the caller owns."""
        return self._session.io_binding()

    def run_bound(self, binding: onnxruntime.IOBinding) -> None:
        """Run on what is bound, with no array made. Raises InputError."""
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as above
            raise _refused(error) from error


class BoundDecoding(Decoding):
    """A ``session`` token by token. The cache grows to the next power of two when it is full.

    States of convolutions and of linear attention have one size, and hold what a run leaves there: they are known after
    the last prefill and where no tokens came before, and rewind goes back to one of the two.
    """

    def __init__(self, session: Session, longest: int) -> None:
        super().__init__(longest)
        self.capacity = 0
        self._session, self._binding = session, session.binding()
        pasts = {spec.name: spec for spec in session.inputs if spec.name.startswith(_PAST)}
        self._pasts = {name: spec for name, spec in pasts.items() if _grows(spec)}
        given = {spec.name for spec in session.inputs}
        self._placed = "position_ids" in given
        self._cache: dict[str, Array] = {}
        vocabulary = _vocabulary(session)
        self._logits = np.zeros(vocabulary, np.float32)
        self._new = np.zeros(CHUNK, np.int64)
        self._ones, self._places = np.ones(longest, np.int64), np.arange(longest, dtype=np.int64)
        self._states = {name: np.zeros((1, *map(int, spec.shape[1:])), spec.dtype) for name, spec in pasts.items()
                        if name not in self._pasts}  # fmt: skip
        self._marked: tuple[list[int], dict[str, Array]] = ([], {})  # tokens, and the states after them
        for name, array in self._states.items():
            self._bind_input(name, array, array.shape)
            self._bind_output(name.replace(_PAST, _PRESENT), array, array.shape)
        self._bind_output(graphs.LOGITS, self._logits, (1, 1, vocabulary))
        if graphs.NUM_LOGITS in given:
            self._one = np.array(1, np.int64)
            self._bind_input(graphs.NUM_LOGITS, self._one, ())
        huge_pages.collapse()

    def prefill(self, ids: Sequence[int]) -> Array:
        """Return the logits after ``ids``; see Decoding.prefill."""
        logits = super().prefill(ids)
        if self._states:
            self._marked = list(ids), {name: array.copy() for name, array in self._states.items()}
        return logits

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens; where there are states of one size, all but those of the
        last prefill if they are among them, else all.
        """
        if self._states and length < len(self.ids):
            ids, states = self._marked
            length = len(ids) if len(ids) <= length and self.ids[: len(ids)] == ids else 0
            kept, self.ids = self.ids, []  # as below
            for name in states if length else ():
                self._states[name][:] = states[name]
            self.ids = kept
        super().rewind(length)

    def reserve(self, length: int) -> None:
        """Make room for ``length`` tokens; what the cache holds is copied once."""
        if length <= self.capacity:
            return
        kept, old = self.ids, self._cache
        self.ids, self.capacity = [], 0  # an interrupt from here on leaves an empty cache, not half of one
        room = min(max(_FIRST, 1 << (length - 1).bit_length()), self.longest)
        self._cache = {name: _empty(spec, room) for name, spec in self._pasts.items()}
        for name, array in self._cache.items():
            if kept:
                array[:, :, : len(kept)] = old[name][:, :, : len(kept)]
            self._bind_input(name, array, array.shape)
            self._bind_output(name.replace(_PAST, _PRESENT), array, array.shape)
        self.ids, self.capacity = kept, room

    def _run(self, tokens: Sequence[int]) -> Array:
        past, new = len(self.ids), len(tokens)
        self.reserve(past + new)
        self._new[:new] = tokens
        self._bind_input("input_ids", self._new, (1, new))
        self._bind_input("attention_mask", self._ones, (1, past + new))
        if self._placed:
            self._bind_input("position_ids", self._places[past:], (1, new))
        kept = self.ids
        if self._states:
            self.ids = []  # an interrupt from here on leaves nothing that states would have to agree with
            for array in () if kept else self._states.values():
                array[:] = 0
        self._session.run_bound(self._binding)
        kept += tokens
        self.ids = kept
        return self._logits

    def _bind_input(self, name: str, array: Array, shape: tuple[int, ...]) -> None:
        """Bind the first elements of ``array``, which must outlive the binding, as an input of this shape."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, shape, array.ctypes.data)

    def _bind_output(self, name: str, array: Array, shape: tuple[int, ...]) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype, shape, array.ctypes.data)


def open_session(path: Path, threads: int) -> Session:
    """Open the graph at ``path``. Raises BundleError, DoesNotFit."""
    return Session(path, threads)


def open_briefly(path: Path) -> Session:
    """Open the graph at ``path`` for a few runs, with all threads. Raises BundleError, DoesNotFit."""
    return Session(path, processors.count(), brief=True)


def untimed() -> NotMeasured | None:
    """Return None: nothing keeps ONNX Runtime from being timed."""
    return None


def _vocabulary(session: Session) -> int:
    """Raises BundleDamaged where the graph's logits and caches have no sizes to make room for."""
    pasts = [spec.shape for spec in session.inputs if spec.name.startswith(_PAST)]
    pasts = [shape if len(shape) == _MAP else (*shape[:2], 0, *shape[2:]) for shape in pasts]  # of a convolution
    logits = [spec.shape for spec in session.outputs if spec.name == graphs.LOGITS]
    known = all(len(s) == 4 and isinstance(s[1], int) and isinstance(s[3], int) for s in pasts)
    if not known or len(logits) != 1 or not isinstance(logits[0][-1], int):
        raise BundleDamaged(f"{session.path.name} does not state the sizes of its cache and logits")
    return logits[0][-1]


def _empty(spec: TensorSpec, room: int) -> Array:
    """Return keys or values [1, heads, room, head]; zeros that the system gives out page by page as they are
    written.
    """
    _, heads, _, head = spec.shape
    return np.zeros((1, int(heads), room, int(head)), spec.dtype)


def _grows(spec: TensorSpec) -> bool:
    """Return whether a past is of keys or values, [batch, heads, tokens, head], and no state of one size."""
    return len(spec.shape) == _MAP and not isinstance(spec.shape[2], int)


def _is_map(spec: TensorSpec) -> bool:
    """Return whether an input is [batch, channels, height, width] of any height and width: of activations by far the
    largest.
    """
    return len(spec.shape) == _MAP and not any(isinstance(side, int) for side in spec.shape[2:])


def _refused(error: Exception) -> EdgepackError:
    if session_memory.is_short(error):
        return DoesNotFit(
            "there is not enough memory to run the model on this input", hint="a smaller input, or fewer at once"
        )
    return InputError(f"the model cannot run on this input: {_line(error)}")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(name=node.name, dtype=_DTYPES.get(node.type, node.type), shape=tuple(node.shape))
