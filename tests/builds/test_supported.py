"""Every architecture that docs/supported.md lists is built from a small random model and compared."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, processors

import edgepack
from edgepack import plugins
from edgepack.records import Bundle
from edgepack.runtime.image import ImageInput
from edgepack.runtime.processing import Image
from edgepack.stages import resolve
from edgepack.tasks import _supported, _timm
from edgepack.tasks._supported import Entry

Tiny = Callable[[str], Path]
TEXTS = ["the quick brown fox", "ada wrote the first program in london on a day of rain", "paris"]
QUESTION = "who wrote the program"
OWN_TESTS = {"text-ranking", "text-generation", "zero-shot-image-classification", "audio-classification"}
TOLERANCE = 1e-4  # of the largest output: fp32 in another order

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 80, "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
_T5: dict[str, Any] = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
_OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "convbert": {"embedding_size": 32, "num_attention_heads": 4},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "esm": {"mask_token_id": 4, "position_embedding_type": "rotary"},
    "eurobert": {"num_key_value_heads": 2},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2},
    "modernbert": {"cls_token_id": 2, "sep_token_id": 3, "num_hidden_layers": 3, "local_attention": 8},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 32},
    "squeezebert": {"embedding_size": 32, "num_attention_heads": 4},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "init_std": 0.2,
             "decoder_start_token_id": 3},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 80},
    "jina_embeddings_v3": {"type_vocab_size": 2},
    "gemma3_text": {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8, "use_bidirectional_attention": True},
    "llama": {"num_key_value_heads": 1},
    "longformer": {"num_hidden_layers": 1, "attention_window": 8, "sep_token_id": 3},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 16},
    "mt5": _T5, "t5": _T5, "umt5": _T5,
    "mistral": {"num_key_value_heads": 1}, "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 16},
    "xlm-roberta-xl": {"type_vocab_size": 2},
}  # fmt: skip
_SIZES: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
_VISION: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 32,
    "patch_size": 8, "initializer_range": 0.2,
}  # fmt: skip
_TWO = {"vision_config": _VISION, "text_config": {**_SMALL, "vocab_size": 99, "num_hidden_layers": 1}}
_SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
_IMAGES: dict[str, dict[str, Any]] = {
    "clip": _TWO, "siglip": _TWO,
    "convnext": {**_SIZES, "image_size": 32}, "convnextv2": {**_SIZES, "image_size": 32},
    "cvt": {"embed_dim": [16, 24, 32], "depth": [1, 2, 4], "num_heads": [1, 2, 4]},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "image_size": 32, "hidden_dim": 320},
    "hiera": {"image_size": [64, 64], "embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]},
    "dinov3_convnext": {**_SIZES, "image_size": 32},
    "levit": {"image_size": 64, "hidden_sizes": [32, 48, 64], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1],
              "key_dim": [8, 8, 8]},
    "mobilenet_v1": {"depth_multiplier": 0.25, "image_size": 32},
    "mobilenet_v2": {"depth_multiplier": 0.35, "image_size": 32},
    "mobilevit": {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 32],
                  "num_attention_heads": 2},
    "poolformer": {**_SIZES}, "pvt": {**_SIZES, "image_size": 64, "num_attention_heads": [1, 2, 2, 4]},
    "pvt_v2": {**_SIZES, "image_size": 64, "num_attention_heads": [1, 2, 2, 4]},
    "regnet": {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "groups_width": 8},
    "resnet": {"embedding_size": 8, **_SIZES},
    "segformer": {**_SIZES, "num_attention_heads": [1, 2, 2, 4], "decoder_hidden_size": 16},
    "vit_mae": {**_VISION, "mask_ratio": 0.0, "decoder_hidden_size": 32, "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2, "decoder_intermediate_size": 48},
    "swin": _SWIN, "swinv2": _SWIN,
}  # fmt: skip
_SIDES = {
    "hiera": 64,
    "levit": 64,
    "mobilevit": 64,
    "pvt": 64,
    "pvt_v2": 64,
    "cvt": 64,
    "poolformer": 64,
}


def _vocabulary(folder: Path) -> int:
    return len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])


def _make(entry: Entry, tiny: Tiny, folder: Path) -> Any:
    """A small random model of ``entry`` in ``folder``, with a tokenizer or an image processor."""
    kind = getattr(transformers, entry.architecture)
    if entry.task.startswith("image"):
        options = {**_IMAGES.get(entry.model_type, _VISION), "num_labels": 5}
        side = _SIDES.get(entry.model_type, 32)
        transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    else:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tiny("text-classification") / name).read_bytes())
        options = {**_SMALL, "vocab_size": _vocabulary(folder), "num_labels": 3, **_OWN.get(entry.model_type, {})}
        options |= {"num_labels": 2} if entry.task == "question-answering" else {}
        if entry.architecture == "LongformerForQuestionAnswering":  # which counts them
            _mark_pairs(folder / "tokenizer.json")
    torch.manual_seed(0)
    model = kind(kind.config_class(**options))
    _sharpen(model)
    model.eval().save_pretrained(folder)
    return model


def _mark_pairs(file: Path) -> None:
    """Put two marks between the texts of a pair, as RoBERTa has them."""
    tokenizer = Tokenizer.from_file(str(file))
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=marks
    )
    tokenizer.save(str(file))


def _sharpen(model: Any) -> None:
    """Weights and statistics of a size at which mistakes show."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, torch.nn.Linear) and module.out_features < 6:
            torch.nn.init.normal_(module.weight, std=0.5)


