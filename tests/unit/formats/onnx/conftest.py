"""Tiny models with random weights, exported and fused once; large weights, so that mistakes show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from edgepack import plugins
from edgepack.formats.onnx.export.fuse import fuse
from edgepack.formats.onnx.export.trace import export
from edgepack.original import pytorch
from edgepack.original.sentences import SentenceEncoder
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Text
from edgepack.tasks._sentence_folder import SentenceFolder

OPSET, IR_VERSION = 17, 9
HIDDEN, HEADS, VOCABULARY = 64, 4, 300

Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class Exported:
    """A model as PyTorch computes it, its export and its fused export."""

    module: nn.Module
    task: ModuleType
    plain: Path
    fused: Path
    feeds: list[Feeds]

    @property
    def key(self) -> str:
        return str(self.task.OUTPUTS[-1])

    def true(self, feed: Feeds) -> np.ndarray:
        with torch.inference_mode():
            outputs = self.module(**{name: torch.from_numpy(array) for name, array in feed.items()})
        return np.asarray(outputs[self.key].numpy())


def _layers(hidden: int = HIDDEN) -> dict[str, int | float]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * hidden,
        "initializer_range": 0.15,
    }


_TEXT = Text(
    inputs=("input_ids", "attention_mask", "token_type_ids"),
    max_length=64,
    pad_id=0,
    pad_token="[PAD]",
    pad_type_id=0,
    padding_side="right",
    truncation_side="right",
)
_MEAN = SentenceFolder(layers=({"kind": "pooling", "modes": ["mean"]}, {"kind": "normalize"}))


def _bert(hidden: int = HIDDEN) -> nn.Module:
    config = transformers.BertConfig(vocab_size=VOCABULARY, **_layers(hidden))
    return SentenceEncoder(transformers.BertModel(config, add_pooling_layer=False), _TEXT, _MEAN, Path())


def _distilbert() -> nn.Module:
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=HIDDEN,
        n_layers=2,
        n_heads=HEADS,
        hidden_dim=2 * HIDDEN,
        initializer_range=0.15,
    )
    return transformers.DistilBertForSequenceClassification(config)


def _roberta() -> nn.Module:
    config = transformers.RobertaConfig(vocab_size=VOCABULARY, max_position_embeddings=66, **_layers())
    return transformers.RobertaForMaskedLM(config)


def _tied() -> nn.Module:
    """A table that is large enough to be set aside while tracing, shared with the head."""
    config = transformers.BertConfig(vocab_size=2000, **_layers())
    return transformers.BertForMaskedLM(config)


def _shared() -> nn.Module:
    """All layers have the same weights."""
    config = transformers.AlbertConfig(vocab_size=VOCABULARY, embedding_size=32, **_layers())
    return SentenceEncoder(transformers.AlbertModel(config, add_pooling_layer=False), _TEXT, _MEAN, Path())


def _vit() -> nn.Module:
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=10, **_layers())
    return transformers.ViTForImageClassification(config)


def _mpnet() -> nn.Module:
    config = transformers.MPNetConfig(vocab_size=VOCABULARY, max_position_embeddings=66, **_layers())
    return transformers.MPNetForMaskedLM(config)


def _mobilevit() -> nn.Module:
    """With heads of 12 and 16, which are scaled by no power of two."""
    config = transformers.MobileViTConfig(
        image_size=64, hidden_sizes=[24, 32, 48], num_attention_heads=2, neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 64],
        initializer_range=0.15, num_labels=10,
    )  # fmt: skip
    module = transformers.MobileViTForImageClassification(config)
    for weight in module.parameters():
        if weight.ndim > 2:
            nn.init.kaiming_normal_(weight)
    return module


def _mobilenet() -> nn.Module:
    config = transformers.MobileNetV2Config(image_size=64, depth_multiplier=0.35, num_labels=10)
    module = transformers.MobileNetV2ForImageClassification(config)
    for weight in module.parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)  # the default makes every logit 0 to the last bit
    return module


_MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "bert": (_bert, "text-embedding"),
    "narrow": (lambda: _bert(40), "text-embedding"),  # 40 is not a multiple of any block
    "distilbert": (_distilbert, "text-classification"),
    "roberta": (_roberta, "fill-mask"),
    "tied": (_tied, "fill-mask"),
    "shared": (_shared, "text-embedding"),
    "vit": (_vit, "image-classification"),
    "mobilenet": (_mobilenet, "image-classification"),
    "mpnet": (_mpnet, "fill-mask"),
    "mobilevit": (_mobilevit, "image-classification"),
}
_EAGER = {"mpnet"}  # asks transformers for its mask, and writes its attention out


def _texts(module: nn.Module) -> list[Feeds]:
    """Padded batches of several lengths, the first token of each as loud as a [CLS]."""
    random = np.random.default_rng(7)
    feeds = []
    for batch, length in ((1, 9), (3, 16), (4, 24), (4, 31)):
        ids = random.integers(5, VOCABULARY, (batch, length))
        mask = np.ones_like(ids)
        for row in range(1, batch):
            mask[row, length - 3 * row :] = 0
        ids[mask == 0] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        if module.config.model_type in ("bert", "albert"):
            feed["token_type_ids"] = np.zeros_like(ids)
        feeds.append(feed)
    return feeds


def _images(module: nn.Module) -> list[Feeds]:
    random = np.random.default_rng(7)
    side = module.config.image_size
    return [{"pixel_values": random.normal(size=(n, 3, side, side)).astype(np.float32)} for n in (1, 4, 4)]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """``exported(name)``: one of the tiny models, made when it is first asked for."""
    made: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in made:
            make, task_name = _MODELS[name]
            torch.manual_seed(3)
            module, task = make().eval(), plugins.load("tasks", task_name)
            folder = tmp_path_factory.mktemp(name)
            plain, fused = folder / "plain.onnx", folder / "fused.onnx"
            feeds = _images(module) if "image" in task_name else _texts(module)
            batch = feeds[1], pytorch.run(module, feeds[1], task.OUTPUTS)
            tables = export(
                module, plain, batch=batch, outputs=task.OUTPUTS, opset=OPSET, own_attention=name not in _EAGER
            )
            config = module.config
            width = getattr(config, "hidden_size", None) or getattr(config, "dim", 0)
            heads = getattr(config, "num_attention_heads", 0) or getattr(config, "n_heads", 0)
            fuse(
                plain,
                fused,
                model_type=config.model_type,
                heads=heads,
                hidden=width,
                ir_version=IR_VERSION,
                tables=tables,
            )
            made[name] = Exported(module, task, plain, fused, feeds)
        return made[name]

    return get


@pytest.fixture(scope="session")
def cosine() -> Callable[[Path, Exported, Feeds], float]:
    """The least cosine between the rows of the original's key output and those of the file's."""

    def least(path: Path, model: Exported, feed: Feeds) -> float:
        true = model.true(feed)
        made = open_session(path, "onnx", 1)(feed)[model.key]
        true, made = (np.asarray(side).reshape(-1, side.shape[-1]) for side in (true, made))
        if "attention_mask" in feed and len(true) == feed["attention_mask"].size:
            kept = feed["attention_mask"].reshape(-1) > 0
            true, made = true[kept], made[kept]
        norms = np.linalg.norm(true, axis=1) * np.linalg.norm(made, axis=1)
        return float(((true * made).sum(1) / norms).min())

    return least
