"""What is not supported is refused for what it is, with the way on; what the table lists is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.models.auto import modeling_auto

from edgepack import plugins
from edgepack.decoders import describe
from edgepack.errors import ModelError, UnsafeModel, UnsupportedModel
from edgepack.original import folder_kinds
from edgepack.tasks import _recognition, _refusals, _supported


@pytest.mark.parametrize("entry", list(_supported.entries()), ids=lambda entry: f"{entry.architecture}-{entry.task}")
def test_what_is_listed_is_found(entry: _supported.Entry, tmp_path: Path) -> None:
    config: dict[str, Any] = {"architectures": [entry.architecture], "model_type": entry.model_type}
    if entry.task == "text-ranking":
        config |= {"id2label": {"0": "LABEL_0"}, "sentence_transformers": {"version": "5.4.0"}}
    usual = "fill-mask" if entry.task == "sparse-embedding" else entry.task  # whose classes these are
    assert _recognition.find(tmp_path, config) == usual
    _recognition.check(entry.task, config)


@pytest.mark.parametrize(
    ("architecture", "model_type", "said", "hint"),
    [
        ("Wav2Vec2ForCTC", "wav2vec2", "is a speech recognizer", "Wav2Vec2ForSequenceClassification"),
        ("HubertForPreTraining", "hubert", "is an audio model", "HubertForSequenceClassification"),
        ("SEWDForSequenceClassification", "sew-d", "is an audio model", ""),
        ("Wav2Vec2BertForAudioFrameClassification", "wav2vec2-bert", "is a model of the frames of sounds", ""),
        ("WavLMForXVector", "wavlm", "is a speaker encoder", "WavLMForSequenceClassification"),
        ("WhisperForConditionalGeneration", "whisper", "is an audio model", ""),
        ("WhisperForAudioClassification", "whisper", "is an audio model", ""),
        ("VideoMAEForVideoClassification", "videomae", "is a video model", ""),
        ("VideoMAEForPreTraining", "videomae", "is a video model", ""),
        ("ViTForMaskedImageModeling", "vit", "image pre-training model", "ViTForImageClassification"),
        ("ElectraForPreTraining", "electra", "without a vocabulary head", "--task text-embedding"),
        ("DetrForObjectDetection", "detr", "is an object detector", ""),
        ("SegformerForSemanticSegmentation", "segformer", "is a segmentation model", "SegformerForImageClassification"),
        ("T5ForConditionalGeneration", "t5", "is an encoder-decoder", ""),
        ("MarianMTModel", "marian", "is an encoder-decoder", ""),
        ("Siglip2Model", "siglip2", "images and texts together", "which is a SiglipModel"),
        ("LayoutLMv3ForTokenClassification", "layoutlmv3", "is a document model", ""),
        ("TapasForQuestionAnswering", "tapas", "is a document model", ""),
        ("ViltForQuestionAnswering", "vilt", "images and texts together", ""),
        ("DeepseekV3ForCausalLM", "deepseek_v3", "is a mixture of experts", "llama"),
        ("BitNetForCausalLM", "bitnet", "family that edgepack does not know", "llama"),
        ("PatchTSTForClassification", "patchtst", "is a time series model", ""),
        ("BertForNextSentencePrediction", "bert", "of another text task", "BertForSequenceClassification"),
        ("YosoModel", "yoso", "does not support the architecture YosoModel", "nearest"),
        ("FNetForMaskedLM", "fnet", "Fourier transforms, without an attention mask", ""),
        ("FunnelModel", "funnel", "halves its tokens layer by layer", ""),
        ("NystromformerForMaskedLM", "nystromformer", "is a model of texts of one length", ""),
        ("CanineForSequenceClassification", "canine", "is a model of characters", ""),
        ("XLMWithLMHeadModel", "xlm", "whose tokenizer runs only in Python", ""),
        ("ErnieMForSequenceClassification", "ernie_m", "that transformers no longer has", ""),
        ("LukeForEntityClassification", "luke", "of the entities in a text", "LukeForSequenceClassification"),
    ],
)
def test_models_are_refused_for_what_they_are(
    architecture: str, model_type: str, said: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel, match=said) as raised:
        _recognition.find(tmp_path, {"architectures": [architecture], "model_type": model_type})
    assert hint in raised.value.hint
    assert "docs/supported.md" in raised.value.hint


@pytest.mark.parametrize("table", [name for name in dir(modeling_auto) if name.endswith("MAPPING_NAMES")])
def test_no_task_takes_another_tasks_class(table: str, tmp_path: Path) -> None:
    """Of transformers' own tables of audio, video, detection and the like, none is taken for something else."""
    kinds = ("AUDIO", "CTC", "SPEECH", "WAVEFORM", "SPECTROGRAM", "VIDEO", "DETECTION", "SEGMENTATION", "DEPTH",
             "TIME_SERIES", "SEQ_TO_SEQ", "IMAGE_TEXT_TO_TEXT", "VISUAL_QUESTION", "DOCUMENT", "TABLE_",
             "MULTIPLE_CHOICE", "NEXT_SENTENCE", "MASKED_IMAGE", "KEYPOINT")  # fmt: skip
    if not any(kind in table for kind in kinds):
        pytest.skip("a table of texts or images")
    for model_type, names in getattr(modeling_auto, table).items():
        for name in [names] if isinstance(names, str) else names:
            # whose language model is taken; a task of their own
            own = ("text-generation", "audio-classification")
            if name in {architecture for task in own for architecture in _supported.architectures(task)}:
                continue
            with pytest.raises(UnsupportedModel):
                _recognition.find(tmp_path, {"architectures": [name], "model_type": model_type})


