"""sentence-transformers with its onnx backend: JSON of a bundle, a file in it and texts in, JSON of the vectors out."""

import json
import sys

from sentence_transformers import SentenceTransformer


def embed(folder: str, file: str, texts: list[str]) -> list[list[float]]:
    """The vectors, of one text at a time."""
    settings = {"file_name": file, "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(folder, backend="onnx", device="cpu", model_kwargs=settings)
    return [model.encode(text, show_progress_bar=False).tolist() for text in texts]


print(json.dumps([embed(*job) for job in json.load(sys.stdin)]))
