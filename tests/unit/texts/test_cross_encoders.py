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

from edgepack.errors import EdgepackError, ModelError, PreprocessingDiffers, UnsupportedModel, UsageError
from edgepack.original import sentence_check
from edgepack.records import NotMeasured
from edgepack.runtime.processing import Classes

from .conftest import TEXTS, edit, read, save_bert, save_tokenizer, sizes, wordpiece

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import CrossEncoder

pytestmark = pytest.mark.filterwarnings("ignore")
PAIRED = "text-classification"
PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[2], " ".join(TEXTS) * 4), ("", "x")]
TOLERANCE = 2e-6
BERT, MODEL = "sentence_bert_config.json", "config_sentence_transformers.json"
CHAT_OF_USERS = "{% for m in messages if m.role == 'user' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
CHAT = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<end> of it"
PROMPTED = (
    "judge: {% if messages[0].role == 'system' %}({{ messages[0].content }}){% else %}as usual{% endif %}"
    "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<end> of it"
)


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
    folder = saved(tmp_path, prompts={"query": "Query: ", "other": "Another: "}, max_length=30)
    check(folder)
    before = read(folder).model.scores(PAIRS)
    edit(folder / MODEL, default_prompt_name="query")
    check(folder)
    assert np.abs(np.subtract(before, read(folder).model.scores(PAIRS))).max() > 1e-3
    true = CrossEncoder(str(folder), device="cpu").predict(PAIRS[:1], prompt_name="other")
    (found,) = read(folder).model.rank(PAIRS[0][0], [PAIRS[0][1]], prompt_name="other")
    assert found.score == pytest.approx(true[0], abs=TOLERANCE)


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
    edit(folder / MODEL, prompts={"q": "Query: "}, default_prompt_name="q")
    with pytest.raises(UnsupportedModel, match="has a prompt, which a classifier of texts does not"):
        read(folder, PAIRED)


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
        (keys(MODEL, default_prompt_name="q"), ModelError, "no prompt named 'q'"),
        (keys(BERT, modality_config={"message": {}}), UnsupportedModel, "chat template"),
        (keys(BERT, processing_kwargs={"chat_template": {"max_length": 4}}), UnsupportedModel, "processing_kwargs"),
        (keys(BERT, transformer_task=None), ModelError, "transformer_task"),
        (keys(BERT, transformer_task="fill-mask"), UnsupportedModel, "transformer_task"),
        (
            keys(BERT, transformer_task="text-generation", modality_config=None, module_output_name=None),
            ModelError,
            "over a language model without the module LogitScore",
        ),
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


def causal(folder: Path, kind: str = "Qwen3ForCausalLM", template: str = "") -> Path:
    """A Qwen3 with the words yes and no, whose tokenizer may have a chat template."""
    folder.mkdir()
    tokenizer = wordpiece()
    tokenizer.add_tokens(["yes", "no"])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "tokenizer_class": "PreTrainedTokenizerFast"}
    options = {"chat_template": template} if template else {}
    save_tokenizer(tokenizer, folder, model_max_length=64, padding_side="right", **names, **options)
    torch.manual_seed(3)
    config = transformers.Qwen3Config(
        **sizes(tokenizer.get_vocab_size()), num_key_value_heads=2, head_dim=12, num_labels=1, pad_token_id=0
    )
    getattr(transformers, kind)(config).save_pretrained(folder)
    return folder


def as_saved(plain: Path, **options: Any) -> Path:
    CrossEncoder(str(plain), device="cpu", **options).save_pretrained(str(plain.parent / "saved"))
    return plain.parent / "saved"


def test_rerankers_with_a_chat_template_for_one_text(tmp_path: Path) -> None:
    """Which drops the pair: sentence-transformers refuses it too, and transformers' pipeline leaves it out."""
    plain = causal(tmp_path / "plain", "Qwen3ForSequenceClassification", CHAT_OF_USERS)
    with pytest.raises(UnsupportedModel, match="does not put the query and the document of a pair in"):
        read(as_saved(plain))
    pipe = transformers.pipeline("text-classification", model=str(plain))
    true = [pipe({"text": a, "text_pair": b}, truncation=True)["score"] for a, b in PAIRS]
    np.testing.assert_allclose(np.ravel(read(plain).model.scores(PAIRS)), true, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["Qwen3ForCausalLM", "Qwen3ForSequenceClassification"])
