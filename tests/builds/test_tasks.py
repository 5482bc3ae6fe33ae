"""Every task, from a folder that transformers saved to the bundle's answers, beside transformers' own pipelines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import edgepack
from edgepack.errors import InputError, UsageError
from edgepack.records import Bundle
from edgepack.runtime import golden
from edgepack.runtime.opening import opened
from edgepack.runtime.runner import Here

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import CrossEncoder

Build = Callable[..., tuple[Bundle, ...]]
EQUAL = 1e-4  # float32 graphs, summed in another order

TASKS = [
    "text-embedding",
    "text-classification",
    "text-ranking",
    "token-classification",
    "question-answering",
    "fill-mask",
    "image-classification",
    "image-embedding",
]
SENTENCES = [
    "ada lovelace wrote the first program in london",
    "the bank raised interest rates again on thursday",
    "rain fell on paris all day and all night",
    "numbers like 42 and 1969 are words too",
    "the quick brown fox jumps over the lazy dog",
]
TEXT = "ada lovelace wrote the first program in london"


@pytest.fixture(scope="session")
def exact(build: Build, tiny: Callable[[str], Path]) -> Callable[[str], Bundle]:
    """``exact(task)``: the tiny model as fp32."""
    made: dict[str, Bundle] = {}

    def get(task: str) -> Bundle:
        if task not in made:
            made[task] = build(tiny(task), "desktop", recipes=("fp32",))[0]
        return made[task]

    return get


@pytest.mark.parametrize("task", TASKS)
def test_the_files_tell_the_task(task: str, exact: Callable[[str], Bundle]) -> None:
    assert exact(task).source.task == task


@pytest.mark.parametrize("task", TASKS)
def test_int8_keeps_every_task(task: str, build: Build, tiny: Callable[[str], Path]) -> None:
    bundle = build(tiny(task), "rpi", recipes=("int8",), allow_loss=True)[0]
    figures = {a.metric: a.compressed for a in bundle.accuracy}
    assert figures["cosine_mean"] > 0.99
    assert bundle.artifact.coverage.share > 0.95


def test_text_classification(exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    theirs = transformers.pipeline("text-classification", str(tiny("text-classification")), top_k=None)([TEXT])[0]
    ours = edgepack.load(exact("text-classification").path).classify(TEXT)
    assert [label.name for label in ours] == [entry["label"] for entry in theirs]
    assert [label.score for label in ours] == pytest.approx([entry["score"] for entry in theirs], abs=EQUAL)


def test_text_pairs(exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    theirs = transformers.pipeline("text-classification", str(tiny("text-classification")), top_k=None)(
        {"text": TEXT, "text_pair": "rain fell"}
    )
    ours = edgepack.load(exact("text-classification").path).classify((TEXT, "rain fell"))
    assert {label.name: pytest.approx(label.score, abs=EQUAL) for label in ours} == {
        entry["label"]: entry["score"] for entry in theirs
    }


def test_text_ranking(exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    true = CrossEncoder(str(tiny("text-ranking")), device="cpu").rank(TEXT, SENTENCES)
    model = edgepack.load(exact("text-ranking").path)
    ours = model.rank(TEXT, SENTENCES)
    assert [passage.index for passage in ours] == [entry["corpus_id"] for entry in true]
    assert [passage.score for passage in ours] == pytest.approx([entry["score"] for entry in true], abs=EQUAL)
    assert [passage.text for passage in ours] == [SENTENCES[passage.index] for passage in ours]
    best = model.rank(TEXT, SENTENCES, top_k=2)
    assert [passage.index for passage in best] == [passage.index for passage in ours[:2]]
    assert model.rank(TEXT, []) == []
    with pytest.raises(InputError, match="a query and a passage"):
        model.predict([TEXT])
    with pytest.raises(UsageError, match="top_k"):
        model.rank(TEXT, SENTENCES, top_k=0)


def test_golden_scores_are_compared_together(exact: Callable[[str], Bundle]) -> None:
    """A score alone has no cosine but its sign."""
    listed = opened(exact("text-ranking").path)
    run = Here(listed).sessions["model"]
    assert golden.check(run, listed).passed
    swapped = golden.check(lambda feeds: {"logits": np.abs(run(feeds)["logits"]) ** 3 + 1}, listed)
    assert len(swapped.cosines) == 1
    assert not swapped.passed


def test_token_classification(exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    folder = str(tiny("token-classification"))
    theirs = transformers.pipeline("token-classification", folder, aggregation_strategy="simple")(TEXT)
    ours = edgepack.load(exact("token-classification").path).tag(TEXT)
    assert [(e.label, e.start, e.end) for e in ours] == [(e["entity_group"], e["start"], e["end"]) for e in theirs]
    assert [e.score for e in ours] == pytest.approx([e["score"] for e in theirs], abs=EQUAL)
    assert ours


@pytest.mark.parametrize("sentences", [1, 5])
def test_question_answering(sentences: int, exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    context = " and then ".join(SENTENCES[:sentences])  # five do not fit into one window
    best = spans(tiny("question-answering"), "who wrote it", context)
    ours = edgepack.load(exact("question-answering").path).answer("who wrote it", context)
    assert context[ours.start : ours.end] == ours.text
    assert (ours.start, ours.end) == best[0][:2]
    assert ours.score == pytest.approx(best[0][2], abs=EQUAL)


def spans(folder: Path, question: str, context: str) -> list[tuple[int, int, float]]:
    """Start, end and probability of spans of at most 30 tokens by transformers' own classes, the likeliest first."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    asked = len(tokenizer(question, add_special_tokens=False)["input_ids"])
    windows = tokenizer(
        question, context, truncation="only_second", max_length=64, stride=min(128, 64 - asked - 3 - 1),
        return_overflowing_tokens=True, return_offsets_mapping=True, padding=True, return_tensors="pt",
    )  # fmt: skip
    offsets = windows.pop("offset_mapping")
    parts = [windows.sequence_ids(row) for row in range(len(offsets))]
    windows.pop("overflow_to_sample_mapping")
    found = []
    with torch.inference_mode():
        outputs = model(**windows)
    for row, sides in enumerate(zip(outputs.start_logits, outputs.end_logits, strict=True)):
        inside = [place for place, part in enumerate(parts[row]) if part == 1]
        start, end = (logits[[0, *inside]].softmax(0)[1:] for logits in sides)  # [CLS] stands for no answer
        for first in range(len(inside)):
            for last in range(first, min(first + 30, len(inside))):
                span = int(offsets[row, inside[first], 0]), int(offsets[row, inside[last], 1])
                found.append((*span, float(start[first] * end[last])))
    return sorted(found, key=lambda entry: -entry[2])


