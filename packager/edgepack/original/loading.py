"""A transformers model from safetensors, with every stored weight accounted for.

The class is the one that config.json names where it fits the task, else what optimum's tables give for the task.
Weights that the class does not have are either known to play no part in the task or an error; so are weights that it
has and the file does not, but for buffers that are computed.
"""

from __future__ import annotations

import gc
import importlib
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from optimum.utils import import_utils
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from edgepack import memory, weights
from edgepack.documents import JsonObject
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.original import adapters, configs
from edgepack.original.library import PretrainedModel
from edgepack.tasks import Task, _reranking, _supported, read_config
from edgepack.weights import names
from edgepack.weights.choice import ADAPTER, INDEX, WHOLE
from edgepack.weights.lora import Adapter

# Heads of other tasks (and of pre-training), which an encoder is published with.
_HEADS = re.compile(
    r"(?:^|\.)(?:cls|lm_head|mlm_head|predictions|sop_classifier|generator_predictions|generator_lm_head|"
    r"discriminator_predictions|vocab_transform|vocab_layer_norm|vocab_projector|classifier|distillation_classifier|"
    r"cls_classifier|qa_outputs|score|pooler|head|decoder|mask_token|lm_predictions|mask_predictions)(?:\.|$)"
)
# Heads of pre-training beside the one that predicts words.
_BESIDE = re.compile(r"^(?:cls\.seq_relationship|sop_classifier)\.")
# Buffers that a class computes where the file does not hold them.
_COMPUTED = re.compile(
    r"(?:^|\.)(?:relative_position_index|relative_coords_table|position_ids|token_type_ids|attn_mask|"
    r"num_batches_tracked|inv_freq)$"
)
_POOLER = re.compile(r"(?:^|\.)pooler\.")
# Classes beside the automatic ones: their outputs are what the task is about.
_OWN = {"image-embedding": ("CLIPVisionModelWithProjection",)}
# Weights of the same checkpoint that belong to its other submodel, or to none.
_SIBLINGS = {
    "clip-text": re.compile(r"^(?:vision_model\.|visual_projection\.|logit_scale$)"),
    "siglip-text": re.compile(r"^(?:vision_model\.|logit_scale$|logit_bias$)"),
    "siglip-vision": re.compile(r"^(?:text_model\.|logit_scale$|logit_bias$)"),
    "clip-vision": re.compile(r"^(?:text_model\.|text_projection\.|logit_scale$)"),
}
_OPTIMUMS = {"text-embedding": "feature-extraction", "image-embedding": "feature-extraction"}  # its words for ours
_USES_POOLER = {"image-embedding"}
_FAMILIES = [name.replace("-", "_") for name in CONFIG_MAPPING_NAMES]  # what most classes call their encoder
_LACKING = "install the package that transformers asks for"
_STRANGERS = "the checkpoint and its config.json do not belong together, or the task is another"


def load(path: Path, name: str, task: Task, adapter: Path | None = None) -> PretrainedModel:
    """Return the model in float32.

    Raises UnsupportedModel, DamagedWeights, ModelError (an adapter of another model).
    """
    return load_class(_class(task, read_config(path / "config.json")), path, name, task, adapter)


def load_class(
    kind: PretrainedModel, path: Path, name: str, task: Task, adapter: Path | None = None, **options: object
) -> PretrainedModel:
    """Return the model as an object of the class ``kind``; ``options`` are its from_pretrained's.

    Raises as ``load`` does.
    """
    model, report = _opened(kind, path, name, **options)
    missing = _missing(report)
    if missing and task.NAME in _USES_POOLER and all(_POOLER.search(key) for key in missing):
        # published without a pooler, which would be random: its authors use the first token
        model, report = _opened(kind, path, name, add_pooling_layer=False)
    _check(model, report, name, path, task)
    if adapter is not None:
        adapters.merge(model, Adapter.read(adapter))
    check_finite(model, name)
    return model


def check_finite(model: PretrainedModel, name: str, *, files: Collection[Path] = ()) -> None:
    """Raises DamagedWeights for a weight of ``model``, which errors call ``name``, that holds NaN or infinity.

    The pages of its ``files``, where they are mapped, are let go of meanwhile.
    """
    passing = memory.Passing(lambda: memory.forget(files))
    for weight, tensor in model.named_parameters():
        passing(tensor.nbytes)
        if not _finite(tensor):
            raise DamagedWeights(
                f"{name}: the weight {weight!r} holds NaN or infinity",
                hint="no recipe can repair it: use an earlier checkpoint",
            )


