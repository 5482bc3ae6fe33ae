"""Which files of a model folder hold its weights: those that transformers takes, or an error that says why none do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from edgepack.containment import checked_name
from edgepack.documents import read_json, read_object
from edgepack.errors import DamagedWeights, ModelError, UnsafeModel, UnsupportedModel

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PIPELINE = "model_index.json"  # of diffusers, whose components lie in subfolders
_PARTS = ("unet", "transformer", "vae")  # of these a pipeline has one or two
DIFFUSERS_WHOLE = "diffusion_pytorch_model.safetensors"  # as diffusers calls a component's
_FILES = ((WHOLE, INDEX), (DIFFUSERS_WHOLE, f"{DIFFUSERS_WHOLE}.index.json"))
ADAPTER = "adapter_config.json"
_OPENVINO = "*openvino*.xml"  # beside which weights lie in a .bin of their own
_LEFT = ("training_args.bin", "optimizer.*", "scheduler.*", "scaler.pt", "rng_state*")  # by a trainer
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# which transformers 5 no longer opens, and what transformers 4 opened them by
_OTHERS = {
    "*.weights.h5": ("Keras'", ""), "*.keras": ("Keras'", ""), "*.h5": ("TensorFlow's", "from_tf=True"),
    "*.ckpt.index": ("TensorFlow 1's", ""),
    "*.msgpack": ("Flax's", "from_flax=True"), "*.pdparams": ("PaddlePaddle's", ""), "*.ot": ("tch's (Rust)", ""),
}  # fmt: skip
_EXPORTS = {"*.onnx": "ONNX", "*.mlpackage": "Core ML", "*.mlpackage/*": "Core ML", "*.tflite": "TensorFlow Lite",
            _OPENVINO: "OpenVINO"}  # fmt: skip
_AGAIN = "download or copy the file again"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_VARIANT = re.compile(r"(diffusion_pytorch_)?model(-\d{5}-of-\d{5})?\.(?P<name>\w+)(-\d{5}-of-\d{5})?\.safetensors")
_WRITE_INDEX = (
    "write it: python -c \"import glob, json; from safetensors import safe_open as o; json.dump({'metadata': {}, "
    "'weight_map': {k: f for f in glob.glob('model-*.safetensors') for k in o(f, 'np').keys()}}, "
    "open('model.safetensors.index.json', 'w'))\""
)


def files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder: what config.json's ``transformers_weights`` names, else the whole
    file,
    else the shards of the index, in transformers' order.

    Raises DamagedWeights where the index names a shard that is missing, and ModelError or a subclass that says what
    else lies there: pickled weights, an adapter alone, GGUF, shards without an index, a variant.
    """
    named = _named(folder)
    if named is not None:
        return _shards(named) if named.name.endswith(".index.json") else [named]
    for whole, index in _FILES:
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            return _shards(folder / index)
    check_foreign(folder)
    raise ModelError(f"{folder} has no {WHOLE}", hint="a model folder holds config.json and safetensors")


def check_foreign(folder: Path) -> None:
    """Raise ModelError or a subclass for a folder without safetensors of its own that holds something else known."""
    if any((folder / name).is_file() for names in _FILES for name in names):
        return
    for refuse in _REFUSALS:
        refuse(folder)


def without_safetensors(place: str, names: Sequence[str]) -> ModelError | None:
    """Return the error for weights in another form among the files ``names`` of ``place``; None where there are none.

    GGUF, MLX's archives, pickled weights, other frameworks' and exported models, the first of these.
    """

    names = [name for name in names if not any(fnmatchcase(name.split("/")[-1], pattern) for pattern in _LEFT)]

    def first(*patterns: str) -> str | None:
        return next((name for pattern in patterns for name in names if fnmatchcase(name, pattern)), None)

    if found := first("*.gguf"):
        return UnsupportedModel(
            f"{place} holds GGUF ({found}), llama.cpp's format, which is mostly quantized already, and no safetensors",
            hint="start from the safetensors of the model that it was made from; its card names it as base_model",
        )
    if found := first("*.npz"):
        return UnsupportedModel(
            f"{place} holds {found}, MLX's or NumPy's archive, and no safetensors",
            hint="start from the original model's safetensors",
        )
    if (found := first(*PICKLED)) and not first(_OPENVINO):
        return UnsafeModel(
            f"{place} has only pickled weights ({found}), which run code when they are loaded",
            hint="take a revision with safetensors, such as the hub's own @refs/pr/… conversion, or convert them where "
            "you trust them: AutoModel.from_pretrained(…).save_pretrained(…)",
        )
    for pattern, (whose, option) in _OTHERS.items():
        if found := first(pattern):
            written = f", or write them with transformers 4: AutoModel.from_pretrained(…, {option}).save_pretrained(…)"
            return UnsupportedModel(
                f"{place} has only {whose} weights ({found}), which edgepack does not read",
                hint=f"take a revision of the model with safetensors{written if option else ''}",
            )
    for pattern, what in _EXPORTS.items():
        if found := first(pattern):
            return UnsupportedModel(
                f"{place} holds {found}, a model that was exported to {what}, and no safetensors",
                hint="start from the original model's safetensors; its card names it as base_model",
            )
    return None


