"""Refusals of models that edgepack does not support: what they are, in the field's own words, and the way on."""

from __future__ import annotations

import re
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.tasks import _diffusion_settings, _supported
from edgepack.tasks._supported import PAGE, TABLE, takes

LANGUAGE = "a language model of a family that edgepack does not know yet"
# Model types whose architectures' names end like those of texts or images.
_TYPES = {
    "an audio model": """audio-spectrogram-transformer bark clap clvp csm dac data2vec-audio dia encodec
        fastspeech2_conformer granite_speech hubert kyutai_speech_to_text lasr_ctc mctct mimi moonshine musicgen
        musicgen_melody parakeet_ctc parakeet_rnnt parakeet_tdt pop2piano qwen2_audio seamless_m4t seamless_m4t_v2 sew
        sew-d speech-encoder-decoder speech_to_text speecht5 unispeech unispeech-sat univnet vibevoice vits voxtral
        wav2vec2 wav2vec2-bert wav2vec2-conformer wavlm whisper""",
    "a video model": "timesformer videomae videoprism_vision_model vivit vjepa2",
    "a time series model": "autoformer informer patchtsmixer patchtst time_series_transformer timesfm timesfm2_5",
    "a document model, which reads layouts beside texts": """layoutlm layoutlmv2 layoutlmv3 lilt markuplm bros udop
        donut-swin tapas""",
    "a model that reads images and texts together": """align altclip blip blip-2 bridgetower chinese_clip clip clipseg
        flava git groupvit idefics idefics2 idefics3 instructblip internvl kosmos-2 llama4 llava llava_next
        llava_onevision mllama owlv2 owlvit paligemma qwen2_5_vl qwen2_vl qwen3_vl qwen3_vl_moe siglip siglip2
        smolvlm vilt vipllava vision-encoder-decoder vision-text-dual-encoder visual_bert x_clip florence2
        lfm2_vl glm4v""",
    "an encoder-decoder, which writes a text from another": """bigbird_pegasus blenderbot blenderbot-small
        encoder-decoder fsmt led longt5 m2m_100 marian mbart mt5 mvp nllb-moe pegasus pegasus_x plbart prophetnet
        switch_transformers t5 t5gemma umt5""",
    "a model of characters, whose tokenizer runs only in Python": "canine",
    "a model whose tokenizer runs only in Python": "flaubert roc_bert xlm",
    "a model that mixes tokens by Fourier transforms, without an attention mask": "fnet",
    "a model that halves its tokens layer by layer, as a graph for texts of any length does not": "funnel",
    "a model of texts of one length (segment_means_seq_len)": "nystromformer",
    "a model that transformers no longer has": """bort ernie_m gptsan-japanese jukebox mega nezha open-llama qdqbert
        realm transfo-xl xlm-prophetnet""",
    "a state-space model": "bamba falcon_mamba jamba mamba mamba2 rwkv zamba zamba2 xlstm",
}
_NAMES = (
    (r"ForCTC$|ForSpeechSeq2Seq$", "a speech recognizer"),
    (r"AudioFrameClassification$", "a model of the frames of sounds"),
    (r"XVector$", "a speaker encoder"),
    (r"Audio|Speech", "an audio model"),
    (r"VideoClassification", "a video model"),
    (r"ObjectDetection|Yolos", "an object detector"),
    (r"Segmentation|^Sam", "a segmentation model"),
    (r"DepthEstimation", "a depth model"),
    (r"ForMaskedImageModeling|ViTMAE|^MAE", "an image pre-training model, without a head"),
    (r"ForNextSentencePrediction|ForMultipleChoice", "a model of another text task"),
    (r"ForEntity", "a model of the entities in a text, whose places it takes beside it"),
    (r"QuestionEncoder|ContextEncoder", "one half of a retriever"),
    (r"TextModel", "the text half of a model for images and texts"),
    (r"Moe|Mixtral|Deepseek|GptOss", "a mixture of experts"),
    (r"ForCausalLM$|LMHeadModel$", LANGUAGE),
    (r"ForConditionalGeneration$|MTModel$|EncoderModel$", "an encoder-decoder, which writes a text from another"),
    (r"ForPreTraining$", "a pre-training model without a vocabulary head"),
)


_SOUNDS = {what for _, what in _NAMES[:3]}

# What --task may be for a class that is not in the table and has a usual name.
_TRIED = {
    "ForSequenceClassification": "text-classification", "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering", "ForMaskedLM": "fill-mask",
    "ForImageClassification": "image-classification",
}  # fmt: skip


