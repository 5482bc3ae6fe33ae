"""The modules of sentence-transformers behind the transformer: how token vectors become one vector."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Rows
from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.tasks import read_config

Layer = JsonDict  # {"kind": "pooling", "modes": ["mean"], …}, {"kind": "normalize"}, {"kind": "dense", …}, …

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# the keys before sentence-transformers 5.4, in the order in which it puts several of them beside each other
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_DIMENSIONS = {"embedding_dimension", "word_embedding_dimension"}
_AGAIN = "a bundle would leave out what it says: choose a model without it, or save one with sentence-transformers"
_WHOLE = "get the folder again: sentence-transformers does not open it without"
# torch's classes that have no settings of their own: sentence-transformers stores the class alone
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "Mish", "LeakyReLU", "ELU", "Softplus")


def head(folder: Path, entries: Rows) -> tuple[Layer, ...]:
    """Return the layers that ``entries`` of modules.json describe. Raises ModelError, UnsupportedModel."""
    layers = tuple(layer for entry in entries for layer in _read(folder, entry))
    kinds = [layer["kind"] for layer in layers]
    if "pooling" in kinds and kinds[0] != "pooling":
        raise ModelError(
            f"{folder / 'modules.json'} lists {entries[0]['type'].rsplit('.', 1)[-1]} before Pooling",
            hint="list the modules in the order in which they run",
        )
    if kinds.count("pooling") != 1:
        raise UnsupportedModel(
            f"{folder.name} has no Pooling module behind its transformer: it gives one vector per token, not per text",
            hint="add one: SentenceTransformer(modules=[Transformer(folder), Pooling(width, 'mean')]).save(…)",
        )
    return layers


def splade(folder: Path, entries: Rows) -> tuple[Layer, ...]:
    """Return the layer that ``entries`` of a SparseEncoder describe. Raises UnsupportedModel."""
    kinds = [str(entry["type"]).rsplit(".", 1)[-1] for entry in entries]
    if kinds != ["SpladePooling"]:
        raise UnsupportedModel(
            f"{folder.name} is a SparseEncoder with {', '.join(kinds) or 'nothing'} behind its transformer, which "
            "edgepack does not support",
            hint="it supports a Transformer (fill-mask) or MLMTransformer, with SpladePooling behind it",
        )
    where = folder / entries[0]["path"]
    config = read_config(where / "config.json")
    unknown = set(config) - {*_DIMENSIONS, "pooling_strategy", "activation_function"}
    if unknown:
        raise UnsupportedModel(f"{where}/config.json has {min(unknown)!r}, which edgepack does not read", hint=_AGAIN)
    pooling, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if pooling not in ("max", "sum") or activation not in ("relu", "log1p_relu"):
        raise UnsupportedModel(
            f"{where}/config.json asks for the {pooling} of {activation}, which is not supported",
            hint="known: max or sum, relu or log1p_relu",
        )
    return ({"kind": "splade", "pooling": pooling, "activation": activation},)


def _read(folder: Path, entry: JsonObject) -> list[Layer]:
    kind, where = str(entry["type"]).rsplit(".", 1)[-1], folder / entry["path"]
    if kind == "Pooling":
        if not (where / "config.json").is_file():
            raise ModelError(f"{where}/config.json is missing, which says how tokens are pooled", hint=_WHOLE)
        return [_pooling(read_config(where / "config.json"), where)]
    if kind == "Normalize":
        return [{"kind": "normalize"}]
    if kind == "Dropout":  # trains only
        return []
    if kind == "Dense":
        return [_dense(read_config(where / "config.json"), entry["path"], where)]
    if kind == "LayerNorm":
        return [{"kind": "layer_norm", "folder": entry["path"], "width": _number(where, "dimension")}]
    raise UnsupportedModel(
        f"{folder.name} has the sentence-transformers module {kind}, which edgepack does not support",
        hint="it supports Transformer, Pooling, Dense, LayerNorm, Dropout and Normalize",
    )


def _pooling(config: JsonObject, where: Path) -> Layer:
    unknown = set(config) - {*_FLAGS, *_DIMENSIONS, "pooling_mode", "include_prompt"}
    if unknown:
        raise UnsupportedModel(f"{where}/config.json has {min(unknown)!r}, which edgepack does not read", hint=_AGAIN)
    stated = config.get("pooling_mode")
    if stated is None:
        flagged = [mode for key, mode in _FLAGS.items() if config.get(key)]
        stated = flagged or ["mean"]  # as sentence-transformers takes a folder in which all are false
    modes = [stated] if isinstance(stated, str) else list(stated)
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes:
        raise UnsupportedModel(
            f"a pooling of {wrong[0] if wrong else 'nothing'} is not supported", hint=f"known: {', '.join(MODES)}"
        )
    return {"kind": "pooling", "modes": modes, "include_prompt": bool(config.get("include_prompt", True))}


def _dense(config: JsonObject, path: str, where: Path) -> Layer:
    known = {"in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name"}
    unknown = set(config) - known
    if unknown:
        raise UnsupportedModel(f"{where}/config.json has {min(unknown)!r}, which edgepack does not read", hint=_AGAIN)
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in {None, "sentence_embedding"}:
            raise UnsupportedModel(
                f"{where}/config.json sets {key} to {config[key]!r}",
                hint="edgepack supports Dense modules that take and give the sentence_embedding",
            )
    stated = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = stated.rsplit(".", 1)[-1]
    if not stated.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise UnsupportedModel(
            f"{where}/config.json has the activation function {stated}, which edgepack does not support",
            hint=f"it supports {', '.join(ACTIVATIONS)} of torch.nn",
        )
    return {
        "kind": "dense",
        "folder": path,
        "in": _number(where, "in_features"),
        "width": _number(where, "out_features"),
        "bias": bool(config.get("bias", True)),
        "activation": activation,
    }


def _number(where: Path, key: str) -> int:
    value = read_config(where / "config.json").get(key)
    if not isinstance(value, int):
        raise ModelError(f"{where}/config.json has no {key}", hint=_AGAIN)
    return value
