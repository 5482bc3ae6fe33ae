"""Sentences to vectors: sentence-transformers folders, and bare models as sentence-transformers takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Embedding, Processing
from edgepack.tasks import _sentence_folder, _supported, _text, read_config
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized
from edgepack.tasks._sentence_folder import SentenceFolder
from edgepack.tasks._sentence_head import Layer

NAME = "text-embedding"
TITLE = "sentences to vectors"
ROUTE = "export"
AUTO_CLASS = "AutoModel"
CUT_AT_POSITIONS = True
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("last_hidden_state", "sentence_embedding")
MEASURES = ("cosine", "sqnr_db", "max_error")
INPUTS = ("text",)
COLUMNS = ("sentence1", "sentence2", "score")
METRICS = {"spearman": metrics.spearman, "pearson": metrics.pearson}

_WIDTHS = ("word_embed_proj_dim", "hidden_size", "dim", "n_embd", "d_model", "emb_dim")  # of token vectors, first found


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings, the prompts and the vector's width. Raises UnsupportedModel."""
    said = modules(folder, config)
    made = _hidden(config) * len(said.layers[0]["modes"])
    width = next((int(layer["width"]) for layer in reversed(said.layers) if layer["kind"] == "dense"), made)
    text = replace(
        _text.text(folder),
        prompts=dict(said.prompts),
        default_prompt=said.default_prompt,
        include_prompt=said.layers[0]["include_prompt"],
    )
    embedding = Embedding(
        output="sentence_embedding",
        width=width if said.truncate is None else min(width, said.truncate),
        similarity=said.similarity,
    )
    return Processing(text=text, answer=embedding)


def modules(folder: Path, config: JsonObject) -> SentenceFolder:
    """Read what stands behind the transformer: how token vectors become one. Raises UnsupportedModel."""
    return _sentence_folder.read(folder) if _sentence_folder.is_one(folder) else _plain(folder, config)


def _plain(folder: Path, config: JsonObject) -> SentenceFolder:
    """Return what sentence-transformers makes of a folder without modules.json.

    Raises UnsupportedModel for a chat model.
    """
    stated = read_config(folder / "tokenizer_config.json")
    if stated.get("chat_template") or any(folder.glob("chat_template*")):
        raise UnsupportedModel(
            f"{folder.name} has a chat template, into which sentence-transformers puts every text: a bundle does not",
            hint="remove the template from a copy of the folder if the bare text is meant",
        )
    causal = str(config["architectures"][0]).endswith("ForCausalLM") and config.get("is_causal", True)
    pooling: Layer = {"kind": "pooling", "modes": ["lasttoken" if causal else "mean"], "include_prompt": True}
    return SentenceFolder(layers=(pooling,))


def _hidden(config: JsonObject) -> int:
    found = next((config[name] for name in _WIDTHS if isinstance(config.get(name), int)), None)
    if found is None:
        raise ModelError(
            f"config.json states no hidden size: none of {', '.join(_WIDTHS)}",
            hint='write "hidden_size" into a copy of config.json',
        )
    return int(found)


def examples(processing: Processing) -> list[str]:
    """Return our sentences."""
    return _text.sentences()


def inputs(rows: Rows) -> list[str]:
    """Return a data set's inputs, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per sentence."""
    return list(outputs["sentence_embedding"])


def predict(model: TaskModel, rows: Rows) -> list[float]:
    """Return how alike each pair of sentences is, as the model's similarity measures it."""
    vectors = model.predict([str(row[name]) for name in ("sentence1", "sentence2") for row in rows])
    return [model.similarity(a, b) for a, b in zip(vectors[: len(rows)], vectors[len(rows) :], strict=True)]


def references(rows: Rows, model: TaskModel) -> list[float]:
    """Return the score of each pair."""
    return [metrics.number(row, "score") for row in rows]
