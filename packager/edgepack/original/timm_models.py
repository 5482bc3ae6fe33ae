"""timm's models as the original, and its evaluation transform. Needs timm, which needs torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from torch import Tensor, nn

from edgepack.arrays import Array
from edgepack.documents import read_object
from edgepack.errors import DamagedWeights, ModelError
from edgepack.original import configs, loading
from edgepack.original.library import PretrainedModel
from edgepack.tasks import Task


class TimmModel(nn.Module):
    """A model of timm that takes ``pixel_values`` float32 [batch, channels, height, width].

    It gives ``logits`` [batch, classes], or where it has no classifier ``last_hidden_state`` and ``image_embedding``
    [batch, width], what timm's own forward gives then.
    """

    def __init__(self, model: PretrainedModel, *, embeds: bool) -> None:
        super().__init__()
        self.model, self.config, self._embeds = model, model.pretrained_cfg, embeds

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name."""
        if not self._embeds:
            return {"logits": self.model(pixel_values)}
        states = self.model.forward_features(pixel_values)
        return {"last_hidden_state": states, "image_embedding": self.model.forward_head(states)}


def open_model(path: Path, name: str, task: Task) -> TimmModel:
    """Return the model of ``path``, a folder of timm_arrangement.py, in evaluation mode.

    Raises DamagedWeights where its weights are not those of its config.json, or not finite.
    """
    try:
        model = timm.create_model(f"local-dir:{path}", pretrained=True)  # strict: its classes are the file's
    except Exception as error:  # as load_state_dict and timm's own filters of weights raise
        raise DamagedWeights(
            f"{name} cannot be opened by timm {timm.__version__}: {configs.line(error)[:200]}",
            hint="the weights and config.json do not belong together, or were saved by another timm",
        ) from error
    embeds = task.NAME == "image-embedding"
    if embeds:
        model.reset_classifier(0)
    model = model.float().eval()
    loading.check_finite(model, name)
    return TimmModel(model, embeds=embeds)


def prepared(path: Path, images: Sequence[Image.Image]) -> Array:
    """Return what timm's own transform makes of ``images``, float32 [batch, channels, height, width]."""
    return torch.stack([_transform(path)(image) for image in images]).numpy()


@lru_cache(maxsize=1)
def _transform(path: Path) -> Any:
    stated = read_object(path / "config.json", ModelError)["pretrained_cfg"]
    return timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=stated))
