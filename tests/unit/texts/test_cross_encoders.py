"""Folders of sentence-transformers' CrossEncoder: the scores of pairs are its own, or the folder is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from edgepack.errors import EdgepackError, ModelError, PreprocessingDiffers, UnsupportedModel
from edgepack.original import sentence_check
from edgepack.records import NotMeasured
from edgepack.runtime.processing import Classes

from .conftest import TEXTS, edit, read, save_bert, save_tokenizer, sizes, wordpiece

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import CrossEncoder, SparseEncoder

pytestmark = pytest.mark.filterwarnings("ignore")
PAIRED = "text-classification"
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[2], " ".join(TEXTS) * 4), ("", "x")]
TOLERANCE = 2e-6
BERT, MODEL = "sentence_bert_config.json", "config_sentence_transformers.json"
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def saved(folder: Path, labels: int = 1, **options: Any) -> Path:
    """What CrossEncoder saves of a BERT, whose tokenizer keeps upper case."""
    plain = folder / "plain"
    plain.mkdir()
    save_bert(plain, "BertForSequenceClassification")
    config = transformers.AutoConfig.from_pretrained(plain, num_labels=labels)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(plain)
    CrossEncoder(str(plain), device="cpu", **options).save_pretrained(str(folder / "model"))
    return folder / "model"


def check(folder: Path, **options: Any) -> None:
    ours = read(folder)
    assert ours.source.task == ("text-ranking" if len(ours.processing.section(Classes).labels) == 1 else PAIRED)
    true = CrossEncoder(str(folder), device="cpu").predict(PAIRS, **options)
    np.testing.assert_allclose(ours.model.scores(PAIRS), true.reshape(len(PAIRS), -1), atol=TOLERANCE)


def test_what_it_saves(tmp_path: Path) -> None:
    check(saved(tmp_path, prompts={"query": "Query: "}, max_length=30))


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({"max_seq_length": 9}, 9),
        ({"processor_kwargs": {"model_max_length": 11}}, 11),
        ({"tokenizer_args": {"model_max_length": 11}, "max_seq_length": 9}, 11),
        ({"max_seq_length": None, "do_lower_case": True}, 64),
    ],
)
def test_settings(tmp_path: Path, settings: dict[str, Any], longest: int) -> None:
    folder = saved(tmp_path)
    before = read(folder).model.scores(PAIRS)
    if "do_lower_case" in settings:
        tokenizer = wordpiece()
        tokenizer.normalizer = None  # type: ignore[assignment]
        save_tokenizer(tokenizer, folder, tokenizer_class="PreTrainedTokenizerFast")
    edit(folder / BERT, **settings)
    check(folder)
    assert read(folder).text.max_length == longest
    if longest < 64:
        assert np.abs(np.subtract(before, read(folder).model.scores(PAIRS))).max() > 1e-3


def test_a_reranker_as_a_classifier(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    np.testing.assert_array_equal(read(folder, PAIRED).model.scores(PAIRS), read(folder).model.scores(PAIRS))


def test_several_labels_do_not_rank(tmp_path: Path) -> None:
    folder = saved(tmp_path, labels=3)
    with pytest.raises(UnsupportedModel, match="is for text-classification, not text-ranking"):
        read(folder, "text-ranking")
    with pytest.raises(UnsupportedModel, match="gives 3 numbers for a pair of texts"):
        read(tmp_path / "plain", "text-ranking")


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    """CrossEncoder's notes in config.json tell what it is; without them --task does."""
    saved(tmp_path)
    plain = tmp_path / "plain"
    assert read(plain).source.task == PAIRED
    np.testing.assert_array_equal(read(plain, "text-ranking").model.scores(PAIRS), read(plain).model.scores(PAIRS))
    edit(plain / "config.json", sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")
    check(plain)


def test_several_labels(tmp_path: Path) -> None:
    check(saved(tmp_path, labels=3), apply_softmax=True)


def test_an_activation(tmp_path: Path) -> None:
    check(saved(tmp_path, activation_fn=torch.nn.Identity()))


@pytest.mark.parametrize("labels", [1, 3])
def test_scores_are_held_against_the_library(tmp_path: Path, labels: int) -> None:
    ours = read(saved(tmp_path, labels, max_length=20))
    with sentence_check.Check(ours.source) as asked:
        asked.ask(ours.processing, TEXTS)
        asked.hold(ours.model)
        (figure,) = asked.finish()
    assert not isinstance(figure.compressed, NotMeasured)
    assert figure.compressed <= sentence_check.TOLERANCE
    assert figure.samples == len(TEXTS) + 1  # and a long one
    with sentence_check.Check(ours.source) as asked:
        asked.ask(ours.processing, TEXTS)
        ours.model.text.tokenizer.enable_truncation(12)  # a length that was read wrongly
        asked.hold(ours.model)
        with pytest.raises(PreprocessingDiffers, match="gives another score for"):
            asked.finish()


def keys(name: str, **changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, **changes)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (keys(MODEL, prompts={"q": "Query: "}, default_prompt_name="q"), UnsupportedModel, "default prompt 'Query: '"),
        (keys(MODEL, default_prompt_name="q"), ModelError, "no prompt named 'q'"),
        (keys(BERT, modality_config={"message": {}}), UnsupportedModel, "chat template"),
        (keys(BERT, transformer_task=None), ModelError, "transformer_task"),
        (keys(BERT, transformer_task="text-generation"), UnsupportedModel, "transformer_task"),
        (keys(BERT, max_seq_length="9"), ModelError, "max_seq_length"),
        (keys(BERT, processing_kwargs={"text": {"max_length": 4}}), UnsupportedModel, "processing_kwargs"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: Callable[[Path], None], kind: type[EdgepackError], words: str) -> None:
    folder = saved(tmp_path)
    change(folder)
    with pytest.raises(kind, match=words) as error:
        read(folder)
    assert "\n" not in str(error.value)


def causal(folder: Path, kind: str, **options: Any) -> Path:
    """A Qwen3, whose tokenizer may have a chat template."""
    folder.mkdir()
    tokenizer = wordpiece()
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "tokenizer_class": "PreTrainedTokenizerFast"}
    save_tokenizer(tokenizer, folder, model_max_length=64, padding_side="left", **names, **options)
    torch.manual_seed(3)
    config = transformers.Qwen3Config(
        **sizes(tokenizer.get_vocab_size()), num_key_value_heads=2, head_dim=12, num_labels=1, pad_token_id=0
    )
    getattr(transformers, kind)(config).save_pretrained(folder)
    return folder


