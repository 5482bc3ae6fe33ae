"""The values of settings that the config.json of a pipeline's component may leave out: its class has them by default.

Only those that the build itself reads. Sources: the signatures of diffusers' classes (0.42), and transformers'
CLIPTextConfig (5).
"""

from __future__ import annotations

from collections.abc import Mapping

from edgepack.documents import JsonDict, JsonObject

SETTINGS: Mapping[str, JsonObject] = {
    "AutoencoderKL": {
        "in_channels": 3, "latent_channels": 4, "block_out_channels": [64], "scaling_factor": 0.18215,
        "sample_size": 32,
    },
    "AutoencoderTiny": {
        "in_channels": 3, "latent_channels": 4, "scaling_factor": 1.0, "decoder_block_out_channels": [64, 64, 64, 64],
    },
    "UNet2DConditionModel": {
        "in_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 1280,
    },
    "clip_text_model": {
        "hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8, "intermediate_size": 2048,
        "max_position_embeddings": 77, "vocab_size": 49408,
    },
}  # fmt: skip


def filled(config: JsonObject) -> JsonDict:
    """Return ``config`` with the values that its class, or its type of model, has for what it leaves out."""
    kind = str(config.get("_class_name", config.get("model_type")))
    return {**SETTINGS.get(kind, {}), **config}