def test_a_question_that_leaves_no_room(exact: Callable[[str], Bundle]) -> None:
    model = edgepack.load(exact("question-answering").path)
    context = " and then ".join(SENTENCES[:2])
    assert model.answer(" ".join(["rain"] * 50), context).text in context
    with pytest.raises(InputError, match="the question has 70 tokens; the model takes 64, with"):
        model.answer(" ".join(["rain"] * 70), context)
    assert model.answer("who wrote it", context).text in context


def test_fill_mask(exact: Callable[[str], Bundle], tiny: Callable[[str], Path]) -> None:
    theirs = transformers.pipeline("fill-mask", str(tiny("fill-mask")))("rain fell on [MASK] all day")
    ours = edgepack.load(exact("fill-mask").path).fill("rain fell on [MASK] all day")
    assert [filled.score for filled in ours] == pytest.approx([entry["score"] for entry in theirs], abs=EQUAL)
    assert [filled.token for filled in ours] == [entry["token_str"] for entry in theirs]


def test_image_classification(
    exact: Callable[[str], Bundle], tiny: Callable[[str], Path], photo: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    Image.fromarray(photo).save(file)
    pipe = transformers.pipeline("image-classification", str(tiny("image-classification")))
    theirs = {entry["label"]: entry["score"] for entry in pipe(Image.fromarray(photo), top_k=6)}
    model = edgepack.load(exact("image-classification").path)
    for image in (photo, file, str(file)):
        ours = {label.name: label.score for label in model.classify(image)}
        # Pillow rounds each pass of a resize to bytes in fixed point; a pixel may differ by one
        assert ours == pytest.approx(theirs, abs=5e-3)


def test_a_batch_gives_what_single_inputs_give(exact: Callable[[str], Bundle]) -> None:
    model = edgepack.load(exact("text-embedding").path)
    texts = [TEXT, "", "rain", "rain fell on paris " * 40, "¿dónde? 猫 😀"]
    together = model.embed(texts)
    assert together.shape == (5, 64)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.embed(text), row, atol=EQUAL)


def test_image_embedding(exact: Callable[[str], Bundle], photo: np.ndarray) -> None:
    model = edgepack.load(exact("image-embedding").path)
    assert model.embed(photo).shape == (64,)
    assert model.embed([photo, photo[:, :, 0]]).shape == (2, 64)
    assert model.embed([]).shape == (0, 64)
