"""Merge a LoRA into a component of a diffusers pipeline: W + scale * alpha / rank * B A (arXiv 2106.09685).

diffusers reads the file: it knows kohya's names and its own of all times. The merge is ours, since diffusers' own needs
versions of other packages that do not go together yet.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from edgepack.documents import JsonDict, parse_json
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import configs, imports
from edgepack.tasks import _diffusion
from edgepack.weights import lora_file

diffusers = imports.import_diffusers()

_SECOND = "text_encoder_2"
_PARTS = {
    _diffusion.UNET.NAME: "unet",
    _diffusion.TEXT_ENCODER.NAME: "text_encoder",
    _diffusion.XL_TEXT_ENCODER.NAME: "text_encoder",
    _diffusion.XL_TEXT_ENCODER_2.NAME: _SECOND,
}
_FACTORS = re.compile(r"^(?P<module>.+?)\.(?:lora|lora_linear_layer)\.?_?(?P<which>A|B|down|up)(?:\.\w+)?\.weight$")
_FACTOR = ".weight"  # behind which an alpha is that of a factor, else of a module
_NAMED = re.compile(r"unet\.|text_encoder(_2)?\.|lora_(unet|te|te1|te2)_")  # how the names of a component begin
_ALONE = re.compile(
    r"^(diffusion_model|base_model\.model)\."
)  # before the names of a UNet in other programs, and in peft
_METADATA, _PLAIN = "lora_adapter_metadata", ("rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "lora_bias")


def merge(model: nn.Module, task: str, adapter: Path) -> None:
    """Add what the LoRA ``adapter`` (FILE:scale) changes in the component of ``task`` to the weights of ``model``.

    Raises ModelError for a LoRA of another base, UnsupportedModel.
    """
    file, scale = lora_file.parse(adapter)
    prefix = _PARTS.get(task)
    if prefix is None:
        return
    state, alphas = _read(file, model, prefix)
    weights = {name.removeprefix("text_model."): parameter for name, parameter in model.named_parameters()}
    for module, factors in _pairs(state, file).items():
        weight = weights.get(f"{module.removeprefix('text_model.')}.weight")
        if weight is None:
            raise _another(file, f"it changes {module}, which the {prefix} does not have")
        down, up = factors["down"].float(), factors["up"].float()
        change = (up.flatten(1) @ down.flatten(1)) * (scale * alphas.get(module, float(len(down))) / len(down))
        if change.numel() != weight.numel() or change.shape[0] != weight.shape[0]:
            raise _another(file, f"its change of {module} is {list(change.shape)}, the weight {list(weight.shape)}")
        with torch.no_grad():
            weight.add_(change.reshape(weight.shape))


def _read(file: Path, model: nn.Module, prefix: str) -> tuple[JsonDict, Mapping[str, float]]:
    """Return the tensors for the component ``prefix`` by diffusers' names, and alphas by module.

    Raises ModelError for a file that diffusers cannot read, or of which it leaves something out.
    """
    mixin = diffusers.loaders.StableDiffusionLoraLoaderMixin
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = model.config if prefix == "unet" else None
            state, stored = mixin.lora_state_dict(_prefixed(load_file(file)), unet_config=config)
            own = _names(_of(state, prefix), prefix)
            scaled = {key.removesuffix(".alpha"): value for key, value in _of(stored or {}, prefix).items()}
            named = _names({key: value for key, value in scaled.items() if key.endswith(_FACTOR)}, prefix)
        except Exception as error:  # whatever diffusers runs into
            raise ModelError(
                f"the LoRA {file.name} cannot be read: {configs.line(error)}", hint="save it again with diffusers"
            ) from error
    alphas = {found["module"]: float(value) for key, value in named.items() if (found := _FACTORS.match(key))}
    alphas |= {key: float(value) for key, value in scaled.items() if not key.endswith(_FACTOR)}
    modules = {found["module"] for key in own if (found := _FACTORS.match(key))}
    for module in alphas.keys() - modules:
        raise ModelError(f"the LoRA {file.name} has an alpha of {module}, and no factors", hint="download it again")
    if prefix == "unet" and _of(state, _SECOND) and getattr(model.config, "addition_embed_type", None) is None:
        raise _another(file, "it changes a second text encoder")
    return own, {**_stated(file, prefix, own), **alphas}


def _prefixed(state: JsonDict) -> JsonDict:
    """Return ``state`` with the component's name before each tensor: files of a UNet alone may leave it out."""
    return {key if _NAMED.match(key) else f"unet.{_ALONE.sub('', key)}": value for key, value in state.items()}


def _of(state: JsonDict, prefix: str) -> JsonDict:
    """Return what is of the component ``prefix``."""
    return {key.removeprefix(f"{prefix}."): value for key, value in state.items() if key.startswith(f"{prefix}.")}


def _names(own: JsonDict, prefix: str) -> JsonDict:
    """Return what is of the component ``prefix``, by the names of peft; diffusers translates its own older ones."""
    utils = diffusers.utils.state_dict_utils
    if prefix == "unet":
        made: JsonDict = utils.convert_unet_state_dict_to_peft(own)
        return made
    if any("_lora." in key for key in own):
        made = utils.convert_state_dict_to_peft(own, original_type=utils.StateDictType.DIFFUSERS_OLD)
        return made
    return own


def _stated(file: Path, prefix: str, state: JsonDict) -> dict[str, float]:
    """Return the alpha of each module that diffusers wrote into the file's metadata. Raises UnsupportedModel."""
    with safe_open(file, "pt") as opened:
        text = (opened.metadata() or {}).get(_METADATA)
    if text is None:
        return {}
    table = parse_json(text, f"{file.name}'s metadata", ModelError)
    stated = {key.removeprefix(f"{prefix}."): value for key, value in table.items() if key.startswith(f"{prefix}.")}
    used = [name for name in _PLAIN if stated.get(name)]
    if used:
        raise UnsupportedModel(
            f"the LoRA {file.name} states {used[0]}, which edgepack does not know how to merge",
            hint="merge it with diffusers (fuse_lora) and build the merged pipeline",
        )
    alpha = stated.get("lora_alpha")
    modules = {found["module"] for key in state if (found := _FACTORS.match(key))}
    return {} if alpha is None else dict.fromkeys(modules, float(alpha))


def _pairs(state: JsonDict, file: Path) -> dict[str, dict[str, Tensor]]:
    """Return both factors of each module. Raises ModelError for a tensor that is none, or one without the other."""
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        found = _FACTORS.match(key)
        if found is None:
            raise ModelError(f"the LoRA {file.name} holds {key}, which is not a LoRA factor", hint="save it again")
        which = {"A": "down", "B": "up"}.get(found["which"], found["which"])
        if not value.numel() or not value.float().isfinite().all():
            wrong = "NaN or infinity" if value.numel() else "nothing"
            raise ModelError(f"the LoRA {file.name} holds {wrong} in {key}", hint="take an earlier one of its training")
        pairs.setdefault(found["module"], {})[which] = value
    for module, factors in pairs.items():
        if len(factors) < 2 or factors["down"].shape[0] != factors["up"].shape[1]:
            raise ModelError(f"the LoRA {file.name} lacks a factor of {module}", hint="download the file again")
    return pairs


def _another(file: Path, reason: str) -> ModelError:
    return ModelError(
        f"the LoRA {file.name} is for another base: {reason}", hint="take one that was trained on this model"
    )
