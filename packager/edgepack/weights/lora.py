"""LoRA adapters as PEFT writes them (Hu et al. 2021; DoRA: Liu et al. 2024), merged into the weights as they are read.

A folder holds adapter_config.json and adapter_model.safetensors. A weight W [out, in] becomes W + scale B A, with
scale alpha / r, or alpha / sqrt(r) where use_rslora is set (Kalajdzievski 2023); DoRA then scales each row to a stored
length. ``modules_to_save`` and trained biases take the place of the model's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.documents import Json, JsonDict, JsonObject, read_object
from edgepack.errors import DamagedWeights, ModelError, UnsafeModel, UnsupportedModel
from edgepack.weights import Stored, names
from edgepack.weights.choice import ADAPTER

FILE = "adapter_model.safetensors"
_LEAD = "base_model.model."
_SIDE = re.compile(
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.(?!weight$|bias$)\w+)?(?:\.weight)?"
)
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(?:\.(?!weight$)\w+)?(?:\.weight)?")
_KEPT = re.compile(r"\.modules_to_save(?:\.(?!weight$|bias$)default)?|\.(?:base_layer|original_module)(?=\.)")
# Settings of adapter_config.json that are read, that the tensors' names carry already, or that only training reads.
_READ = {
    "peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "init_lora_weights",
    "base_model_name_or_path", "modules_to_save", "bias", "target_modules", "exclude_modules", "layers_to_transform",
    "layers_pattern", "fan_in_fan_out", "task_type", "auto_mapping", "peft_version", "revision", "inference_mode",
    "lora_dropout", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config",
    "qalora_group_size", "runtime_config", "ensure_weight_tying",
}  # fmt: skip
_KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal")  # beginnings that leave the base model's weights
_MERGE = "merge it with PEFT: PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder)"


@dataclass(frozen=True)
class Update:
    """The update of one weight: ``a`` [r, in] and ``b`` [out, r]; ``transposed``: W is [in, out]."""

    a: Stored
    b: Stored
    scale: float
    magnitude: Stored | None = None
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight that it fits, [out, in] or [in, out]."""
        shape = (self.b.shape[0], *self.a.shape[1:])
        return shape[::-1] if self.transposed else shape

    def merged(self, values: Array, part: slice | tuple[slice, ...]) -> Array:
        """Return ``values``, which are ``part`` of a matrix with all of its inputs, with the update, float32."""
        rows, columns = part if isinstance(part, tuple) else (part, slice(None))
        outputs = columns if self.transposed else rows
        inputs = rows if self.transposed else columns
        product = weights.read(self.b, outputs) @ weights.read(self.a, (slice(None), inputs)) * np.float32(self.scale)
        new: Array = values + (product.T if self.transposed else product)
        if self.magnitude is not None:
            axis = 0 if self.transposed else 1
            length = weights.read(self.magnitude).reshape(-1)[outputs]
            new = new * np.expand_dims(length / np.linalg.norm(new, axis=axis), axis)
        return new


