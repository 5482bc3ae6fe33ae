"""Small text models in the forms that people have, and what edgepack makes of them before any conversion."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgepack import plugins
from edgepack.arrays import Feeds
from edgepack.original import pytorch
from edgepack.records import Source
from edgepack.runtime import model as task_model
from edgepack.runtime.processing import Processing, Text
from edgepack.stages import resolve
from edgepack.tasks import _text, read_config

TEXTS = [
    "A cat sleeps.",
    "A Kitten Is Asleep on the sofa and dreams of fish, of birds, of rain in Paris and of a warm place to be.",
    "Interest rates rose.",
]
HIDDEN = 48


@dataclass(frozen=True)
class Ours:
    """A model as edgepack reads it: the task's object around the PyTorch module."""

    source: Source
    processing: Processing
    model: Any

    @property
    def text(self) -> Text:
        """How its texts become ids."""
        return self.processing.section(Text)

    def feeds(self, texts: Sequence[Any]) -> Feeds:
        return dict(self.model.feeds(texts))


def read(folder: Path, task: str | None = None) -> Ours:
    source = resolve.resolve(str(folder), task=task)
    module = plugins.load("tasks", source.task)
    processing = module.processing(source.path, read_config(source.path / "config.json"))

    opened = functools.cache(lambda: pytorch.open_module(source, module))

    def run(feeds: Feeds) -> dict[str, np.ndarray]:
        return pytorch.run(opened(), feeds, tuple(module.OUTPUTS))

    return Ours(source, processing, task_model(source.task, {"model": run}, source.path, processing))


def edit(file: Path, **changes: object) -> None:
    """Set keys of a JSON file; None removes one."""
    content = {**(json.loads(file.read_text()) if file.is_file() else {}), **changes}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def wordpiece(lower: bool = True) -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(_text.sentences(), trainers.WordPieceTrainer(vocab_size=900, special_tokens=special))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        _text.sentences(), trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=alphabet)
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(
        _text.sentences(), trainers.UnigramTrainer(vocab_size=900, special_tokens=special, unk_token="<unk>")
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


BERT_NAMES = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
ROBERTA_NAMES = {
    "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
    "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip


def sizes(vocabulary: int, positions: int = 64) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": positions,
        "initializer_range": 0.2,
    }


def save_tokenizer(tokenizer: Tokenizer, folder: Path, **settings: object) -> None:
    """A folder as people have them: tokenizer.json as it is, and a tokenizer_config.json of its own."""
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    edit(folder / "tokenizer_config.json", **settings)


def save_bert(folder: Path, kind: str = "BertModel", **settings: object) -> None:
    tokenizer = wordpiece()
    facts = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, "do_lower_case": True, **BERT_NAMES}
    save_tokenizer(tokenizer, folder, **{**facts, **settings})
    torch.manual_seed(3)
    config = transformers.BertConfig(**sizes(tokenizer.get_vocab_size()))
    getattr(transformers, kind)(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain BertModel. Not to be changed."""
    folder = tmp_path_factory.mktemp("texts") / "bert"
    folder.mkdir()
    save_bert(folder)
    return folder
