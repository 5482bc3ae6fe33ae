"""Each family's graphs against transformers: all tokens, padded on the left, and one by one as a bundle runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime_genai as og
import pytest
import torch
import transformers
from tests.unit.decoders.conftest import ALL, EXPERTS, MORE, make

from edgepack import targets
from edgepack.errors import InputError, UnsupportedModel
from edgepack.formats.coreml import builder as coreml
from edgepack.formats.onnx import builder
from edgepack.runtime import graphs
from edgepack.runtime.engines import open_session

from .conftest import Write, ids_of, recipe

Made = Callable[[str], tuple[Path, Any]]
_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_TOKENS, _PROMPT, _PADDED, _NEW = 24, 10, 5, 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folder and the transformers model of a family."""
    made: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp("family"))
        return made[name]

    return get


@pytest.mark.parametrize("name", MORE | EXPERTS)
def test_floats(name: str, model: Made, write: Write) -> None:
    folder, original = model(name)
    written, ids = write(folder, recipe("fp32")), ids_of(2, _TOKENS)
    with torch.no_grad():
        wanted = original(torch.from_numpy(ids)).logits.numpy()
    near = _CLOSE * np.abs(wanted).max()
    assert np.abs(written.logits(ids) - wanted).max() <= near
    padded = np.concatenate([np.zeros((2, _PADDED), np.int64), ids], axis=1)
    mask = np.concatenate([np.zeros((2, _PADDED), np.int64), np.ones_like(ids)], axis=1)
    more = {"attention_mask": mask, "position_ids": np.maximum(mask.cumsum(1) - 1, 0), "logits_from": np.array([0])}
    shifted = written.session()(written.feeds(padded, **more), ["logits"])["logits"][:, _PADDED:]
    assert np.abs(shifted - wanted).max() <= near
    decoding = open_session(graphs.last(written.artifact.path), "onnx", 1).decoding(_TOKENS)
    assert np.abs(decoding.prefill(list(map(int, ids[0, :_PROMPT]))) - wanted[0, _PROMPT - 1]).max() <= near
    for place in range(_PROMPT, _TOKENS):
        assert np.abs(decoding.step(int(ids[0, place])) - wanted[0, place]).max() <= near


def test_tokens_of_images_and_sounds_are_read_as_padding(tmp_path: Path, write: Write) -> None:
    text = transformers.Gemma4TextConfig(**ALL["gemma4_text"][1])
    tokens = {"image_token_id": 5, "video_token_id": 6, "audio_token_id": 7}
    config = transformers.Gemma4Config(text_config=text, vision_config=None, audio_config=None, **tokens)
    torch.manual_seed(7)
    original = transformers.Gemma4ForConditionalGeneration(config).eval()
    original.save_pretrained(tmp_path)
    ids = ids_of(1, _PROMPT)
    ids[0, 2:5] = list(tokens.values())
    with torch.no_grad():
        wanted = original(torch.from_numpy(ids)).logits.numpy()
    assert np.abs(write(tmp_path, recipe("fp32")).logits(ids) - wanted).max() <= _CLOSE * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["lfm2", "qwen3_5_text"])
def test_states_of_one_size_follow_a_text(name: str, model: Made, write: Write) -> None:
    """In chunks, back to a prefill and before it, and into another text; a padded batch is refused."""
    folder, original = model(name)
    written = write(folder, recipe("fp32"))
    generating = open_session(graphs.last(written.artifact.path), "onnx", 1)
    first, other = (list(map(int, row)) for row in ids_of(2, _TOKENS))
    greedy = original.generate(torch.tensor([first[:_PROMPT]]), max_new_tokens=_NEW, do_sample=False, eos_token_id=None)

    def near(logits: np.ndarray, ids: list[int]) -> bool:
        with torch.no_grad():
            true = np.asarray(original(torch.tensor([ids])).logits[0, -1])
        return bool(np.abs(logits - true).max() <= _CLOSE * np.abs(true).max())

    decoding = generating.decoding(_TOKENS)
    decoding._chunk = 3
    made = [int(decoding.prefill(first[:_PROMPT]).argmax())]
    while len(made) < _NEW:
        made.append(int(decoding.step(made[-1]).argmax()))
    assert made == greedy[0, _PROMPT:].tolist()
    decoding.rewind(_PROMPT + 2)  # no place that is known but that of the prefill
    assert decoding.ids == first[:_PROMPT]
    assert near(decoding.step(7), [*first[:_PROMPT], 7])
    assert near(decoding.prefill(first), first)
    assert decoding.known == _PROMPT
    decoding.rewind(4)
    assert decoding.ids == []
    assert near(decoding.prefill(first[:6]), first[:6])
    mixed = [*first[:5], *other[:5]]
    assert near(decoding.prefill(mixed), mixed)
    assert decoding.known == 0
    ids, mask = ids_of(2, 5), np.ones((2, 5), np.int64)
    mask[1, 3:] = 0
    with pytest.raises(InputError, match="padding_is_for_the_graph_that_gives_all_logits"):
        generating(written.feeds(ids, attention_mask=mask))


@pytest.mark.parametrize("name", ["lfm2", "qwen3_5_text"])
def test_targets_that_cannot_run_states_of_one_size(name: str, model: Made) -> None:
    folder = model(name)[0]
    alike = SimpleNamespace(section=lambda kind: SimpleNamespace(states=()))
    plan = SimpleNamespace(source=SimpleNamespace(path=folder, name="x"), config={"model_type": name}, processing=alike)
    plan.target = targets.load("web")
    with pytest.raises(UnsupportedModel, match=rf"a {name} for transformers\.js"):
        builder.check(plan)
    plan.target = targets.load("rpi")
    builder.check(plan)
    if name == "lfm2":
        coreml.check(plan)
    else:
        with pytest.raises(UnsupportedModel, match="linear attention"):
            coreml.check(plan)
        plan.target = targets.load("android")
        with pytest.raises(UnsupportedModel, match="android cannot run linear attention"):
            builder.check(plan)


ONE, OTHER = ids_of(1, _PROMPT)[0], ids_of(2, _TOKENS)[1, :6]  # after either, some models go on and some end


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("hunyuan_v1_dense", ONE),
        ("mpt", OTHER),
        ("llama:heads of 20", ONE),
        ("opt:sums", ONE),
        ("apertus", ONE),
        ("lfm2", ONE),
        ("lfm2_moe", ONE),
        ("gemma4_text:experts", ONE),
        ("gemma3n_text", ONE),
        ("qwen3_5_text", ONE),
        ("qwen3_next", ONE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_onnxruntime_genai_opens_it(name: str, prompt: np.ndarray, model: Made, write: Write) -> None:
    """Positions that are fed, ALiBi, heads that are filled up, and what else is not in the first families."""
    written = write(model(name)[0], recipe("int4"), [ids_of(2, _TOKENS)])
    assert written.artifact.coverage.share > 0.98  # routers and rates stay floats
    opened = og.Model(str(written.artifact.path.parent))
    wishes = og.GeneratorParams(opened)
    wishes.set_search_options(max_length=len(prompt) + _NEW, do_sample=False)
    generator = og.Generator(opened, wishes)
    generator.append_tokens(prompt.astype(np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    made = [int(token) for token in generator.get_sequence(0)][len(prompt) :]
    decoding = open_session(graphs.last(written.artifact.path), "onnx", 1).decoding(len(prompt) + _NEW)
    found = [int(decoding.prefill([int(token) for token in prompt]).argmax())]
    while len(found) < len(made):
        found.append(int(decoding.step(found[-1]).argmax()))
    assert made
    assert made == found
