"""The parts of a diffusers pipeline in PyTorch, each with the inputs and outputs of its graph (optimum's names).

The weights are read by diffusers' own classes, and every stored one has to have a place.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from edgepack import memory, plugins, weights
from edgepack.documents import JsonObject
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.original import configs, imports, loading
from edgepack.original.library import Component
from edgepack.tasks import Task, read_config
from edgepack.tasks._diffusion import LARGE

diffusers = imports.import_diffusers()

_CLASSES = ("UNet2DConditionModel", "AutoencoderKL", "AutoencoderTiny")
_DERIVED = {"block_out_channels"}  # that AutoencoderTiny saves beside the settings that it takes
_DIGITS, _CAREFUL = 1000.0, 0.01  # of the safety checker: scores are rounded to three digits; added where care is due
_MANY = 30  # enlargements by two
_finite: set[tuple[Path, int]] = (
    set()
)  # files, and when they were written, that were looked through: some are opened again
_STRANGERS = "the checkpoint and its config.json do not belong together: download the component again"


class TextEncoder(nn.Module):
    """CLIP's text encoder without its projection, or with it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Return what optimum names of the int64 ids [batch, tokens]: states, the pooled one, those of each layer.

        Beside them ``clip_skip.1``, … are what diffusers makes last states of where so many layers are left out.
        """
        found = self.encoder(input_ids=input_ids, output_hidden_states=True)
        layers = {f"hidden_states.{index}": states for index, states in enumerate(found.hidden_states[:-1])}
        named = {name: found[name] for name in ("last_hidden_state", "pooler_output", "text_embeds") if name in found}
        skipped = {f"clip_skip.{count}": self._without(found.hidden_states, count) for count in range(1, len(layers))}
        return {**named, **layers, **skipped}

    def _without(self, states: Sequence[Tensor], count: int) -> Tensor:
        """Return the states that a ``count`` of the last layers has not seen, normalised as the last ones are."""
        norm = next(part for name, part in self.encoder.named_modules() if name.endswith("final_layer_norm"))
        return torch.as_tensor(norm(states[-1 - count]))


class Denoiser(nn.Module):
    """The UNet: what of ``sample`` [batch, channels, height, width] is noise, at one timestep (a scalar)."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        timestep_cond: Tensor | None = None,
        text_embeds: Tensor | None = None,
        time_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``out_sample``, of the shape of ``sample`` but for its channels."""
        added = {} if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        with _sizes_stated(self.unet) if torch.onnx.is_in_onnx_export() else nullcontext():
            (found,) = self.unet(
                sample,
                timestep,
                encoder_hidden_states,
                timestep_cond=timestep_cond,
                added_cond_kwargs=added,
                return_dict=False,
            )
        return {"out_sample": found}


@contextmanager
def _sizes_stated(unet: Component) -> Iterator[None]:
    """Let ``unet`` be traced with each size that it enlarges to, that of the states on the way down.

    diffusers states them for sizes that do not halve evenly, and doubles others, which is the same of those: a graph of
    doublings would take no other. It decides by the number of enlargements, which here is more than any size halves.
    """
    usual = unet.num_upsamplers
    unet.num_upsamplers = _MANY
    try:
        yield
    finally:
        unet.num_upsamplers = usual


class ImageDecoder(nn.Module):
    """The decoder of the autoencoder: latents to images of values about -1..1."""

    def __init__(self, vae: Component) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config

    def forward(self, latent_sample: Tensor) -> dict[str, Tensor]:
        """Return ``sample`` float32 [batch, 3, height, width]."""
        return {"sample": self.vae.decode(latent_sample, return_dict=False)[0]}


class ImageEncoder(nn.Module):
    """The encoder of the autoencoder: images of values in -1..1 to their latents, or to the latents' distribution."""

    def __init__(self, vae: Component) -> None:
        super().__init__()
        self.vae, self.config = vae, vae.config

    def forward(self, sample: Tensor) -> dict[str, Tensor]:
        """Return ``latent_parameters`` float32 [batch, 2 * channels, height, width]: means, then log variances.

        An AutoencoderTiny gives ``latent_sample`` float32 [batch, channels, height, width] instead.
        """
        found = self.vae.encode(sample)
        if "latents" in found:
            return {"latent_sample": found.latents}
        return {"latent_parameters": found.latent_dist.parameters}


