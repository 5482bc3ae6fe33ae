"""CLIP's byte-level BPE with a vocabulary of the captions' words, in the files that CLIP's tokenizers read."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

LENGTH = 77  # tokens that a prompt is padded to, CLIP's own
START, END = "<|startoftext|>", "<|endoftext|>"


def write(folder: Path, texts: Iterable[str]) -> CLIPTokenizer:
    """Leave vocab.json, merges.txt and their configuration in `folder`; every word of `texts` is one token.

    CLIP's order of ids: 256 bytes, 256 bytes that end a word, what merges make, then start and end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges(texts)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    lines = ["#version: 0.2", *map(" ".join, merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", "utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def _merges(texts: Iterable[str]) -> list[tuple[str, str]]:
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(False)])
    bpe.train_from_iterator(texts, trainers.BpeTrainer(end_of_word_suffix="</w>", show_progress=False))
    return [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
