"""Language models: each family's graph against transformers and onnxruntime-genai, and what must be refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as og
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.decoders.conftest import FAMILIES, WORDS, make, with_tokenizer

import edgepack
from edgepack import load, memory, targets
from edgepack.errors import (
    DamagedWeights,
    DoesNotFit,
    InputError,
    ModelError,
    UnreadSetting,
    UnsupportedModel,
    UsageError,
)
from edgepack.original import open_original
from edgepack.pipeline import Request, plan
from edgepack.plans import Subject
from edgepack.records import Bundle
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Generation
from edgepack.tasks import text_generation

Build = Callable[..., tuple[Bundle, ...]]
_CLOSE = 1e-4  # float32 sums in another order, relative to the largest logit
_TOKENS, _CONTEXT = 24, 32  # phi3:long was trained on 32 tokens; beyond it takes other factors
ROWS = {"gate": 102, "up": 90}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """The folder, with a tokenizer, and the transformers model of a family."""
    made: dict[str, tuple[Path, Any]] = {}

    def get(name: str) -> tuple[Path, Any]:
        if name not in made:
            folder, original = make(name, tmp_path_factory.mktemp("family") / name.replace(":", "-"))
            made[name] = with_tokenizer(folder), original
        return made[name]

    return get


@pytest.fixture
def llama(model: Callable[[str], tuple[Path, Any]], tmp_path: Path) -> Path:
    """A copy of a small LLaMA that a test may damage."""
    return Path(shutil.copytree(model("llama")[0], tmp_path / "llama"))


def packed(build: Build, folder: Path, recipe: str, **options: Any) -> Bundle:
    return build(folder, "rpi", recipes=(recipe,), allow_loss=True, **options)[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family(name: str, model: Callable[[str], tuple[Path, Any]], build: Build) -> None:
    folder, original = model(name)
    bundle = packed(build, folder, "fp32", context=_CONTEXT)
    loaded = edgepack.load(bundle.path)
    ids = np.random.default_rng(3).integers(3, 160, (2, _TOKENS))
    with torch.no_grad():
        wanted = original(torch.from_numpy(ids)).logits.numpy()
    near = _CLOSE * np.abs(wanted).max()
    feeds = loaded._feeds(ids)
    session = open_session(bundle.artifact.path, "onnx", 1)
    assert np.abs(session(feeds, ["logits"])["logits"] - wanted).max() <= near
    decoding = loaded._decoding
    assert np.abs(decoding.prefill(list(ids[0, :10])) - wanted[0, 9]).max() <= near
    for place in range(10, _TOKENS):
        assert np.abs(decoding.step(int(ids[0, place])) - wanted[0, place]).max() <= near
    prompt = [int(token) for token in ids[1, :8]]
    with torch.no_grad():
        text = list(prompt)
        for _ in range(8):
            text.append(int(original(torch.tensor([text])).logits[0, -1].argmax()))
    assert loaded.continued(prompt, 8) == text[8:]


@pytest.mark.parametrize("name", FAMILIES)
def test_onnxruntime_genai_opens_it(name: str, model: Callable[[str], tuple[Path, Any]], build: Build) -> None:
    bundle = packed(build, model(name)[0], "int4", context=_CONTEXT)
    assert bundle.artifact.coverage.share == 1
    prompt = [5, 17, 40, 99]
    opened = og.Model(str(bundle.path))
    wishes = og.GeneratorParams(opened)
    wishes.set_search_options(max_length=16, do_sample=False)
    generator = og.Generator(opened, wishes)
    generator.append_tokens(np.array(prompt, np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    made = [int(token) for token in generator.get_sequence(0)][len(prompt) :]
    assert made
    assert made == edgepack.load(bundle.path).continued(prompt, len(made))


@pytest.mark.parametrize(("recipe", "most"), [("fp16", 1e-3), ("int8-fine", 0.05), ("int8", 0.1)])
def test_recipes_stay_near(recipe: str, most: float, model: Callable[[str], tuple[Path, Any]], build: Build) -> None:
    bundle = packed(build, model("llama")[0], recipe)
    divergence = next(a for a in bundle.accuracy if a.metric == "kl_mean")
    assert divergence.compressed <= most  # of a loud random model, whose logits are far apart


def test_the_same_twice_and_from_shards(model: Callable[[str], tuple[Path, Any]], build: Build, tmp_path: Path) -> None:
    folder, original = model("llama")
    one, two = (packed(build, folder, "int4").path for _ in range(2))
    for file in one.iterdir():
        if file.name != "measurements.json":
            assert file.read_bytes() == (two / file.name).read_bytes(), file.name
    shards = tmp_path / one.name.removesuffix("-rpi")
    original.save_pretrained(shards, max_shard_size="50KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    sharded = packed(build, with_tokenizer(shards), "int4").path
    assert (sharded / "model.onnx_data").read_bytes() == (one / "model.onnx_data").read_bytes()
    next(shards.glob("*.safetensors")).unlink()
    with pytest.raises(DamagedWeights, match="lacks the shard"):
        packed(build, shards, "int4")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_exactly(dtype: torch.dtype, llama: Path, build: Build) -> None:
    file = llama / "model.safetensors"
    halves = {name: weight.to(dtype) for name, weight in load_file(file).items()}
    data = []
    for weights in (halves, {name: weight.float() for name, weight in halves.items()}):
        save_file(weights, file, {"format": "pt"})
        bundle = packed(build, llama, "int8")
        assert bundle.artifact.coverage.share == 1
        data.append((bundle.path / "model.onnx_data").read_bytes())
    assert data[0] == data[1]


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda w: w.pop("model.norm.weight"), DamagedWeights, "lack 'model.norm.weight'"),
        (lambda w: w.update({"lm_head.weight": w["lm_head.weight"][:100]}), DamagedWeights, "config.json says"),
        (lambda w: w["model.layers.1.mlp.up_proj.weight"].fill_(float("nan")), DamagedWeights, "up_proj.weight. holds"),
        (
            lambda w: w.update({"model.layers.0.mlp.down_proj.weight": torch.zeros((64, 96), dtype=torch.int8)}),
            UnsupportedModel,
            "already quantized: integers",
        ),
        (
            lambda w: w.update({"model.layers.0.mlp.down_proj.weight": torch.zeros((64, 96), dtype=torch.int32)}),
            UnsupportedModel,
            "already quantized: integers",
        ),
        (
            lambda w: w.update({"model.layers.0.mlp.up_proj.weight": torch.ones(96, 60)}),
            DamagedWeights,
            r"\[96, 64\] \+ \[96, 60\]; config.json says",
        ),
        (  # as many rows together, so that a product would come out, of the wrong gate
            lambda w: w.update({f"model.layers.0.mlp.{k}_proj.weight": torch.ones(n, 64) for k, n in ROWS.items()}),
            DamagedWeights,
            "config.json says",
        ),
        (lambda w: w.update({"model.norm.weight": torch.ones(60)}), DamagedWeights, r"\[60\]; config.json says \[64\]"),
        (lambda w: w["model.norm.weight"].fill_(float("inf")), DamagedWeights, "infinity"),
        (lambda w: w["model.embed_tokens.weight"][150].fill_(float("nan")), DamagedWeights, "embed_tokens"),
    ],
)
def test_bad_weights(damage: Any, error: type[Exception], words: str, llama: Path, build: Build) -> None:
    weights = load_file(llama / "model.safetensors")
    damage(weights)
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    with pytest.raises(error, match=words):
        packed(build, llama, "int4")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedModel, "already quantized"),
        ({"model_type": "mamba"}, UnsupportedModel, "no language model family 'mamba'"),
        ({"num_hidden_layers": None}, ModelError, "num_hidden_layers is (null|None), which"),
        ({"num_hidden_layers": 4}, DamagedWeights, r"lack 'model\.layers\.3\."),
        ({"num_hidden_layers": 1}, DamagedWeights, "more than the 1 layers"),
        ({"num_hidden_layers": 0}, ModelError, "num_hidden_layers is 0"),
        ({"num_key_value_heads": -2}, ModelError, "num_key_value_heads is -2"),
        ({"max_position_embeddings": 0}, ModelError, "max_position_embeddings is 0|give no finite rotary angles"),
        ({"rope_parameters": {"rope_type": "linear"}}, ModelError, "config.json lacks rope_parameters.factor"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 0}}, ModelError, "give no finite rotary angles"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, ModelError, "both rope_scaling and rope_parameters"),
        ({"num_key_value_heads": 3}, ModelError, "4 heads cannot share 3"),
        ({"hidden_size": "big"}, ModelError, 'hidden_size is "big"'),
        ({"vocab_size": 200}, DamagedWeights, r"config.json says \(200, 64\)"),
        ({"rope_parameters": {"rope_type": "mrope", "mrope_section": [2]}}, UnsupportedModel, "scaling 'mrope'"),
        ({"vocab_size": 100}, ModelError, "has the id 159"),
        ({"hidden_act": "mish"}, UnsupportedModel, "mish"),
        ({"attention_bias": True}, DamagedWeights, r"lacks .*q_proj\.bias"),
        ({"residual_multiplier": 0.22}, UnreadSetting, "residual_multiplier = 0.22"),
    ],
)
def test_bad_configs(change: dict[str, Any], error: type[Exception], words: str, llama: Path, build: Build) -> None:
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(error, match=words) as raised:
        packed(build, llama, "int4")
    if change.get("model_type"):
        assert "gpt_neox" in raised.value.hint


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_config_that_lacks_a_number_has_the_class_s_own(key: str, llama: Path, build: Build) -> None:
    config = json.loads((llama / "config.json").read_text())
    del config[key]
    (llama / "config.json").write_text(json.dumps(config))
    with pytest.raises(DamagedWeights, match=r"config\.json says|the weights lack 'model\.layers\.3\."):
        packed(build, llama, "int4")


@pytest.mark.parametrize("context", [-1, 0, 7, 65])
def test_contexts_out_of_range(context: int, llama: Path, build: Build) -> None:
    with pytest.raises(UsageError, match="made for 8 to 64") as raised:
        packed(build, llama, "int4", context=context)
    assert raised.value.hint == "--context 64"


def test_longrope_s_usual_context_is_the_one_it_was_trained_with(llama: Path) -> None:
    config = json.loads((llama / "config.json").read_text())
    width = config["hidden_size"] // config["num_attention_heads"] // 2
    rope = {"rope_type": "longrope", "short_factor": [1.0] * width, "long_factor": [2.0] * width}
    long = {"max_position_embeddings": 64, "rope_parameters": {"rope_theta": 1e4, **rope}}
    config |= long | {"original_max_position_embeddings": 32}
    sized = text_generation.sized(text_generation.processing(llama, config), None)
    assert sized.section(Generation).max_length == 32


def test_contexts(llama: Path, build: Build, minilm: Bundle) -> None:
    with pytest.raises(UsageError, match="texts of 8 to 256"):
        build(minilm.source.model, "rpi", context=257)
    short = build(minilm.source.model, "rpi", recipes=("fp32",), context=32)[0]
    settings = json.loads((short.path / "tokenizer_config.json").read_text("utf-8"))
    assert settings["model_max_length"] == 32
    assert edgepack.load(short.path).feeds(["word " * 100])["input_ids"].shape == (1, 32)
    with pytest.raises(UsageError, match="int8-static is not supported for text-generation"):
        packed(build, llama, "int8-static")
    bundle = packed(build, llama, "int4", context=16)
    with pytest.raises(InputError, match="17 tokens; the bundle takes 16"):
        edgepack.load(bundle.path).generate(" ".join(WORDS[3:20]))


def test_what_fits(llama: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    text = (targets.ROOT / "rpi" / "target.toml").read_text()

    def planned(memory: str) -> Any:
        (board / "target.toml").write_text(text.replace('memory = "2 GB"', f'memory = "{memory}"'))
        (found,) = plan(Request(model=str(llama), targets=(str(board),), fit=True))
        return found

    roomy, tight = planned("2 GB"), planned(f"{(planned('2 GB').need.total - 1) // 1000} kB")
    assert (roomy.recipe.weight_bits, roomy.processing.max_length) == (32, 64)
    assert tight.fits
    assert tight.recipe.weight_bits < 32 or tight.processing.max_length < 64
    assert roomy.need.cache == 2 * 4 * 3 * 2 * 16 * 64  # keys and values, float32, layers, heads, width, tokens
    assert not planned("1 MB").fits


def test_what_does_not_fit_is_said(llama: Path, tmp_path: Path, build: Build) -> None:
    board = tmp_path / "board"
    board.mkdir()
    text = (targets.ROOT / "rpi" / "target.toml").read_text()
    (board / "target.toml").write_text(text.replace('memory = "2 GB"', 'memory = "1 MB"'))
    with pytest.raises(DoesNotFit, match="key-value cache"):
        build(llama, str(board))


def test_no_pytorch(llama: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from edgepack import pipeline
class Silent:
    def step(self, text): pass
    note = step
request = pipeline.Request(
    model={str(llama)!r}, targets=("rpi",), out=Path({str(tmp_path)!r}), allow_loss=True, measure_speed=False
)
pipeline.build(request, Silent())
print(*[name for name in ("torch", "transformers", "optimum") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_variant_keeps_the_other_numbers() -> None:
    target = targets.load("rpi")
    plain, varied = (targets.recipe(target, "int4", task) for task in ("", "text-generation"))
    assert varied == replace(plain, block_size=128, smooth=False, finer=("head",))


def test_the_original_can_be_transformers_itself(
    model: Callable[[str], tuple[Path, Any]], build: Build, tmp_path: Path, edgepack: Any
) -> None:
    folder, implementation = model("llama")
    bundle = packed(build, folder, "fp32", original="transformers")
    agreement = {a.metric: a.compressed for a in bundle.accuracy}
    assert agreement["kl_mean"] < 1e-6
    assert agreement["reading"] < 1e-5
    ids = np.random.default_rng(3).integers(3, 160, (1, 12))
    with open_original(Subject.of(bundle.source), implementation="transformers") as original:
        logits = original({"input_ids": ids, "logits_from": np.array([4])})["logits"]
        made = original.module.generate(list(map(int, ids[0])), 8)
    with torch.no_grad():
        wanted = implementation(torch.from_numpy(ids)).logits.numpy()[:, 4:]
    assert np.abs(logits - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert made == load(bundle.path).continued(list(map(int, ids[0])), 8)[: len(made)]
    suite = tmp_path / "suite.toml"
    suite.write_text('original = "transformers"\n[[check]]\nkind = "agreement"\nmetric = "kl"\nat_most = 1e-6\n')
    for more in ((), ("--original", "transformers")):
        done = edgepack("validate", bundle.path, "--suite", suite, *more)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_model_larger_than_memory_is_not_opened_whole(
    model: Callable[[str], tuple[Path, Any]], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(DoesNotFit, match="transformers needs"):
        packed(build, model("llama")[0], "fp32", original="transformers")
