"""The kinds of folders that a model comes in: where its files lie, what an adapter to it is, how it is arranged.

A folder that transformers or sentence-transformers saved, or a pipeline of diffusers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgepack import plugins
from edgepack.documents import JsonDict, parse_json, read_bytes, read_object
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import text_folder
from edgepack.tasks import AnyTask, _pipeline_folder, _refusals, _sentence_folder, _supported, _timm, read_config
from edgepack.weights import choice, lora, lora_file
from edgepack.weights.choice import ADAPTER


class FolderKind(Protocol):
    """A folder of one kind. Its files are checked before anything but ``folder`` and ``adapters`` is asked for."""

    @property
    def folder(self) -> Path:
        """The folder itself."""

    @property
    def root(self) -> Path:
        """The folder of config.json, or of what stands for it."""

    @property
    def subfolders(self) -> Sequence[str]:
        """The subfolders that belong to the model."""

    @property
    def weight_folders(self) -> tuple[str, ...]:
        """The subfolders of ``root`` that hold weights; "" is the root itself."""

    def config(self) -> JsonDict:
        """Return config.json, or what stands for it. Raises ModelError, UnsafeModel for code of its own."""

    def adapters(self, references: Sequence[str], fetch: Callable[[str], Path]) -> list[Path]:
        """Return the LoRAs that ``references`` name, for which ``fetch`` gets a folder. Raises ModelError."""

    def check_adapters(self, merged: Sequence[Path]) -> None:
        """Raises ModelError for an adapter that does not suit the model, or that nobody asked to merge."""

    def arranged(self, task: AnyTask) -> Path:
        """Return the folder that is read: with its tokenizer as transformers runs it. Raises ModelError."""

    def is_arranged(self, task: AnyTask) -> bool:
        """Return whether ``arranged`` need not ask transformers."""


def kind_of(folder: Path) -> FolderKind:
    """Return ``folder`` as what it is."""
    return Pipeline(folder) if _pipeline_folder.is_one(folder) else ModelFolder(folder)


@dataclass(frozen=True)
class ModelFolder:
    """A model that transformers saved, or sentence-transformers, with subfolders for its modules."""

    folder: Path

    @property
    def root(self) -> Path:
        """The folder of the transformer."""
        return self.folder / _sentence_folder.transformer(self.folder) if self._of_sentences else self.folder

    @property
    def subfolders(self) -> Sequence[str]:
        """Those of sentence-transformers' modules."""
        return [entry["path"] for entry in _sentence_folder.modules(self.folder)] if self._of_sentences else []

    @property
    def weight_folders(self) -> tuple[str, ...]:
        """The root alone: other modules' weights are parts of the task."""
        return ("",)

    @property
    def _of_sentences(self) -> bool:
        return _sentence_folder.is_one(self.folder)

    def config(self) -> JsonDict:
        """Return config.json. Raises ModelError, UnsupportedModel, UnsafeModel."""
        root = self.root
        file = root / "config.json"
        if not file.is_file():
            choice.check_foreign(root)
            raise ModelError(
                f"{root} has no config.json", hint="give the folder that holds config.json and safetensors"
            )
        config = _timm.named(read_object(file, ModelError))
        if not isinstance(config.get("model_type", ""), str):
            raise ModelError(f"{file}: model_type is not a name", hint='for example "model_type": "bert"')
        if not config.get("architectures"):
            raise _refusals.unnamed(root, config)
        named = config["architectures"]
        if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
            raise ModelError(
                f"{file}: architectures is not a list of names", hint='for example "architectures": ["BertModel"]'
            )
        if config.get("auto_map") and not _taken_over(config, generates=not self._of_sentences):
            raise _refusals.own_code(root, config)
        return config

    def adapters(self, references: Sequence[str], fetch: Callable[[str], Path]) -> list[Path]:
        """Return the folder of a PEFT adapter. Raises UnsupportedModel for several."""
        if len(references) > 1:
            raise UnsupportedModel(
                f"{self.folder.name} takes one adapter, not {len(references)}; pipelines of diffusers take several",
                hint="merge the others first, with PEFT: merge_and_unload().save_pretrained(folder)",
            )
        return [fetch(reference) for reference in references]

    def check_adapters(self, merged: Sequence[Path]) -> None:
        """Raises ModelError for an adapter beside the model, or one that cannot be read or has another tokenizer."""
        root = self.root
        for adapter in merged:
            lora.Adapter.read(adapter)
            _check_tokenizer(root, adapter)
        if not merged and lora.is_adapter(root) and (root / "config.json").is_file():
            raise ModelError(
                f"{root} holds an adapter ({ADAPTER}) beside a model, and it is unclear whether it is to be merged",
                hint=f"--adapter {root} merges it; to build the model without it, give a copy without {ADAPTER}",
            )

    def arranged(self, task: AnyTask) -> Path:
        """Return the folder itself where the task takes no texts, unless it is timm's.

        Raises ModelError, UnsupportedModel, MissingExtra.
        """
        if _timm.is_one(read_config(self.root / "config.json")):
            return text_folder.arranged_timm(self.folder, task)
        if not task.TOKENIZES:
            return self.folder
        if task.ROUTE == "builder":
            return text_folder.arranged_language_model(self.folder)
        return text_folder.arranged(self.folder, task)

    def is_arranged(self, task: AnyTask) -> bool:
        """Return whether the cache has it, where the task is exported and takes texts."""
        return task.ROUTE != "export" or not task.TOKENIZES or text_folder.is_arranged(self.folder, task)


