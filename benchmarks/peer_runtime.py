"""A bundle of edgepack's in edgepack's own runtime, as a contestant (see contestant.py): what ``generate`` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from contestant import serve
from tokenizers import Tokenizer

from edgepack.runtime.detokenizer import Detokenizer
from edgepack.runtime.engines import open_session
from edgepack.runtime.sampling import Sampler, Sampling

_LONGEST = 2048  # tokens


class Runtime:
    """``model`` is the bundle's folder."""

    def __init__(self, model: Path, threads: int) -> None:
        session = open_session(model / "model_last.onnx", "onnx", threads)
        self._decoding = session.decoding(_LONGEST)
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.vocabulary = next(spec.shape[-1] for spec in session.outputs if spec.name == "logits")

    def start(self, ids: list[int], more: int) -> None:
        """Contestant.start."""
        self._decoding.reserve(len(ids) + more)
        self._decoding.rewind(0)
        self._sampler = Sampler(Sampling(temperature=0.0), None, ids)
        self._text = Detokenizer(self._tokenizer, ids)
        self._logits = self._decoding.prefill(ids)

    def step(self) -> int:
        """Contestant.step."""
        token = self._sampler(self._logits)
        self._text.add(token)
        self._logits = self._decoding.step(token)
        return token

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Contestant.logits: a token at a time, as the runtime gives them."""
        self._decoding.rewind(0)
        first = [self._decoding.prefill(ids[:1].tolist()).copy()]
        return np.stack(first + [self._decoding.step(int(token)).copy() for token in ids[1:]])


if __name__ == "__main__":
    serve(Runtime)
