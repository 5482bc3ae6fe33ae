"""Between a text and its ids: what transformers does with a folder's settings is what the bundle does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors

from edgepack import plugins
from edgepack.errors import EdgepackError, InputError, ModelError, PreprocessingDiffers, UnsupportedModel
from edgepack.original import siglip_tokenizer, tokenizers
from edgepack.original.text_arrangement import arrange
from edgepack.runtime.text import TextInput
from edgepack.tasks import _text
from edgepack.tasks._supported import TABLE

from .conftest import (
    BERT_NAMES,
    ROBERTA_NAMES,
    Ours,
    byte_level,
    edit,
    read,
    save_bert,
    save_tokenizer,
    sizes,
    unigram,
    wordpiece,
)

pytestmark = pytest.mark.filterwarnings("ignore")
CONFIG = "tokenizer_config.json"
TEXTS = [
    "A cat sleeps.", "", "  Two  spaces, ÀÉÎ ünïcödé 東京 \t and a [MASK] or <mask>.", "</s>", "x",
    "rain fell on Paris " * 40,
]  # fmt: skip
PAIRS = [("who sleeps?", "A Cat"), ("", "nothing"), ("rain " * 50, "fell on Paris " * 50), ("a", "rain " * 90)]


def classifier(folder: Path, kind: str, tokenizer: Tokenizer, **stated: Any) -> Path:
    """A sequence classifier of the family ``kind`` with a tokenizer as it was saved long ago."""
    config_values = stated.pop("config", {})
    save_tokenizer(tokenizer, folder, **stated)
    torch.manual_seed(5)
    config = getattr(transformers, f"{kind}Config")(**{**sizes(tokenizer.get_vocab_size()), **config_values})
    getattr(transformers, f"{kind}ForSequenceClassification")(config).save_pretrained(folder)
    return folder


def bert(folder: Path, **stated: Any) -> Path:
    facts = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, **BERT_NAMES, **stated}
    return classifier(folder, "Bert", wordpiece(), **facts)


def roberta(folder: Path, **stated: Any) -> Path:
    config = {"pad_token_id": 1, "max_position_embeddings": 66}
    facts = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 64, **ROBERTA_NAMES, **stated}
    return classifier(folder, "Roberta", byte_level(), config=config, **facts)


def same_ids(folder: Path, ours: Ours | None = None) -> Ours:
    """Ours are transformers' own, called as its documentation says."""
    ours = ours or read(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for texts in (TEXTS, PAIRS, *([text] for text in TEXTS)):
        first = [text if isinstance(text, str) else text[0] for text in texts]
        second = None if isinstance(texts[0], str) else [text[1] for text in texts]
        limit = min(theirs.model_max_length, ours.text.max_length)
        true = theirs(first, second, padding=True, truncation=True, max_length=limit, return_tensors="np")
        feeds = ours.feeds(texts)
        assert set(feeds) <= set(true)
        for name, array in feeds.items():
            np.testing.assert_array_equal(array, true[name], err_msg=f"{name} of {texts}")
        tokenizers.compare(texts, feeds, tokenizers.encode(ours.source, ours.text, texts))
    return ours


def same_logits(folder: Path) -> Ours:
    """Everything that the tokenizer gives and the model takes is fed: the model's own logits come out."""
    ours = same_ids(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    limit = ours.text.max_length
    made = tokenizer(
        *map(list, zip(*PAIRS, strict=True)), padding=True, truncation=True, max_length=limit, return_tensors="pt"
    )
    with torch.no_grad():
        true = model(**{name: value for name, value in made.items() if name in ours.text.inputs}).logits.numpy()
        whole = _whole(model, made)
    np.testing.assert_allclose(whole, true, atol=1e-6)  # nothing that was left out matters
    np.testing.assert_allclose(ours.model._runs["model"](ours.feeds(PAIRS))["logits"], true, atol=1e-5)
    return ours


def _whole(model: Any, made: Any) -> np.ndarray:
    try:
        return np.asarray(model(**made).logits.numpy())
    except TypeError:  # an input that the model does not have
        return np.asarray(model(**{k: v for k, v in made.items() if k != "token_type_ids"}).logits.numpy())


SETTINGS: dict[str, tuple[Callable[..., Path], dict[str, Any]]] = {
    "plain": (bert, {}),
    "cased by its config": (bert, {"do_lower_case": False}),
    "accents stripped": (bert, {"do_lower_case": False, "strip_accents": True}),
    "chinese characters together": (bert, {"tokenize_chinese_chars": False}),
    "padded left": (bert, {"padding_side": "left"}),
    "cut left": (bert, {"truncation_side": "left"}),
    "no longest text": (bert, {"model_max_length": None}),
    "longest text 1e30": (bert, {"model_max_length": int(1e30)}),
    "longer than the positions": (bert, {"model_max_length": 4096}),
    "shorter": (bert, {"model_max_length": 11}),
    "another class": (bert, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "no class": (bert, {"tokenizer_class": None}),
    "tokens that tokenizer.json lacks": (
        bert,
        {"added_tokens_decoder": {"900": {"content": "Paris", "lstrip": False, "rstrip": True, "single_word": True,
                                          "normalized": False, "special": True}}, "config": {"vocab_size": 901}},
    ),
    "special tokens that tokenizer.json lacks": (
        bert, {"additional_special_tokens": ["rain"], "config": {"vocab_size": 901}}
    ),
    "no inputs of types": (bert, {"model_input_names": ["input_ids", "attention_mask"]}),
    "roberta": (roberta, {}),
    "prefix space": (roberta, {"add_prefix_space": True}),
    "no prefix space": (roberta, {"add_prefix_space": False}),
    "roberta of no class": (roberta, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "another padding token": (roberta, {"pad_token": "<unk>"}),
    "trimmed": (roberta, {"trim_offsets": False, "clean_up_tokenization_spaces": True}),
    "eos added": (roberta, {"tokenizer_class": "PreTrainedTokenizerFast", "add_eos_token": True}),
    "bos added": (roberta, {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True}),
    "neither": (roberta, {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(tmp_path: Path, name: str) -> None:
    make, stated = SETTINGS[name]
    same_logits(make(tmp_path, **stated))


def test_what_settings_change(tmp_path: Path) -> None:
    """They are settings that matter: without them the ids are others."""
    plain = read(bert(tmp_path / "plain")).feeds(TEXTS)
    for name in ("cased by its config", "chinese characters together", "cut left", "shorter"):
        changed = read(bert(tmp_path / name, **SETTINGS[name][1])).feeds(TEXTS)
        assert not np.array_equal(plain["input_ids"], changed["input_ids"]), name


def test_truncation_and_padding_of_tokenizer_json_do_not_count(tmp_path: Path) -> None:
    bert(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.enable_truncation(9)
    tokenizer.enable_padding(length=33, pad_to_multiple_of=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    same_logits(tmp_path)


_OWN_SIZES: dict[str, dict[str, Any]] = {
    "Albert": {"embedding_size": 32},
    "Bart": {"d_model": 48, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96,
             "encoder_attention_heads": 4, "decoder_attention_heads": 4, "eos_token_id": 3},
    "DistilBert": {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
    "Esm": {"position_embedding_type": "absolute", "mask_token_id": 4},
    "Longformer": {"attention_window": 8},
    "Luke": {"entity_vocab_size": 5, "entity_emb_size": 16},
    "Mistral": {"num_key_value_heads": 4},
    "MobileBert": {"embedding_size": 16, "intra_bottleneck_size": 48, "true_hidden_size": 48},
    "Nystromformer": {"max_position_embeddings": 64, "segment_means_seq_len": 64, "num_landmarks": 64},
    "Qwen2": {"num_key_value_heads": 4},
    "Qwen3": {"num_key_value_heads": 4, "head_dim": 12},
    "SqueezeBert": {"embedding_size": 48},
}  # fmt: skip
FAMILIES = sorted(name for names in TABLE["text-classification"].values() for name in names)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_the_inputs_of_each_family(tmp_path: Path, architecture: str) -> None:
    """token_type_ids where the tokenizer makes them and the model takes them: pairs differ without."""
    kind = architecture.removesuffix("ForSequenceClassification")
    config = {"pad_token_id": 0, "max_position_embeddings": 66, **_OWN_SIZES.get(kind, {})}
    facts = {"config": config, "model_max_length": 64, "tokenizer_class": "PreTrainedTokenizerFast", **BERT_NAMES}
    same_logits(classifier(tmp_path, kind, wordpiece(), **facts))


def test_one_kind_of_texts(tmp_path: Path) -> None:
    """A second text of another kind would be looked up in a table of one row."""
    facts = {"config": {"type_vocab_size": 1}, "model_max_length": 64, **BERT_NAMES}
    classifier(tmp_path, "Bert", wordpiece(), **facts)
    ours = read(tmp_path)
    assert len(ours.model.classify(["A cat sleeps.", "It rains."])) == 2
    with pytest.raises(InputError, match="takes a text, not a pair"):
        ours.model.classify([("A cat sleeps.", "It rains.")])
    edit(tmp_path / "config.json", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    with pytest.raises(UnsupportedModel, match="takes no pairs of texts"):
        read(tmp_path, "text-ranking")
    edit(tmp_path / CONFIG, model_input_names=["input_ids", "attention_mask"])
    assert read(tmp_path, "text-ranking").text.pairs is None


def test_a_vocabulary_alone(tmp_path: Path) -> None:
    """As folders were before tokenizer.json."""
    bert(tmp_path)
    tokens = sorted(wordpiece().get_vocab().items(), key=lambda entry: entry[1])
    (tmp_path / "vocab.txt").write_text("\n".join(token for token, _ in tokens), "utf-8")
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / CONFIG).write_text(json.dumps({"do_lower_case": False, "model_max_length": 40}))
    ours = same_logits(tmp_path)
    assert (ours.source.path / "tokenizer.json").is_file()


def test_a_sentencepiece_model_alone(tmp_path: Path) -> None:
    sentences = tmp_path / "text.txt"
    sentences.write_text("\n".join(_text.sentences()), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(sentences), model_prefix=str(tmp_path / "m"), vocab_size=400, minloglevel=2, bos_id=1, eos_id=2,
        pad_id=-1, unk_id=0, hard_vocab_limit=False,
    )  # fmt: skip
    folder = tmp_path / "model"
    config = {"vocab_size": 500, "pad_token_id": 1, "max_position_embeddings": 66}
    classifier(folder, "XLMRoberta", unigram(), config=config, model_max_length=64)
    (folder / "tokenizer.json").unlink()
    shutil.copy(tmp_path / "m.model", folder / "sentencepiece.bpe.model")
    same_logits(folder)


def test_a_class_that_rebuilds_what_tokenizer_json_says(tmp_path: Path) -> None:
    """A Lowercase that somebody put into tokenizer.json is lost when transformers opens it as a BertTokenizer."""
    bert(tmp_path, do_lower_case=False)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours = same_ids(tmp_path)
    stored = json.loads((ours.source.path / "tokenizer.json").read_text())
    assert stored["normalizer"]["type"] == "BertNormalizer"
    edit(tmp_path / CONFIG, tokenizer_class="PreTrainedTokenizerFast")
    assert (
        json.loads((same_ids(tmp_path).source.path / "tokenizer.json").read_text())["normalizer"]["type"] == "Lowercase"
    )


def no_pad(folder: Path) -> None:
    bert(folder, tokenizer_class="PreTrainedTokenizerFast", pad_token=None)


def pad_beyond(folder: Path) -> None:
    bert(folder, pad_token="[NEW]")


def no_vocabulary(folder: Path) -> None:
    bert(folder)
    (folder / "tokenizer.json").unlink()


def in_python(folder: Path) -> None:
    bert(folder, tokenizer_class="CanineTokenizer")


def split(folder: Path) -> None:
    bert(folder, split_special_tokens=True)


def broken(folder: Path) -> None:
    bert(folder)
    (folder / "tokenizer.json").write_text('{"model": 5}')


def sideways(folder: Path) -> None:
    bert(folder, padding_side="top")


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (no_pad, ModelError, "no padding token"),
        (pad_beyond, ModelError, "pads with the id 900; the model has 900 tokens"),
        (no_vocabulary, ModelError, r"no tokenizer\.json and no other vocabulary"),
        (in_python, UnsupportedModel, "CanineTokenizer"),
        (split, UnsupportedModel, "split_special_tokens"),
        (broken, ModelError, r"tokenizer\.json is no tokenizer"),
        (sideways, ModelError, "cannot open the tokenizer"),
    ],
)
def test_what_is_refused(tmp_path: Path, make: Callable[[Path], None], kind: type[EdgepackError], words: str) -> None:
    make(tmp_path)
    with pytest.raises(kind, match=words) as error:
        read(tmp_path)
    assert type(error.value) is kind
    assert error.value.hint
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model_type", "kind", "words"),
    [("xlnet", ModelError, "maximum length"), ("fnet", UnsupportedModel, "attention mask")],
)
def test_what_a_model_lacks(tmp_path: Path, model_type: str, kind: type[EdgepackError], words: str) -> None:
    bert(tmp_path / "model", model_max_length=None)
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(kind, match=words):
        arrange(tmp_path / "model", plugins.load("tasks", "text-classification"), tmp_path / "to")


def _bos(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])


def _eos(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])


def _case(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = wordpiece(lower=False).normalizer


def _pieces(tokenizer: Tokenizer) -> None:
    tokenizer.model = models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]", max_input_chars_per_word=4)


@pytest.mark.parametrize(
    ("damage", "change", "words"),
    [
        (_bos, {}, "add_bos_token"),
        (_eos, {}, "add_eos_token"),
        (_case, {}, "do_lower_case"),
        (_pieces, {}, "normalizer or the pre-tokenizer"),
        (None, {"max_length": 30}, "max_seq_length"),
        (None, {"padding_side": "left"}, "padding_side"),
        (None, {"pad_id": 4}, "pad_token"),
        (None, {"truncation_side": "left"}, "truncation_side"),
    ],
)
def test_a_difference_is_told(
    tmp_path: Path, damage: Callable[[Tokenizer], None] | None, change: dict[str, Any], words: str
) -> None:
    """A tokenizer that is not transformers' is found, and the setting named."""
    ours = read(bert(tmp_path))
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copy(ours.source.path / "tokenizer.json", folder)
    text = TextInput(folder, replace(ours.text, **change))
    if damage is not None:
        damage(text.tokenizer)
    texts = ["A Cat sleeps and PARIS waits", "the rain", " ".join(_text.sentences()[:9])]
    with pytest.raises(PreprocessingDiffers, match=words):
        tokenizers.compare(texts, text.encode(texts)[0], tokenizers.encode(ours.source, ours.text, texts))


_LETTERS = st.text(st.characters(codec="utf-8"), max_size=40)
_WORDS = st.lists(
    st.sampled_from([*"aé東 \n\t", "rain", "Paris", " the", "[MASK]", "<s>", "  ", "’", "😀"]), max_size=60
)
_TEXT = st.one_of(_LETTERS, _WORDS.map("".join))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ours, Any]]:
    """Three kinds of tokenizers, each padded and cut at another side."""
    root = tmp_path_factory.mktemp("kinds")
    config = {"pad_token_id": 1, "max_position_embeddings": 40}
    folders = {
        "wordpiece": bert(root / "w", model_max_length=23),
        "byte-level": roberta(root / "b", model_max_length=31, padding_side="left"),
        "unigram": classifier(
            root / "u", "XLMRoberta", unigram(), tokenizer_class="PreTrainedTokenizerFast",
            config=config, model_max_length=512, truncation_side="left", **ROBERTA_NAMES,
        ),
    }  # fmt: skip
    return {
        name: (read(folder), transformers.AutoTokenizer.from_pretrained(folder)) for name, folder in folders.items()
    }


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.one_of(st.lists(_TEXT, min_size=1, max_size=5), st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=4))
)
def test_any_text(kinds: dict[str, tuple[Ours, Any]], kind: str, texts: list[Any]) -> None:
    ours, theirs = kinds[kind]
    columns = [texts] if isinstance(texts[0], str) else [list(column) for column in zip(*texts, strict=True)]
    limit = ours.text.max_length
    true = theirs(*columns, padding=True, truncation=True, max_length=limit, return_tensors="np")
    for name, array in ours.feeds(texts).items():
        np.testing.assert_array_equal(array, true[name])


@pytest.mark.parametrize("side", ["left", "right"])
def test_windows_are_not_padded(tmp_path: Path, side: str) -> None:
    save_bert(tmp_path, "BertForQuestionAnswering", padding_side=side)
    ours, theirs = read(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    question, context = "Who sleeps?", " ".join(TEXTS) * 3
    cut = {"truncation": "only_second", "max_length": 64, "stride": 20, "return_overflowing_tokens": True}
    windows = ours.model.text.windows(question, context, 20)
    assert [window.ids for window in windows] == theirs(question, context, **cut)["input_ids"]
    assert len({len(window.ids) for window in windows}) == 2  # the last is shorter
    mask = ours.feeds([(question, context), (question, "A cat.")])["attention_mask"]
    assert mask[1, 0 if side == "left" else -1] == 0  # in a batch they are padded as before


ALPHABET = [*"abcdef  .,!?'-AB\t\néüñßΣσς東京½ﬁ①`<>/", "\u00a0", "\u200b", "\u3000", "\x1c", "\u2581", "cat", "the dog"]


def test_siglips_tokenizer_in_python(tmp_path: Path) -> None:
    """Over a sentencepiece model, as SigLIP 1 has it; transformers' own class is the reference."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(["a photo of a cat", "the dog sleeps in Paris", "naïve café, 42 times"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "spiece"), vocab_size=60, model_type="unigram", pad_id=-1,
        bos_id=-1, eos_id=1, unk_id=2, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    slow = transformers.SiglipTokenizer(vocab_file=str(tmp_path / "spiece.model"))
    fast = siglip_tokenizer.fast(slow)
    rng = np.random.default_rng(0)
    texts = ["", " ", "!!!", "A Photo, of a CAT!", " . cat", "ΟΔΟΣ ΟΔΟΣ", "full－width！", "İstanbul", "photo " * 90]
    texts += ["".join(rng.choice(ALPHABET, rng.integers(0, 20))) for _ in range(200)]
    for text in texts:
        theirs, ours = (each(text, padding="max_length", truncation=True) for each in (slow, fast))
        assert ours["input_ids"] == theirs["input_ids"], text
        assert len(ours["input_ids"]) == 64
    plain = transformers.SiglipTokenizer(vocab_file=slow.vocab_file, do_lower_case=False)
    assert siglip_tokenizer.fast(plain)("A Cat")["input_ids"] == plain("A Cat")["input_ids"]
