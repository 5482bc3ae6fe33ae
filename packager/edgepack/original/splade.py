"""A SPLADE model in PyTorch: a masked language model whose logits become a weight for each token of the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgepack.original.library import PretrainedModel
from edgepack.runtime.processing import Text
from edgepack.tasks._sentence_head import Layer


class SpladeEncoder(nn.Module):
    """``sparse_embedding`` float32 [batch, vocabulary]: log(1 + relu(logits)), the largest or the sum over the tokens.

    Formal et al. 2021 (SPLADE v2) and, with the logarithm twice, Geng et al. 2025, as sentence-transformers'
    SpladePooling computes it; ``layer`` is what _sentence_head.py reads of that.
    """

    def __init__(self, model: PretrainedModel, text: Text, layer: Layer) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.accepts_types = "token_type_ids" in text.inputs
        self.largest, self.logarithms = layer["pooling"] == "max", 2 if layer["activation"] == "log1p_relu" else 1

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return ``sparse_embedding``."""
        types = {"token_type_ids": token_type_ids} if self.accepts_types else {}
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        masked = logits * attention_mask.unsqueeze(-1).to(logits.dtype)
        # what follows is monotone: the largest of all is that of the largest logit
        weights = self._weighed(masked.max(1).values) if self.largest else self._weighed(masked).sum(1)
        return {"sparse_embedding": weights}

    def _weighed(self, logits: Tensor) -> Tensor:
        weights = logits.relu()
        for _ in range(self.logarithms):
            weights = torch.log1p(weights)
        return weights