@pytest.mark.parametrize("template", ["", CHAT, PROMPTED])
def test_rerankers_over_a_language_model(tmp_path: Path, kind: str, template: str) -> None:
    """Of a long pair, as the last one is, the end of the template stays."""
    prompts = {"prompts": {"fish": "About fish?"}} if template == PROMPTED else {}
    folder = as_saved(causal(tmp_path / "plain", kind, template), **prompts)
    check(folder)
    ours, true = read(folder).model, CrossEncoder(str(folder), device="cpu")
    assert (ours.text.frame is not None) == bool(template)
    if not template:
        return
    assert ours.feeds(PAIRS)["input_ids"][1, -3:].tolist() == list(ours.text.frame.tail)[-3:]
    for asked in ({"prompt": "Is it so?"}, {"prompt_name": "fish"}) if template == PROMPTED else ():
        said = true.rank(PAIRS[0][0], TEXTS, **asked)
        found = {passage.index: passage.score for passage in ours.rank(PAIRS[0][0], TEXTS, **asked)}
        assert found == pytest.approx({entry["corpus_id"]: entry["score"] for entry in said}, abs=TOLERANCE)
    if template == CHAT:
        with pytest.raises(UsageError, match="no place for a prompt"):
            ours.rank("a", TEXTS, prompt="b")


def test_a_language_model_with_words_of_its_own(tmp_path: Path) -> None:
    folder = as_saved(causal(tmp_path / "plain"))
    before = read(folder).model.scores(PAIRS)
    edit(folder / "1_LogitScore" / "config.json", true_token_id=7, false_token_id=None)
    edit(folder / MODEL, activation_fn="torch.nn.modules.linear.Identity")
    (folder / "1_LogitScore" / "config.json").write_text('{"true_token_id": 7, "false_token_id": null}')
    check(folder)
    assert np.abs(np.subtract(before, read(folder).model.scores(PAIRS))).max() > 1e-2
    edit(folder / "1_LogitScore" / "config.json", true_token_id=10**6)
    with pytest.raises(ModelError, match="names the token 1000000"):
        read(folder)
    with pytest.raises(UnsupportedModel, match="is for text-ranking, not text-generation"):
        read(folder, "text-generation")
    with pytest.raises(UnsupportedModel, match="scores words, which a classifier of texts does not"):
        read(folder, PAIRED)


def test_a_bare_language_model_as_its_model_card_has_it(tmp_path: Path) -> None:
    """The code of Qwen3-Reranker's card: three parts become tokens, of which the middle one is cut."""
    plain = causal(tmp_path / "plain", template=CHAT_OF_USERS)
    edit(plain / "tokenizer_config.json", model_max_length=180)
    edit(plain / "config.json", max_position_embeddings=180)
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(plain)
    start = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    end = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    first, last = (tokenizer.encode(part, add_special_tokens=False) for part in (start, end))
    for prompt, instruction in (
        ("", "Given a web search query, retrieve relevant passages that answer the query"),
        ("Find fish.", "Find fish."),
    ):
        texts = [f"<Instruct>: {instruction}\n<Query>: {a}\n<Document>: {b}" for a, b in PAIRS]
        room = 180 - len(first) - len(last)
        inner = tokenizer(texts, truncation=True, max_length=room, add_special_tokens=False)["input_ids"]
        assert max(map(len, inner)) == room
        batch = tokenizer.pad({"input_ids": [first + ids + last for ids in inner]}, return_tensors="pt")
        with torch.no_grad():
            logits = model(**batch).logits[:, -1]
        both = logits[:, [tokenizer.convert_tokens_to_ids("no"), tokenizer.convert_tokens_to_ids("yes")]]
        wanted = torch.nn.functional.softmax(both, dim=1)[:, 1].numpy()
        ours = read(plain, "text-ranking").model
        found = [ours.rank(a, [b], prompt=prompt)[0].score for a, b in PAIRS]
        np.testing.assert_allclose(found, wanted, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (CHAT.replace("m.content", "m.content | trim"), "changes the texts that it puts in"),
        (CHAT.replace("in messages", "in messages | reverse"), "the document before the query"),
    ],
)
def test_templates_that_are_refused(tmp_path: Path, template: str, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        read(causal(tmp_path / "plain", template=template), "text-ranking")


def test_a_language_model_that_nothing_makes_a_reranker(tmp_path: Path) -> None:
    plain = causal(tmp_path / "plain")
    edit(plain / "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
    with pytest.raises(UnsupportedModel, match="nothing says how it takes a query and a passage") as error:
        read(plain, "text-ranking")
    assert "chat_template.jinja" in error.value.hint
