"""The vectors that sentence-transformers itself makes of texts: ``python -m edgepack.original.sentence_vectors``.

A process of its own, so that its imports and its copy of the model take nothing from the build. It shares no code with
the readers of edgepack: it is given the model's folder, reads the request (JSON) from its input, and writes the vectors
(.npy).
"""

from __future__ import annotations

import gc
import json
import os
import sys

from edgepack.original import imports


def main(folder: str, result: str) -> None:
    """Answer the request on the standard input, ``{"texts": [...], "max_length": tokens}``.

    The file ``result`` becomes float32 [texts, width], as encode() gives them; texts are cut at ``max_length`` at most.
    """
    gc.disable()  # the imports make a million objects and no garbage, and looking for some takes a fifth of the time
    library = imports.import_sentence_transformers()
    import numpy as np
    import torch

    model = library.SentenceTransformer(
        folder, device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs={"dtype": torch.float32}
    ).float()
    asked = json.load(sys.stdin)
    longest = asked["max_length"]
    if model.max_seq_length is None or model.max_seq_length > longest:
        model.max_seq_length = longest
    np.save(result, np.asarray(model.encode(asked["texts"], show_progress_bar=False), np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # the file is written: do not wait for PyTorch to take itself down
