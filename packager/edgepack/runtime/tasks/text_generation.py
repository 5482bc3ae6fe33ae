"""Text, or a conversation, to what comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Run
from edgepack.errors import InputError, UsageError
from edgepack.runtime import arguments, chat, graphs
from edgepack.runtime.chat import ChatTemplate, Messages
from edgepack.runtime.decoding import Decoding
from edgepack.runtime.detokenizer import Detokenizer
from edgepack.runtime.engines import Session, open_session
from edgepack.runtime.generation import MAX_TOKENS, Generation, Limits, Statistics
from edgepack.runtime.perplexity import Windows, negative_log_likelihoods
from edgepack.runtime.processing import Generation as GenerationSettings
from edgepack.runtime.processing import Processing
from edgepack.runtime.sampling import Sampler, Sampling
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.text import checked, encoded, tokenizer

Prompt = str | Messages
_WINDOW = 128  # tokens of each sequence that is compared with the original


class Model:
    """``generate(prompt)``: a text or a conversation continued, piece by piece.

    Threads may share it: they take turns, a token each, and each turn processes again what the others put out of the
    cache. For speed each opens the bundle itself.

    ``last`` says what the last generation took. A conversation's beginning stays in memory: the next call with more
    of it only processes what is new.
    """

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        self._runs, self._folder = runs, folder
        self._settings = processing.section(GenerationSettings)
        self.max_length = self._settings.max_length
        self._opening_once = threading.Lock()
        self.tokenizer = tokenizer(folder)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.last: Statistics | None = None

    def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float | None = None,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Return pieces of the text that follows ``prompt``: a str is continued, messages are answered.

        Ends at the model's end token, before a ``stop`` string, after ``max_tokens`` or where the context is full.
        Raises InputError (a prompt that is empty or too long), UsageError (an option out of its range), both at once.
        """
        if repetition_penalty is None:
            repetition_penalty = self._settings.repetition_penalty
        sampling = Sampling(
            temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty
        )
        limits = Limits(
            tokens=arguments.whole("max_tokens", max_tokens, 1),
            eos=frozenset(self._settings.eos_ids),
            stops=arguments.texts("stop", stop),
        )
        seed = None if seed is None else arguments.whole("seed", seed, 0)
        ids = self._fitting(self.tokens(prompt))
        sampler = Sampler(sampling, seed, ids)
        return Generation(self._decoding, Detokenizer(self.tokenizer, ids), sampler, limits, self._report).pieces(ids)

    def tokens(self, prompt: Prompt) -> list[int]:
        """Return the ids that ``generate`` begins with: a text's with what its tokenizer adds, or a conversation's.

        Raises InputError.
        """
        if isinstance(prompt, str):
            return self._known(encoded(self.tokenizer, checked(prompt)).ids)
        return self._plain(self._answering().render(prompt))

    def continued(self, ids: Sequence[int], tokens: int) -> list[int]:
        """Return the ``tokens`` ids that greedily follow ``ids``, end tokens too."""
        made: list[int] = []
        with self._decoding.lock:
            logits = self._decoding.prefill(ids)
            for _ in range(min(tokens, self.max_length - len(ids))):
                made.append(int(logits.argmax()))
                logits = self._decoding.step(made[-1])
        return made

    @property
    def chats(self) -> bool:
        """True if the model has a chat template."""
        return self._template is not None

    def feeds(self, examples: Sequence[str]) -> Feeds:
        """Return the texts, joined, in windows of up to 128 tokens: every input of the graph, and logits of every
        token.

        What does not fill a window is left out, unless it is all there is. Raises InputError for no tokens.
        """
        body = self._plain(checked("\n".join(examples)))
        size = min(_WINDOW, self.max_length) - len(self._opening)
        count = len(body) // size
        windows = np.array(body[: count * size] or body, np.int64).reshape(count or 1, -1)
        opening = np.tile(np.array(self._opening, np.int64), (len(windows), 1))
        ids = np.hstack([opening, windows])
        if not ids.size:
            raise InputError("the texts hold no tokens")
        return self._feeds(ids)

    def negative_log_likelihoods(self, text: str, *, length: int, stride: int) -> Array:
        """Return negative log likelihoods in nats, float64 [tokens scored], of the tokens of ``text``.

        Windows of ``length`` tokens, what the tokenizer puts before a text included, move by ``stride``; each token
        is scored once, in the first window that holds it. Nothing comes before the first token of a text whose
        tokenizer adds none: it is not scored. Raises UsageError.
        """
        if not 0 < length <= self.max_length:
            raise UsageError(f"windows of {length} tokens", hint=f"the bundle takes 1 to {self.max_length:,}")
        windows = Windows(self._plain(checked(text)), self._opening, length, stride)
        return negative_log_likelihoods(self._logits, windows, self._settings.vocabulary)

    def predict(self, examples: Sequence[Prompt]) -> list[str]:
        """Return what follows each prompt, with the options that ``generate`` has by default."""
        return ["".join(self.generate(prompt)) for prompt in examples]

    @property
    def _decoding(self) -> Decoding:
        with self._opening_once:
            return self._opened

    @cached_property
    def _opened(self) -> Decoding:
        run = _beside(self._runs[MODEL], graphs.generating)
        if not isinstance(run, Session) or not run.decodes:
            raise UsageError("only an opened bundle generates text", hint="edgepack.load(bundle).generate(prompt)")
        return run.decoding(self.max_length)

    @cached_property
    def _scorer(self) -> Run:
        return _beside(self._runs[MODEL], graphs.scoring)

    @cached_property
    def _template(self) -> ChatTemplate | None:
        return chat.template(self._folder)

    @cached_property
    def _opening(self) -> list[int]:
        """The tokens that the tokenizer puts before every text."""
        letter = encoded(self.tokenizer, "a")
        marked = zip(letter.ids, letter.special_tokens_mask, strict=True)
        return [token for token, _ in takewhile(lambda entry: entry[1], marked)]

    def _answering(self) -> ChatTemplate:
        if self._template is None:
            raise InputError(
                "the model is not a chat model: it has no chat template", hint="generate(str) continues text"
            )
        return self._template

    def _plain(self, text: str) -> list[int]:
        """Return ids without what the tokenizer adds."""
        return self._known(encoded(self.tokenizer, text, special=False).ids)

    def _known(self, ids: Sequence[int]) -> list[int]:
        """Return ``ids``, where the model has an embedding for each. Raises InputError."""
        strange = next((token for token in ids if token >= self._settings.vocabulary), None)
        if strange is not None:
            raise InputError(
                f"the text holds {self.tokenizer.id_to_token(strange)!r}, a token that the model has no embedding for",
                hint=f"its id is {strange:,}; the model knows {self._settings.vocabulary:,} tokens",
            )
        return list(ids)

    def _fitting(self, ids: list[int]) -> list[int]:
        if not ids:
            raise InputError("the prompt is empty", hint="give some text to go on from")
        if len(ids) > self.max_length:
            raise InputError(
                f"the prompt has {len(ids):,} tokens; the bundle takes {self.max_length:,}",
                hint="shorten the prompt, or build the bundle with a longer context",
            )
        return ids

    def _feeds(self, ids: Array, start: int = 0) -> Feeds:
        """Return whole sequences int64 [batch, tokens], nothing cached; logits from the token ``start`` on."""
        batch, length = ids.shape
        settings = self._settings
        return {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "position_ids": np.tile(np.arange(length), (batch, 1)),
            **_empty(settings, batch),
            graphs.FIRST: np.array([start], np.int64),
        }

    def _logits(self, ids: Array, start: int) -> Array:
        """Return logits of the tokens from ``start`` on, float32 [batch, tokens, vocabulary]."""
        feeds = self._feeds(ids, start)
        scorer = self._scorer
        outputs = scorer(feeds, [graphs.LOGITS]) if isinstance(scorer, Session) else scorer(feeds)
        return outputs["logits"]

    def _report(self, statistics: Statistics) -> None:
        self.last = statistics


def _empty(settings: GenerationSettings, batch: int) -> Feeds:
    """Return what a graph takes where no tokens came before."""
    if settings.states is not None:
        return {state.name: np.zeros((batch, *state.shape), np.float32) for state in settings.states}
    past = np.zeros((batch, settings.kv_heads, 0, settings.head_dim), np.float32)
    names = [f"{graphs.PAST}.{layer}.{part}" for layer in range(settings.layers) for part in ("key", "value")]
    return dict.fromkeys(names, past)


def _beside(run: Run, graph: Callable[[Path], Path]) -> Run:
    """Return ``run``, or where its file is not the one that ``graph`` wants of the bundle's, that one opened."""
    if not isinstance(run, Session) or graph(run.path) == run.path:
        return run
    return open_session(graph(run.path), graphs.FORMAT, run.threads)
