"""The frozen records that one stage hands to the next (standard library only).

Sizes are bytes, times seconds, memory bytes, unless a field's name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepack.records._speed import Conditions as Conditions
from edgepack.records._speed import NotMeasured as NotMeasured
from edgepack.records._speed import Timing as Timing
from edgepack.records._speed import Timings as Timings
from edgepack.records._speed import Where as Where


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model as it was found: a folder of safetensors and configs, and what they say."""

    model: str  # a hub id, python:package/folder, or the name of a folder: never where it lies
    name: str  # short, fit for a folder name
    path: Path  # of the folder to convert: as it was found, or arranged in the cache
    origin: Path  # of the folder as it was found
    revision: str | None  # the hub commit; None for a folder
    architecture: str  # config.json's architectures[0]
    model_type: str  # config.json's model_type
    task: str
    licence: str | None  # SPDX-like, lower case, as the model card says
    parameters: int
    weights_bytes: int  # of the safetensors files, as stored
    convolutional: bool  # most of the weights are convolutions' kernels
    sha256: str  # over the weights, the adapter and every config that shapes the conversion
    folders: tuple[str, ...] = ("",)  # below ``path``, that hold weights: a diffusers pipeline has several
    adapters: tuple[str, ...] = ()  # LoRAs that are merged into the weights in this order, named as ``model`` is
    adapter_paths: tuple[Path, ...] = ()  # the folder of each; of a pipeline's its file:scale

    @property
    def credited(self) -> str:
        """The hub id, without a revision, or else the name: what names the model in files that are shipped."""
        return self.model.partition("@")[0] if self.revision else self.name

    @property
    def adapter_path(self) -> Path | None:
        """The folder of the LoRA of a model that is no pipeline, into which one is merged at most."""
        return self.adapter_paths[0] if self.adapter_paths else None


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output: ``shape`` mixes sizes and the names of dynamic dimensions."""

    name: str
    dtype: str  # numpy's name
    shape: tuple[int | str, ...]


FINER = 8  # bits of the parts that a recipe keeps finer
COMPONENTS = ("attention", "conv", "embedding", "head", "mlp", "other")
# The component that a role belongs to, where it has another name
PARTS = {
    "qkv": "attention", "o_proj": "attention", "gate_up": "mlp", "down": "mlp", "positions": "embedding",
    "layer_inputs": "embedding", "conv_in": "conv", "conv_out": "conv", "altup_in": "altup", "altup_out": "altup",
    "laurel_down": "laurel", "laurel_up": "laurel",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way of compressing the weights (and activations).

    ``scheme`` names a module of formats/<format>/schemes; the other fields are its numbers.
    """

    name: str
    scheme: str  # fp32 | fp16 | int8-dynamic | int8-static | products | channels | blocks | palette | sparse | mixed
    weight_bits: int = 32
    activation_bits: int = 32
    block_size: int = 0  # weights that share a scale, rows that share a palette; 0: an output channel, the tensor
    embedding_bits: int = 32
    table_bits: int = 16  # of each value of a palette; 8: scaled integers
    sparsity: float = 0.0  # the share of a weight's values that are left out, the smallest, 0..1
    lengths: tuple[int, ...] = ()  # numbers of tokens that the model takes, ascending; none: any
    smooth: bool = False  # move the outliers of activations into the weights (SmoothQuant)
    finer: tuple[str, ...] = ()  # what keeps 8 bits: attention, mlp, embedding, head, other; qkv, o_proj, gate_up, down
    max_bytes: int = 0  # of the model, where the form of each weight is searched; 0: no budget
    min_coverage: float = 0.0  # of the weights' parameters, 0..1

    def bits(self, role: str) -> int:
        """Return the bits of a language model's weight by its role: embedding, positions, head or one of PARTS."""
        stated = self.embedding_bits if role in ("embedding", "layer_inputs") else self.weight_bits
        finer = role == "positions" or role in self.finer or PARTS.get(role) in self.finer
        return max(stated, FINER) if finer else stated


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One device of a target: what it has."""

    name: str
    title: str
    isa: str  # arm64 | x86_64 | wasm32
    memory: int  # bytes that a model may use
    threads: int
    bandwidth: int = 0  # bytes per second that the processor reads from memory; 0: not known
    opset: int = 0  # of operators that it has; 0: the target's, or what a recipe asks for


@dataclass(frozen=True, kw_only=True)
class Floors:
    """The least that a bundle must keep, per task: ``metric -> least value``."""

    by_task: Mapping[str, Mapping[str, float]]

    def of(self, task: str) -> Mapping[str, float]:
        """Return the floors of ``task``, else those of "*"."""
        return self.by_task.get(task, self.by_task.get("*", {}))


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place where bundles run: facts from its target.toml, with one profile chosen."""

    name: str
    title: str
    folder: Path
    format: str  # onnx | coreml
    layout: str  # flat | transformers.js
    runtime: str  # the runtime's package
    runtime_version: str  # a version specifier, for example ">=1.20"
    opset: int
    ir_version: int
    profile: Profile
    profiles: tuple[str, ...]  # the first is the default
    denied_operators: tuple[str, ...]
    store_limit: int | None  # bytes of compressed download
    file_limit: int | None  # bytes of one file of a model
    default_recipes: Mapping[str, str]  # a task, else "convolutional", else "*" -> recipe
    recipes: Mapping[str, Recipe]
    variants: Mapping[str, Mapping[str, Recipe]]  # task -> recipes that have other numbers for it
    floors: Floors

    def recipes_of(self, task: str) -> Mapping[str, Recipe]:
        """Return every recipe, with its numbers for ``task``."""
        return {**self.recipes, **self.variants.get(task, {})}

    def recipe_for(self, source: Source) -> Recipe:
        """Return the recipe that measured best on this target for models of this kind."""
        kinds = (source.task, "convolutional" if source.convolutional else "*", "*")
        return self.recipes_of(source.task)[next(self.default_recipes[k] for k in kinds if k in self.default_recipes)]


