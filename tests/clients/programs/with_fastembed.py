"""fastembed's custom models: JSON of a bundle, a file in it and texts in, JSON of the vectors out."""

import json
import sys

from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType


def embed(folder: str, file: str, pooling: str, texts: list[str]) -> list[list[float]]:
    """The vectors, of one text at a time: of the tokens' mean, or the graph's own."""
    name = f"{folder}-{file}-{pooling}"
    own = pooling == "own"
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.DISABLED if own else PoolingType.MEAN,
        normalization=not own,
        sources=ModelSource(url="file:///none"),
        dim=384,
        model_file=file,
        output_name="sentence_embedding" if own else None,
    )
    model = TextEmbedding(name, specific_model_path=folder)
    return [next(iter(model.embed([text]))).tolist() for text in texts]


print(json.dumps([embed(*job) for job in json.load(sys.stdin)]))
