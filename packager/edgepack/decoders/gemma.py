"""Gemma 1: LLaMA with a scaled embedding, which is the head too, and norms that store w - 1."""

from __future__ import annotations

from edgepack.decoders import Decoder, Norm
from edgepack.decoders._common import Config, activation, llama_like


def describe(config: Config) -> Decoder:
    """The activation is the tanh form of GELU, whatever hidden_act says."""
    return llama_like(
        {"head_dim": 256, "tie_word_embeddings": True, **config},
        norm=Norm(kind="rms", epsilon=float(config.get("rms_norm_eps", 1e-6)), offset=1.0),
        activation=activation({"hidden_activation": "gelu_pytorch_tanh", **_said(config)}, "hidden_activation"),
        embedding_scale=float(config["hidden_size"]) ** 0.5,
    )


def _said(config: Config) -> Config:
    return {key: value for key, value in config.items() if key == "hidden_activation" and value}