def refusal(architecture: str, model_type: str, task: str = "") -> UnsupportedModel:
    """Return the error for an architecture that no task takes (or not ``task``): what it is, and the way on."""
    if architecture.endswith("Pipeline"):
        return UnsupportedModel(
            f"edgepack does not support the pipeline {architecture}",
            hint=f"of diffusers' pipelines it supports {', '.join(_diffusion_settings.PIPELINES)}; see {PAGE}",
        )
    what = kind(architecture, model_type)
    message = f"edgepack does not support the architecture {architecture}"
    if task:
        message += f" for {task}"
    if what:
        message = f"{architecture} is {what}, which edgepack does not support" + (f" for {task}" if task else "")
    return UnsupportedModel(message, hint=_way_on(architecture, model_type, what))


def own_code(folder: Path, config: JsonObject) -> UnsafeModel:
    """Return the error for a model whose code lies in its own files (auto_map): what transformers knows, and the way
    on.
    """
    model_type = str(config.get("model_type", ""))
    own = _supported.of(model_type)
    if own:
        hint = (
            f"transformers itself knows {model_type} as {', '.join(own)}: if the weights are those of one, name it in "
            "a copy of config.json, without auto_map"
        )
    else:
        hint = f"of the model_type {model_type or 'nothing'!r} edgepack knows none in transformers itself; see {PAGE}"
    return UnsafeModel(
        f"{folder.name} brings its own code (auto_map in config.json), which edgepack does not run", hint=hint
    )


def no_vector(architecture: str) -> UnsupportedModel:
    """Return the error for an image encoder without anything that its authors or a library take for an image's
    vector.
    """
    return UnsupportedModel(
        f"{architecture} gives no vector for an image: this one has no projection, no pooled output and no class token",
        hint="take a checkpoint with a head (pooler, or projection), or add one and save the model with it",
    )


def _way_on(architecture: str, model_type: str, what: str) -> str:
    own = _supported.of(model_type)
    if model_type == "siglip2":
        return (
            "it is a NaFlex checkpoint, whose images keep their proportions: take the one of a fixed size, such as "
            f"google/siglip2-base-patch16-224, which is a SiglipModel; see {PAGE}"
        )
    if own:
        alone = " (--task text-embedding builds the encoder alone)" if takes("text-embedding", model_type) else ""
        return f"of the type {model_type} it supports {', '.join(own)}{alone}; see {PAGE}"
    if what == LANGUAGE or architecture.endswith("ForCausalLM"):
        return f"it supports {', '.join(TABLE['text-generation'])}; see {PAGE}"
    near = "" if what else _supported.like(architecture)
    tried = next((task for end, task in _TRIED.items() if architecture.endswith(end)), "") if not what else ""
    return (
        f"see {PAGE} for what it supports"
        + (f"; the nearest is {near}" if near else "")
        + (f"; --task {tried} tries it, untested" if tried else "")
    )


def kind(architecture: str, model_type: str) -> str:
    """Return what a model is, such as "an audio model"; "" where that is not known."""
    by_type = next((what for what, types in _TYPES.items() if model_type in types.split()), "")
    by_name = next((what for pattern, what in _NAMES if re.search(pattern, architecture)), "")
    if by_name in _SOUNDS and by_type in ("", "an audio model"):
        return by_name
    return by_name if by_name and not by_type.startswith(("an audio", "a video", "a time", "a model")) else by_type


def unnamed(folder: Path, config: JsonObject) -> ModelError:
    """Return the error for a config.json without ``architectures``: another library's, or an incomplete one."""
    file = folder / "config.json"
    if "architecture" in config and "num_features" in config:
        return UnsupportedModel(
            f"{folder.name} is a timm checkpoint ({config['architecture']}) without a pretrained_cfg, which says how "
            "its images are prepared",
            hint="save it again with a later timm: timm.models.save_for_hf(model, FOLDER)",
        )
    if "model_cfg" in config or (folder / "open_clip_config.json").is_file():
        return UnsupportedModel(
            f"{folder.name} is an open_clip checkpoint", hint=f"take the model's transformers port: see {PAGE}"
        )
    if "_class_name" in config:
        return UnsupportedModel(
            f"{folder.name} is a part of a diffusers pipeline ({config['_class_name']})", hint=f"see {PAGE}"
        )
    model_type = str(config.get("model_type", ""))
    own = _supported.of(model_type)
    if not own:
        return UnsupportedModel(
            f"{file} names no architectures, and a model_type {model_type or 'of nothing'!r} is not supported",
            hint=f"see {PAGE}",
        )
    return ModelError(
        f"{file} names no architectures, so it is unclear what the model is for",
        hint=f'add the class that saved it: for a {model_type} "architectures": ["{own[0]}"]'
        + (f", or {', '.join(own[1:])}" if own[1:] else ""),
    )