@dataclass(frozen=True, kw_only=True)
class Component:
    """Part of a model's weights: embedding, attention, mlp, conv, head or other."""

    name: str
    parameters: int  # weights of the original that it holds
    bytes: int  # as stored, scales and zero points included

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight of the original."""
        return 8 * self.bytes / self.parameters if self.parameters else 0.0


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A weight that the recipe named and that was left as it was."""

    tensor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The part of the weights that was compressed, counted in parameters."""

    compressed: int
    total: int
    skipped: tuple[Skipped, ...] = ()

    @property
    def share(self) -> float:
        """The compressed part, 0..1; 1 where there was nothing to compress."""
        return self.compressed / self.total if self.total else 1.0


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A converted model file and what is in it."""

    path: Path
    format: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    components: tuple[Component, ...]
    coverage: Coverage
    operators: Mapping[str, int]  # operator -> how often
    bytes: int  # of all its files: weights beside it and parts of it included
    needs: str = ""  # of the device, in words


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """One metric: the original's value, the bundle's, and how sure the difference is.

    ``original`` is None for measures of agreement, which compare with the original by nature.
    ``interval`` is the 95 % interval of compressed - original (paired bootstrap).
    """

    metric: str
    compressed: float | NotMeasured
    original: float | None = None
    interval: tuple[float, float] | None = None
    floor: float | None = None
    samples: int = 0
    data: str = ""  # which inputs
    higher_is_better: bool = True
    where: Where | None = None
    submodel: str = ""  # that it is about, of a bundle with several; "": the whole

    @property
    def label(self) -> str:
        """The metric, behind the submodel that it is about where there are several."""
        return f"{self.submodel} {self.metric}".strip()

    @property
    def passed(self) -> bool | None:
        """True if the floor is kept; None where there is no floor or no figure."""
        if self.floor is None or isinstance(self.compressed, NotMeasured):
            return None
        return self.compressed >= self.floor if self.higher_is_better else self.compressed <= self.floor


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A finished bundle and everything known about it."""

    path: Path
    source: Source
    target: Target
    recipe: Recipe
    artifacts: Mapping[str, Artifact]  # by submodel
    accuracy: tuple[Accuracy, ...] = ()
    timings: Timings = ()

    @property
    def artifact(self) -> Artifact:
        """The artifact of a bundle with one submodel; ValueError for others."""
        (only,) = self.artifacts.values()
        return only
