"""A traced model's weights: the right class, nothing ignored, nothing random, adapters as PEFT merges them."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from edgepack import plugins
from edgepack.errors import DamagedWeights, EdgepackError, ModelError, UnsupportedModel

importlib.import_module("edgepack.original.pytorch")
loading = importlib.import_module("edgepack.original.loading")
Tiny = Callable[[str], Path]
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 32,
    "patch_size": 8, "initializer_range": 0.2,
}  # fmt: skip
PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([[2, 9, 12, 30, 3], [2, 7, 3, 0, 0]])


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in change(load_file(file)).items()}, file)


def load(folder: Path, task: str, adapter: Path | None = None) -> Any:
    return loading.load(folder, folder.name, plugins.load("tasks", task), adapter).eval()


@pytest.fixture
def bert(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("text-classification"), tmp_path / "bert"))


def test_clip_keeps_its_projection(tmp_path: Path) -> None:
    config = transformers.CLIPVisionConfig(**SIZES, projection_dim=8)
    wanted = transformers.CLIPVisionModelWithProjection(config).eval()
    wanted.save_pretrained(tmp_path)
    found = load(tmp_path, "image-embedding")
    assert type(found) is type(wanted)
    assert torch.equal(found(pixel_values=PIXELS).image_embeds, wanted(pixel_values=PIXELS).image_embeds)


def test_a_projection_that_the_class_does_not_have(tmp_path: Path) -> None:
    transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**SIZES)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["CLIPVisionModel"]}))
    with pytest.raises(DamagedWeights, match=r"visual_projection\.weight"):
        load(tmp_path, "image-embedding")


def test_a_vit_without_a_pooler_has_no_random_one(tmp_path: Path) -> None:
    wanted = transformers.ViTModel(transformers.ViTConfig(**SIZES), add_pooling_layer=False).eval()
    wanted.save_pretrained(tmp_path)
    found = load(tmp_path, "image-embedding")(pixel_values=PIXELS)
    assert found.pooler_output is None
    assert torch.equal(found.last_hidden_state, wanted(pixel_values=PIXELS).last_hidden_state)


def test_an_encoder_of_a_model_with_a_head(tiny: Tiny) -> None:
    whole = transformers.BertForMaskedLM.from_pretrained(tiny("fill-mask")).eval()
    found = load(tiny("fill-mask"), "text-embedding")
    assert torch.equal(found(IDS).last_hidden_state, whole.bert(IDS).last_hidden_state)


def test_a_head_that_is_not_there(tiny: Tiny) -> None:
    with pytest.raises(DamagedWeights, match="pooler"):
        load(tiny("fill-mask"), "text-classification")


def test_a_pooler_that_a_head_reads_must_be_there(bert: Path) -> None:
    rewrite(bert, lambda tensors: {name: t for name, t in tensors.items() if "pooler" not in name})
    with pytest.raises(DamagedWeights, match=r"bert\.pooler"):
        load(bert, "text-classification")


@pytest.mark.parametrize(
    "name", ["bert.encoder.layer.0.adapter.weight", "classifier2.weight", "classifier.extra", "dense.weight"]
)
def test_weights_without_a_place(name: str, bert: Path) -> None:
    rewrite(bert, lambda tensors: {**tensors, name: torch.ones(2)})
    with pytest.raises(DamagedWeights, match=name):
        load(bert, "text-classification")


@pytest.mark.parametrize(
    "name", ["bert.embeddings.position_ids", "cls.seq_relationship.weight", "cls.predictions.bias"]
)
def test_weights_that_play_no_part(name: str, bert: Path) -> None:
    rewrite(bert, lambda tensors: {**tensors, name: torch.ones(2)})
    load(bert, "text-classification")


@pytest.mark.parametrize(
    ("rename", "prefix"),
    [
        (lambda n: f"_orig_mod.{n}", "_orig_mod."),
        (lambda n: f"module.{n}", "module."),
        (lambda n: n.replace("layer.1.", "layer.1._orig_mod."), "_orig_mod."),
        (lambda n: f"base_model.model.{n}", "base_model.model."),
        (lambda n: f"model.{n}", "model."),
        (lambda n: f"0.auto_model.{n.removeprefix('bert.')}", "0.auto_model."),
    ],
)
def test_wrappers_are_named_and_the_hint_takes_them_off(rename: Callable[[str], str], prefix: str, bert: Path) -> None:
    wanted = load(bert, "text-classification")(IDS).logits
    rewrite(
        bert, lambda tensors: {n if n.startswith("cl") and "0." in prefix else rename(n): t for n, t in tensors.items()}
    )
    with pytest.raises(ModelError, match=f"carry '{prefix}'") as raised:
        load(bert, "text-classification")
    script = raised.value.hint.split('python -c "')[1].split('"')[0]
    subprocess.run([sys.executable, "-c", script], cwd=bert, check=True)
    assert torch.equal(load(bert, "text-classification")(IDS).logits, wanted)


def test_swin_computes_its_buffers(tmp_path: Path) -> None:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4
    )
    wanted = transformers.SwinForImageClassification(config).eval()
    wanted.save_pretrained(tmp_path)
    assert torch.equal(load(tmp_path, "image-classification")(PIXELS).logits, wanted(PIXELS).logits)


ADAPTERS: dict[str, dict[str, Any]] = {
    "attention": {"target_modules": ["query", "value"], "lora_alpha": 32},
    "everything": {"target_modules": "all-linear", "use_rslora": True, "modules_to_save": ["classifier"]},
    "dora": {"target_modules": ["query", "dense"], "use_dora": True, "bias": "lora_only"},
    "embedding": {"target_modules": ["word_embeddings", "key"]},
}


def adapted(model: Any, out: Path, **options: Any) -> Any:
    """A random adapter of ``model`` in ``out``, and PEFT's merged model."""
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    tuned.save_pretrained(out)
    return tuned.eval().merge_and_unload()


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.filterwarnings("ignore")
def test_adapters_are_merged_as_peft_merges_them(name: str, bert: Path, tmp_path: Path) -> None:
    base = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    plain = base(IDS).logits
    wanted = adapted(base, tmp_path / "lora", task_type="SEQ_CLS", **ADAPTERS[name])(IDS).logits
    found = load(bert, "text-classification", tmp_path / "lora")(IDS).logits
    assert (found - wanted).abs().max() < 1e-5
    assert (found - plain).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_convolutions(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_labels=3
    )
    base = transformers.ResNetForImageClassification(config).eval()
    base.save_pretrained(tmp_path / "base")
    wanted = adapted(base, tmp_path / "lora", target_modules=["convolution"])(PIXELS).logits
    found = load(tmp_path / "base", "image-classification", tmp_path / "lora")(PIXELS).logits
    assert (found - wanted).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_in_the_models_own_folder(bert: Path) -> None:
    base = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    wanted = adapted(base, bert, task_type="SEQ_CLS", target_modules=["query"])(IDS).logits
    found = load(bert, "text-classification", bert)(IDS).logits
    assert (found - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["attention", "dora", "embedding"])