def _taken_over(config: JsonDict, *, generates: bool) -> bool:
    """Return whether transformers itself has what a checkpoint's own code does, or edgepack's description of the
    family of a language model (as an encoder its own code may attend in both directions).
    """
    family = str(config.get("model_type"))
    ported = family in _supported.PORTED and config["architectures"][0] in _supported.of(family)
    return ported or (generates and family.replace("_", "-") in plugins.names("decoders.families"))


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that diffusers saved: a subfolder for each component."""

    folder: Path

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.folder

    @property
    def subfolders(self) -> Sequence[str]:
        """Those of the components."""
        return list(_pipeline_folder.components(self.folder))

    @property
    def weight_folders(self) -> tuple[str, ...]:
        """Those of the components with a config.json."""
        return tuple(sorted(name for name in self.subfolders if (self.folder / name / "config.json").is_file()))

    def config(self) -> JsonDict:
        """Return model_index.json, with the pipeline's class as its architecture. Raises ModelError."""
        return _pipeline_folder.read(self.folder)

    def adapters(self, references: Sequence[str], fetch: Callable[[str], Path]) -> list[Path]:
        """Return the file of each LoRA, with its scale. Raises ModelError, UnsafeModel, UnsupportedModel."""
        return [lora_file.find(reference) for reference in references]

    def check_adapters(self, merged: Sequence[Path]) -> None:
        """Raises nothing: ``adapters`` has looked at them."""

    def arranged(self, task: AnyTask) -> Path:
        """Return it with a tokenizer.json in each tokenizer's folder. Raises ModelError."""
        return text_folder.arranged_pipeline(self.folder)

    def is_arranged(self, task: AnyTask) -> bool:
        """Return true: transformers is asked in any case."""
        return True


def _check_tokenizer(folder: Path, merged: Path) -> None:
    """Raises ModelError where an adapter brings a tokenizer or a chat template that is not the model's."""
    for name in ("tokenizer.json", "chat_template.jinja"):
        if (merged / name).is_file() and _content(merged / name) != _content(folder / name):
            raise ModelError(
                f"the adapter {merged.name} has a {name} that differs from the model's",
                hint="copy the model's folder and the adapter's tokenizer files over it, and build the copy",
            )


def _content(file: Path) -> bytes | JsonDict:
    raw = read_bytes(file, ModelError) if file.is_file() else b""
    try:
        content = parse_json(raw, str(file), ModelError)
    except ModelError:
        return raw
    if not isinstance(content, dict):
        return raw
    return {**content, "padding": None, "truncation": None}  # what a trainer leaves set
