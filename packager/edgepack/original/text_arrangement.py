"""Make the folder of text_folder.py: ask transformers for a model's tokenizer and inputs, and write down what it says.

A transformer in a subfolder (sentence-transformers' 0_Transformer) is moved to the root.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
from pathlib import Path

import torch
import transformers

from edgepack.documents import JsonDict, read_json
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import configs, imports, pair_template, tokenizers
from edgepack.original.library import PretrainedConfig, PretrainedModel, PretrainedTokenizer
from edgepack.original.model_files import files, take
from edgepack.tasks import AnyTask, _reranking, _sentence_folder, _supported, options, read_config, submodels

imports.import_transformers()  # at once, not when a model is asked for: load_module keeps the collector out of imports

_PADDED_ALWAYS = ("siglip_text_model",)
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def arrange(folder: Path, task: AnyTask, to: Path) -> None:
    """Fill ``to`` with the model of ``folder``. Raises ModelError, UnsupportedModel."""
    sentences = _sentence_folder.is_one(folder)
    root = folder / (_sentence_folder.transformer(folder) if sentences else "")
    for file in files(folder):
        take(folder, file, to / file.relative_to(folder))
    if root != folder:
        for file in files(root):
            take(folder, file, to / file.relative_to(root))
        _name_root(to, root.relative_to(folder).as_posix())
    tokenizer = tokenizers.opened(folder, task.NAME)
    if task.NAME == _sentence_folder.RANKING:
        _reranking.write(to, pair_template.reranking(tokenizer, folder, configs.opened(root)))
    tokenizers.save(tokenizer, {**read_config(to / "tokenizer_config.json"), **_stated(tokenizer, root, task)}, to)


def _stated(tokenizer: PretrainedTokenizer, root: Path, task: AnyTask) -> JsonDict:
    """Return what tokenizer_config.json may leave to a class or a default."""
    if tokenizer.pad_token is None:
        raise ModelError(
            f"the tokenizer of {root.name} has no padding token, so texts cannot share a batch",
            hint='name one in tokenizer_config.json, for example "pad_token": "<pad>"',
        )
    config, kind = _model(root, task)
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if rows is not None and tokenizer.pad_token_id >= rows:
        raise ModelError(
            f"the tokenizer of {root.name} pads with the id {tokenizer.pad_token_id:,}; the model has {rows:,} tokens",
            hint='name another in tokenizer_config.json, for example "pad_token": "</s>"',
        )
    model = _empty(root, config, kind)
    padding = config.get_text_config().pad_token_id
    if _counts_padding(model) and padding != tokenizer.pad_token_id:
        says = "has no pad_token_id" if padding is None else f"has the pad_token_id {padding:,}, not the tokenizer's"
        raise ModelError(
            f"{root.name}/config.json {says}, so {kind.__name__} cannot find where a text of a batch ends",
            hint=f'write the tokenizer\'s into config.json: "pad_token_id": {tokenizer.pad_token_id}',
        )
    taken = inspect.signature(kind.forward).parameters
    beside = next((name for name in tokenizer.model_input_names if name not in _INPUTS and name in taken), None)
    if beside:
        raise UnsupportedModel(
            f"{kind.__name__} takes {beside}, which its tokenizer makes of texts beside tokens and a bundle does not",
            hint="see docs/supported.md for what each task takes",
        )
    inputs = [name for name in _INPUTS if name in tokenizer.model_input_names and name in taken]
    whole = config.model_type in _PADDED_ALWAYS  # so that its texts are of one length without a mask
    if not {"input_ids", *(() if whole else ("attention_mask",))} <= set(inputs):
        raise UnsupportedModel(
            f"{kind.__name__} takes no attention mask, so texts cannot share a batch",
            hint="choose a model with an attention mask",
        )
    return {
        "model_max_length": _longest(tokenizer, config, model, task),
        "model_input_names": inputs,
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "pad_token_type_id": tokenizer.pad_token_type_id,
    }


def _model(root: Path, task: AnyTask) -> tuple[PretrainedConfig, PretrainedModel]:
    """Return the config and the class of the model; of several submodels, of the one that reads texts.

    Raises UnsupportedModel.
    """
    stated = read_config(root / "config.json")
    for part in submodels(task).values():
        own = part.task_for(stated, stated.get(part.config) or {})
        if own is not None and own.TOKENIZES:
            kind = getattr(transformers, own.AUTO_CLASS)
            return configs.opened(root, kind.config_class), kind
    config = configs.opened(root)
    if task.NAME == "text-embedding" and config.model_type in _supported.HALVES:
        return config, getattr(transformers, _supported.HALVES[config.model_type])
    causal = task.NAME == _sentence_folder.RANKING and _reranking.is_causal(read_config(root / "config.json"))
    classes = getattr(transformers, "AutoModelForCausalLM" if causal else task.AUTO_CLASS)._model_mapping
    if type(config) not in classes:
        raise UnsupportedModel(
            f"{root.name} cannot be opened as {task.AUTO_CLASS}: it is a {config.model_type} model",
            hint="see docs/supported.md for what each task takes",
        )
    found = classes[type(config)]
    return config, found[0] if isinstance(found, tuple) else found


def _empty(root: Path, config: PretrainedConfig, kind: PretrainedModel) -> PretrainedModel:
    """Return the model without memory for its weights. Raises ModelError for a config.json that none can be made of."""

    def make(config: PretrainedConfig) -> PretrainedModel:
        with torch.device("meta"):
            return kind(config)

    try:
        return make(config)
    except Exception as error:  # whatever a model's constructor runs into
        raise configs.refused(root, error, lambda stated: make(type(config).from_dict(dict(stated)))) from error


def _counts_padding(model: PretrainedModel) -> bool:
    """Return whether a decoder's classifier looks for the last token that is no padding, by its id."""
    return "pad_token_id is None" in inspect.getsource(type(model).forward)


