"""Vectors and scores of texts by sentence-transformers itself: ``python -m edgepack.original.sentence_vectors``.

A process of its own, so that its imports and its copy of the model take nothing from the build. It shares no code with
the readers of edgepack: it is given the model's folder, reads the request (JSON) from its input, and writes the vectors
or scores (.npy).
"""

from __future__ import annotations

import gc
import json
import sys

from edgepack.arrays import Array
from edgepack.documents import JsonDict
from edgepack.original import imports
from edgepack.original.library import PretrainedModel


def main(folder: str, result: str, kind: str) -> None:
    """Answer the request on the standard input, ``{"texts": [...], "max_length": tokens}``.

    ``kind`` is the library's class. The file ``result`` becomes float32 [texts, width], as encode() gives them, or
    [pairs, labels], as predict() does; texts are cut at ``max_length`` at most. Of several labels a CrossEncoder
    without an activation of its own gives bare logits: these become probabilities by the request's ``problem``.
    """
    gc.disable()  # the imports make a million objects and no garbage, and looking for some takes a fifth of the time
    library = imports.import_sentence_transformers()
    import numpy as np
    import torch

    model = getattr(library, kind)(
        folder, device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs={"dtype": torch.float32}
    ).float()
    asked = json.load(sys.stdin)
    longest = asked["max_length"]
    if model.max_seq_length is None or model.max_seq_length > longest:
        model.max_seq_length = longest
    answer = _predict if kind == "CrossEncoder" else _encode
    np.save(result, np.asarray(answer(model, asked), np.float32))


def _encode(model: PretrainedModel, asked: JsonDict) -> Array:
    made = model.encode(asked["texts"], show_progress_bar=False)
    dense: Array = made.to_dense().numpy() if hasattr(made, "to_dense") else made  # a SparseEncoder's are sparse
    return dense


def _predict(model: PretrainedModel, asked: JsonDict) -> Array:
    from torch import nn

    activation = model.activation_fn
    if model.num_labels > 1 and isinstance(activation, nn.Identity):
        activations = {"single_label_classification": nn.Softmax(-1), "multi_label_classification": nn.Sigmoid()}
        activation = activations.get(asked["problem"], activation)
    made: Array = model.predict(
        [tuple(pair) for pair in asked["texts"]], activation_fn=activation, show_progress_bar=False
    )
    return made.reshape(len(made), -1)


if __name__ == "__main__":
    main(*sys.argv[1:])
