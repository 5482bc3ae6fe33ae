"""genai_config.json, by which onnxruntime-genai opens the bundle's folder.

The key-value cache is allocated for ``context`` tokens before the first one, so the context is the bundle's own and
not the model's longest.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgepack.decoders import Decoder
from edgepack.documents import JsonDict
from edgepack.formats.onnx.builder import heads
from edgepack.tasks import read_config
from edgepack.tasks.text_generation import eos_ids, generation_settings

_LINEAR = "qwen3_5_text"  # genai's type of decoders whose states are found among the graph's inputs
_SEARCH = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty")


def write(decoder: Decoder, model: Path, out: Path, context: int) -> None:
    """Write genai_config.json beside the graph ``out`` of the model folder ``model``."""
    config = read_config(model / "config.json")
    wishes = generation_settings(model, config)[1]
    ends = eos_ids(model, config)
    first = wishes.get("bos_token_id", config.get("bos_token_id"))
    pads = (wishes.get("pad_token_id"), config.get("pad_token_id"), *ends)
    known = {
        "bos_token_id": first,
        "eos_token_id": ends if len(ends) > 1 else ends[0] if ends else None,
        "pad_token_id": next((token for token in pads if token is not None), 0),
    }
    content = {
        "model": {
            **{name: value for name, value in known.items() if value is not None},
            "context_length": context,
            "decoder": _decoder(decoder, out.name),
            "type": "lfm2" if decoder.convolving else _LINEAR if decoder.recurring else "decoder",
            "vocab_size": decoder.vocabulary,
        },
        "search": {
            **{name: wishes[name] for name in _SEARCH if wishes.get(name) is not None},
            "max_length": context,
            "past_present_share_buffer": True,
        },
    }
    (out.parent / "genai_config.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _decoder(decoder: Decoder, file: str) -> JsonDict:
    places = {"position_ids": "position_ids"} if heads.placed(decoder) else {}
    mixing = set(decoder.convolving)
    kinds = ["conv" if layer in mixing else "full_attention" for layer in range(decoder.layers)]
    widths = [decoder.at(layer).convolution for layer in mixing]
    linear = bool(decoder.recurring)
    conv = {"layer_types": kinds, "conv_cache_size": max(widths)} if widths else {}
    return {
        **conv,
        "session_options": {"provider_options": []},
        "filename": file,
        "head_size": decoder.cached_head,
        "hidden_size": decoder.hidden,
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            **places,
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
            **({"past_conv_names": "past_key_values.%d.conv"} if conv or linear else {}),
            **({"past_recurrent_names": "past_key_values.%d.recurrent"} if linear else {}),
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
            **({"present_conv_names": "present.%d.conv"} if conv or linear else {}),
            **({"present_recurrent_names": "present.%d.recurrent"} if linear else {}),
        },
        "num_attention_heads": decoder.heads,
        # without convolutions those with inputs: the last ones may read the keys of others
        "num_hidden_layers": decoder.layers if conv or linear else len(decoder.caching),
        "num_key_value_heads": decoder.kv_heads,
    }
