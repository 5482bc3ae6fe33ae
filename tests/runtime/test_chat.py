"""Chat templates, compared with transformers' apply_chat_template."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import BundleDamaged, BundleError, InputError
from edgepack.runtime import chat

from .conftest import TEMPLATE, tokenizer

TALK = [
    {"role": "system", "content": "Be brief; say 'yes' & <no>."},
    {"role": "user", "content": "  Is 寿司 good? 🙂 "},
    {"role": "assistant", "content": "Yes.\nVery."},
    {"role": "user", "content": "Why?"},
]
# in the manner of well-known families: ChatML, Llama 2 and 3, Gemma, and what newer templates use
TEMPLATES = {
    "ours": TEMPLATE,
    "chatml": (
        "{%- if tools %}tools{%- endif %}\n{%- for message in messages %}\n"
        "    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"
    ),
    "loops": (
        "{% for message in messages %}{% if loop.index0 == 2 %}{% continue %}{% endif %}"
        "{% if loop.last %}{% break %}{% endif %}{{ message['content'] | trim }}{{ eos_token }}\n{% endfor %}end\n"
    ),
    "namespace": (
        "{%- set ns = namespace(system='none') -%}{%- for m in messages if m.role == 'system' -%}"
        "{%- set ns.system = m['content'] -%}{%- endfor -%}{{ bos_token ~ ns.system }}{{ messages[1:] | length }}"
    ),
    "tojson": (
        "{{ messages | tojson }}\n{{ messages[0] | tojson(indent=2) }}"
        "{{ {'b': 1, 'a': '<é>'} | tojson(sort_keys=true) }}"
    ),
    "generation": (
        "{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}"
        "{{ eos_token }}{% endgeneration %}{% else %}[{{ message.content }}]{% endif %}{% endfor %}"
    ),
    "date": "{{ strftime_now('%Y') }} {{ unk_token }} {{ pad_token is defined }} {{ documents is none }}",
}


def write(folder: Path, words: Any, stated: object = None) -> Path:
    words.save_pretrained(folder)
    if stated is not None:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "chat_template": stated}), "utf-8")
    return folder


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_templates(name: str, count: int, tmp_path: Path) -> None:
    words = tokenizer(opening=True, chat=False)
    words.chat_template = TEMPLATES[name]
    found = chat.template(write(tmp_path, words))
    assert found is not None
    wanted = words.apply_chat_template(TALK[:count], tokenize=False, add_generation_prompt=True)
    assert found.render(TALK[:count]) == wanted
    if name == "date":
        assert wanted.startswith(str(datetime.now().year))


def test_where_templates_lie(tmp_path: Path) -> None:
    words = tokenizer(opening=True, chat=False)
    assert chat.template(write(tmp_path, words)) is None

    def text() -> str:
        found = chat.template(tmp_path)
        assert found is not None
        return found.render(TALK)

    several = [{"name": "tools", "template": "no"}, {"name": "default", "template": "one of several"}]
    write(tmp_path, words, several)
    assert text() == "one of several"
    write(tmp_path, words, "in the config")
    assert text() == "in the config"
    (tmp_path / "chat_template.jinja").write_text("a file of its own", "utf-8")
    assert text() == "a file of its own"
    (tmp_path / "chat_template.jinja").unlink()
    write(tmp_path, words, [several[0]])
    assert chat.template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text("{", "utf-8")
    with pytest.raises(BundleDamaged):
        chat.template(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert chat.template(tmp_path) is None


def test_special_tokens() -> None:
    config = {"bos_token": {"content": "<s>", "lstrip": False}, "eos_token": "</s>", "pad_token": None, "other": "x"}
    assert chat.special(config) == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[9].content }}", "no element 9"),
        ("{{ messages[0].content + 1 }}", "refuses"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "safely|unsafe"),
        ("{% for i in range(10**9) %}{% endfor %}", "[Rr]ange"),
    ],
)
def test_templates_that_refuse(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chat.ChatTemplate(text, {}).render(TALK)


def test_a_template_with_an_error() -> None:
    with pytest.raises(BundleError, match="line 2"):
        chat.ChatTemplate("\n{% if %}", {})


def test_messages_are_checked() -> None:
    made = chat.ChatTemplate("{{ messages[0].content }}", {})
    assert made.render([{"role": "user", "content": "a\ud800b"}]) == "a?b"
    for odd in ([], None, "text", ["text"], [{"content": "x"}], [{"role": "user"}], [{"role": "user", "content": 3}]):
        with pytest.raises(InputError):
            made.render(odd)  # type: ignore[arg-type]


def test_a_conversation_s_ids(speaker: Any) -> None:
    it = speaker("llama")
    assert it.model.chats
    wanted = it.tokenizer.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False)
    assert it.model.tokens(TALK) == wanted
    assert wanted.count(1) == 1  # <s> once: the template has it
    with pytest.raises(InputError, match="no role oracle"):
        it.model.generate([{"role": "oracle", "content": "Ask."}])


def test_a_model_that_does_not_chat(speaker: Any) -> None:
    model = speaker("gpt2").model
    assert not model.chats
    with pytest.raises(InputError, match="not a chat model") as caught:
        model.generate(TALK)
    assert "generate(str)" in caught.value.hint
