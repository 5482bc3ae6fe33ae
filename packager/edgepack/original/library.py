"""Objects of transformers, whose classes differ from model to model and whose attributes have no types."""

from __future__ import annotations

from typing import Any

PretrainedModel = Any  # a PreTrainedModel, or a class of them
PretrainedConfig = Any
PretrainedTokenizer = Any
Answer = Any  # what a model's forward or generate gives
