"""The memory that a language model is estimated to need, and what --fit makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.unit.decoders.conftest import FAMILIES, config_of, make, with_tokenizer

from edgepack import activations, fit, pipeline, targets
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import DoesNotFit, UnsupportedModel
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.records import Bundle, Recipe
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Audio, Image, Processing, Size, Text, Waveform
from edgepack.stages import resolve
from edgepack.tasks import _feature_extractor, text_generation
from edgepack.units import size

RPI = (targets.ROOT / "rpi" / "target.toml").read_text("utf-8")
_LONGEST = 8192


def recipe(name: str) -> Recipe:
    return targets.recipe(targets.load("rpi"), name, "text-generation")


def saved(folder: Path, **numbers: Any) -> Path:
    """A random LLaMA with a tokenizer of 160 words."""
    facts = {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, **numbers,
    }  # fmt: skip
    torch.manual_seed(7)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**facts)).save_pretrained(folder)
    return with_tokenizer(folder)


@pytest.fixture(scope="module")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4.2 million weights: the parts weigh about what they do in larger models."""
    numbers = {"vocab_size": 2000, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4}
    return saved(tmp_path_factory.mktemp("middling"), **numbers)


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of a long context, whose cache outweighs its weights."""
    return saved(tmp_path_factory.mktemp("talker"), vocab_size=4000, max_position_embeddings=_LONGEST)


def estimated(folder: Path, chosen: Recipe, context: int | None = None) -> fit.Estimate:
    config = config_of(folder)
    processing = text_generation.sized(text_generation.processing(folder, config), context)
    return fit.estimate(resolve.resolve(str(folder)), chosen, config, processing)


def data_bytes(folder: Path, chosen: Recipe, out: Path) -> int:
    """Of the data file that the recipe gives."""
    reference = Reference(Checkpoint(folder, describe(config_of(folder))))
    described = Described(reference=reference, model=folder, layout="flat", context=16, opset=17, ir_version=9)
    described.compress(out / f"{chosen.name}.onnx", chosen, [])
    return (out / f"{chosen.name}.onnx_data").stat().st_size


def test_an_embedding_of_another_width_is_projected() -> None:
    """OPT-350M's two matrices between the embedding and the layers."""
    facts = {"model_type": "opt", "hidden_size": 64, "vocab_size": 96, "ffn_dim": 80, "num_attention_heads": 2}
    weights = []
    for width in (64, 48):
        decoder = describe({**facts, "word_embed_proj_dim": width})
        weights.append(fit._decoder(decoder, recipe("fp32"), 32, "onnx").weights)
    assert weights[1] - weights[0] == 4 * (2 * 48 * 64 - 16 * 96)


# The estimate is of memory, where a block's scale takes 64 bits and not the file's 16, and 16-bit floats are widened.
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("int4", 1.0, 1.15), ("int8", 1.0, 1.15), ("int8-fine", 1.0, 1.25), ("int4-fine", 1.0, 1.35),
     ("fp32", 0.99, 1.01), ("fp16", 1.98, 2.02)],
)  # fmt: skip
def test_weights_are_about_the_file_s(name: str, least: float, most: float, middling: Path, tmp_path: Path) -> None:
    chosen = recipe(name)
    stored = data_bytes(middling, chosen, tmp_path)
    assert least * stored <= estimated(middling, chosen).weights <= most * stored


@pytest.mark.parametrize("name", ["llama:tied", "gpt2", "gemma3_text", "phi3", "gpt_neox", "qwen3", "qwen3_moe"])
def test_weights_of_every_kind_of_layer(name: str, tmp_path: Path) -> None:
    folder = with_tokenizer(make(name, tmp_path / "model")[0])
    found, stored = estimated(folder, recipe("fp32")).weights, data_bytes(folder, recipe("fp32"), tmp_path)
    # norms, biases, angles and learned positions are not counted
    assert 0.85 * stored <= found <= stored


@pytest.mark.parametrize("name", [name for name in FAMILIES if ":" not in name])
def test_the_cache_is_exactly_what_decoding_allocates(name: str, tmp_path: Path) -> None:
    folder = with_tokenizer(make(name, tmp_path / "model")[0])
    config = config_of(folder)
    for context in (8, 40, 64):
        wanted = sum(array.nbytes for array in _cache(folder, context, tmp_path).values())
        assert estimated(folder, recipe("int4"), context).cache == wanted == describe(config).cache_bytes(context)