@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        ({"architecture": "resnet18", "num_classes": 10, "num_features": 512}, UnsupportedModel,
         "timm checkpoint \\(resnet18\\) without a pretrained_cfg"),
        ({"model_cfg": {}, "preprocess_cfg": {}}, UnsupportedModel, "is an open_clip checkpoint"),
        ({"_class_name": "UNet2DConditionModel"}, UnsupportedModel, "part of a diffusers pipeline"),
        ({"model_type": "whisper"}, UnsupportedModel, "'whisper' is not supported"),
        ({"model_type": "bert"}, ModelError, "names no architectures"),
    ],
)  # fmt: skip
def test_configs_without_architectures(
    config: dict[str, Any], kind: type[ModelError], said: str, tmp_path: Path
) -> None:
    error = _refusals.unnamed(tmp_path, config)
    assert type(error) is kind
    with pytest.raises(kind, match=said):
        raise error


def test_the_hint_names_what_the_model_type_has(tmp_path: Path) -> None:
    hint = _refusals.unnamed(tmp_path, {"model_type": "vit"}).hint
    assert "ViTForImageClassification" in hint
    assert "Bert" not in hint
    assert _refusals.unnamed(tmp_path, {"model_type": "llama"}).hint.count("LlamaForSequenceClassification") == 1


@pytest.mark.parametrize(
    ("task", "model_type", "architecture"),
    [
        ("text-classification", "wav2vec2", "Wav2Vec2ForSequenceClassification"),
        ("text-embedding", "vit", "ViTModel"),
        ("image-classification", "bert", "BertModel"),
    ],
)
def test_a_task_that_is_asked_of_the_wrong_model(task: str, model_type: str, architecture: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"for {task}"):
        _recognition.check(task, {"architectures": [architecture], "model_type": model_type})


def test_sentence_folders_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    assert (
        _recognition.find(tmp_path, {"architectures": ["MPNetForMaskedLM"], "model_type": "mpnet"}) == "text-embedding"
    )
    with pytest.raises(UnsupportedModel, match="audio model"):
        _recognition.find(tmp_path, {"architectures": ["ClapModel"], "model_type": "clap"})


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        ({"model_type": "bert", "architectures": ["JinaBertModel"]}, "transformers itself knows bert as BertModel"),
        ({"model_type": "new", "architectures": ["NewModel"]}, "of the model_type 'new' edgepack knows none"),
        ({"model_type": "nomic_bert", "architectures": ["OwnNomicModel"]}, "knows nomic_bert as NomicBertModel"),
    ],
)
def test_code_of_a_model_s_own(config: dict[str, Any], hint: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**config, "auto_map": {"AutoModel": "theirs.Model"}}))
    with pytest.raises(UnsafeModel, match="brings its own code") as raised:
        folder_kinds.kind_of(tmp_path).config()
    assert hint in raised.value.hint


def test_a_folder_of_something_else_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        folder_kinds.kind_of(tmp_path).config()
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"x")
    with pytest.raises(UnsupportedModel, match=r"model\.onnx, a model that was exported to ONNX"):
        folder_kinds.kind_of(tmp_path).config()
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        folder_kinds.kind_of(tmp_path).config()


@pytest.mark.parametrize("key", ["model_type", "architectures"])
def test_names_that_are_none(key: str, tmp_path: Path) -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], key: [["bert"]]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"config.json: {key} is not a"):
        folder_kinds.kind_of(tmp_path).config()


def test_code_that_transformers_has_taken_over(tmp_path: Path) -> None:
    """Checkpoints of such a type still name their own code, which nothing runs."""
    config = {
        "model_type": "nomic_bert",
        "architectures": ["NomicBertModel"],
        "auto_map": {"AutoModel": "theirs.Model"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert folder_kinds.kind_of(tmp_path).config() == config


def test_hints_list_no_internal_modules() -> None:
    for kind, internal in (("decoders.families", {"checkpoint", "rotary"}), ("formats", {"quantization"})):
        assert not internal & set(plugins.names(kind))
    with pytest.raises(UnsupportedModel) as raised:
        describe({"model_type": "rotary"})
    assert "checkpoint" not in raised.value.hint
