"""A bundle of edgepack's in plain ONNX Runtime, as a contestant (see contestant.py).

The cache is one tensor for each layer's keys and values, given as past and as present: GroupQueryAttention then
writes the new tokens in place and nothing is copied from step to step.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from contestant import serve
from onnxruntime import OrtValue


class Edgepack:
    """``model`` is the bundle's folder."""

    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._model, self._options = model / "model.onnx", options  # that gives every token's logits
        self._session = onnxruntime.InferenceSession(model / "model_last.onnx", options, ["CPUExecutionProvider"])
        given = {value.name: value for value in self._session.get_inputs()}
        self._pasts = [name for name in given if name.startswith("past_key_values")]
        self._places = "position_ids" in given
        _, self._heads, _, self._width = given[self._pasts[0]].shape
        self.vocabulary = self._session.get_outputs()[0].shape[-1]

    def start(self, ids: list[int], more: int) -> None:
        """Contestant.start."""
        room = (1, self._heads, len(ids) + more, self._width)
        self._binding, self._seen = self._session.io_binding(), 0
        for name in self._pasts:
            cache = OrtValue.ortvalue_from_numpy(np.zeros(room, np.float32))
            self._binding.bind_ortvalue_input(name, cache)
            self._binding.bind_ortvalue_output(name.replace("past_key_values", "present"), cache)
        self._logits = np.empty((1, 1, self.vocabulary), np.float32)  # that the binding writes into
        self._binding.bind_ortvalue_output("logits", OrtValue.ortvalue_from_numpy(self._logits))
        self._read(ids)

    def step(self) -> int:
        """Contestant.step."""
        token = int(self._logits.argmax())
        self._read([token])
        return token

    def _read(self, ids: list[int]) -> None:
        seen, self._seen = self._seen, self._seen + len(ids)
        self._binding.bind_cpu_input("input_ids", np.array([ids]))
        self._binding.bind_cpu_input("attention_mask", np.ones((1, self._seen), np.int64))
        if self._places:
            self._binding.bind_cpu_input("position_ids", np.arange(seen, self._seen)[None])
        self._session.run_with_iobinding(self._binding)

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Contestant.logits."""
        feeds = dict.fromkeys(self._pasts, np.zeros((1, self._heads, 0, self._width), np.float32))
        feeds |= {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        feeds["position_ids"] = np.arange(len(ids))[None]
        return self._scorer.run(["logits"], feeds)[0][0]

    @cached_property
    def _scorer(self) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(self._model, self._options, ["CPUExecutionProvider"])


if __name__ == "__main__":
    serve(Edgepack)
