"""Small random models of sounds, one of each model type that is supported, as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from edgepack.tasks import _supported

TYPES = tuple(_supported.TABLE["audio-classification"])
AST = "audio-spectrogram-transformer"
NAMES = ["bark", "meow", "silence"]
_SMALL: dict[str, Any] = {
    "conv_dim": [16, 16, 24], "conv_kernel": [10, 4, 4], "conv_stride": [5, 4, 4], "num_feat_extract_layers": 3,
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 16,
}  # fmt: skip
_OWN: dict[str, dict[str, Any]] = {
    "data2vec-audio": {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    AST: {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "max_length": 48,
        "num_mel_bins": 32,
    },
}  # fmt: skip


def save(model_type: str, folder: Path, *, masks: bool = False, **changed: Any) -> Any:
    """Save a model of ``model_type`` to ``folder``, and return it. With ``masks`` its extractor gives attention masks.

    ``changed`` are settings of its config.
    """
    (name,) = _supported.TABLE["audio-classification"][model_type]
    kind = getattr(transformers, name)
    own = _OWN[AST] if model_type == AST else {**_SMALL, **_OWN.get(model_type, {})}
    config = kind.config_class(**{**own, "id2label": dict(enumerate(NAMES)), **changed})
    config.label2id = {label: number for number, label in config.id2label.items()}
    torch.manual_seed(5)
    model = kind(config).eval()
    with torch.no_grad():
        for path, weight in model.named_parameters():  # large, so that mistakes show
            if weight.ndim > 1 and "parametrizations" not in path:
                weight.normal_(0, weight[0].numel() ** -0.5)
    model.save_pretrained(folder)
    if model_type == AST:
        transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=48).save_pretrained(folder)
    else:
        transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masks).save_pretrained(folder)
    return model
