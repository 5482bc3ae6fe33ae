"""Language models on the command line, and their speed."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edgepack import runtime
from edgepack.cli import chat
from edgepack.errors import InputError
from edgepack.records import Bundle
from edgepack.reports.speed import speed_table
from edgepack.reports.table import readable
from edgepack.runtime import clock, manifest, measurements, shapes
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Here
from edgepack.stages.bench import bench

from .conftest import CONTEXT, Speaker

Command = Callable[..., subprocess.CompletedProcess[str]]
Speakers = Callable[[str], Speaker]


def test_run_streams_a_completion(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("gpt2")
    text = "".join(it.model.generate("She went", max_tokens=12))
    assert edgepack("run", it.bundle.path, "She went", "--max-tokens", 12).stdout == f"{text}\n"
    several = edgepack("run", it.bundle.path, "She went", "The dog", "--max-tokens", 12).stdout
    assert several.startswith(f"She went\n{text}\nThe dog\n")
    options = ("--temperature", 1.2, "--top-k", 40, "--top-p", 0.95, "--min-p", 0.01, "--repetition-penalty", 1.1)
    found = json.loads(
        edgepack("run", it.bundle.path, "She went", "--max-tokens", 12, *options, "--seed", 4, "--json").stdout
    )
    numbers = {"temperature": 1.2, "top_k": 40, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.1, "seed": 4}
    wanted = "".join(it.model.generate("She went", max_tokens=12, **numbers))
    assert [(entry["prompt"], entry["text"], entry["tokens"]) for entry in found] == [("She went", wanted, 12)]
    assert found[0]["tokens_per_second"] > 0
    stop = text[3:5]
    cut = edgepack("run", it.bundle.path, "She went", "--max-tokens", 12, "--stop", stop, "--stop", "@@@").stdout
    assert cut == f"{text[: text.index(stop)]}\n"


def test_run_with_a_system_message_answers(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("llama")
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    wanted = "".join(it.model.generate(talk, max_tokens=9))
    done = edgepack("run", it.bundle.path, "Who?", "--system", "Be brief.", "--max-tokens", 9, "--json")
    assert json.loads(done.stdout)[0]["text"] == wanted


def test_run_says_what_is_wrong(edgepack: Command, speaker: Speakers, minilm: Bundle) -> None:
    path = speaker("gpt2").bundle.path
    cases = [
        ((minilm.path,), 2, "needs an input"),
        ((minilm.path, "a cat", "--top-k", 3), 2, "--top-k is for language models"),
        ((minilm.path, "a cat", "--steps", 3), 2, "--steps is for models that make images"),
        ((minilm.path, "a cat", "--seed", 3), 2, "--seed is for models that generate"),
        ((path, "a", "--size", "512x512"), 2, "--size is for models that make images"),
        ((path, "--json"), 2, "no JSON"),
        ((path, "a", "--temperature", -1), 2, "temperature is -1"),
        ((path, "a", "--max-tokens", 0), 2, "max_tokens is 0"),
        ((path, "many words " * 99), 40, f"the bundle takes {CONTEXT}"),
        ((path, "a", "--system", "Be brief."), 40, "not a chat model"),
    ]
    for arguments, code, said in cases:
        done = edgepack("run", *arguments)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def answers(model: Any, *questions: str, **options: Any) -> list[str]:
    """What a chat should say, by the library alone."""
    talk: list[dict[str, str]] = []
    for question in questions:
        talk.append({"role": "user", "content": question})
        talk.append({"role": "assistant", "content": "".join(model.generate(talk, **options))})
    return [turn["content"] for turn in talk if turn["role"] == "assistant"]


def test_a_chat_through_a_pipe(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("llama")
    said = answers(it.model, "Once upon", "there was", max_tokens=8)
    lines = "Once upon\n\nthere was\n/reset\nOnce upon\n/quit\nnot this\n"
    done = edgepack("run", it.bundle.path, "--max-tokens", 8, input=lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"{text}\n" for text in [*said, said[0]])


def test_a_model_without_a_template_goes_on(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("gpt2")
    done = edgepack("run", it.bundle.path, "--max-tokens", 8, input="She went\nThe dog\n")
    note, *shown = done.stdout.split("\n", 1)
    assert "no chat template" in note
    assert shown == ["".join(f"{''.join(it.model.generate(text, max_tokens=8))}\n" for text in ("She went", "The dog"))]
    assert edgepack("run", it.bundle.path, "--system", "x", input="a\n").returncode == 2


def test_a_long_chat_forgets_its_beginning(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("llama")
    lines = [f"She went to the park {word}." for word in ("once", "again", "there", "home", "then", "all day")]
    done = edgepack("run", it.bundle.path, "--max-tokens", 8, "--system", "Be.", input="\n".join(lines))
    assert done.returncode == 0
    assert done.stdout.count("oldest part is forgotten") == 1
    assert done.stderr == ""


def test_what_does_not_fit_ends_no_chat(edgepack: Command, speaker: Speakers) -> None:
    it = speaker("llama")
    done = edgepack("run", it.bundle.path, "--max-tokens", 8, input=f"{'a long question ' * 60}\nOnce upon\n")
    assert done.returncode == 0
    assert f"the bundle takes {CONTEXT}" in done.stderr
    assert done.stdout == f"{answers(it.model, 'Once upon', max_tokens=8)[0]}\n"


def test_only_new_turns_are_processed(speaker: Speakers) -> None:
    model = runtime.load(speaker("llama").bundle.path)
    talk = chat.Conversation(model, {"max_tokens": 6}, "Be brief.")
    "".join(talk.answer("Once upon a time"))
    before = model.last
    "".join(talk.answer("Then"))
    assert model.last.known >= before.prompt


SLOW = """
import time
from edgepack.cli import chat

