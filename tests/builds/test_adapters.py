"""A build with --adapter: the bundle answers as PEFT's merged model, and says what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import peft
import pytest
import torch
import transformers

import edgepack
from edgepack import pipeline
from edgepack.errors import EdgepackError, ModelError, UnsupportedModel
from edgepack.records import Bundle
from edgepack.stages import resolve

Build = Callable[..., tuple[Bundle, ...]]
SCHEMA = json.loads((Path(edgepack.__file__).parent / "schemas" / "bundle-2.json").read_text())
TEXTS = ["ada wrote the first program in london", "rain fell on paris"]


def adapted(base: Path, kind: Any, out: Path, **options: Any) -> Any:
    """A random adapter of ``base`` in ``out``, and PEFT's merged model."""
    tuned = peft.get_peft_model(kind.from_pretrained(base), peft.LoraConfig(r=4, lora_alpha=16, **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    tuned.save_pretrained(out)
    return tuned.eval().merge_and_unload()


@pytest.fixture
def llama(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small LLaMA with the tiny models' tokenizer."""
    folder = tmp_path / "llama"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny("fill-mask") / name).read_bytes())
    size = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    config = transformers.LlamaConfig(
        vocab_size=size, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False, initializer_range=0.2,
        bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_language_model(llama: Path, build: Build, tmp_path: Path) -> None:
    options = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj", "down_proj"]}
    model = adapted(llama, transformers.LlamaForCausalLM, tmp_path / "lora", **options)
    bundle = build(llama, "rpi", recipes=("fp32",), adapters=(str(tmp_path / "lora"),))[0]
    opened = edgepack.load(bundle.path)
    ids = opened.tokens(TEXTS[0])
    made = model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)[0, len(ids) :].tolist()
    assert opened.continued(ids, 8)[: len(made)] == made
    plain = edgepack.load(build(llama, "rpi", recipes=("fp32",))[0].path)
    assert plain.continued(ids, 8) != opened.continued(ids, 8)
    manifest = json.loads((bundle.path / "edgepack.json").read_text())
    assert manifest["source"]["adapter"] == "lora"
    jsonschema.validate(manifest["source"], SCHEMA["properties"]["source"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("beside", [False, True])
def test_a_classifier(beside: bool, tiny: Callable[[str], Path], build: Build, edgepack: Any, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for file in tiny("text-classification").iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    lora = base if beside else tmp_path / "lora"
    options = {"task_type": "SEQ_CLS", "target_modules": ["query", "value"], "modules_to_save": ["classifier"]}
    model = adapted(base, transformers.BertForSequenceClassification, lora, **options)
    encoded = transformers.AutoTokenizer.from_pretrained(base)(TEXTS, return_tensors="pt", padding=True)
    wanted = model(**encoded).logits.softmax(-1).detach().numpy()
    bundle = build(base, "rpi", recipes=("fp32",), adapters=(str(lora),))[0]
    found = globals()["edgepack"].load(bundle.path).classify(TEXTS)
    names = model.config.id2label
    scores = [[next(label.score for label in row if label.name == names[i]) for i in range(3)] for row in found]
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    suite = tmp_path / "suite.toml"
    suite.write_text('[[check]]\nkind = "agreement"\nmetric = "cosine"\nstatistic = "min"\nat_least = 0.99999\n')
    assert edgepack("validate", bundle.path, "--suite", suite).returncode == 0  # the original has the adapter too


def test_the_hash_follows_the_adapter(llama: Path, tmp_path: Path) -> None:
    hashes = {resolve.resolve(str(llama)).sha256}
    for name in ("one", "two"):
        torch.manual_seed(len(name))
        options = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj" if name == "one" else "v_proj"]}
        adapted(llama, transformers.LlamaForCausalLM, tmp_path / name, **options)
        hashes.add(resolve.resolve(str(llama), adapters=(str(tmp_path / name),)).sha256)
    assert len(hashes) == 3


def planned(folder: Path, **options: Any) -> None:
    pipeline.plan(pipeline.Request(model=str(folder), targets=("rpi",), **options))


def other_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"x": 0}}}))


@pytest.mark.filterwarnings("ignore")
def test_a_dry_run_says_what_a_build_would(llama: Path, tmp_path: Path) -> None:
    lora = tmp_path / "lora"
    adapted(llama, transformers.LlamaForCausalLM, lora, task_type="CAUSAL_LM", target_modules=["q_proj"])
    planned(llama, adapters=(str(lora),))
    with pytest.raises(UnsupportedModel, match="takes one adapter, not 2"):
        planned(llama, adapters=(str(lora), str(lora)))
    with pytest.raises(ModelError, match="adapter alone"):
        planned(lora)
    with pytest.raises(ModelError, match="not a PEFT adapter"):
        planned(llama, adapters=(str(llama),))
    other_tokenizer(lora)
    with pytest.raises(ModelError, match=r"a tokenizer\.json that differs"):
        planned(llama, adapters=(str(lora),))
    (llama / "adapter_config.json").write_bytes((lora / "adapter_config.json").read_bytes())
    with pytest.raises(ModelError, match="beside a model"):
        planned(llama)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [{"modules_to_save": ["lm_head"]}, {"target_modules": ["lm_head"]}])
def test_a_head_that_is_the_embedding_too(kind: dict[str, Any], llama: Path, tmp_path: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(llama)
    config.tie_word_embeddings = True
    transformers.LlamaForCausalLM(config).save_pretrained(llama)
    options = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"], **kind}
    adapted(llama, transformers.LlamaForCausalLM, tmp_path / "lora", **options)
    with pytest.raises(UnsupportedModel, match=r"lm_head\.weight', which this model uses as embedding and as head"):
        planned(llama, adapters=(str(tmp_path / "lora"),))


@pytest.mark.parametrize(
    ("task", "config", "said"),
    [
        ("text-classification", {"intermediate_size": 48}, r"config\.json says \[48"),
        ("text-classification", {"num_hidden_layers": 3}, "the weights lack"),
        ("text-classification", {"num_hidden_layers": 1}, "has no place for"),
        ("text-classification", {"model_type": "encodec"}, "audio model"),
        ("text-classification", {"architectures": "BertModel"}, "is not a list"),
        ("text-classification", {"model_type": "roberta"}, "begin with 'bert.', as a bert has them"),
        ("question-answering", {"id2label": {"0": "a", "1": "b", "2": "c"}}, "names 3 labels"),
        ("image-classification", {"patch_size": 4}, r"config\.json says"),
    ],
)
def test_a_dry_run_opens_the_model(
    task: str, config: dict[str, Any], said: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny(task).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    planned(folder)
    stated = json.loads((folder / "config.json").read_text())
    if config.get("model_type") == "encodec":
        config = {**config, "architectures": ["EncodecModel"]}
    (folder / "config.json").write_text(json.dumps({**stated, **config}))
    with pytest.raises(EdgepackError, match=said):
        planned(folder)