def _cache(folder: Path, context: int, out: Path) -> dict[str, np.ndarray]:
    reference = Reference(Checkpoint(folder, describe(config_of(folder))))
    described = Described(reference=reference, model=folder, layout="flat", context=context, opset=17, ir_version=9)
    made = described.compress(out / f"{context}.onnx", recipe("int8"), [])
    decoding = open_session(made.path, "onnx", 1).decoding(context)
    decoding.reserve(context)
    return decoding._cache


def test_the_total_and_the_speed() -> None:
    need = fit.Estimate(weights=5, activations=7, shape="1", cache=20, read=30, runtime=100)
    assert need.total == 132
    assert need.tokens_per_second(80) == 2.0  # 30 + half of 20
    assert fit.Estimate(weights=5, activations=7, shape="1").tokens_per_second(80) == 0


def board(folder: Path, memory: int) -> str:
    """A target that gives a model ``memory`` bytes."""
    folder.mkdir(exist_ok=True)
    assert 'memory = "2 GB"' in RPI
    (folder / "target.toml").write_text(RPI.replace('memory = "2 GB"', f"memory = {memory}"), "utf-8")
    return str(folder)


def planned(model: Path, target: str, **more: Any) -> pipeline.Plan:
    (found,) = pipeline.plan(pipeline.Request(model=str(model), targets=(target,), **more))
    return found


def test_a_plan_without_fit_has_the_usual_recipe_and_context(talker: Path, tmp_path: Path) -> None:
    usual = planned(talker, board(tmp_path / "board", 1 << 40))
    assert (usual.recipe, usual.processing.max_length) == (recipe("int4"), 4096)
    short = planned(talker, board(tmp_path / "board", 1 << 40), context=100)
    assert short.processing.max_length == 100
    assert short.need.cache == usual.need.cache * 100 // 4096
    assert "100 of 100 tokens" in short.need.shape


@pytest.mark.parametrize("name", ["fp16", "int8-fine", "int8", "int4-fine", "int4"])
@pytest.mark.parametrize("context", [2048, 4096])
def test_fit_takes_the_finest_recipe_that_leaves_a_useful_context(
    name: str, context: int, talker: Path, tmp_path: Path
) -> None:
    need = estimated(talker, recipe(name), context)
    found = planned(talker, board(tmp_path / "board", need.total), fit=True)
    assert found.fits
    assert found.processing.max_length >= 2048
    # at least as fine: a finer one with a shorter, but useful, context is preferred
    assert (found.recipe.weight_bits, found.recipe.embedding_bits) >= (
        recipe(name).weight_bits,
        recipe(name).embedding_bits,
    )
    if context == 2048:  # nothing finer fits with 2,048 tokens, as every other needs more
        finer = estimated(talker, found.recipe, 4096).total
        assert found.processing.max_length == 2048
        assert finer > need.total


def test_with_much_memory_fit_takes_floats_and_the_whole_context(talker: Path, tmp_path: Path) -> None:
    found = planned(talker, board(tmp_path / "board", 1 << 40), fit=True)
    assert (found.recipe.name, found.processing.max_length) == ("fp32", _LONGEST)
    assert planned(talker, board(tmp_path / "board", 1 << 40), fit=True, context=300).processing.max_length == 300
    named = planned(talker, board(tmp_path / "board", 1 << 40), fit=True, recipes=("int4",))
    assert (named.recipe.name, named.processing.max_length) == ("int4", _LONGEST)


def test_with_little_memory_fit_takes_a_shorter_context(talker: Path, tmp_path: Path) -> None:
    least = min(estimated(talker, recipe(name), 2048).total for name in ("int4", "int4-fine", "int8"))
    found = planned(talker, board(tmp_path / "board", least - 1), fit=True)
    assert found.fits
    assert found.processing.max_length == 1024


def test_where_nothing_fits_the_smallest_is_told(talker: Path, tmp_path: Path) -> None:
    need = estimated(talker, recipe("int4"), 256)
    target = board(tmp_path / "board", need.total - 1)
    found = planned(talker, target, fit=True)
    assert not found.fits
    assert (found.recipe.name, found.processing.max_length) == ("int4", 256)
    request = pipeline.Request(model=str(talker), targets=(target,), out=tmp_path / "out", fit=True)
    with pytest.raises(DoesNotFit) as error:
        pipeline.build(request, Silent())
    said = str(error.value)
    for part in (need.total, need.weights, need.cache, need.activations, need.runtime, need.total - 1):
        assert size(part) in said
    assert "key-value cache" in said
    assert "256 of 256 tokens" in said
    assert "--context" in error.value.hint
    assert not list((tmp_path / "out").glob("*"))


