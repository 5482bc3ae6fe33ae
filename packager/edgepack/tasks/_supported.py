"""The supported models: for each task the architectures of config.json by model type; see docs/supported.md.

Every entry is built and compared with transformers in the tests; one that is not is not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgepack import plugins
from edgepack.errors import nearest
from edgepack.tasks import _timm

PAGE = "docs/supported.md"

# model type -> the stem of its classes' names
_ENCODERS = {
    "albert": "Albert", "bert": "Bert", "big_bird": "BigBird", "camembert": "Camembert", "convbert": "ConvBert",
    "data2vec-text": "Data2VecText", "deberta": "Deberta", "deberta-v2": "DebertaV2", "distilbert": "DistilBert",
    "electra": "Electra", "ernie": "Ernie", "esm": "Esm", "eurobert": "EuroBert", "gte": "Gte",
    "ibert": "IBert", "jina_embeddings_v3": "JinaEmbeddingsV3", "longformer": "Longformer", "luke": "Luke",
    "megatron-bert": "MegatronBert", "mobilebert": "MobileBert", "modernbert": "ModernBert", "mpnet": "MPNet",
    "nomic_bert": "NomicBert",
    "rembert": "RemBert", "roberta": "Roberta", "roberta-prelayernorm": "RobertaPreLayerNorm", "roformer": "RoFormer",
    "squeezebert": "SqueezeBert", "xlm-roberta": "XLMRoberta", "xlm-roberta-xl": "XLMRobertaXL",
}  # fmt: skip
_WITHOUT_ANSWERS = {"esm", "eurobert", "gte", "nomic_bert"}  # no class for question answering
_PRETRAINED = {"albert", "bert", "big_bird", "ernie", "megatron-bert", "mobilebert"}  # with a vocabulary head
_DECODERS = {"gpt2": "GPT2", "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
_SPARSE = ("bert", "distilbert", "modernbert", "roberta", "xlm-roberta")  # SPLADE's models
_RERANKERS = {"llama", "mistral", "qwen2", "qwen3"}
# model type -> the class of the encoder alone, which embeds texts; transformers' AutoModel has the decoder too
HALVES = {"mt5": "MT5EncoderModel", "t5": "T5EncoderModel", "umt5": "UMT5EncoderModel"}
# language models without their head, whose last token is a text's vector, or all of whose tokens attend to each other
_EMBEDDERS = {
    "gemma3_text": "Gemma3Text", "llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3",
}  # fmt: skip
# Model types whose code transformers has taken over under their name: checkpoints still name their own, unused.
PORTED = {"eurobert", "nomic_bert"}
_IMAGES = {
    "beit": "Beit", "clip": "CLIP", "convnext": "ConvNext", "convnextv2": "ConvNextV2", "cvt": "Cvt",
    "data2vec-vision": "Data2VecVision", "deit": "DeiT", "dinov2": "Dinov2",
    "dinov2_with_registers": "Dinov2WithRegisters", "efficientnet": "EfficientNet", "hiera": "Hiera",
    "levit": "Levit",
    "mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2", "mobilevit": "MobileViT",
    "poolformer": "PoolFormer", "pvt": "Pvt", "pvt_v2": "PvtV2", "regnet": "RegNet",
    "resnet": "ResNet", "segformer": "Segformer", "siglip": "Siglip", "swin": "Swin", "swinv2": "Swinv2",
    "vit": "ViT", "vit_msn": "ViTMSN",
}  # fmt: skip
_AUDIO = {
    "data2vec-audio": "Data2VecAudio", "hubert": "Hubert", "sew": "SEW", "unispeech": "UniSpeech",
    "unispeech-sat": "UniSpeechSat", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM",
}  # fmt: skip
_TEACHERS = {"deit", "levit"}  # have a class with a distillation head too
_IMAGE_ENCODERS = {
    "beit": ("BeitModel",), "clip_vision_model": ("CLIPVisionModelWithProjection", "CLIPVisionModel"),
    "convnext": ("ConvNextModel",), "convnextv2": ("ConvNextV2Model",), "deit": ("DeiTModel",),
    "dinov2": ("Dinov2Model",), "dinov2_with_registers": ("Dinov2WithRegistersModel",),
    "dinov3_convnext": ("DINOv3ConvNextModel",), "dinov3_vit": ("DINOv3ViTModel",),
    "efficientnet": ("EfficientNetModel",), "hiera": ("HieraModel",), "levit": ("LevitModel",),
    "mobilevit": ("MobileViTModel",), "resnet": ("ResNetModel",), "siglip_vision_model": ("SiglipVisionModel",),
    "swin": ("SwinModel",), "vit": ("ViTModel",), "vit_mae": ("ViTMAEModel", "ViTMAEForPreTraining"),
    "vit_msn": ("ViTMSNModel",),
}  # fmt: skip
_LANGUAGE = {
    "apertus": "Apertus", "arcee": "Arcee", "bloom": "Bloom", "codegen": "CodeGen", "cohere": "Cohere",
    "cohere2": "Cohere2", "ernie4_5": "Ernie4_5", "exaone4": "Exaone4", "falcon": "Falcon", "gemma": "Gemma",
    "gemma2": "Gemma2", "gemma3_text": "Gemma3", "gemma3n_text": "Gemma3n", "gemma4_text": "Gemma4", "glm": "Glm",
    "glm4": "Glm4", "gpt2": "GPT2", "gpt_bigcode": "GPTBigCode", "gpt_neox": "GPTNeoX", "gpt_oss": "GptOss",
    "gptj": "GPTJ", "granite": "Granite", "granitemoe": "GraniteMoe", "helium": "Helium",
    "hunyuan_v1_dense": "HunYuanDenseV1", "lfm2": "Lfm2", "lfm2_moe": "Lfm2Moe", "llama": "Llama",
    "ministral": "Ministral", "ministral3": "Ministral3", "mistral": "Mistral", "mixtral": "Mixtral", "mpt": "Mpt",
    "nanochat": "NanoChat", "nemotron": "Nemotron", "olmo": "Olmo", "olmo2": "Olmo2", "olmo3": "Olmo3", "opt": "OPT",
    "phi": "Phi", "phi3": "Phi3", "phimoe": "Phimoe", "qwen2": "Qwen2", "qwen3": "Qwen3",
    "qwen3_5_moe_text": "Qwen3_5Moe", "qwen3_5_text": "Qwen3_5", "qwen3_moe": "Qwen3Moe", "qwen3_next": "Qwen3Next",
    "seed_oss": "SeedOss", "smollm3": "SmolLM3", "stablelm": "StableLm", "starcoder2": "Starcoder2",
}  # fmt: skip
_OTHER_HEADS = {
    "gemma3": ("Gemma3ForConditionalGeneration",), "gemma3n": ("Gemma3nForConditionalGeneration",),
    "gemma4": ("Gemma4ForConditionalGeneration",),
    "gpt2": ("GPT2LMHeadModel",), "mistral3": ("Mistral3ForConditionalGeneration",),
    "qwen3_5": ("Qwen3_5ForConditionalGeneration",), "qwen3_5_moe": ("Qwen3_5MoeForConditionalGeneration",),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One architecture that a task takes."""

    task: str
    model_type: str
    architecture: str


