"""The original: a Hugging Face model in PyTorch, as the bundle's graph will present it.

The module that is returned has the graph's outputs: pooling and normalisation are part of it, so that the
export, the reference outputs and the golden vectors come from one definition.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import transformers
import transformers.models.auto.modeling_auto
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgepack import plugins
from edgepack.arrays import Outputs
from edgepack.errors import UnsupportedModel
from edgepack.original import configs, imports, loading, sounds
from edgepack.original.library import PretrainedModel
from edgepack.original.rerankers import Reranker
from edgepack.original.sentences import SentenceEncoder
from edgepack.original.splade import SpladeEncoder
from edgepack.records import Source
from edgepack.runtime.processing import Text
from edgepack.tasks import (
    Task,
    _diffusion,
    _pipeline_folder,
    _reranking,
    _timm,
    audio_classification,
    image_embedding,
    sparse_embedding,
    text_embedding,
    text_ranking,
)
from edgepack.tasks._refusals import no_vector

imports.import_transformers()
# transformers says through logging what it could not match; it is checked below instead
logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()


def open_module(source: Source, task: Task) -> nn.Module:
    """Return the module of ``source``; see open_path."""
    return open_path(source.path, source.model_type, source.name, task, source.adapter_paths)


def open_path(
    path: Path | str, model_type: str, name: str, task: Task, adapters: Sequence[Path | str] = ()
) -> nn.Module:
    """Return the model in evaluation mode, float32, from safetensors, with no code of its own, ``adapters`` merged
    into it.

    Raises UnsupportedModel, DamagedWeights (weights missing, left over or not finite), ModelError.
    """
    if _pipeline_folder.is_component(Path(path)):
        diffusion = plugins.load_module("edgepack.original.diffusion")
        return cast(nn.Module, diffusion.open_component(Path(path), name, task, adapters).eval())
    if task.NAME == _diffusion.SAFETY_CHECKER.NAME:
        diffusion = plugins.load_module("edgepack.original.diffusion")
        return cast(nn.Module, diffusion.open_safety_checker(Path(path), name, task).eval())
    if not model_type:
        raise UnsupportedModel(f"{name}: config.json has no model_type", hint="copy it from the model's repository")
    piped = task.NAME in _diffusion.TEXT_ENCODERS
    if model_type == _timm.MODEL_TYPE:
        return _of_timm(Path(path), name, task, adapters)
    model = loading.load(Path(path), name, task, Path(adapters[0]) if adapters and not piped else None)
    for adapter in adapters if piped else ():
        plugins.load_module("edgepack.original.diffusion_lora").merge(model, task.NAME, Path(adapter))
    config = model.config.to_dict()
    processing = task.processing(Path(path), config)  # raises for what is not supported
    module: nn.Module = model
    if task.NAME == text_embedding.NAME:
        modules = text_embedding.modules(Path(path), config)
        module = SentenceEncoder(model, processing.section(Text), modules, Path(path))
    elif task.NAME == sparse_embedding.NAME:
        module = SpladeEncoder(model, processing.section(Text), sparse_embedding.modules(Path(path)).layers[0])
    elif task.NAME == image_embedding.NAME:
        module = ImageEncoder(model)
    elif task.NAME == text_ranking.NAME and _reranking.read(Path(path)).true_id is not None:
        module = Reranker(model, _reranking.read(Path(path)))
    elif task.NAME in _diffusion.TEXT_ENCODERS:
        module = plugins.load_module("edgepack.original.diffusion").TextEncoder(model)
    elif task.NAME == audio_classification.NAME:
        sounds.fill_frames(model)
    _join_weights(module)
    return module.eval()


def _of_timm(path: Path, name: str, task: Task, adapters: Sequence[Path | str]) -> nn.Module:
    """Return a model of timm. Raises UnsupportedModel for an adapter, and as timm_models.open_model."""
    if adapters:
        raise UnsupportedModel(
            f"{name} is a model of timm, into which no adapter is merged",
            hint="merge it before: model.merge_and_unload(), then timm.models.save_for_hf(model, FOLDER)",
        )
    imports.import_timm()
    return cast(nn.Module, plugins.load_module("edgepack.original.timm_models").open_model(path, name, task))


def _join_weights(module: nn.Module) -> None:
    """Let weights that are computed anew at each run, as a direction and its length, be the result."""
    for part in module.modules():
        if parametrize.is_parametrized(part):
            for name in [*cast(nn.ModuleDict, part.parametrizations)]:
                parametrize.remove_parametrizations(part, name)


def run(module: nn.Module, feeds: Mapping[str, np.ndarray], names: tuple[str, ...]) -> Outputs:
    """Return the outputs ``names`` of ``module`` for ``feeds`` (input name -> array), as float32 arrays.

    Raises UnsupportedModel where transformers' own code breaks down, as over a config that is not its weights'.
    """
    ours = (type(part).__module__.partition(".")[0] for part in module.modules())
    library = next((name for name in ours if name in ("diffusers", "timm")), "transformers")
    kind = type(next((part for part in module.modules() if hasattr(part, "config_class")), module)).__name__
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outputs = module(**{name: torch.from_numpy(array) for name, array in feeds.items()})
        except Exception as error:  # whatever a model's code runs into
            raise UnsupportedModel(
                f"{library}' {kind} cannot run with this config.json on inputs of "
                f"{', '.join(str(list(array.shape)) for array in feeds.values())}: {configs.line(error)}",
                hint=f"the model has to run in {library} on inputs of any such size: correct its config.json in a copy",
            ) from error
    missing = [name for name in names if name not in outputs]
    if missing:
        raise UnsupportedModel(
            f"{library}' {kind} does not return {missing[0]}, which the task needs",
            hint="choose another --task, or see docs/supported.md",
        )
    return {name: outputs[name].float().numpy() for name in names}


_CLASS_TOKENS = {"cls_token", "class_token", "class_embedding"}  # the parameter's names in transformers
_TOKENS = 3  # dimensions of [batch, tokens, hidden]; feature maps have four


class ImageEncoder(nn.Module):
    """A vision encoder with ``image_embedding`` float32 [batch, hidden] beside what it has.

    The embedding is the projection where the model has one (CLIP), else the pooled output, else the class token (the
    first), as the model's authors use it.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        part: PretrainedModel
        for part in encoder.modules():
            if hasattr(part, "random_masking"):  # of ViTMAE: all of the image is seen, its parts in their order
                part.random_masking = lambda sequence, noise=None: (sequence, None, None)
        self._class_token = any(path.split(".")[-1] in _CLASS_TOKENS for path, _ in encoder.named_parameters())

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Return ``last_hidden_state`` [batch, tokens, hidden] and ``image_embedding`` [batch, hidden].

        Raises UnsupportedModel where the model has none of the three.
        """
        outputs = self.encoder(pixel_values=pixel_values)
        found = [outputs.get(name) for name in ("image_embeds", "pooler_output")]
        embedding = next((value for value in found if value is not None), None)
        if embedding is None:
            embedding = self._first(outputs.last_hidden_state)
        return {"last_hidden_state": outputs.last_hidden_state, "image_embedding": embedding.flatten(1)}

    def _first(self, states: Tensor) -> Tensor:
        if not self._class_token or states.ndim != _TOKENS:
            raise no_vector(type(self.encoder).__name__)
        return states[:, 0]