def test_the_way_out_is_a_recipe_where_one_fits(talker: Path, tmp_path: Path) -> None:
    need = estimated(talker, recipe("int8-fine"), 4096)
    request = pipeline.Request(
        model=str(talker), targets=(board(tmp_path / "board", need.total),), out=tmp_path / "out", recipes=("fp32",)
    )
    with pytest.raises(DoesNotFit) as error:
        pipeline.build(request, Silent())
    assert error.value.hint == "--recipe int8 would fit"  # the first of the finest that fit


class Silent:
    """A progress that says nothing."""

    def step(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


def test_the_context_of_the_bundle_is_in_its_files(
    talker: Path, build: Callable[..., tuple[Bundle, ...]], tmp_path: Path
) -> None:
    need = estimated(talker, recipe("int4"), 256)
    target = board(tmp_path / "board", need.total)
    (bundle,) = build(talker, target, fit=True, allow_loss=True)
    manifest = json.loads((bundle.path / "edgepack.json").read_text("utf-8"))
    genai = json.loads((bundle.path / "genai_config.json").read_text("utf-8"))
    assert manifest["processing"]["generation"]["max_length"] == 256
    assert (genai["model"]["context_length"], genai["search"]["max_length"]) == (256, 256)


@pytest.mark.parametrize(
    ("config", "side", "tokens"),
    [(transformers.MobileViTConfig(), 256, 1024), (transformers.ViTConfig(), 224, 197)],
)
def test_attention_sees_patches_of_the_map_that_it_reads(config: Any, side: int, tokens: int) -> None:
    """MobileViT's patches are of maps at an eighth: scores of 256 x 256 pixels do not take gigabytes."""
    stated = config.to_dict()
    size = Size(height=side, width=side)
    image = Image(input="pixel_values", channels=3, size=size, alpha="refuse", steps=())
    found, shape = activations.of(stated, Processing(image=image))
    assert shape == f"1 x {side} x {side} pixels"
    assert found == activations._transformer(stated, tokens)
    assert found < 100e6


def test_inputs_are_told_apart_by_what_they_are() -> None:
    """Nothing is taken for an image because it is not a text; the larger of both counts."""
    config = transformers.ViTConfig().to_dict()
    size = Size(height=224, width=224)
    image = Image(input="pixel_values", channels=3, size=size, alpha="refuse", steps=())
    long, short = (
        Text(
            inputs=("input_ids",), max_length=length, pad_id=0, pad_token="", pad_type_id=0, padding_side="right",
            truncation_side="right",
        )
        for length in (512, 16)
    )  # fmt: skip
    assert activations.of(config, Processing(text=long, image=image))[1] == "1 x 512 tokens"
    assert activations.of(config, Processing(text=short, image=image))[1] == "1 x 224 x 224 pixels"
    with pytest.raises(UnsupportedModel, match="neither texts nor images"):
        activations.of(config, Processing())


def test_a_waveform_takes_the_first_maps_of_its_samples() -> None:
    """wav2vec 2.0 (base) in 8 bits was measured: 719 MB at 30 s, 485 MB more than at 1 s."""
    waveform = Waveform(normalize=True, max_samples=480_000)
    audio = Audio(input="input_values", sampling_rate=16_000, min_samples=400, features=waveform)
    found, shape = activations.of(transformers.Wav2Vec2Config().to_dict(), Processing(audio=audio))
    assert shape == "1 x 480,000 samples"
    assert 485e6 < found < 650e6


def test_a_spectrogram_takes_attention_over_its_patches(tmp_path: Path) -> None:
    config = transformers.ASTConfig().to_dict()
    (tmp_path / "preprocessor_config.json").write_text('{"feature_extractor_type": "ASTFeatureExtractor"}')
    audio = _feature_extractor.read(tmp_path, config)
    assert activations.of(config, Processing(audio=audio)) == (
        activations._transformer(config, 1214),
        "1 x 1024 frames",
    )