def entries() -> Iterator[Entry]:
    """Yield every architecture that edgepack itself brings, by task and model type."""
    for task, families in TABLE.items():
        for model_type, names in families.items():
            yield from (Entry(task, model_type, name) for name in names)


def architectures(task: str) -> tuple[str, ...]:
    """Return the architectures of ``task``."""
    return tuple(entry.architecture for entry in entries() if entry.task == task)


def of(model_type: str) -> list[str]:
    """Return the architectures of one model type."""
    return list(dict.fromkeys(entry.architecture for entry in entries() if entry.model_type == model_type))


def like(architecture: str) -> str:
    """Return the supported architecture whose name is nearest, or ""."""
    return nearest(architecture, (entry.architecture for entry in entries()), least=0.5) or ""


def takes(task: str, model_type: str) -> bool:
    """Return whether ``task`` has an architecture of ``model_type``."""
    return model_type in TABLE.get(task, {})


def _heads(suffix: str, families: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {model_type: (f"{stem}{suffix}",) for model_type, stem in families.items()}


def _language() -> dict[str, tuple[str, ...]]:
    """Return those whose description is there: decoders/ has a file for each."""
    described = {name.replace("-", "_") for name in plugins.names("decoders.families")}
    named = {model_type: (f"{stem}ForCausalLM",) for model_type, stem in _LANGUAGE.items()} | _OTHER_HEADS
    return {model_type: names for model_type, names in sorted(named.items()) if model_type in described}


_CLASSIFIERS = _heads("ForSequenceClassification", {**_ENCODERS, **_DECODERS, "bart": "Bart"})
TABLE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "text-generation": _language(),
    "text-embedding": {
        **_heads("Model", {**_ENCODERS, **_EMBEDDERS}),
        **{model_type: (name,) for model_type, name in HALVES.items()},
    },
    "text-classification": _CLASSIFIERS,
    "text-ranking": {  # classifiers of one label, and language models that answer with a word
        name: (*names, *((f"{_DECODERS[name]}ForCausalLM",) if name in _RERANKERS else ()))
        for name, names in _CLASSIFIERS.items()
    },
    "sparse-embedding": _heads("ForMaskedLM", {name: _ENCODERS[name] for name in _SPARSE}),
    "token-classification": _heads("ForTokenClassification", _ENCODERS),
    "question-answering": _heads(
        "ForQuestionAnswering", {name: stem for name, stem in _ENCODERS.items() if name not in _WITHOUT_ANSWERS}
    ),
    "fill-mask": {
        name: (f"{stem}ForMaskedLM", *((f"{stem}ForPreTraining",) if name in _PRETRAINED else ()))
        for name, stem in _ENCODERS.items()
    },
    "image-classification": {
        **{
            name: (f"{stem}ForImageClassification",)
            + ((f"{stem}ForImageClassificationWithTeacher",) if name in _TEACHERS else ())
            for name, stem in _IMAGES.items()
        },
        _timm.MODEL_TYPE: (_timm.CLASSIFIER,),
    },
    "image-embedding": {**_IMAGE_ENCODERS, _timm.MODEL_TYPE: (_timm.ENCODER,)},
    "zero-shot-image-classification": {"clip": ("CLIPModel",), "siglip": ("SiglipModel",)},
    "audio-classification": {
        "audio-spectrogram-transformer": ("ASTForAudioClassification",),
        **_heads("ForSequenceClassification", _AUDIO),
    },
}