@pytest.mark.filterwarnings("ignore")
def test_adapters_fit_by_name_with_the_models_prefix_or_without(name: str, bert: Path, tmp_path: Path) -> None:
    """One that was trained on the bare model is merged into a classifier's, and the other way round."""
    bare, whole = (
        getattr(transformers, kind).from_pretrained(bert) for kind in ("BertModel", "BertForSequenceClassification")
    )
    plain = whole(IDS).logits
    whole.bert = adapted(bare, tmp_path / "bare", **ADAPTERS[name])
    found = load(bert, "text-classification", tmp_path / "bare")(IDS).logits
    assert (found - whole(IDS).logits).abs().max() < 1e-5
    assert (found - plain).abs().max() > 1e-3
    whole = transformers.BertForSequenceClassification.from_pretrained(bert)
    merged = adapted(whole, tmp_path / "whole", **ADAPTERS[name])
    bare = transformers.BertModel.from_pretrained(bert)
    bare.save_pretrained(tmp_path / "base")
    found = load(tmp_path / "base", "text-embedding", tmp_path / "whole")(IDS).last_hidden_state
    assert (found - merged.bert(IDS).last_hidden_state).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_a_head_that_the_model_lacks_is_named(bert: Path, tmp_path: Path) -> None:
    base = transformers.BertForSequenceClassification.from_pretrained(bert)
    adapted(base, tmp_path / "lora", target_modules=["query"], modules_to_save=["classifier"])
    transformers.BertModel.from_pretrained(bert).save_pretrained(tmp_path / "base")
    with pytest.raises(ModelError, match=r"'classifier\.(weight|bias)', which the model does not have"):
        load(tmp_path / "base", "text-embedding", tmp_path / "lora")


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda n: n.replace("query", "q_proj"), ModelError, "which the model does not have"),
        (lambda n: n.replace("layer.0", "layer.9"), ModelError, "which the model does not have"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_adapters_of_other_models(
    change: Callable[[str], str], kind: type[EdgepackError], said: str, bert: Path, tmp_path: Path
) -> None:
    base = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    adapted(base, tmp_path / "lora", task_type="SEQ_CLS", target_modules=["query"])
    file = tmp_path / "lora" / "adapter_model.safetensors"
    save_file({change(name): tensor for name, tensor in load_file(file).items()}, file)
    with pytest.raises(kind, match=said):
        load(bert, "text-classification", tmp_path / "lora")


@pytest.mark.filterwarnings("ignore")
def test_an_embedding_that_is_the_head_too(tiny: Tiny, tmp_path: Path) -> None:
    base = transformers.BertForMaskedLM.from_pretrained(tiny("fill-mask"))
    adapted(base, tmp_path, target_modules=["word_embeddings"])
    with pytest.raises(UnsupportedModel, match="uses as"):
        load(tiny("fill-mask"), "fill-mask", tmp_path)


def test_an_index_that_transformers_does_not_open(bert: Path) -> None:
    tensors = load_file(bert / "model.safetensors")
    (bert / "model.safetensors").rename(bert / "model-00001-of-00001.safetensors")
    index = bert / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(tensors, "model-00001-of-00001.safetensors")}))
    with pytest.raises(DamagedWeights, match="has no metadata") as caught:
        load(bert, "text-classification")
    assert '"metadata": {}' in caught.value.hint
    index.write_text(json.dumps({"metadata": {}, **json.loads(index.read_text())}))
    load(bert, "text-classification")


def test_float64_weights_are_read_as_transformers_reads_them(bert: Path) -> None:
    before = load(bert, "text-classification").state_dict()
    rewrite(bert, lambda tensors: {n: t.double() if "layer.1" in n else t for n, t in tensors.items()})
    after = load(bert, "text-classification").state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == before[name].dtype for name in before)
