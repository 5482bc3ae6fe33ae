"""Packages of fixed shapes: a function for each length, one weight file, the same tokens as with any length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto import load as milproto
from tests.unit.decoders.conftest import ALL, FAMILIES, make

from edgepack.coreml import Package
from edgepack.coreml.chain import Chain
from edgepack.coreml.text import Text
from edgepack.errors import ShapeNotAllowed, UsageError
from edgepack.formats.coreml.builder.signature import WORDS
from edgepack.records import Recipe
from edgepack.runtime.engines.coreml import Session, StateDecoding

from .conftest import FP16, described
from .test_families import _HALF, _MADE, _TIE, random, transformers_logits
from .test_parts import tight
from .test_weights import INT4, PALETTES

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_SAME = 4 * 2**-10  # of the largest logit, float16's last places: float32 sums in another order, rounded at each layer
_CONTEXT, _SLOTS = 27, 32  # tokens of a text, and what the cache has
FIXED = replace(FP16, lengths=(1, 8))
_FILE = Path("Data/com.apple.CoreML/weights/weight.bin")


@pytest.fixture(scope="session")
def opened(family: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Package]:
    """A family's package in a recipe, for 27 tokens."""
    made: dict[tuple[str, Recipe], Package] = {}

    def get(name: str, recipe: Recipe = FIXED) -> Package:
        if (name, recipe) not in made:
            out = tmp_path_factory.mktemp("fixed") / "model.mlpackage"
            described(family(name)[0], _CONTEXT).compress(out, recipe, [])
            made[name, recipe] = Package(out)
        return made[name, recipe]

    return get


def said(model: Any, ids: np.ndarray, *cuts: int) -> np.ndarray:
    """The logits of a text that comes in pieces."""
    text, state, found = Text(model), model.state(), []
    for begin, end in zip((0, *cuts), (*cuts, ids.shape[1]), strict=True):
        found.append(text(ids[0, begin:end], begin, state))
    return np.concatenate(found)[None]


@pytest.mark.parametrize("name", [*FAMILIES, "lfm2"])
def test_prompts_in_chunks(name: str, opened: Callable[..., Package]) -> None:
    ids = random()
    wanted = said(opened(name, FP16), ids)
    close = _SAME * np.abs(wanted).max()
    for cuts in ((), (3,), (10, 11, 12, 20), (19, 20), tuple(range(1, 24))):
        assert np.abs(said(opened(name), ids, *cuts) - wanted).max() <= close


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy(name: str, family: Any, tmp_path: Path) -> None:
    folder, model = family(name)
    made = described(folder, 32).compress(tmp_path / "model.mlpackage", FIXED, [])
    decoding, text = StateDecoding(Package(made.path), 32), random()[:, :10]
    best = int(decoding.prefill([int(token) for token in text[0]]).argmax())
    for _ in range(_MADE):
        wanted = transformers_logits(model, text)[0, -1]
        assert wanted.max() - wanted[best] <= _TIE * np.abs(wanted).max()
        text = np.append(text, [[best]], axis=1)
        best = int(decoding.step(best).argmax())


def test_a_text_is_taken_back(opened: Callable[..., Package]) -> None:
    model, ids, other = opened("lfm2"), random(), random(4)
    text, state = Text(model), model.state()
    text(ids[0], 0, state)
    again = text(other[0, 13:20], 13, state)
    wanted = said(model, np.concatenate([ids[:, :13], other[:, 13:20]], axis=1))[0, 13:]
    assert np.abs(again - wanted).max() <= _SAME * np.abs(wanted).max()


def test_to_the_last_slot(opened: Callable[..., Package]) -> None:
    ids = np.concatenate([random(), random(4)], axis=1)[:, :_CONTEXT]
    wanted = said(opened("llama", FP16), ids)
    for cut in (24, 25):  # eight from slot 24 on fill the cache; from 25 on they come one by one
        assert np.abs(said(opened("llama"), ids, cut) - wanted).max() <= _SAME * np.abs(wanted).max()


def call(package: Package, ids: np.ndarray, position: int, mask: np.ndarray, state: Any) -> np.ndarray:
    """The eight tokens of one call of the function prefill."""
    feeds = {"inputIds": ids.astype(np.int32), "causalMask": mask, "position": np.array([position], np.int32)}
    return np.asarray(package(feeds, function="prefill", state=state)["logits"], np.float32)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "lfm2"])
def test_both_masks(name: str, opened: Callable[..., Package]) -> None:
    package, ids, found = opened(name), random()[:, :16], []
    for causal in (False, True):
        state, made = package.state(), []
        for begin in (0, 8):
            later = np.arange(_SLOTS) > np.arange(begin, begin + 8)[:, None]
            mask = np.where(later & causal, np.float16(-3e4), np.float16(0))[None, None]
            made.append(call(package, ids[:, begin : begin + 8], begin, mask, state))
        found.append(np.concatenate(made, axis=1))
    assert np.array_equal(*found)


def test_a_mask_hides_more(opened: Callable[..., Package]) -> None:
    package, ids = opened("llama"), random()[:, :16]
    state, apart = package.state(), package.state()
    mask = np.zeros((1, 1, 8, _SLOTS), np.float16)
    call(package, ids[:, :8], 0, mask, state)
    hiding = mask.copy()
    hiding[..., :8] = -np.inf
    together = call(package, ids[:, 8:], 8, hiding, state)
    alone = call(package, ids[:, 8:], 0, mask, apart)  # rotary positions only measure distances
    assert np.abs(together - alone).max() <= _HALF * np.abs(alone).max()


