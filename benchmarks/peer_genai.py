"""A folder that onnxruntime-genai's builder made, in onnxruntime-genai, as a contestant (see contestant.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import onnxruntime_genai as genai
from contestant import serve


class GenAi:
    """``model`` is the folder. ``max_length`` is what a run needs: the default fills memory with an empty cache."""

    def __init__(self, model: Path, threads: int) -> None:
        self._folder, self._threads = model, threads
        config = genai.Config(str(model))
        options = {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}
        config.overlay(json.dumps(options))
        self._model = genai.Model(config)
        made = json.loads((model / "genai_config.json").read_text())["model"]
        self.vocabulary = made["vocab_size"]
        self._empty = np.zeros((1, made["decoder"]["num_key_value_heads"], 0, made["decoder"]["head_size"]), np.float32)
        self._session: onnxruntime.InferenceSession | None = None

    def start(self, ids: list[int], more: int) -> None:
        """Contestant.start; ``min_length`` keeps it from stopping."""
        params = genai.GeneratorParams(self._model)
        length = len(ids) + more
        params.set_search_options(max_length=length, min_length=length, do_sample=False)
        self._generator = genai.Generator(self._model, params)
        self._generator.append_tokens(np.array([ids], np.int32))

    def step(self) -> int:
        """Contestant.step. The generator reads a picked token when the next one is asked for: a step behind."""
        self._generator.generate_next_token()
        return int(self._generator.get_next_tokens()[0])

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Contestant.logits, of the same file in plain ONNX Runtime."""
        self._session = self._session or self._plain()
        feeds = {given.name: self._empty for given in self._session.get_inputs()}
        feeds |= {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        return self._session.run(["logits"], feeds)[0][0]

    def _plain(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(self._folder / "model.onnx", options, ["CPUExecutionProvider"])


if __name__ == "__main__":
    serve(GenAi)
