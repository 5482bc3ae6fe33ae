"""A conversation in the terminal, or with lines from standard input."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from itertools import chain

from edgepack.arrays import TaskModel
from edgepack.cli import show
from edgepack.documents import JsonDict
from edgepack.errors import InputError, UsageError
from edgepack.printable import printable
from edgepack.runtime.generation import MAX_TOKENS

_ANSWER = 4  # at least a context's fourth stays free for the answer, or max_tokens if that is less


def chat(model: TaskModel, options: JsonDict, system: str | None) -> None:
    """Answer line after line until /quit or the end of the input; Ctrl-C stops an answer.

    A model without a chat template continues each line instead. Raises UsageError for a system message to such.
    """
    if not model.chats and system is not None:
        raise UsageError("the model has no chat template, so no place for a system message")
    if not model.chats:
        show.line("This model has no chat template: it continues each line instead of answering.", "dim")
    talk = Conversation(model, options, system)
    with _interrupts():
        for text in _lines():
            if text.strip() == "/reset":
                talk.reset()
            elif text.strip():
                _answer(talk, text)


class Conversation:
    """A conversation so far; ``answer`` adds to it."""

    def __init__(self, model: TaskModel, options: JsonDict, system: str | None) -> None:
        self.model, self._options = model, options
        self._first = [{"role": "system", "content": system}] if system is not None else []
        self._room = model.max_length - min(options.get("max_tokens", MAX_TOKENS), model.max_length // _ANSWER)
        self._turns: list[dict[str, str]] = []
        self._told = False

    def reset(self) -> None:
        """Begin anew."""
        self._turns = []

    def answer(self, text: str) -> Generator[str, None, None]:
        """Yield pieces of the answer, which is remembered as far as it came.

        Raises InputError, and forgets ``text``.
        """
        if not self.model.chats:
            yield from self.model.generate(text, **self._options)
            return
        turns = self._fitting([*self._turns, {"role": "user", "content": text}])
        pieces = self.model.generate([*self._first, *turns], **self._options)
        said: list[str] = []
        try:
            for piece in pieces:
                said.append(piece)
                yield piece
        finally:
            pieces.close()
            self._turns = [*turns, {"role": "assistant", "content": "".join(said)}]

    def _fitting(self, turns: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return the last turns, as many as leave room for an answer; the newest in any case."""
        while len(turns) > 1 and len(self.model.tokens([*self._first, *turns])) > self._room:
            turns = turns[2:]
            if not self._told:
                show.line("The conversation has become too long for the model: its oldest part is forgotten.", "dim")
                self._told = True
        return turns


def stream(pieces: Iterator[str]) -> None:
    """Write each piece to standard output as it comes, and a line's end. Raises InputError before anything."""
    first = next(pieces, "")
    try:
        for piece in chain([first], pieces):
            sys.stdout.write(printable(piece))
            sys.stdout.flush()
    finally:
        sys.stdout.write("\n")


def _answer(talk: Conversation, text: str) -> None:
    """Print one answer; Ctrl-C and a text that the model cannot take end it, and not the chat."""
    try:
        with closing(talk.answer(text)) as pieces:
            stream(pieces)
    except KeyboardInterrupt:
        show.line("stopped", "dim")
    except InputError as error:
        show.fail(error)
    else:
        if sys.stdout.isatty() and (last := talk.model.last):
            show.line(f"{last.new} tokens, {last.speed:.1f} a second, the first after {last.first:.2f} s", "dim")


def _lines() -> Iterator[str]:
    """Yield what is typed, or comes through a pipe; ends at /quit, Ctrl-D and Ctrl-C."""
    mark = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            text = input(mark)
        except (EOFError, KeyboardInterrupt):
            return
        if text.strip() == "/quit":
            return
        yield text


@contextmanager
def _interrupts() -> Iterator[None]:
    """Deliver Ctrl-C as KeyboardInterrupt, which only the chat catches; the command's own way is restored after it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
