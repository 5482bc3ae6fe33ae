"""A reranker over a language model in PyTorch: the score is what the model thinks of one word, or of two, as next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgepack.errors import UnsupportedModel
from edgepack.original.library import PretrainedModel
from edgepack.tasks._reranking import Reranking


class Reranker(nn.Module):
    """A language model whose head is cut to the words that score a pair (sentence-transformers' LogitScore).

    ``logits`` is float32 [batch, 1]: the logit of the true word behind the text, less that of the false one where
    there is one. Texts are padded at the left. Raises UnsupportedModel for a model without a head.
    """

    def __init__(self, model: PretrainedModel, words: Reranking) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        ids = [word for word in (words.true_id, words.false_id) if word is not None]
        model.set_output_embeddings(_cut(model.get_output_embeddings(), ids, type(model).__name__))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return the score as ``logits``, which the model's own code may cap or scale as it does all of its logits."""
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits[:, -1]
        return {"logits": found[:, :1] - found[:, 1:] if found.shape[1] > 1 else found}


def _cut(head: nn.Module | None, rows: Sequence[int], kind: str) -> nn.Linear:
    if not isinstance(head, nn.Linear):
        raise UnsupportedModel(f"{kind} has no head that scores words", hint="see docs/supported.md")
    made = nn.Linear(head.in_features, len(rows), bias=head.bias is not None)
    with torch.no_grad():
        made.weight.copy_(head.weight[list(rows)])
        if head.bias is not None:
            made.bias.copy_(head.bias[list(rows)])
    return made
