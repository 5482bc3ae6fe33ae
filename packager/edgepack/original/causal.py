"""The original language model in transformers itself, with its own weights in memory: ``--original transformers``.

Its logits stand in for those of the description (decoder.py), which goes on to serve the conversion.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import transformers

from edgepack import memory
from edgepack.arrays import Array
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import DoesNotFit
from edgepack.original import decoder, loading
from edgepack.original.decoder import Reference
from edgepack.original.library import PretrainedModel
from edgepack.records import Source
from edgepack.tasks import Task, read_config
from edgepack.units import size

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()
_FLOAT = 4  # bytes
_ROOM = 1.25  # times the weights: activations, and the file's pages while they are read


class Implementation(Reference):
    """The checkpoint with ``logits`` and ``generate`` of ``model``, a causal model of transformers."""

    def __init__(self, checkpoint: Checkpoint, model: PretrainedModel) -> None:
        super().__init__(checkpoint)
        self.model = model

    def logits(self, ids: Array, *, start: int = 0) -> Array:
        """Return float32 [batch, tokens, vocabulary] for int64 ``ids`` [batch, tokens], from the token ``start`` on."""
        with torch.inference_mode():
            found = self.model(input_ids=torch.from_numpy(ids), use_cache=False).logits[:, start:]
        return np.asarray(found.float().numpy())

    def generate(self, ids: Sequence[int], tokens: int) -> list[int]:
        """Continue greedily by transformers' own generate, at most ``tokens`` ids, an end token too."""
        with torch.inference_mode():
            made = self.model.generate(
                torch.tensor([list(ids)]),
                max_new_tokens=tokens,
                do_sample=False,
                repetition_penalty=1.0,
                pad_token_id=0,
            )
        return [int(token) for token in made[0, len(ids) :]]

    def expect(self, texts: Iterable[Array]) -> None:
        """Do nothing: no text runs through the description."""


def open_reference(source: Source, task: Task) -> Implementation:
    """Open the model of ``source``. Raises UnsupportedModel, DamagedWeights, DoesNotFit (too little memory)."""
    needed, free = int(source.parameters * _FLOAT * _ROOM), memory.available()
    if free is not None and needed > free:
        raise DoesNotFit(
            f"transformers needs {size(needed)} for {source.name} in float32; this machine has {size(free)} free",
            hint="without --original transformers the original is computed a layer at a time",
        )
    checkpoint = decoder.open_reference(source).checkpoint
    architecture = str(read_config(source.path / "config.json")["architectures"][0])
    kind = getattr(transformers, architecture, transformers.AutoModelForCausalLM)
    # eager: the other attentions leave out caps
    model = loading.load_class(kind, source.path, source.name, task, source.adapter_path, attn_implementation="eager")
    return Implementation(checkpoint, model.eval())