def _named(folder: Path) -> Path | None:
    """Return the file that config.json names. Raises ModelError for one that is not there or not in the folder."""
    try:
        config = read_object(folder / "config.json", ModelError)
    except ModelError:
        return None  # who reads the config says so
    name = config.get("transformers_weights")
    if name is None:
        return None
    file = folder / checked_name(name, folder / "config.json", ModelError)
    if not file.name.endswith((".safetensors", ".safetensors.index.json")) or not file.is_file():
        raise ModelError(
            f"config.json names the weights {name!r}, which is not a safetensors file of {folder}",
            hint="correct transformers_weights in config.json, or take it out",
        )
    return file


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(read_json(index, DamagedWeights, hint=_AGAIN)["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedWeights(f"{index} cannot be read", hint=_AGAIN) from error
    for name in names:
        if "/" in checked_name(name, index, DamagedWeights, _AGAIN):
            raise DamagedWeights(f"{index} names {name!r}, which is not in its folder", hint=_AGAIN)
        if not (index.parent / name).is_file():
            raise DamagedWeights(
                f"{index.parent} lacks the shard {name}, which {index.name} names",
                hint=f"download it again, or remove {index.name} if it is an older save's",
            )
    return [index.parent / name for name in names]


def _adapter(folder: Path) -> None:
    if not (folder / ADAPTER).is_file() and not (folder / "adapter_model.safetensors").is_file():
        return
    base = _base(folder)
    raise ModelError(
        f"{folder} holds a PEFT adapter alone, not the model that it changes ({base or 'not named'})",
        hint=f"edgepack build {base or 'BASE_MODEL'} --adapter {folder}",
    )


def _base(folder: Path) -> str:
    try:
        return str(read_object(folder / ADAPTER, ModelError).get("base_model_name_or_path") or "")
    except ModelError:
        return ""


def _consolidated(folder: Path) -> None:
    for file in sorted(folder.glob("consolidated*.safetensors")):
        raise ModelError(
            f"{folder} holds {file.name}, the weights under their authors' own names, and no {WHOLE}",
            hint="download the repository's model*.safetensors, or convert with transformers' "
            "models/mistral/convert_mistral_weights_to_hf.py",
        )


def _unindexed(folder: Path) -> None:
    shards = [file.name for file in sorted(folder.glob("model-*.safetensors")) if _SHARD.fullmatch(file.name)]
    if shards:
        raise ModelError(f"{folder} has shards ({shards[0]}) and no {INDEX}", hint=f"download it, or {_WRITE_INDEX}")


def _variant(folder: Path) -> None:
    for file in sorted(folder.glob("*model*.safetensors")):
        found = _VARIANT.fullmatch(file.name)
        if found:
            opener = "DiffusionPipeline" if (folder.parent / PIPELINE).is_file() else "AutoModel"
            raise ModelError(
                f"{folder} has only the variant {found['name']!r} ({file.name}), which transformers opens on request",
                hint=f"write a copy: {opener}.from_pretrained(f, variant={found['name']!r}).save_pretrained(copy)",
            )


def _open_clip(folder: Path) -> None:
    if (folder / "open_clip_config.json").is_file() and not (folder / "config.json").is_file():
        raise UnsupportedModel(
            f"{folder.name} is an open_clip checkpoint",
            hint="take the model's transformers port: see docs/supported.md",
        )


def _misnamed(folder: Path) -> None:
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        raise ModelError(
            f"{folder} has {found[0].name} and no {WHOLE}", hint=f"rename it to {WHOLE} if it is the whole model"
        )
    if found:
        raise ModelError(
            f"{folder} has {found[0].name} and others, and no {WHOLE} or {INDEX} that says which count",
            hint=f"rename the model's to {WHOLE}, and take the others out of the folder",
        )


def _in_another_form(folder: Path) -> None:
    listed = sorted([*folder.iterdir(), *folder.glob("onnx/*.onnx")]) if folder.is_dir() else []
    error = without_safetensors(str(folder), [file.relative_to(folder).as_posix() for file in listed])
    if error is not None:
        raise error


def _pipeline(folder: Path) -> None:
    parts = [name for name in _PARTS if (folder / name / "config.json").is_file()]
    if parts:
        raise ModelError(
            f"{folder} holds parts of a diffusers pipeline ({', '.join(parts)}) and lacks {PIPELINE}, which names them",
            hint=f"download {PIPELINE} from the repository, too",
        )


_REFUSALS: tuple[Callable[[Path], None], ...] = (
    _adapter, _pipeline, _unindexed, _variant, _consolidated, _open_clip, _misnamed, _in_another_form,
)  # fmt: skip
