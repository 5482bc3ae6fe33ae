"""Padding, positions and the logits that are wanted: each graph with what its clients feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tests.unit.decoders.conftest import FAMILIES, make

from edgepack.errors import InputError
from edgepack.runtime import graphs
from edgepack.runtime.engines.onnx import Session

from .conftest import Write, Written, ids_of, recipe

_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_LENGTHS = (9, 17, 4)
Family = tuple[Written, Any]


# a LongRoPE graph has the factors of its context for every length, where transformers goes by each text's
@pytest.fixture(params=[name for name in FAMILIES if name != "phi3:long"])
def family(request: pytest.FixtureRequest, write: Write, tmp_path: Path) -> Family:
    """A family's small model, written, and transformers' own."""
    folder, model = make(request.param, tmp_path / "model")
    return write(folder, recipe("fp32")), model


def plain(path: Path) -> onnxruntime.InferenceSession:
    """The graph as clients open it, with nothing of ours around it."""
    return onnxruntime.InferenceSession(path)


def rows(lengths: tuple[int, ...], seed: int = 5) -> list[np.ndarray]:
    return [ids_of(length, seed=seed + length) for length in lengths]


def padded(texts: list[np.ndarray], side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, mask and positions as transformers' generate makes them."""
    longest = max(map(len, texts))
    ids, mask = np.full((2, len(texts), longest), (0,) * longest, np.int64)
    for row, text in enumerate(texts):
        place = slice(longest - len(text), None) if side == "left" else slice(0, len(text))
        ids[row, place], mask[row, place] = text, 1
    positions = mask.cumsum(-1) - 1
    positions[mask == 0] = 1
    return ids, mask, positions


def alone(model: Any, text: np.ndarray) -> np.ndarray:
    """transformers' logits of every token of one text."""
    with torch.no_grad():
        return np.asarray(model(torch.tensor(text[None])).logits[0])


def near(found: np.ndarray, true: np.ndarray) -> bool:
    return bool(np.abs(found - true).max() <= _CLOSE * np.abs(true).max())


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_of_a_padded_batch_give_what_they_give_alone(side: str, family: Family) -> None:
    """Two tokens follow, as generate feeds them: the mask grows, the positions count what it holds."""
    written, model = family
    texts = rows(_LENGTHS)
    ids, mask, positions = padded(texts, side)
    session = plain(written.artifact.path)
    names = [value.name for value in session.get_outputs()]
    feeds = written.feeds(ids, attention_mask=mask, position_ids=positions)
    made = dict(zip(names, session.run(None, feeds), strict=True))
    for row, text in enumerate(texts):
        assert near(made["logits"][row][mask[row] == 1], alone(model, text))
    decoder = written.reference.decoder
    if side == "right" and any(decoder.window(layer) for layer in range(decoder.layers)):
        return  # windows count the padding that now lies between tokens, in transformers too
    for step in range(2):
        new = ids_of(len(texts), 1, seed=step)
        texts = [np.append(text, one) for text, one in zip(texts, new, strict=True)]
        mask = np.hstack([mask, np.ones_like(new)])
        past = {name.replace("present", "past_key_values"): made[name] for name in names[1:]}
        places = mask.sum(-1, keepdims=True) - 1
        feeds = {"input_ids": new, "attention_mask": mask, "position_ids": places, **past}
        made = dict(zip(names, session.run(None, feeds), strict=True))
        for row, text in enumerate(texts):
            assert near(made["logits"][row, 0], alone(model, text)[-1])


def test_the_generating_graph_takes_prompts_that_end_early_and_refuses_those_that_begin_late(family: Family) -> None:
    written, model = family
    texts = rows(_LENGTHS)
    session = plain(graphs.last(written.artifact.path))
    wanted = {value.name for value in session.get_inputs()}
    found = {}
    for side in ("right", "left"):
        ids, mask, positions = padded(texts, side)
        feeds = written.feeds(ids, attention_mask=mask, position_ids=positions)
        found[side] = {name: array for name, array in feeds.items() if name in wanted}
    logits = session.run(["logits"], found["right"])[0]
    assert logits.shape[1] == 1
    for row, text in enumerate(texts):
        assert near(logits[row, 0], alone(model, text)[-1])
    with pytest.raises(Exception, match="left_padding_is_for_the_graph_that_gives_all_logits"):
        session.run(["logits"], found["left"])


def test_the_inputs_and_dimensions_have_the_names_that_clients_expect(write: Write, tmp_path: Path) -> None:
    written = write(make("llama", tmp_path / "model")[0], recipe("int4"))
    session = plain(written.artifact.path)
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    cache = ["batch_size", 2, "past_sequence_length", 16]
    assert shapes["input_ids"] == shapes["position_ids"] == ["batch_size", "sequence_length"]
    assert shapes["attention_mask"] == ["batch_size", "total_sequence_length"]
    assert shapes["past_key_values.0.key"] == cache
    assert shapes["present.0.value"] == ["batch_size", 2, "total_sequence_length", 16]
    assert shapes["logits"] == ["batch_size", "sequence_length", 160]
    assert not session.get_overridable_initializers()  # which onnxruntime warns of


@pytest.mark.parametrize("layout", ["flat", "transformers.js"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text"])
def test_our_runtime_generates_from_either_graph(name: str, layout: str, write: Write, tmp_path: Path) -> None:
    folder, model = make(name, tmp_path / "model")
    written = write(folder, recipe("fp32"), layout=layout)
    text = rows((13,))[0]
    decoding = Session(graphs.generating(written.artifact.path), 1).decoding(40)
    found = [decoding.prefill(text[:10].tolist()).copy(), *(decoding.step(int(one)).copy() for one in text[10:])]
    assert near(np.array(found), alone(model, text)[9:])


@pytest.mark.parametrize(("kept", "tokens"), [(0, 12), (1, 1), (5, 5)])
def test_transformers_js_says_how_many_logits_it_wants(kept: int, tokens: int, write: Write, tmp_path: Path) -> None:
    folder, model = make("qwen3", tmp_path / "model")
    written = write(folder, recipe("fp32"), layout="transformers.js")
    text = rows((12,))[0]
    feeds = written.feeds(text[None], num_logits_to_keep=np.array(kept))
    (logits,) = plain(written.artifact.path).run(["logits"], feeds)
    assert logits.shape[1] == tokens
    assert near(logits[0], alone(model, text)[-tokens:])


def test_the_generating_graph_is_not_asked_for_more_than_it_gives(write: Write, tmp_path: Path) -> None:
    written = write(make("llama", tmp_path / "model")[0], recipe("fp32"))
    session = Session(graphs.last(written.artifact.path), 1)
    with pytest.raises(InputError, match="the logits of 5 tokens are wanted; this graph gives 1"):
        session(written.feeds(ids_of(1, 5), logits_from=np.array([0])))
