"""What a bundle says, in the words of transformers' pipelines and of sentence-transformers' CrossEncoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch
import transformers
from tokenizers import AddedToken, ByteLevelBPETokenizer, processors

import edgepack
from edgepack.errors import UsageError
from edgepack.records import Bundle

Build = Callable[..., tuple[Bundle, ...]]
TEXT = "Ada Lovelace wrote the first program in London, and rain fell on Paris."
PAIRS = [("who wrote the program", "ada lovelace wrote it"), ("who wrote the program", "rain fell on paris")]
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "initializer_range": 0.3,
}  # fmt: skip


def bytelevel(folder: Path) -> Any:
    """RoBERTa's kind of tokenizer, whose tokens carry the space before a word."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator([TEXT] * 3, vocab_size=330, min_frequency=1, special_tokens=special)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), special, strict=True))
    mask = AddedToken("<mask>", lstrip=True, special=True)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, model_max_length=64, **{**names, "mask_token": mask}
    )
    fast.save_pretrained(folder)
    return fast


def roberta(folder: Path, head: str, **options: Any) -> Any:
    folder.mkdir()
    tokenizer = bytelevel(folder)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=70, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, **SIZES, **options,
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"Roberta{head}")(config)
    for name, weight in model.named_parameters():
        if "classifier" in name and weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.8)
    model.save_pretrained(folder)
    return tokenizer


def opened(build: Build, folder: Path) -> Any:
    return edgepack.load(build(folder, "rpi", recipes=("fp32",))[0].path)


