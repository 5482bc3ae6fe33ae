"""Small language models with tokenizers of their own, as transformers has them and as bundles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from edgepack import runtime
from edgepack.records import Bundle

STORY = (
    "Once upon a time there was a little girl. She went to the park with her dog and played all day. "
    "The café was closed, so they had 寿司 by the river 🙂 and a 🎂. Then it rained, and they went home again. "
)
SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}\n    {% if message.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no role ' ~ message.role) }}{% endif %}\n"
    "{% if message.role == 'system' %}{{ message.content }}\n{% else %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT = 96
_SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": CONTEXT,
}  # fmt: skip
_GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT}
_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", _SIZES),
    "mistral": ("MistralConfig", "MistralForCausalLM", {**_SIZES, "sliding_window": 7}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", _GPT2),
}


@dataclass(frozen=True)
class Speaker:
    """A language model: its folder, as transformers opens it, its bundle, and as the runtime opens that."""

    folder: Path
    original: Any
    tokenizer: Any
    bundle: Bundle
    model: Any


def tokenizer(*, opening: bool, chat: bool) -> Any:
    """Byte-level BPE of the story's pieces; ``opening``: every text begins with <s>."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([STORY] * 4, trainer)
    if opening:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **names)
    fast.chat_template = TEMPLATE if chat else None
    return fast


def _write(kind: str, folder: Path) -> tuple[Any, Any]:
    config, model, sizes = _KINDS[kind]
    words = tokenizer(opening=kind != "gpt2", chat=kind == "llama")
    torch.manual_seed(11)
    configured = getattr(transformers, config)(vocab_size=len(words), bos_token_id=1, eos_token_id=2, **sizes)
    original = getattr(transformers, model)._from_config(configured, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in original.parameters():  # louder than usual, so that the likeliest token is clear
            weight.normal_(0, 0.2).add_(0.5 if weight.ndim == 1 else 0)
    original.save_pretrained(folder)
    words.save_pretrained(folder)
    return original, words


@pytest.fixture(scope="session")
def speaker(
    tmp_path_factory: pytest.TempPathFactory, build: Callable[..., tuple[Bundle, ...]]
) -> Callable[[str], Speaker]:
    """``speaker("llama")``, which chats, ``"gpt2"`` or ``"mistral"``: the weights as they are, in float32."""
    made: dict[str, Speaker] = {}

    def get(kind: str) -> Speaker:
        if kind not in made:
            folder = tmp_path_factory.mktemp("speakers") / f"tiny-{kind}"
            folder.mkdir()
            original, words = _write(kind, folder)
            bundle = build(folder, "desktop", recipes=("fp32",))[0]
            made[kind] = Speaker(folder, original, words, bundle, runtime.load(bundle.path))
        return made[kind]

    return get
