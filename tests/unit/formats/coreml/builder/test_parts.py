"""A model in several packages: dealt out by what is reckoned, and the same tokens as in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.decoders.conftest import ALL, FAMILIES, make

from edgepack.coreml import Package
from edgepack.coreml.chain import PART, Chain
from edgepack.errors import DoesNotFit, PackageError
from edgepack.formats.coreml.builder.parts import ShardSizes, estimate_sizes, shard
from edgepack.formats.coreml.builder.signature import slots
from edgepack.records import Recipe
from edgepack.runtime.engines.coreml import StateDecoding

from .conftest import CONTEXT, FP16, described, zeros
from .test_families import Mask, logits, masks, random, steps
from .test_weights import INT4, INT8, PALETTES

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_FILE = Path("Data/com.apple.CoreML/weights/weight.bin")
_VECTORS = 6000  # bytes that these models' norms and biases are reckoned too high by, at most
SPLIT = ["llama", "llama:tied", "gpt2", "gemma2", "gemma3_text", "gpt_neox", "phi3:long", "qwen3"]
RECIPES = [FP16, INT8, INT4, *PALETTES]


def rooms(folder: Path, recipe: Recipe = FP16) -> ShardSizes:
    """What the pieces of a model take."""
    return estimate_sizes(described(folder).reference.checkpoint, recipe, slots(CONTEXT, recipe.lengths))


def tight(folder: Path, layers: int = 1, recipe: Recipe = FP16) -> int:
    """Bytes that hold the embedding or the head, and so many layers beside it."""
    found = rooms(folder, recipe)
    return found.always + max(found.embedding, found.head) + layers * found.layer


def split(folder: Path, out: Path, most: int, recipe: Recipe = FP16) -> Chain:
    """The model in parts of ``most`` bytes."""
    artifact = replace(described(folder), most=most).compress(out / "model.mlpackage", recipe, [])
    assert artifact.path.name == "model.mlpackages"
    return Chain(artifact.path)


@pytest.fixture(scope="session")
def chains(family: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Chain]:
    """A family with a layer in each part."""
    made: dict[str, Chain] = {}

    def get(name: str) -> Chain:
        if name not in made:
            folder = family(name)[0]
            made[name] = split(folder, tmp_path_factory.mktemp("split"), tight(folder))
        return made[name]

    return get


@masks
@pytest.mark.parametrize("name", SPLIT)
def test_the_same_logits(name: str, mask: Mask, chains: Any, packages: Callable[[str], Package]) -> None:
    chain, package = chains(name), packages(name)
    assert len(chain.parts) >= 2
    fresh, whole = chain.state(), logits(package, random(), mask)
    assert np.array_equal(logits(chain, random(), mask, state=fresh), whole)
    assert np.array_equal(steps(chain, random(), mask, 10), steps(package, random(), mask, 10))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_cache_that_is_cut_back(name: str, chains: Any, packages: Callable[[str], Package]) -> None:
    first, second = StateDecoding(chains(name), CONTEXT), StateDecoding(packages(name), CONTEXT)
    ids = [int(token) for token in random()[0]]
    for made in (first, second):
        made.prefill(ids)
        made.rewind(9)
    assert np.array_equal(first.prefill([*ids[:12], 5, 6]), second.prefill([*ids[:12], 5, 6]))
    assert np.array_equal(first.step(7), second.step(7))


@pytest.mark.parametrize(
    "recipe", RECIPES, ids=lambda recipe: f"{recipe.name}-{recipe.weight_bits}-{recipe.block_size}"
)
@pytest.mark.parametrize("name", ["llama", "llama:tied", "gpt2", "gemma2"])
def test_what_is_reckoned_is_what_is_written(name: str, recipe: Recipe, family: Any, tmp_path: Path) -> None:
    folder = family(name)[0]
    whole = described(folder).compress(tmp_path / "whole.mlpackage", recipe, [])
    taken = (whole.path / _FILE).stat().st_size
    assert taken <= rooms(folder, recipe).whole(3) <= taken + _VECTORS
    most = tight(folder, recipe=recipe)
    chain = split(folder, tmp_path, most, recipe)
    assert all((part.path / _FILE).stat().st_size <= most for part in chain.parts)


def test_parts_tell_what_they_are(chains: Any) -> None:
    parts = chains("llama").parts
    cuts = [
        sum(part.states()[0].shape[0] for part in parts[:place] if part.states()) for place in range(len(parts) + 1)
    ]
    assert cuts[-1] == 3
    assert [part.metadata["user_defined"][PART] for part in parts] == [
        f"{k + 1}-of-{len(parts)}" for k in range(len(parts))
    ]
    assert [spec.name for spec in parts[0].inputs()] == ["inputIds", "causalMask"]
    assert [(spec.name, spec.dtype) for spec in parts[0].outputs()] == [("nextHidden", "float32")]
    assert next((spec.name, spec.dtype) for spec in parts[-1].inputs()) == ("hidden", "float32")
    assert [spec.name for spec in parts[-1].outputs()] == ["logits"]
    assert [spec.name for spec in chains("llama").inputs()] == ["inputIds", "causalMask"]


@pytest.fixture(scope="session")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA whose embedding is larger than a layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ALL, "wordy", ("Llama", {**FAMILIES["llama"][1], "vocab_size": 700}))
        return make("wordy", tmp_path_factory.mktemp("wordy"))[0]


def test_as_few_parts_as_there_can_be(wordy: Path) -> None:
    checkpoint, whole = described(wordy).reference.checkpoint, rooms(wordy).whole(3)
    dealt = {most: shard(checkpoint, FP16, CONTEXT, most) for most in (whole, whole - 1, tight(wordy, 0))}
    assert [[len(part.layers) for part in parts] for parts in dealt.values()] == [[3], [2, 1], [0, 1, 1, 1, 0]]
    assert [[*part.layers] for part in dealt[whole - 1]] == [[0, 1], [2]]


def test_parts_without_layers(wordy: Path, tmp_path: Path) -> None:
    chain = split(wordy, tmp_path, tight(wordy, 0))
    assert [bool(part.states()) for part in chain.parts] == [False, True, True, True, False]
    whole = Package(described(wordy).compress(tmp_path / "whole.mlpackage", FP16, []).path)
    assert np.array_equal(steps(chain, random(), zeros, 10), steps(whole, random(), zeros, 10))


def test_what_no_part_can_hold(wordy: Path, family: Any) -> None:
    checkpoint, found = described(wordy).reference.checkpoint, rooms(wordy)
    with pytest.raises(DoesNotFit, match="makes the embedding alone"):
        shard(checkpoint, FP16, CONTEXT, found.embedding)
    positions = described(family("gpt2")[0]).reference.checkpoint
    most = tight(family("gpt2")[0], 1) - 1
    with pytest.raises(DoesNotFit, match="no room for a layer beside the embedding"):
        shard(positions, FP16, CONTEXT, most)


def test_little_memory(chains: Any) -> None:
    folder = chains("llama").parts[0].path.parent
    whole, streamed = Chain(folder, threads=1), Chain(folder, threads=1, held=1)
    assert np.array_equal(steps(streamed, random(), zeros, 10), steps(whole, random(), zeros, 10))


def test_a_folder_without_packages(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no Core ML packages"):
        Chain(tmp_path)
