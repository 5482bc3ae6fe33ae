"""A GGUF file in llama.cpp, as a contestant (see contestant.py). Runs where llama-cpp-python is installed.

As llama.cpp's own programs open it: the file mapped into memory, weights repacked for the processor, a float16 cache,
flash attention (which llama-cpp-python leaves off; here it is the faster of the two).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from contestant import serve
from llama_cpp import (
    Llama,
    llama_batch_get_one,
    llama_decode,
    llama_get_logits_ith,
    llama_get_memory,
    llama_memory_clear,
    llama_token,
)

CONTEXT = 512  # tokens that the cache has room for


class LlamaCpp:
    """``model`` is a .gguf file. The calls are the C library's, so that Python takes no part of the time."""

    def __init__(self, model: Path, threads: int) -> None:
        self._open = {"model_path": str(model), "n_ctx": CONTEXT, "n_batch": CONTEXT, "n_ubatch": CONTEXT}
        self._open |= {"n_threads": threads, "n_threads_batch": threads, "flash_attn": True, "verbose": False}
        self._llama = Llama(**self._open)
        self._full: Llama | None = None
        self.vocabulary = self._llama.n_vocab()

    def start(self, ids: list[int], more: int) -> None:
        """Contestant.start."""
        if len(ids) + more > CONTEXT:
            raise SystemExit(f"{len(ids) + more} tokens are more than the {CONTEXT} that this is opened for")
        llama_memory_clear(llama_get_memory(self._llama.ctx), True)
        self._read(ids)

    def step(self) -> int:
        """Contestant.step."""
        logits = np.ctypeslib.as_array(llama_get_logits_ith(self._llama.ctx, -1), (self.vocabulary,))
        token = int(logits.argmax())
        self._read([token])
        return token

    def _read(self, ids: list[int]) -> None:
        tokens = (llama_token * len(ids))(*ids)
        if llama_decode(self._llama.ctx, llama_batch_get_one(tokens, len(ids))):
            raise SystemExit("llama_decode failed")

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Contestant.logits, from a second opening that keeps the logits of every token."""
        self._full = self._full or Llama(**self._open, logits_all=True)
        self._full.reset()
        self._full.eval(ids.tolist())
        return self._full.scores[: len(ids)].copy()


if __name__ == "__main__":
    serve(LlamaCpp)