class Slow:
    chats, max_length, last = True, 1000, None

    def tokens(self, prompt):
        return [0] * len(prompt)

    def generate(self, prompt, **options):
        return (f"{len(prompt)}:{i} " for i in range(10**6) if time.sleep(0.01) is None)

chat.chat(Slow(), {}, None)
print("left")
"""


def test_ctrl_c_stops_an_answer_and_not_the_chat() -> None:
    parent, child = pty.openpty()
    running = subprocess.Popen([sys.executable, "-c", SLOW], stdin=child, stdout=child, stderr=child)
    os.close(child)

    shown = ""

    def until(text: str, pressing: bool = False) -> str:
        """What is shown up to ``text``, and not yet what follows; ``pressing`` Ctrl-C again each second.

        Python misses a signal that comes between the prompt's last letter and the wait for a line.
        """
        nonlocal shown
        for _ in range(60):
            while text not in shown and select.select([parent], [], [], 1)[0]:
                shown += os.read(parent, 1000).decode()
            if text in shown:
                break
            if pressing:
                running.send_signal(signal.SIGINT)
        assert text in shown, shown
        seen, shown = shown.split(text, 1)
        return seen

    try:
        until("> ")
        os.write(parent, b"hello\n")
        until("1:3 ")
        running.send_signal(signal.SIGINT)
        until("stopped")
        until("> ")
        os.write(parent, b"again\n")
        until("3:3 ")  # the question before and as much of its answer as there was
        running.send_signal(signal.SIGINT)
        until("> ")
        running.send_signal(signal.SIGINT)
        assert "Traceback" not in until("left", pressing=True)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
        os.close(parent)


def test_stated_inputs(speaker: Speakers) -> None:
    listed = manifest.read(speaker("llama").bundle.path)
    assert shapes.shapes(listed) == ["prefill 32", f"decode {CONTEXT - 1}"]

    def of_length(length: int) -> manifest.Manifest:
        generation = {**listed.table["processing"]["generation"], "max_length": length}
        return manifest.Manifest(listed.folder, {**listed.table, "processing": {"generation": generation}})

    long = of_length(4096)
    assert shapes.shapes(long) == ["prefill 32", "prefill 128", "decode 128"]
    short = of_length(11)
    assert shapes.shapes(short) == ["prefill 11", "decode 10"]
    for odd in ("1x8", "prefill", "prefill 0", f"prefill {CONTEXT + 1}", f"decode {CONTEXT}", "decode -1", "decode 0"):
        with pytest.raises(InputError, match="no input"):
            shapes.feeds(listed, odd)
    assert shapes.feeds(listed, "decode 9")["past_ids"].shape == (1, 9)


def test_speed(edgepack: Command, speaker: Speakers, tmp_path: Path) -> None:
    path = speaker("llama").bundle.path
    timings = bench(Here(manifest.read(path)), Rules(runs=5, seconds=0), inputs=("prefill 8", "decode 16"))
    assert [(timing.what, timing.tokens) for timing in timings] == [("prefill 8", 8), ("decode 16", 1)]
    assert all(timing.p50 > 0 and timing.runs >= 5 for timing in timings)
    drawn = speed_table(timings)
    assert drawn.head[1] == "tokens/s"
    assert drawn.rows[0][1] == f"{8 / timings[0].p50:,.0f}"
    measurements.write(tmp_path, (), timings)
    assert measurements.read(tmp_path) == ((), timings)
    other = clock.timing({name: value for name, value in asdict(timings[0]).items() if name != "tokens"})
    assert other.tokens == 0  # measured before there were language models
    assert "tokens/s" not in [column.name for column in readable(speed_table([other])).columns]
    found = edgepack("bench", path, "--runs", 3, "--seconds", 0, "--input", "decode 4", "--json")
    assert [(entry["what"], entry["tokens"]) for entry in json.loads(found.stdout)] == [("decode 4", 1)]
    assert edgepack("bench", path, "--input", "1x8").returncode == 40