@dataclass(frozen=True)
class Adapter:
    """The updates by module path, and whole tensors by name; without PEFT's ``base_model.model.``."""

    folder: Path
    base: str  # the id or path of the model that it was trained on
    updates: Mapping[str, Update]
    replaced: Mapping[str, Stored]

    @classmethod
    def read(cls, folder: Path) -> Adapter:
        """Return the adapter of ``folder``.

        Raises ModelError where there is none, UnsupportedModel for another kind, DamagedWeights for halves of a pair.
        """
        config = _config(folder)
        stored = {tensor.name: tensor for tensor in weights.tensors(folder / FILE)}
        plain = {names.without_inner(name).removeprefix(_LEAD): tensor for name, tensor in stored.items()}
        pairs: dict[str, dict[str, Stored]] = {}
        replaced: dict[str, Stored] = {}
        embeddings: set[str] = set()
        for name, tensor in plain.items():
            side, magnitude = _SIDE.fullmatch(name), _MAGNITUDE.fullmatch(name)
            if side:
                pairs.setdefault(_KEPT.sub("", side["module"]), {})[side["side"]] = tensor
                embeddings |= {side["module"]} if side["embedding"] else set()
            elif magnitude:
                pairs.setdefault(magnitude["module"], {})["magnitude"] = tensor
            else:
                replaced[_KEPT.sub("", name)] = tensor
        for module in embeddings & {module for module, parts in pairs.items() if "magnitude" in parts}:
            raise UnsupportedModel(f"DoRA of the embedding {module!r} is not supported", hint=_MERGE)
        updates = {module: _update(module, parts, config) for module, parts in pairs.items()}
        return cls(folder, str(config.get("base_model_name_or_path") or ""), updates, replaced)

    def onto(
        self,
        stored: Mapping[str, Stored],
        find: Callable[[str], str | None],
        transposed: Callable[[str], bool],
    ) -> dict[str, Stored]:
        """Return ``stored`` with the adapter's weights in it.

        ``find`` gives the stored name of a tensor that the adapter names; ``transposed`` whether that one is stored
        [in, out]. Raises ModelError for one that the model does not have or that is of another shape.
        """
        changed = dict(stored)
        for given, tensor in self.replaced.items():
            name = self.found(given, find)
            self.check_shape(name, tensor.shape, stored[name].shape)
            changed[name] = tensor
        for module, update in self.updates.items():
            name = self.found(f"{module}.weight", find)
            placed = replace(update, transposed=transposed(name))
            self.check_shape(name, placed.shape, stored[name].shape)
            changed[name] = replace(changed[name], delta=placed)
        return changed

    def found(self, name: str, find: Callable[[str], str | None]) -> str:
        """Return what ``find`` gives for a tensor. Raises ModelError where the model has none."""
        place = find(name)
        if place is None:
            raise ModelError(
                f"the adapter {self.folder.name} changes {name!r}, which the model does not have",
                hint=f"it was trained on {self.base}" if self.base else "it was trained on another model",
            )
        return place

    def check_shape(self, name: str, has: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        """Raises ModelError where the adapter's shape is not the model's."""
        if tuple(has) != tuple(wanted):
            raise ModelError(
                f"the adapter {self.folder.name} is for a {name!r} of {list(has)}; the model's is {list(wanted)}",
                hint=f"it was trained on {self.base}" if self.base else "it was trained on another model",
            )


def is_adapter(folder: Path) -> bool:
    """Return whether ``folder`` holds an adapter, alone or beside a model."""
    return (folder / ADAPTER).is_file()


def _config(folder: Path) -> JsonDict:
    file = folder / ADAPTER
    if not file.is_file():
        raise ModelError(
            f"{folder} is not a PEFT adapter: it has no {ADAPTER}", hint="--adapter takes a folder that has one"
        )
    config = read_object(file, ModelError)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UnsupportedModel(f"the adapter {folder.name} is a {kind}; edgepack merges LoRA and DoRA", hint=_MERGE)
    unread = next((name for name, value in config.items() if value and name not in _READ), None)
    if unread:
        raise UnsupportedModel(f"the adapter {folder.name} uses {unread}, which is not supported", hint=_MERGE)
    if config.get("init_lora_weights") not in _KEEPS_BASE:
        raise UnsupportedModel(
            f"the adapter {folder.name} began as {config['init_lora_weights']}, which changes the base model's weights",
            hint="save it as a plain LoRA: save_pretrained(folder, path_initial_model_for_weight_conversion=…)",
        )
    if not (folder / FILE).is_file():
        if (folder / "adapter_model.bin").is_file():
            raise UnsafeModel(
                f"{folder} has a pickled adapter (adapter_model.bin), which runs code when it is loaded",
                hint="load and save it with PEFT where you trust it: it writes adapter_model.safetensors",
            )
        raise ModelError(f"{folder} has no {FILE}", hint="copy the adapter's folder whole: PEFT writes both files")
    return dict(config)


def _update(module: str, parts: Mapping[str, Stored], config: JsonObject) -> Update:
    for side in "AB":
        if side not in parts:
            raise DamagedWeights(
                f"the adapter's weight of {module!r} lacks its half lora_{side}",
                hint="save the adapter again with PEFT: model.save_pretrained(folder)",
            )
    a, b = parts["A"], parts["B"]
    rank = int(_pattern(config.get("rank_pattern"), module, config["r"]))
    alpha = float(_pattern(config.get("alpha_pattern"), module, config["lora_alpha"]))
    if a.shape[0] != rank or b.shape[1:2] != (rank,):
        raise DamagedWeights(
            f"the adapter's {module!r} has rank {a.shape[0]}; {ADAPTER} says {rank}",
            hint="save the adapter again with PEFT: model.save_pretrained(folder)",
        )
    if bool(config.get("use_dora")) != ("magnitude" in parts):
        raise DamagedWeights(
            f"the adapter's {module!r} and use_dora of {ADAPTER} do not belong together",
            hint="save the adapter again with PEFT: model.save_pretrained(folder)",
        )
    if "magnitude" in parts and len(a.shape) != 2:
        raise UnsupportedModel(f"DoRA of the convolution {module!r} is not supported", hint=_MERGE)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Update(a, b, scale, parts.get("magnitude"))


def _pattern(table: JsonObject | None, module: str, usual: Json) -> Json:
    """Return the value of the first key that ``module`` ends with (PEFT's regular expressions), else ``usual``."""
    return next((v for key, v in (table or {}).items() if re.match(rf"(.*\.)?({key})$", module)), usual)
