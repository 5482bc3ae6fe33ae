"""A LoRA merged into a PyTorch model by hand: W + scale B A, as weights/lora.py describes it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from edgepack import weights
from edgepack.errors import UnsupportedModel
from edgepack.original.library import PretrainedModel
from edgepack.weights import Stored
from edgepack.weights.lora import Adapter, Update


def merge(model: PretrainedModel, adapter: Adapter) -> None:
    """Add the adapter's updates to ``model`` and put its whole tensors into it.

    Raises ModelError for a weight that the model does not have or that is of another shape, UnsupportedModel for one
    that several modules share.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    lead = f"{model.base_model_prefix}."

    def find(name: str) -> str | None:
        return next((n for n in (name, lead + name, name.removeprefix(lead)) if n in parameters), None)

    with torch.no_grad():
        for given, stored in adapter.replaced.items():
            name = adapter.found(given, find)
            adapter.check_shape(name, stored.shape, tuple(parameters[name].shape))
            _alone(name, parameters, adapter).copy_(_tensor(stored))
        for module, update in adapter.updates.items():
            name = adapter.found(f"{module}.weight", find)
            weight = _alone(name, parameters, adapter)
            _add(weight, update, name, model.get_submodule(name.removesuffix(".weight")), adapter)


def _add(weight: Tensor, update: Update, name: str, module: nn.Module, adapter: Adapter) -> None:
    if isinstance(module, nn.Conv2d):
        b, a = _tensor(update.b), _tensor(update.a)
        adapter.check_shape(name, (b.shape[0], *a.shape[1:]), tuple(weight.shape))
        weight += update.scale * (b.flatten(1) @ a.flatten(1)).reshape(weight.shape)
        return
    placed = replace(update, transposed=isinstance(module, Conv1D | nn.Embedding))
    adapter.check_shape(name, placed.shape, tuple(weight.shape))
    weight.copy_(torch.from_numpy(placed.merged(weight.numpy(), slice(None))))


def _alone(name: str, parameters: dict[str, nn.Parameter], adapter: Adapter) -> nn.Parameter:
    """Return the parameter. Raises UnsupportedModel where it is another's too: which of the two is meant is unclear."""
    weight = parameters[name]
    other = next((n for n, p in parameters.items() if p is weight and n != name), None)
    if other:
        raise UnsupportedModel(
            f"the adapter {adapter.folder.name} changes {name!r}, which this model uses as {other!r} too",
            hint="merge it with PEFT and say by tie_word_embeddings which of the two it changes",
        )
    return weight


def _tensor(stored: Stored) -> Tensor:
    return torch.from_numpy(weights.read(stored))