def _finite(tensor: Tensor) -> bool:
    """Return whether every value is: their sum tells, at a tenth of the time, unless it is too large itself."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _class(task: Task, config: JsonObject) -> PretrainedModel:
    named = str((config.get("architectures") or [""])[0])
    if named in _OWN.get(task.NAME, ()):
        return getattr(transformers, named)
    half = _supported.HALVES.get(str(config.get("model_type"))) if task.NAME == "text-embedding" else None
    if half is not None:
        return getattr(transformers, half)
    if task.NAME == "text-ranking" and _reranking.is_causal(config):
        return transformers.AutoModelForCausalLM
    asked, tables = _OPTIMUMS.get(task.NAME, task.NAME), _optimums_tables()
    if asked not in tables.get_all_tasks():  # a third party's
        return getattr(transformers, task.AUTO_CLASS)
    return tables.get_model_class_for_task(asked, framework="pt", library="transformers")


def _optimums_tables() -> PretrainedModel:
    """Return optimum's TasksManager, imported without the pipelines of diffusers: they take a second and a half."""
    installed = import_utils._diffusers_available
    import_utils._diffusers_available = False
    try:
        return importlib.import_module("optimum.exporters.tasks").TasksManager
    finally:
        import_utils._diffusers_available = installed


def _opened(kind: PretrainedModel, path: Path, name: str, **options: object) -> tuple[PretrainedModel, JsonObject]:
    _check_index(path)
    config = configs.opened(path, getattr(kind, "config_class", None))
    gc.freeze()  # what the imports made stays: later collections need not look at it again
    try:
        with _without_adapter(path) as folder:
            model, report = kind.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, by name
                **options,
            )
    except Exception as error:  # whatever a class raises over a config that is not its own
        hint = _LACKING if isinstance(error, ImportError) else _STRANGERS
        raise UnsupportedModel(
            f"{name} cannot be opened as {kind.__name__}: {configs.line(error)}", hint=hint
        ) from error
    return model, report


def _check_index(path: Path) -> None:
    """Raises DamagedWeights for an index that transformers does not open."""
    whole, index = path / WHOLE, path / INDEX
    if index.is_file() and not whole.is_file() and not isinstance(read_config(index).get("metadata"), dict):
        raise DamagedWeights(
            f"{path.name}/{INDEX} has no metadata, without which transformers does not open it",
            hint='add an empty one: "metadata": {}',
        )


@contextmanager
def _without_adapter(path: Path) -> Iterator[Path]:
    """Provide the folder as if no adapter lay in it: transformers would put it into the model by itself."""
    if not (path / ADAPTER).is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as bare:
        for file in path.iterdir():
            if file.name != ADAPTER:
                (Path(bare) / file.name).symlink_to(file.resolve())
        yield Path(bare)


def _missing(report: JsonObject) -> list[str]:
    return sorted(key for key in report["missing_keys"] if not _COMPUTED.search(key))


def _check(model: PretrainedModel, report: JsonObject, name: str, path: Path, task: Task) -> None:
    """Raises where a weight is missing, of another shape, or one that the class has no place for."""
    unused = _POOLER if task.NAME not in _USES_POOLER and not _head(model) else None
    missing = [key for key in _missing(report) if not (unused and unused.search(key))]
    own = {child for child, _ in model.named_children()}
    sibling = _SIBLINGS.get(task.NAME)
    strange = sorted(
        key
        for key in report["unexpected_keys"]
        if not (sibling and sibling.search(key))
        and not names.BUFFERS.search(key)
        and not _COMPUTED.search(key)
        and not _BESIDE.search(key)
        and not (_HEADS.search(key) and key.split(".")[0] not in own - {model.base_model_prefix})
    )
    if missing or strange:
        stored = [tensor.name for file in weights.files(path) for tensor in weights.tensors(file)]
        names.check_merged(stored)
        names.check_wrapped(stored, _known(model, missing), set(_FAMILIES) - {model.base_model_prefix})
    for key, stored_shape, shape in sorted(report["mismatched_keys"]):
        raise DamagedWeights(
            f"{name}: the weight {key!r} is {list(stored_shape)}; config.json says {list(shape)}", hint=_STRANGERS
        )
    if missing:
        lacking = missing[0]
        left = f"; they hold {strange[0]!r}, which is not used" if strange else ""
        raise DamagedWeights(f"{name}: the weights lack {lacking!r}{left}", hint=_STRANGERS)
    if strange:
        raise names.unexpected(strange[0], f"{name}, a {type(model).__name__},")


def _known(model: PretrainedModel, missing: Sequence[str]) -> set[str]:
    """Return the names that the weights could have, where transformers found next to none of them; it knows renamed
    ones.
    """
    own, lead = set(model.state_dict()), f"{model.base_model_prefix}."
    if 2 * len(missing) <= len(own):
        return set()
    return own | {key.removeprefix(lead) for key in own} | {lead + key for key in own}


def _head(model: PretrainedModel) -> bool:
    """Return whether the model has a head over its encoder, which may read the pooler."""
    return model.base_model is not model
