"""The vectors that sentence-transformers itself makes of texts: ``python -m edgepack.original.sentence_vectors``.

A process of its own, so that its imports and its copy of the model take nothing from the build. It shares no code with
edgepack beyond the two files that it is given: the request (JSON) and the vectors (.npy).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer


def vectors(folder: str, texts: list[str], longest: int) -> np.ndarray:
    """float32 [texts, width], as encode() gives them; texts are cut at ``longest`` tokens at most."""
    model = SentenceTransformer(
        folder, device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs={"dtype": torch.float32}
    ).float()
    if model.max_seq_length is None or model.max_seq_length > longest:
        model.max_seq_length = longest
    return np.asarray(model.encode(texts, show_progress_bar=False), np.float32)


def main(request: str, result: str) -> None:
    """Answer the request in a file with a file."""
    asked = json.loads(Path(request).read_text("utf-8"))
    np.save(result, vectors(asked["folder"], asked["texts"], asked["max_length"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
