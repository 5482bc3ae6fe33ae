"""What clients read in a bundle makes them cut, pad and tokenize as the bundle does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer

from edgepack import client_files
from edgepack.runtime.processing import Generation, Image, Processing, Size, Text
from edgepack.runtime.text import TextInput
from edgepack.tasks._fixed_context import limited

from .conftest import HIDDEN, ROBERTA_NAMES, Ours, byte_level, edit, read, save_bert, save_tokenizer, sizes

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["A cat sleeps.", "", "rain fell on Paris " * 40, "interest rates rose " * 9]


def bert(folder: Path) -> None:
    """Saved after a call with other lengths than the model's, as all-MiniLM-L6-v2 was."""
    save_bert(folder, model_max_length=512, max_length=128, stride=0, truncation_strategy="longest_first")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    tokenizer.save(str(folder / "tokenizer.json"))


def sentences(folder: Path) -> None:
    bert(folder)
    kind = "sentence_transformers.models."
    entries = [{"path": "", "type": f"{kind}Transformer"}, {"path": "1_Pooling", "type": f"{kind}Pooling"}]
    (folder / "modules.json").write_text(json.dumps(entries))
    edit(folder / "1_Pooling" / "config.json", word_embedding_dimension=HIDDEN, pooling_mode_mean_tokens=True)
    arguments = {"model_max_length": 30}
    edit(folder / "sentence_bert_config.json", max_seq_length=40, do_lower_case=True, tokenizer_args=arguments)


def roberta(folder: Path) -> None:
    tokenizer = byte_level()
    names = {**ROBERTA_NAMES, "tokenizer_class": "RobertaTokenizer", "padding_side": "left", "truncation_side": "left"}
    save_tokenizer(tokenizer, folder, **names)
    config = transformers.RobertaConfig(**sizes(tokenizer.get_vocab_size(), 66), pad_token_id=1)
    transformers.RobertaModel(config).save_pretrained(folder)


GENERATION = Generation(
    max_length=256, layers=1, kv_heads=1, head_dim=8, vocabulary=320, eos_ids=(2,), repetition_penalty=1.0
)
IMAGE = Image(input="pixel_values", channels=3, size=Size(height=32, width=32), alpha="refuse", steps=())


def packed(ours: Ours, to: Path, length: int = 0) -> Text:
    """How texts become ids in a bundle in ``to``, whose texts have at most ``length`` tokens."""
    processing = limited(ours.processing, [length] if length else [])
    to.mkdir()
    client_files.write(ours.source.path, to, processing)
    return processing.section(Text)


@pytest.mark.parametrize("length", [0, 12])
@pytest.mark.parametrize("make", [bert, sentences, roberta])
def test_every_client_makes_the_same_ids(tmp_path: Path, make: Any, length: int) -> None:
    origin, bundle = tmp_path / "model", tmp_path / "bundle"
    origin.mkdir()
    make(origin)
    ours = read(origin)
    text = packed(ours, bundle, length)
    true = TextInput(bundle, text).encode(TEXTS)[0]
    by_transformers = transformers.AutoTokenizer.from_pretrained(bundle)(
        TEXTS, truncation=True, padding=True, return_tensors="np"
    )
    by_tokenizers = Tokenizer.from_file(str(bundle / "tokenizer.json")).encode_batch(TEXTS)
    assert set(true) == set(by_transformers)
    for name, array in true.items():
        np.testing.assert_array_equal(by_transformers[name], array)
    np.testing.assert_array_equal([encoding.ids for encoding in by_tokenizers], true["input_ids"])
    assert true["input_ids"].shape[1] == text.max_length
    stated = json.loads((bundle / "tokenizer_config.json").read_text())
    assert stated["model_max_length"] == text.max_length
    assert "max_length" not in stated  # fastembed takes the lesser of the two
    assert json.loads((bundle / "special_tokens_map.json").read_text())["pad_token"] == text.pad_token


@pytest.mark.parametrize("length", [0, 12])
def test_sentence_transformers_cuts_there_too(tmp_path: Path, length: int) -> None:
    origin, bundle = tmp_path / "model", tmp_path / "bundle"
    origin.mkdir()
    sentences(origin)
    text = packed(read(origin), bundle, length)
    assert text.max_length == (length or 30)
    stated = json.loads((bundle / "sentence_bert_config.json").read_text())
    assert stated["max_seq_length"] == text.max_length
    assert stated["tokenizer_args"]["model_max_length"] == text.max_length
    assert json.loads((bundle / "1_Pooling" / "config.json").read_text())["word_embedding_dimension"] == HIDDEN


def test_language_models_are_told_their_context_and_keep_their_tokenizer(tmp_path: Path) -> None:
    origin, bundle = tmp_path / "model", tmp_path / "bundle"
    tokenizer = byte_level()
    save_tokenizer(tokenizer, origin, model_max_length=int(1e30))
    bundle.mkdir()
    client_files.write(origin, bundle, Processing(generation=GENERATION))
    assert (bundle / "tokenizer.json").read_bytes() == (origin / "tokenizer.json").read_bytes()
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=9)
    save_tokenizer(tokenizer, origin, model_max_length=int(1e30))
    client_files.write(origin, bundle, Processing(generation=GENERATION))
    content = json.loads((bundle / "tokenizer.json").read_text())
    assert (content["truncation"], content["padding"]) == (None, None)
    stated = json.loads((bundle / "tokenizer_config.json").read_text())
    assert stated["model_max_length"] == 256
    # as RoBERTa's tokenizer has both
    assert (stated["add_bos_token"], stated["add_eos_token"]) == (True, True)


def test_what_transformers_5_renamed_has_its_old_name(tmp_path: Path) -> None:
    origin, bundle = tmp_path / "model", tmp_path / "bundle"
    special = ["[USER]", "[BOT]"]
    save_bert(origin, tokenizer_class="TokenizersBackend", extra_special_tokens=special)
    packed(read(origin), bundle)
    stated = json.loads((bundle / "tokenizer_config.json").read_text())
    assert stated["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert stated["additional_special_tokens"] == special
    assert "extra_special_tokens" not in stated
    theirs, ours = (transformers.AutoTokenizer.from_pretrained(folder) for folder in (origin, bundle))
    assert ours.extra_special_tokens == theirs.extra_special_tokens == special
    assert type(ours) is type(theirs)
    text = "[USER] a cat sleeps [BOT]"
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]


def test_models_of_images_have_no_length(tmp_path: Path) -> None:
    origin, bundle = tmp_path / "model", tmp_path / "bundle"
    bundle.mkdir()
    edit(origin / "config.json", model_type="vit")
    client_files.write(origin, bundle, Processing(image=IMAGE))
    assert sorted(file.name for file in bundle.iterdir()) == ["config.json", "preprocessor_config.json"]
