"""A language model's tokenizer is the one that transformers ends with, asked in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import text_folder
from edgepack.runtime.text import tokenizer as opened
from edgepack.tasks import _text

from .conftest import byte_level, edit

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["the rain in Paris fell", "", " two  spaces\n", "a<s> b", "Übergrößenträger 東京"]
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def pieces() -> Tokenizer:
    """A sentencepiece model as transformers 4 converted it: the space goes in front as a normalizer."""
    made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(_text.sentences(), trainers.BpeTrainer(vocab_size=900, special_tokens=special))
    return made


def save(folder: Path, tokenizer: Tokenizer, model_type: str, *, begins: bool = True, **stated: Any) -> Path:
    """A language model's folder without weights, whose texts begin with <s>, or with nothing."""
    folder.mkdir(exist_ok=True)
    if begins:
        first = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", first)])
    else:
        tokenizer.post_processor = None
    tokenizer.save(str(folder / "tokenizer.json"))
    edit(folder / "tokenizer_config.json", **{**NAMES, **stated})
    edit(folder / "config.json", model_type=model_type)
    return folder


def check(folder: Path) -> Path:
    """The folder that a build reads, compared with transformers and opened by transformers again."""
    found = text_folder.arranged_language_model(folder)
    ours, theirs = opened(found), transformers.AutoTokenizer.from_pretrained(folder)
    again = transformers.AutoTokenizer.from_pretrained(found)
    for text in TEXTS:
        for special in (True, False):
            true = theirs(text, add_special_tokens=special)["input_ids"]
            assert ours.encode(text, add_special_tokens=special).ids == true
            assert again(text, add_special_tokens=special)["input_ids"] == true
    return found


@pytest.mark.parametrize("stated", [{}, {"add_bos_token": True}, {"add_bos_token": False, "add_eos_token": True}])
@pytest.mark.parametrize("begins", [True, False])
def test_tokens_at_the_ends(tmp_path: Path, begins: bool, stated: dict[str, Any]) -> None:
    """transformers 5 goes by tokenizer.json, whatever tokenizer_config.json says."""
    folder = save(tmp_path, byte_level(), "llama", begins=begins, tokenizer_class="LlamaTokenizerFast", **stated)
    assert check(folder) == folder


def test_a_class_that_looks_away(tmp_path: Path) -> None:
    """GPT-NeoX's tokenizer forgets what tokenizer.json puts before a text."""
    folder = save(tmp_path, byte_level(), "gpt_neox", tokenizer_class="GPTNeoXTokenizerFast")
    found = check(folder)
    assert found != folder
    assert opened(folder).encode("a").ids != opened(found).encode("a").ids


@pytest.mark.parametrize("stated", [{"legacy": True}, {"legacy": False}, {}, {"add_prefix_space": False}])
def test_spaces_of_sentencepiece(tmp_path: Path, stated: dict[str, Any]) -> None:
    folder = save(tmp_path, pieces(), "llama", tokenizer_class="LlamaTokenizer", **stated)
    found = check(folder)
    assert opened(folder).encode(" two  spaces\n").ids != opened(found).encode(" two  spaces\n").ids


def test_the_rest_of_the_folder_comes_along(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", pieces(), "llama", tokenizer_class="LlamaTokenizer")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("a card")
    found = check(folder)
    assert (found / "model.safetensors").resolve() == folder / "model.safetensors"
    assert {file.name for file in found.iterdir()} == {file.name for file in folder.iterdir()}
    assert check(folder) == found


def test_a_sentencepiece_model_alone(tmp_path: Path) -> None:
    sentences, folder = tmp_path / "text.txt", tmp_path / "model"
    sentences.write_text("\n".join(_text.sentences()), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(sentences), model_prefix=str(tmp_path / "m"), vocab_size=600, model_type="bpe", byte_fallback=True,
        minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    save(folder, pieces(), "llama", tokenizer_class="LlamaTokenizer")
    (folder / "tokenizer.json").unlink()
    shutil.copy(tmp_path / "m.model", folder / "tokenizer.model")
    assert (check(folder) / "tokenizer.json").is_file()


def test_what_transformers_refuses(tmp_path: Path) -> None:
    broken = save(tmp_path / "broken", byte_level(), "llama", tokenizer_class="PreTrainedTokenizerFast")
    (broken / "tokenizer.json").write_text('{"model": 5}')
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer"):
        text_folder.arranged_language_model(broken)
    python = save(tmp_path / "python", byte_level(), "llama", tokenizer_class="CanineTokenizer")
    with pytest.raises(UnsupportedModel, match="CanineTokenizer"):
        text_folder.arranged_language_model(python)


def test_without_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """edgepack[llm] alone takes tokenizer.json as it is, and refuses a folder that contradicts itself."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    for begins, stated, wrong in (
        (True, {"add_bos_token": True, "add_eos_token": False}, ""),
        (False, {"add_bos_token": False}, ""),
        (False, {}, ""),
        (True, {"add_bos_token": False}, "add_bos_token"),
        (False, {"add_bos_token": True}, "add_bos_token"),
        (True, {"add_eos_token": True}, "add_eos_token"),
    ):
        folder = save(tmp_path, byte_level(), "llama", begins=begins, **stated)
        if not wrong:
            assert text_folder.arranged_language_model(folder) == folder
            continue
        with pytest.raises(ModelError, match=wrong) as error:
            text_folder.arranged_language_model(folder)
        assert "edgepack[build]" in error.value.hint
        assert json.loads((folder / "tokenizer_config.json").read_text())[wrong] is stated[wrong]
