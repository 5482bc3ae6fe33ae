"""POST /v1/embeddings, as OpenAI has it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array, TaskModel
from edgepack.documents import Json
from edgepack.runtime.batch import BATCH
from edgepack.runtime.serving.exchange import Refused
from edgepack.runtime.serving.fields import Fields, wrong
from edgepack.runtime.serving.limits import Limits
from edgepack.runtime.vectors import cut


@dataclass(frozen=True)
class Embeddings:
    """A request for vectors of ``texts``."""

    texts: tuple[str, ...]
    base64: bool
    width: int | None  # of the vectors that are asked for, at most the model's own

    streams = False

    @classmethod
    def read(cls, fields: Fields, limits: Limits) -> Embeddings:
        """Return what ``fields`` ask for. Raises Refused."""
        given = fields.take("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise wrong("input", "a text or a list of texts (token ids are not taken)")
        if len(texts) > limits.texts:
            raise wrong("input", f"a list of {limits.texts:,} texts at most")
        form = fields.take("encoding_format", "float")
        if form not in ("float", "base64"):
            raise wrong("encoding_format", "'float' or 'base64'")
        width = fields.whole("dimensions", None, 1, 1_000_000)
        fields.take("user")  # who asks: nothing is kept of it
        fields.done()
        return cls(tuple(texts), form == "base64", width)

    def run(self, model: TaskModel, stopped: Callable[[], bool]) -> Iterator[tuple[Array, int]]:
        """Yield the vectors of some texts after the other, float32 [texts, width], and their tokens."""
        for start in range(0, len(self.texts), BATCH):
            if stopped():
                return
            batch = list(self.texts[start : start + BATCH])
            vectors = model.embed(batch)
            if self.width is not None and self.width > vectors.shape[1]:
                raise Refused(400, f"dimensions must be at most {vectors.shape[1]}", field="dimensions")
            encodings = model.text.encode(batch)[1]
            yield _shorter(vectors, self.width), sum(sum(one.attention_mask) for one in encodings)

    def whole(self, parts: list[tuple[Array, int]], name: str) -> Json:
        """Return the answer."""
        vectors = np.concatenate([vectors for vectors, _ in parts])
        tokens = sum(count for _, count in parts)
        data = [
            {"object": "embedding", "index": index, "embedding": self._written(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": name, "usage": usage}

    def _written(self, vector: Array) -> Json:
        if self.base64:
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        return [float(value) for value in vector]


def _shorter(vectors: Array, width: int | None) -> Array:
    """Return the first ``width`` numbers of each vector, scaled to the whole vector's length, as OpenAI's are."""
    short = cut(vectors, width)
    whole, kept = (np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, short))
    return np.asarray(short * (whole / np.maximum(kept, 1e-12)), np.float32) if width is not None else vectors