def test_rerankers_with_a_chat_template(tmp_path: Path) -> None:
    plain = causal(tmp_path / "plain", "Qwen3ForSequenceClassification", chat_template=CHAT)
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(tmp_path / "saved"))
    with pytest.raises(UnsupportedModel, match="chat template"):
        read(tmp_path / "saved")
    pipe = transformers.pipeline("text-classification", model=str(plain))
    true = [pipe({"text": a, "text_pair": b}, truncation=True)["score"] for a, b in PAIRS]
    np.testing.assert_allclose(np.ravel(read(plain).model.scores(PAIRS)), true, atol=TOLERANCE)


def test_rerankers_over_a_language_model(tmp_path: Path) -> None:
    plain = causal(tmp_path / "plain", "Qwen3ForCausalLM")
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(tmp_path / "saved"))
    with pytest.raises(UnsupportedModel, match="CrossEncoder with the module LogitScore"):
        read(tmp_path / "saved")
    with pytest.raises(UnsupportedModel, match="is for text-ranking, not text-generation"):
        read(tmp_path / "saved", "text-generation")


def test_sparse_encoders(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    save_bert(tmp_path / "plain", "BertForMaskedLM")
    SparseEncoder(str(tmp_path / "plain"), device="cpu").save_pretrained(str(tmp_path / "model"))
    for task in (None, "fill-mask", "text-embedding"):
        with pytest.raises(UnsupportedModel, match="is a SparseEncoder of sentence-transformers"):
            read(tmp_path / "model", task)