def _outputs(model: Any, task: str, folder: Path) -> np.ndarray:
    """What transformers computes from its own tokenizer's output, or from pixels."""
    with torch.no_grad():
        if task.startswith("image"):
            pixels = _pixels(folder, task)
            whole = model.vit if hasattr(model, "decoder") else model  # of ViTMAE, without what it is trained with
            found = whole(pixel_values=torch.from_numpy(pixels))
            if task == "image-classification":
                return found.logits.numpy()
            pooled = found.get("image_embeds", found.get("pooler_output"))
            return (pooled if pooled is not None else found.last_hidden_state[:, 0]).flatten(1).numpy()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        texts = [f"{text} [MASK]" for text in TEXTS] if task == "fill-mask" else TEXTS
        asked = ([QUESTION] * len(texts), texts) if task == "question-answering" else (texts,)
        encoded = tokenizer(*asked, return_tensors="pt", padding=True)
        mask = encoded["attention_mask"]
        found = model(**{k: v for k, v in encoded.items() if k in _taken(model)})
        if task == "text-embedding":
            weights = mask.unsqueeze(-1).float()
            return ((found.last_hidden_state * weights).sum(1) / weights.sum(1)).numpy()
        if task == "sparse-embedding":
            return torch.log1p((found.logits * mask.unsqueeze(-1)).relu()).max(1).values.numpy()
        logits = (
            found.start_logits if task == "question-answering" else found.get("logits", found.get("prediction_logits"))
        )
        kept = logits.numpy()
        return kept if task == "text-classification" else kept[mask.bool().numpy()]


def _pixels(folder: Path, task: str) -> np.ndarray:
    """The images as the bundle prepares them, which other tests compare with transformers' processors."""
    facts = plugins.load("tasks", task).processing(folder, json.loads((folder / "config.json").read_text()))
    return ImageInput(facts.section(Image)).feeds(_images())["pixel_values"]


def _taken(model: Any) -> set[str]:
    return set(inspect.signature(model.forward).parameters)


def _images() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (70, 64, 3), np.uint8) for seed in range(3)]


def _bundled(bundle: Path, task: str) -> np.ndarray:
    model = edgepack.load(bundle)
    if task.startswith("image"):
        outputs = model._runs["model"](model.feeds(_images()))
        return outputs["logits" if task == "image-classification" else "image_embedding"]
    if task == "sparse-embedding":
        return np.stack(model.dense(TEXTS))
    texts = [f"{text} [MASK]" for text in TEXTS] if task == "fill-mask" else TEXTS
    feeds = model.feeds([(QUESTION, text) for text in texts] if task == "question-answering" else texts)
    outputs = model._runs["model"](feeds)
    if task == "question-answering":
        return outputs["start_logits"][feeds["attention_mask"].astype(bool)]
    if task == "text-embedding":
        return outputs["sentence_embedding"]
    logits = outputs["logits"]
    return logits if task == "text-classification" else logits[feeds["attention_mask"].astype(bool)]


def _entries() -> Iterator[Any]:
    for entry in _supported.entries():
        if entry.task not in OWN_TESTS and entry.model_type != _timm.MODEL_TYPE:  # of which test_timm.py builds some
            yield pytest.param(entry, id=f"{entry.architecture}-{entry.task}")


@pytest.mark.parametrize("entry", list(_entries()))
@pytest.mark.filterwarnings("ignore")
def test_built_and_compared(entry: Entry, tiny: Tiny, build: Callable[..., tuple[Bundle, ...]], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model = _make(entry, tiny, folder)
    wanted = _outputs(model, entry.task, folder)
    asked = entry.task if entry.task == "sparse-embedding" else None  # its classes are those of fill-mask
    assert resolve.resolve(str(folder), task=asked).task == entry.task
    bundle = build(folder, "rpi", recipes=("fp32",), task=asked)[0]
    found = _bundled(bundle.path, entry.task)
    assert found.shape == wanted.shape
    if entry.task == "image-embedding":
        assert (
            json.loads((bundle.path / "edgepack.json").read_text())["processing"]["answer"]["width"] == found.shape[1]
        )
    assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def test_the_table_names_classes_of_transformers() -> None:
    for entry in _supported.entries():
        kind = getattr(transformers, entry.architecture)
        assert entry.architecture in plugins.load("tasks", entry.task).ARCHITECTURES
        own = {entry.model_type, "gemma3"}
        assert entry.model_type == _timm.MODEL_TYPE or kind.config_class.model_type in own  # which needs timm