@pytest.mark.parametrize("labels", [["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ["O", "S-PER", "E-PER", "PER", "LOC"]])
def test_spans_are_the_pipelines_simple_ones(labels: list[str], build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tokenizer = roberta(folder, "ForTokenClassification", id2label=dict(enumerate(labels)))
    pipeline = transformers.pipeline(
        "token-classification", model=str(folder), tokenizer=tokenizer, aggregation_strategy="simple"
    )
    wanted = [(e["entity_group"], e["start"], e["end"], pytest.approx(e["score"], abs=1e-4)) for e in pipeline(TEXT)]
    found = opened(build, folder).tag(TEXT)
    assert [(e.label, e.start, e.end, e.score) for e in found] == wanted
    assert found
    assert [e.text for e in found] == [TEXT[e.start : e.end] for e in found]


@pytest.mark.parametrize("text", ["Ada <mask> wrote it.", "<mask> fell on Paris.", "the <mask> of <mask>", "wr<mask>e"])
def test_masks_are_filled_as_the_pipeline_fills_them(text: str, build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tokenizer = roberta(folder, "ForMaskedLM")
    wanted = transformers.pipeline("fill-mask", model=str(folder), tokenizer=tokenizer)(text)
    wanted = wanted[0] if isinstance(wanted[0], list) else wanted
    found = opened(build, folder).fill(text)
    assert [(f.token, f.text) for f in found] == [(entry["token_str"], entry["sequence"]) for entry in wanted]
    np.testing.assert_allclose([f.score for f in found], [entry["score"] for entry in wanted], atol=1e-5)


def test_parts_of_words_are_joined(build: Build, tiny: Callable[[str], Path]) -> None:
    folder = tiny("fill-mask")
    wanted = transformers.pipeline("fill-mask", model=str(folder))("Rain fel [MASK] on Paris.", top_k=80)
    found = opened(build, folder).fill("Rain fel [MASK] on Paris.", top=80)
    assert [(f.token, f.text) for f in found] == [(entry["token_str"], entry["sequence"]) for entry in wanted]
    assert any(f.token.startswith("##") and "##" not in f.text for f in found)


@pytest.fixture(scope="session")
def reranker(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with one label."""
    folder = tmp_path_factory.mktemp("rerankers") / "plain"
    shutil.copytree(tiny("text-classification"), folder)
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    return folder


def edited(folder: Path, to: Path, **values: Any) -> Path:
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **values}))
    return to


IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.1.0"}},
        {"sbert_ce_default_activation_function": IDENTITY},
        {"sbert_ce_default_activation_function": SIGMOID},
    ],
)
def test_a_reranker_scores_as_a_cross_encoder(
    values: dict[str, Any], reranker: Path, build: Build, tmp_path: Path
) -> None:
    folder = edited(reranker, tmp_path / "model", **values)
    wanted = sentence_transformers.CrossEncoder(str(folder)).predict(PAIRS)
    if values:  # a CrossEncoder by its notes
        np.testing.assert_allclose(opened(build, folder).predict(PAIRS), wanted, atol=1e-5)
    else:  # a classifier of one label
        found = opened(build, folder).classify(PAIRS)
        np.testing.assert_allclose([labels[0].score for labels in found], wanted, atol=1e-5)
        asked = {"text": PAIRS[0][0], "text_pair": PAIRS[0][1]}
        told = transformers.pipeline("text-classification", model=str(folder))(asked)
        assert (found[0][0].name, found[0][0].score) == (told["label"], pytest.approx(told["score"], abs=1e-5))


def test_a_folder_that_a_cross_encoder_saved(reranker: Path, build: Build, tmp_path: Path) -> None:
    model = sentence_transformers.CrossEncoder(str(reranker), activation_fn=torch.nn.Identity())
    model.save_pretrained(str(tmp_path / "model"))
    wanted = sentence_transformers.CrossEncoder(str(tmp_path / "model")).predict(PAIRS)
    np.testing.assert_allclose(opened(build, tmp_path / "model").predict(PAIRS), wanted, atol=1e-5)


def test_a_regression_stays_as_it_is(reranker: Path, build: Build, tmp_path: Path) -> None:
    folder = edited(reranker, tmp_path / "model", problem_type="regression")
    told = transformers.pipeline("text-classification", model=str(folder))(TEXT)
    assert opened(build, folder).classify(TEXT)[0].score == pytest.approx(told[0]["score"], abs=1e-5)


def test_pairs_on_the_command_line(reranker: Path, build: Build, edgepack: Any) -> None:
    bundle = build(reranker, "rpi", recipes=("fp32",))[0].path
    asked, passages = PAIRS[0][0], [passage for _, passage in PAIRS]
    said = edgepack("run", bundle, asked, "--pair", passages[0], "--pair", passages[1], "--json")
    results = json.loads(said.stdout)
    assert [entry["input"] for entry in results] == [[asked, passage] for passage in passages]
    found = globals()["edgepack"].load(bundle).classify(PAIRS)
    assert [entry["result"][0]["score"] for entry in results] == [labels[0].score for labels in found]
    wrong = edgepack("run", bundle, "one", "two", "--pair", "a", "--pair", "b", "--pair", "c")
    assert wrong.returncode == UsageError.exit_code
    assert "2 inputs and 3 second texts" in wrong.stderr


SUITE = """
[[check]]
kind = "metric"
metric = "{metric}"
data = {{ path = "data.csv" }}
at_most_loss = 0.5
"""


def validated(edgepack: Any, bundle: Path, folder: Path, metric: str, table: str) -> Any:
    (folder / "suite.toml").write_text(SUITE.format(metric=metric))
    (folder / "data.csv").write_text(table)
    return edgepack("validate", bundle, "--suite", folder / "suite.toml", "--json")


def test_a_suite_of_pairs_for_a_reranker(reranker: Path, build: Build, edgepack: Any, tmp_path: Path) -> None:
    bundle = build(reranker, "rpi", recipes=("fp32",))[0].path
    rows = [f"{a},{b},{score}" for (a, b), score in zip(PAIRS, (1, 0), strict=True)]
    table = "\n".join(["text1,text2,label", *rows])
    said = validated(edgepack, bundle, tmp_path, "spearman", table)
    assert said.returncode == 0, said.stderr
    ours = [labels[0].score for labels in globals()["edgepack"].load(bundle).classify(PAIRS)]
    assert json.loads(said.stdout)["checks"][0]["value"] == pytest.approx(1.0 if ours[0] > ours[1] else -1.0)
    wrong = validated(edgepack, bundle, tmp_path, "accuracy", table)
    assert (wrong.returncode, "has no accuracy" in wrong.stderr) == (UsageError.exit_code, True)


@pytest.mark.parametrize(
    ("labels", "code", "said"),
    [
        (["bad", "good"], 0, ""),
        (["0", "2"], 0, ""),
        (["positive", "negative"], 20, "'negative', which the model does not; it has 'bad', 'fair', 'good'"),
        (["1", "3"], 20, "'1', which the model does not"),
        (["bad", "1"], 20, "'1', which the model does not"),
    ],
)
def test_labels_that_a_model_does_not_have(
    labels: list[str], code: int, said: str, build: Build, tiny: Callable[[str], Path], edgepack: Any, tmp_path: Path
) -> None:
    bundle = build(tiny("text-classification"), "rpi", recipes=("fp32",))[0].path
    table = "\n".join(["text,label", *(f"ada wrote the program,{label}" for label in labels)])
    result = validated(edgepack, bundle, tmp_path, "accuracy", table)
    assert result.returncode == code, result.stderr
    assert said in result.stderr