class SafetyChecker(nn.Module):
    """The safety checker of Stable Diffusion 1, with the scores that its answer follows from."""

    def __init__(self, checker: Component) -> None:
        super().__init__()
        self.checker, self.config = checker, checker.config

    def forward(self, clip_input: Tensor) -> dict[str, Tensor]:
        """Return ``concept_scores`` float32 [batch, concepts], and ``has_nsfw_concepts``, whether one is above 0.

        As in diffusers' StableDiffusionSafetyChecker.forward, whose scores are rounded to three digits.
        """
        checker = self.checker
        embedding = nn.functional.normalize(checker.visual_projection(checker.vision_model(clip_input)[1]))
        special = embedding @ nn.functional.normalize(checker.special_care_embeds).T
        special = (special - checker.special_care_embeds_weights) * _DIGITS
        careful = (special.round() > 0).any(dim=1, keepdim=True) * _CAREFUL
        scores = (
            embedding @ nn.functional.normalize(checker.concept_embeds).T - checker.concept_embeds_weights + careful
        )
        found = ((scores * _DIGITS).round() > 0).any(dim=1)
        return {"has_nsfw_concepts": found, "concept_scores": scores}


_WRAPPERS = {"unet": Denoiser, "vae-decoder": ImageDecoder, "vae-encoder": ImageEncoder}


def open_component(folder: Path, name: str, task: Task, adapters: Sequence[Path | str] = ()) -> nn.Module:
    """Return the component of ``folder`` in float32, with the interface of ``task``'s graph and ``adapters`` merged in.

    Raises UnsupportedModel, DamagedWeights, ModelError (a LoRA of another base).
    """
    config = read_config(folder / "config.json")
    kind = str(config["_class_name"])
    if kind not in _CLASSES:
        raise UnsupportedModel(
            f"{name}: {folder.name} is a {kind}, which edgepack does not support",
            hint=f"it supports {', '.join(_CLASSES)}",
        )
    _check_settings(folder, kind, config)
    model, report = _opened(getattr(diffusers, kind), folder, name)
    for what, keys in (("lack", report["missing_keys"]), ("hold, without a place for it,", report["unexpected_keys"])):
        if keys:
            raise DamagedWeights(f"{name}: the weights of {folder.name} {what} {min(keys)!r}", hint=_STRANGERS)
    _look_through(model, folder, f"{name}: {folder.name}")
    for adapter in adapters:
        plugins.load_module("edgepack.original.diffusion_lora").merge(model, task.NAME, Path(adapter))
    wrapped: nn.Module = _WRAPPERS[task.NAME](model)
    return wrapped


def open_safety_checker(folder: Path, name: str, task: Task) -> nn.Module:
    """Return the safety checker of ``folder``. Raises UnsupportedModel, DamagedWeights."""
    kind = importlib.import_module("diffusers.pipelines.stable_diffusion.safety_checker").StableDiffusionSafetyChecker
    return SafetyChecker(loading.load_class(kind, folder, name, task))


def _opened(kind: Component, folder: Path, name: str) -> tuple[Component, JsonObject]:
    try:
        model, report = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            output_loading_info=True,
            low_cpu_mem_usage=True,
        )
    except Exception as error:  # whatever a class raises over a config that is not its own
        raise UnsupportedModel(
            f"{name}: {folder.name} cannot be opened as {kind.__name__}: {configs.line(error)}", hint=_STRANGERS
        ) from error
    return model, report


def _look_through(model: nn.Module, folder: Path, name: str) -> None:
    """Check that no weight is NaN, once in a process, and let go of a large model's weights after each block.

    They are mapped, and read again with the next run; those of a float16 checkpoint are copies, which stay.
    """
    files = {(file, file.stat().st_mtime_ns) for file in weights.files(folder)}
    if not files <= _finite:
        loading.check_finite(model, name, files=weights.files(folder))
        _finite.update(files)
    if sum(parameter.numel() for parameter in model.parameters()) >= LARGE:
        blocks = [block for part in model.children() if isinstance(part, nn.ModuleList) for block in part]
        for block in blocks:
            block.register_forward_hook(lambda *_: memory.forget(file for file, _ in files))


def _check_settings(folder: Path, kind: str, config: JsonObject) -> None:
    """Raises UnsupportedModel for a setting that diffusers' class does not take: it would be ignored."""
    known = getattr(diffusers, kind)._get_init_keys(getattr(diffusers, kind))
    strange = sorted(key for key in config if key not in known | _DERIVED and not key.startswith("_"))
    if strange:
        raise UnsupportedModel(
            f"{folder.name}/config.json has the setting {strange[0]!r}, which {kind} does not know",
            hint="another version of diffusers saved it; pip install -U 'edgepack[diffusion]'",
        )
