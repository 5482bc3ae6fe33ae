"""Models of sounds whose code goes one way or another by a sound's length: a trace would keep the way that it took."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgepack.original.library import PretrainedModel


def fill_frames(model: PretrainedModel) -> None:
    """Let SEW's encoder give as many frames as it is given, whatever their number.

    It joins them by ``squeeze_factor``, which drops what is left over, and fills up with zeros where something was.
    """
    if model.config.model_type == "sew":
        _fill(model.base_model.encoder, int(model.config.squeeze_factor))


def _fill(encoder: nn.Module, squeezed: int) -> None:
    given: list[int] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given[:] = [inputs[0].shape[1]]

    def filled(module: nn.Module, inputs: tuple[Tensor, ...], made: Tensor) -> Tensor:
        zeros = torch.zeros_like(made[:, : squeezed - 1])
        return torch.cat([made, zeros], dim=1)[:, : given[0]]

    encoder.register_forward_pre_hook(note)
    upsample: nn.Module = encoder.get_submodule("upsample")
    upsample.register_forward_hook(filled)
