"""config.json as a description reads it: what is stated, the model class's defaults below it, and a record of reads.

A key that no description reads and that is not known to change nothing is a setting that nobody understood: ``unread``
tells of it. Numbers are read strictly, as transformers reads them: null or a text in the place of a number is an error
that names the key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError

CORRECT = "correct config.json in a copy of the folder: take what the model's authors published"
SUPPORTED = "see docs/supported.md for the families and forms that it knows"
# Of every family: none of these changes the logits of a causal language model.
_METADATA = """
    _name_or_path name_or_path _commit_hash architectures auto_map model_type transformers_version dtype torch_dtype
    tokenizer_class task_specific_params finetuning_task license unsloth_version unsloth_fixed transformers.js_config
    _attn_implementation _attn_implementation_autoset attn_implementation _experts_implementation id2label label2id
    num_labels _num_labels problem_type quantization_config peft_version custom_pipelines
"""
_TRAINING = """
    initializer_range initializer_factor use_cache attention_dropout hidden_dropout classifier_dropout resid_pdrop
    embd_pdrop attn_pdrop residual_dropout embedding_dropout gradient_checkpointing pretraining_tp router_aux_loss_coef
"""
_GENERATION = """
    bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id prefix max_length min_length do_sample
    early_stopping num_beams temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
    forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens num_beam_groups diversity_penalty max_new_tokens cache_implementation
"""
_BASE = "output_hidden_states output_attentions output_past return_dict chunk_size_feed_forward is_decoder torchscript tf_legacy_loss use_bfloat16 tie_last_hidden_states"  # noqa: E501
_KNOWN = frozenset(" ".join((_METADATA, _TRAINING, _GENERATION, _BASE)).split())
# Keys of transformers' base class that change nothing with these values, and the model with any other.
_NEUTRAL: JsonDict = {
    "add_cross_attention": False, "is_encoder_decoder": False, "tie_encoder_decoder": False, "pruned_heads": {},
    "cross_attention_hidden_size": None, "per_layer_config": None, "is_causal": True,
}  # fmt: skip
# Far above any model's: what is computed for each of them would take for ever before the weights are found to differ.
_LARGEST = {
    **dict.fromkeys(("num_hidden_layers", "n_layer"), 10_000),
    **dict.fromkeys(("head_dim", "num_attention_heads", "num_key_value_heads", "n_head"), 1 << 16),
    **dict.fromkeys(("hidden_size", "n_embd"), 1 << 22),
}


class Settings(JsonObject):
    """The values of ``stated`` over those of ``defaults``; ``aliases`` are other names that keys are stated by.

    ``settings[key]`` notes that the key was read; ``key in settings`` and iteration look at what is stated and note
    nothing. A table in a table is a Settings of its own.
    """

    def __init__(
        self,
        stated: JsonObject,
        defaults: JsonObject | None = None,
        *,
        aliases: Mapping[str, str] | None = None,
        path: str = "",
    ) -> None:
        names = aliases or {}
        self._stated = {names.get(key, key): value for key, value in stated.items() if key not in names}
        self._stated |= {names[key]: value for key, value in stated.items() if key in names}
        self._defaults, self._path = dict(defaults or {}), path
        self._read: set[str] = set()
        self._inner: dict[str, Settings] = {}

    def __getitem__(self, key: str) -> Json:
        self._read.add(key)
        value = self._stated[key] if key in self._stated else self._defaults[key]
        if not isinstance(value, Mapping):
            return value
        if key not in self._inner:
            self._inner[key] = Settings(value, path=f"{self._path}{key}.")
        return self._inner[key]

    def __contains__(self, key: object) -> bool:
        return key in self._stated

    def __iter__(self) -> Iterator[str]:
        return iter(self._stated)

    def __len__(self) -> int:
        return len(self._stated)

    def part(self, key: str, defaults: JsonObject) -> Settings:
        """Return the table at ``key`` over ``defaults``; empty where there is none. Raises ModelError for no table."""
        value = self._stated.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise ModelError(f"config.json: {self._path}{key} is not an object", hint=CORRECT)
        self._read.add(key)
        self._inner[key] = Settings(value or {}, defaults, path=f"{self._path}{key}.")
        return self._inner[key]

    def ignore(self, *keys: str) -> None:
        """Note that ``keys`` are understood, and change nothing in this model."""
        self._read.update(keys)

    def integer(self, key: str) -> int:
        """Return a whole number, as large as a model can have it. Raises ModelError for anything else."""
        value = int(self._typed(key, int, "a whole number"))
        if value > _LARGEST.get(key, value):
            raise ModelError(
                f"config.json: {self._path}{key} is {value:,}; at most {_LARGEST[key]:,} is accepted", hint=CORRECT
            )
        return value

    def maybe(self, key: str) -> int | None:
        """Return a whole number, or None where the key is null or nowhere. Raises ModelError for anything else."""
        return None if self.get(key) is None else self.integer(key)

    def real(self, key: str) -> float:
        """Return a number. Raises ModelError for anything else, and for an epsilon below 0."""
        value = float(self._typed(key, (int, float), "a number"))
        if value < 0 and key.endswith(("eps", "epsilon")):
            raise ModelError(f"config.json: {self._path}{key} is {value}, which is below 0", hint=CORRECT)
        return value

    def flag(self, key: str) -> bool:
        """Return true or false. Raises ModelError for anything else, null too."""
        return bool(self._typed(key, bool, "true or false"))

    def text(self, key: str) -> str:
        """Return a text. Raises ModelError for anything else."""
        return str(self._typed(key, str, "a text"))

    def _typed(self, key: str, kind: type | tuple[type, ...], wanted: str) -> Json:
        try:
            value = self[key]
        except KeyError as missing:
            raise ModelError(f"config.json lacks {self._path}{key}", hint=CORRECT) from missing
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ModelError(
                f"config.json: {self._path}{key} is {json.dumps(value)}, which is not {wanted}", hint=CORRECT
            )
        return value

    def unread(self, irrelevant: Iterable[str] = (), neutral: JsonObject | None = None) -> JsonDict:
        """Return dotted keys that were not read and are not known to change nothing, with their values.

        ``irrelevant`` are keys that change nothing, ``neutral`` values that do not.
        """
        known, harmless = _KNOWN | set(irrelevant), {**_NEUTRAL, **(neutral or {})}
        found: JsonDict = {}
        for key, value in self._stated.items():
            if key in self._inner:
                found |= self._inner[key].unread(irrelevant, neutral)
            elif key not in self._read and key not in known and not (key in harmless and value == harmless[key]):
                found[f"{self._path}{key}"] = value
        return found