def test_beyond_the_last_slot(opened: Callable[..., Package]) -> None:
    ids = np.concatenate([random(), random(4)], axis=1)[:, : _SLOTS + 1]
    assert said(opened("llama"), ids[:, :_SLOTS]).shape == (1, _SLOTS, 160)
    for name, recipe in (("llama", FIXED), ("gpt2", FIXED), ("llama", FP16)):
        with pytest.raises(ShapeNotAllowed):
            said(opened(name, recipe), ids)


def test_what_the_functions_take(opened: Callable[..., Package], family: Any) -> None:
    package = opened("llama")
    assert package.functions == ("decode", "prefill")
    for function, length in (("decode", 1), ("prefill", 8)):
        assert {spec.name: spec.shape for spec in package.inputs(function)} == {
            "inputIds": (1, length), "causalMask": (1, 1, length, _SLOTS), "position": (1,)
        }  # fmt: skip
        assert {spec.shape for spec in package.states(function)} == {(3, 1, 2, _SLOTS, 16)}
    others = {"hidden", "nextHidden", "keyCache2", "valueCache2", "convolutionCache"}
    assert {*package.metadata["features"]} == {*WORDS} - others
    assert "16 is not a multiple of 32" in package.metadata["user_defined"]["edgepack.neural-engine"]
    assert "edgepack.neural-engine" not in opened("llama:scaled").metadata["user_defined"]  # heads of 32
    with pytest.raises(ShapeNotAllowed):
        call(package, random()[:, :7], 0, np.zeros((1, 1, 8, _SLOTS), np.float16), package.state("prefill"))


@pytest.mark.parametrize("recipe", [INT4, PALETTES[0]], ids=lambda recipe: recipe.name)
def test_functions_share_the_weights(recipe: Recipe, family: Any, tmp_path: Path) -> None:
    folder, sizes = family("llama")[0], []
    for lengths in ((1,), (1, 8), (1, 4, 8)):
        made = described(folder).compress(tmp_path / f"{len(lengths)}.mlpackage", replace(recipe, lengths=lengths), [])
        sizes.append((made.path / _FILE).stat().st_size)
        named = {"decode": 1, "prefill": 8} if len(lengths) == 2 else {"decode": 1, "prefill4": 4, "prefill8": 8}
        assert {*Package(made.path).functions} <= {*named}
        assert made.inputs[0].shape == (1, "|".join(map(str, lengths)))
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_coremltools_opens_it(name: str, opened: Callable[..., Package]) -> None:
    model = ct.models.MLModel(str(opened(name).path), skip_model_load=True)
    program = milproto.load(model.get_spec(), specification_version=9, file_weights_dir=model.weights_dir)
    program.validate()
    assert sorted(program.functions) == ["decode", "prefill"]
    description = model.get_spec().description
    assert description.defaultFunctionName == "decode"
    for function in description.functions:
        assert not any(feature.type.multiArrayType.WhichOneof("ShapeFlexibility") for feature in function.input)
        assert [one.name for one in function.state] == ["keyCache", "valueCache"]


@pytest.mark.parametrize("name", ["llama:tied", "gpt2", "gemma3_text"])
def test_in_parts(name: str, family: Any, opened: Callable[..., Package], tmp_path: Path) -> None:
    folder = family(name)[0]
    model = replace(described(folder, _CONTEXT), most=tight(folder))
    artifact = model.compress(tmp_path / "model.mlpackage", FIXED, [])
    chain = Chain(artifact.path)
    assert len(chain.parts) >= 2
    assert chain.functions == ("decode", "prefill")
    assert np.array_equal(said(chain, random(), 13, 14), said(opened(name), random(), 13, 14))
    logits = Session(artifact.path, 1)({"input_ids": random(), "logits_from": np.array([4])})["logits"]
    assert np.array_equal(logits, said(opened(name), random())[:, 4:])


def test_the_same_twice(family: Any, tmp_path: Path) -> None:
    folder = family("gemma2")[0]
    model = replace(described(folder), most=tight(folder))
    first, second = (model.compress(tmp_path / name / "model.mlpackage", FIXED, []).path for name in "ab")
    files = [file.relative_to(first) for file in first.rglob("*") if file.is_file()]
    assert len(files) > 3
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_a_token_at_a_time_is_what_there_must_be(family: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one token at a time"):
        described(family("llama")[0]).compress(tmp_path / "a.mlpackage", replace(FP16, lengths=(8, 64)), [])


def test_positions_that_the_model_lacks(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ALL, "short", ("GPT2", {**FAMILIES["gpt2"][1], "n_positions": _CONTEXT}))
        folder, model = make("short", tmp_path / "short")
    made = described(folder, _CONTEXT).compress(tmp_path / "model.mlpackage", FIXED, [])
    ids = np.concatenate([random(), random(4)], axis=1)[:, :_CONTEXT]
    wanted = transformers_logits(model, ids)
    assert np.abs(said(Package(made.path), ids) - wanted).max() <= _HALF * np.abs(wanted).max()
