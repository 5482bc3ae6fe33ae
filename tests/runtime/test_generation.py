"""Language models through the runtime, compared with transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgepack import runtime
from edgepack.errors import InputError, UsageError
from edgepack.original.routes.builder import DecoderOriginal
from edgepack.plans import Subject
from edgepack.runtime import manifest
from edgepack.runtime.decoding import Decoding
from edgepack.runtime.engines import onnx as engine
from edgepack.runtime.processing import Generation, Processing
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.tasks.text_generation import Model
from edgepack.stages import resolve

from .conftest import CONTEXT, STORY, Speaker

Speakers = Callable[[str], Speaker]
KINDS = ["llama", "mistral", "gpt2"]
_CLOSE = 1e-3  # float32 sums in another order, nats or logits of about 10
_NEW = 40
LONG = STORY * 4


def fresh(speaker: Speaker) -> Decoding:
    """A cache of its own."""
    return speaker.model._runs[MODEL].decoding(CONTEXT)


def wanted(speaker: Speaker, ids: list[int]) -> np.ndarray:
    """The original's logits of every place, float32 [tokens, vocabulary]."""
    with torch.no_grad():
        return np.asarray(speaker.original(torch.tensor([ids])).logits[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", ["Once upon", "The café 🙂", STORY[:90]])
def test_greedy_text_is_transformers(speaker: Speakers, kind: str, prompt: str) -> None:
    it = speaker(kind)
    given = it.tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    full = it.original.generate(**given, max_new_tokens=_NEW, do_sample=False, repetition_penalty=1.3, pad_token_id=0)[
        0
    ].tolist()
    text = it.tokenizer.decode(full, skip_special_tokens=True)
    made = "".join(it.model.generate(prompt, max_tokens=_NEW, repetition_penalty=1.3))
    assert it.model.tokens(prompt) == given["input_ids"][0].tolist()
    assert prompt + made == text
    assert it.model.last.new == len(full) - len(given["input_ids"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_gives_what_no_cache_gives(speaker: Speakers, kind: str) -> None:
    it = speaker(kind)
    ids = it.model.tokens(STORY)[:60]
    truth = wanted(it, ids)
    cache = fresh(it)
    cache._chunk = 5
    for length in (13, 14, 40):  # each goes on from the one before
        assert np.abs(cache.prefill(ids[:length]) - truth[length - 1]).max() < _CLOSE
    for place in range(40, 60):
        assert np.abs(cache.step(ids[place]) - truth[place]).max() < _CLOSE
    cache.rewind(20)
    assert cache.ids == ids[:20]
    assert np.abs(cache.step(ids[20]) - truth[20]).max() < _CLOSE


def test_the_cache_is_written_in_place(speaker: Speakers) -> None:
    cache = fresh(speaker("llama"))
    cache.prefill([1, 7, 8, 9])
    places = {name: array.ctypes.data for name, array in cache._cache.items()}
    before = {name: array.copy() for name, array in cache._cache.items()}
    cache.step(10)
    for name, array in cache._cache.items():
        assert array.ctypes.data == places[name]
        assert np.array_equal(array[:, :, :4], before[name][:, :, :4])
        assert not before[name][:, :, 4:].any()
        assert array[:, :, 4].any()
        assert not array[:, :, 5:].any()


def test_the_cache_grows_and_is_bounded(speaker: Speakers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_FIRST", 4)
    it = speaker("llama")
    ids = it.model.tokens(LONG)[:CONTEXT]
    truth = wanted(it, ids)
    cache, rooms = fresh(it), []
    for place, token in enumerate(ids):
        logits = cache.step(token) if place else cache.prefill([token])
        rooms.append(cache.capacity)
        assert np.abs(logits - truth[place]).max() < _CLOSE
    assert sorted(set(rooms)) == [4, 8, 16, 32, 64, CONTEXT]
    with pytest.raises(InputError, match=f"{CONTEXT} tokens at most"):
        cache.step(7)
    with pytest.raises(InputError):
        cache.prefill([])
    cache.rewind(3)
    with pytest.raises(InputError, match="cannot run"):
        cache.step(10**6)  # no such token
    assert cache.ids == ids[:3]


def test_only_what_is_new_is_processed(speaker: Speakers) -> None:
    model = speaker("llama").model
    first = [{"role": "user", "content": "Once upon a time"}]
    answer = "".join(model.generate(first, max_tokens=8))
    prompt = model.last.prompt
    more = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "there was"}]
    list(model.generate(more, max_tokens=2))
    assert prompt <= model.last.known < model.last.prompt
    list(model.generate(more, max_tokens=2))
    assert model.last.known == model.last.prompt - 1


def test_generations_may_alternate(speaker: Speakers) -> None:
    model = speaker("llama").model
    prompts = ["Once upon a time", "The café was"]
    alone = ["".join(model.generate(prompt, max_tokens=12)) for prompt in prompts]
    running = [model.generate(prompt, max_tokens=12) for prompt in prompts]
    made = ["", ""]
    for _ in range(12):
        for place, pieces in enumerate(running):
            made[place] += next(pieces, "")
    assert made == alone


def test_a_seed_repeats_itself(speaker: Speakers) -> None:
    model = speaker("llama").model

    def text(seed: int | None) -> str:
        return "".join(model.generate("She went", max_tokens=30, temperature=1.5, top_p=0.95, min_p=0.01, seed=seed))

    assert text(3) == text(3)
    assert len({text(seed) for seed in range(4)}) == 4
    assert text(None) != text(None)


def test_where_it_ends(speaker: Speakers) -> None:
    it = speaker("llama")
    model = it.model
    list(model.generate("She went", max_tokens=3))
    assert (model.last.new, model.last.ended) == (3, "length")
    assert model.last.speed > 0
    whole = "".join(model.generate("She went", max_tokens=20))
    stop = whole[5:8]
    pieces = list(model.generate("She went", max_tokens=20, stop=["not in there", stop]))
    assert "".join(pieces) == whole[: whole.index(stop)]
    assert model.last.ended == "stop"
    ids = model.tokens(whole)
    ending = Model(model._runs, it.bundle.path, processing(it, eos_ids=(2, ids[-1])))
    assert len("".join(ending.generate("She went", max_tokens=20))) < len(whole)
    assert ending.last is not None
    assert ending.last.ended == "eos"
    for _ in model.generate("She went", max_tokens=20):
        break
    assert model.last.ended == ""


def processing(speaker: Speaker, **changes: Any) -> Processing:
    found = manifest.read(speaker.bundle.path).processing.section(Generation)
    return Processing(generation=replace(found, **changes))


def test_the_whole_context_is_used(speaker: Speakers) -> None:
    it = speaker("gpt2")
    short = Model(it.model._runs, it.bundle.path, processing(it, max_length=11, eos_ids=()))
    list(short.generate("She went", max_tokens=1000))
    assert short.last is not None
    assert short.last.ended == "context"
    assert short.last.prompt + short.last.new == 11 + 1  # the last token needs no place


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"seed": -1}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": [3]}, "stop"),
    ],
)
def test_options_are_checked_at_once(speaker: Speakers, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        speaker("llama").model.generate("She", **options)


def test_prompts_are_checked_at_once(speaker: Speakers) -> None:
    model, plain = speaker("llama").model, speaker("gpt2").model
    with pytest.raises(InputError, match=f"has .* tokens; the bundle takes {CONTEXT}") as caught:
        model.generate(LONG)
    assert str(len(model.tokens(LONG))) in str(caught.value)
    with pytest.raises(InputError, match="empty"):
        plain.generate("")
    assert list(model.generate("", max_tokens=2))  # <s> alone
    assert model.last.prompt == 1
    assert list(model.generate("odd \ud800 text", max_tokens=2))
    for odd in (None, 7, [], ["text"], [{"role": "user"}], [{"role": "user", "content": None}]):
        with pytest.raises(InputError):
            model.generate(odd)


def test_predict(speaker: Speakers) -> None:
    model = speaker("llama").model
    assert model.predict(["She", "The"]) == ["".join(model.generate(prompt)) for prompt in ("She", "The")]


@pytest.mark.parametrize("kind", KINDS)
def test_feeds_are_windows_of_the_texts(speaker: Speakers, kind: str) -> None:
    it = speaker(kind)
    opening = it.tokenizer("").input_ids
    feeds = it.model.feeds([LONG, STORY])
    body = it.tokenizer(f"{LONG}\n{STORY}", add_special_tokens=False).input_ids
    size = CONTEXT - len(opening)  # shorter than the 128 tokens of longer contexts
    assert feeds["input_ids"].shape == (len(body) // size, CONTEXT)
    assert feeds["input_ids"][1].tolist() == opening + body[size : 2 * size]
    logits = it.model._scorer(feeds)["logits"]
    assert np.abs(logits[1] - wanted(it, opening + body[size : 2 * size])).max() < _CLOSE
    short = it.model.feeds(["She went"])
    assert short["input_ids"].tolist() == [it.tokenizer("She went").input_ids]
    assert it.model._scorer(short)["logits"].shape[1] == short["input_ids"].shape[1]
    if opening:
        assert it.model.feeds([""])["input_ids"].tolist() == [opening]
    else:
        with pytest.raises(InputError):
            it.model.feeds([""])


def sliding(it: Speaker, text: str, length: int, stride: int) -> list[float]:
    """Transformers' guide "Perplexity of fixed-length models", with <s> before each window."""
    opening = it.tokenizer("").input_ids
    body = it.tokenizer(text, add_special_tokens=False).input_ids
    room, end, found = length - len(opening), 0, []
    for start in range(0, len(body), stride):
        ids = torch.tensor([opening + body[start : start + room]])
        with torch.no_grad():
            logits = it.original(ids).logits[0, :-1]
        losses = functional.cross_entropy(logits, ids[0, 1:], reduction="none").tolist()
        fresh = min(start + room, len(body)) - end
        end += fresh
        found += losses[-fresh:]
        if end == len(body):
            break
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("length", "stride"), [(32, 16), (20, 19), (CONTEXT, 40), (17, 3)])
def test_surprise_is_torch_s(speaker: Speakers, kind: str, length: int, stride: int) -> None:
    it = speaker(kind)
    found = it.model.negative_log_likelihoods(LONG, length=length, stride=stride)
    assert found.dtype == np.float64
    truth = sliding(it, LONG, length, stride)
    assert len(found) == len(truth) == len(it.tokenizer(LONG).input_ids) - 1
    assert np.abs(found - truth).max() < _CLOSE


def test_surprise_needs_no_session(speaker: Speakers) -> None:
    it = speaker("llama")
    run = DecoderOriginal(Subject.of(resolve.resolve(str(it.folder))), "")
    original = Model({MODEL: run}, it.bundle.path, processing(it))
    made, true = (model.negative_log_likelihoods(STORY, length=32, stride=16) for model in (it.model, original))
    assert np.abs(made - true).max() < _CLOSE
    with pytest.raises(UsageError, match="bundle"):
        original.generate("She")


def test_odd_windows(speaker: Speakers) -> None:
    it = speaker("gpt2")
    assert it.model.negative_log_likelihoods("", length=8, stride=4).shape == (0,)
    one = it.tokenizer.decode([40])
    assert it.model.negative_log_likelihoods(one, length=8, stride=4).shape == (
        0,
    )  # nothing comes before the only token
    assert speaker("llama").model.negative_log_likelihoods(one, length=8, stride=4).shape == (1,)
    for length, stride in [(8, 0), (8, 9), (0, 1), (CONTEXT + 1, 4)]:
        with pytest.raises(UsageError):
            it.model.negative_log_likelihoods(STORY, length=length, stride=stride)
    with pytest.raises(UsageError):
        speaker("llama").model.negative_log_likelihoods(STORY, length=8, stride=8)  # <s> takes a place


def test_a_real_story(data: Path, build: Callable[..., Any]) -> None:
    """The figure that is known of this model: 0.655 nats a character, from <s> on."""
    model = runtime.load(build(data / "babyllama361", "desktop", recipes=("fp32",))[0].path)
    stories = (data / "tinystories" / "stories.txt").read_text("utf-8").split("\n\n")[:20]
    found = np.concatenate([model.negative_log_likelihoods(story, length=256, stride=128) for story in stories])
    assert 0.6 < found.mean() < 0.72
    assert "".join(model.generate("Once upon a time", max_tokens=20)) == ", there was a little"
