"""Bundles of sentence-transformers folders: from a text to its vector, sentence-transformers' own."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from tests.unit.texts.conftest import HIDDEN, TEXTS, byte_level, edit, save_bert, save_tokenizer, sizes

import edgepack
from edgepack.records import Bundle

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.filterwarnings("ignore")
Build = Callable[..., tuple[Bundle, ...]]
KIND = "sentence_transformers.models."


def listed(folder: Path, pooling: object, *modules: tuple[str, str], transformer: str = "") -> None:
    entries = [(transformer, "Transformer"), ("1_Pooling", "Pooling"), *modules]
    (folder / "modules.json").write_text(json.dumps([{"name": k, "path": p, "type": KIND + k} for p, k in entries]))
    edit(folder / "1_Pooling" / "config.json", embedding_dimension=HIDDEN, pooling_mode=pooling)


def everything(folder: Path) -> None:
    """A transformer in a subfolder, lower case, a default prompt, a projection, a short text and a short vector."""
    save_bert(folder / "0_Transformer", do_lower_case=False)
    edit(folder / "0_Transformer" / "sentence_bert_config.json", max_seq_length=20, do_lower_case=True)
    modules = [("2_Dense", "Dense"), ("3_LayerNorm", "LayerNorm"), ("4_Normalize", "Normalize")]
    listed(folder, ["mean", "max"], *modules, transformer="0_Transformer")
    edit(
        folder / "2_Dense" / "config.json",
        in_features=2 * HIDDEN, out_features=32, bias=True, activation_function="torch.nn.modules.activation.GELU",
    )  # fmt: skip
    edit(folder / "3_LayerNorm" / "config.json", dimension=32)
    torch.manual_seed(2)
    dense = {"linear.weight": torch.randn(32, 2 * HIDDEN), "linear.bias": torch.randn(32)}
    save_file(dense, folder / "2_Dense" / "model.safetensors")
    norm = {"norm.weight": torch.rand(32), "norm.bias": torch.randn(32)}
    (folder / "3_LayerNorm").mkdir(exist_ok=True)
    save_file(norm, folder / "3_LayerNorm" / "model.safetensors")
    prompts = {"query": "a question: ", "passage": "A Passage: "}
    edit(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name="passage", truncate_dim=24)


def causal(folder: Path, *modes: str) -> None:
    """The form of Qwen3-Embedding."""
    tokenizer = byte_level()
    tokenizer.post_processor = None
    save_tokenizer(tokenizer, folder, padding_side="left", pad_token="<pad>", eos_token="</s>")
    torch.manual_seed(3)
    config = transformers.Qwen3Config(**sizes(tokenizer.get_vocab_size()), num_key_value_heads=2, head_dim=16)
    transformers.Qwen3Model(config).save_pretrained(folder)
    edit(folder / "config.json", architectures=["Qwen3ForCausalLM"])
    listed(folder, list(modes), ("2_Normalize", "Normalize"))


FORMS: dict[str, Callable[[Path], None]] = {
    "everything": everything,
    "last token": lambda folder: causal(folder, "lasttoken"),
    "several, padded left": lambda folder: causal(folder, "cls", "weightedmean", "mean_sqrt_len_tokens"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_vectors_are_sentence_transformers_own(form: str, tmp_path: Path, build: Build) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    FORMS[form](folder)
    model = edgepack.load(build(folder, "rpi", recipes=("fp32",))[0].path)
    original = SentenceTransformer(str(folder), device="cpu")
    for options in ({}, {"prompt": ""}, {"prompt_name": "query"}, {"truncate_dim": 8}):
        for texts in (TEXTS, *([text] for text in TEXTS)):
            np.testing.assert_allclose(model.embed(texts, **options), original.encode(texts, **options), atol=2e-5)


def test_last_tokens_in_core_ml(tmp_path: Path, build: Build) -> None:
    """With padding at the right, as encoders have it: the last token is looked up."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_bert(folder)
    listed(folder, ["lasttoken", "weightedmean", "cls"])
    bundle = build(folder, "iphone", recipes=("fp16",))[0]
    true = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    made = edgepack.load(bundle.path).embed(TEXTS)
    assert ((made * true).sum(1) / np.linalg.norm(made, axis=1) / np.linalg.norm(true, axis=1)).min() > 0.9999


def test_the_bundle_is_a_folder_of_sentence_transformers(tmp_path: Path, build: Build) -> None:
    """With the weights beside it, which ``backend="onnx"`` takes from the graph, it means what the original means."""
    folder = tmp_path / "model"
    folder.mkdir()
    everything(folder)
    bundle = build(folder, "rpi", recipes=("fp32",))[0]
    again = Path(shutil.copytree(bundle.path, tmp_path / "again"))
    shutil.copy(folder / "0_Transformer" / "model.safetensors", again)
    one, two = (SentenceTransformer(str(place), device="cpu").encode(TEXTS) for place in (folder, again))
    np.testing.assert_allclose(one, two, atol=1e-6)
