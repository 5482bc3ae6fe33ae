"""Objects of transformers and diffusers: classes differ from model to model, and attributes have no types."""

from __future__ import annotations

from typing import Any

PretrainedModel = Any  # a PreTrainedModel, or a class of them
PretrainedConfig = Any
Component = Any  # of diffusers: a UNet, an autoencoder, a pipeline of them, or a class of these
PretrainedTokenizer = Any
Answer = Any  # what a model's forward or generate gives
