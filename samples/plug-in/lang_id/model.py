"""The task on the device: what edgepack.load gives, and edgepack run asks."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Feeds, Run
from edgepack.runtime.labels import Label, labels
from edgepack.runtime.processing import Classes, Processing


class Model:
    """``identify(text)``: the languages of a text, the likeliest first."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        self._runs = runs  # by submodel: this task has one
        self._labels = processing.section(Classes).labels
        self._buckets = int((processing.own or {})["buckets"])

    def identify(self, text: str) -> list[Label]:
        return self.predict([text])[0]

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """One batch's input: how often each bucket's trigrams stand in a text, float32 [texts, buckets]."""
        counts = np.zeros((len(examples), self._buckets), np.float32)
        for row, text in zip(counts, examples, strict=True):
            padded = f" {text.lower()} "
            for start in range(len(padded) - 2):
                row[zlib.crc32(padded[start : start + 3].encode()) % self._buckets] += 1
        return {"counts": counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)}

    def predict(self, examples: Sequence[str]) -> list[list[Label]]:
        logits = self._runs["model"](self.feeds(examples))["logits"]
        return [labels(row, self._labels, "single_label_classification") for row in logits]