def _longest(tokenizer: PretrainedTokenizer, config: PretrainedConfig, model: PretrainedModel, task: AnyTask) -> int:
    """Return the longest text in tokens: the tokenizer's, at most what the model has positions for.

    Raises ModelError.
    """
    said = tokenizer.model_max_length
    limits = [int(said)] if said is not None and said < tokenizers.UNBOUNDED else []
    learned = _learned_positions(model)
    if learned is not None:
        limits.append(learned)
    elif not limits or options(task).cut_at_positions:
        stated = getattr(config.get_text_config(), "max_position_embeddings", -1)
        limits += [stated] if stated is not None and stated > 0 else []
    if not limits:
        raise ModelError(
            "neither the tokenizer nor the model states a maximum length",
            hint='write "model_max_length" into tokenizer_config.json',
        )
    return min(limits)


def _learned_positions(model: PretrainedModel) -> int | None:
    """Return how many tokens the tables of learned positions are for; None without one.

    RoBERTa and its kin count from behind the padding token's id, which their embeddings hold as ``padding_idx``; BART
    and OPT have an ``offset``.
    """
    found = []
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.Embedding) and re.search(r"position(s|_embeddings?)?$|^wpe$", name):
                before = getattr(module, "padding_idx", None) if name == "position_embeddings" else None
                skipped = before + 1 if isinstance(before, int) else getattr(child, "offset", 0)
                found.append(int(child.num_embeddings) - int(skipped))
    return min(found, default=None)


def _name_root(to: Path, subfolder: str) -> None:
    """State that the transformer of modules.json lies in the folder itself."""
    shutil.rmtree(to / subfolder)
    listed = read_json(to / "modules.json", ModelError)
    for entry in listed:
        if entry.get("path") == subfolder:
            entry["path"] = ""
    (to / "modules.json").write_text(json.dumps(listed, indent=2) + "\n", "utf-8")
