"""The greedy answer: transformers' ``generate`` beside the loop that bundles run, fed by the description's logits.

Both continue the same tokens, once without an end, and once with the model's end tokens put in the place of tokens of
that answer: the model is small and has random weights, and would hardly come upon its own.
"""

from __future__ import annotations

import copy
import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from transformers import GenerationConfig

from edgepack.arrays import Array
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import ReadingDiffers
from edgepack.original.decoder import Reference
from edgepack.original.library import Answer, PretrainedModel
from edgepack.original.oracle import answers, models
from edgepack.original.oracle.shrink import shrink
from edgepack.runtime.decoding import Decoding
from edgepack.runtime.detokenizer import Detokenizer
from edgepack.runtime.generation import Generation, Limits
from edgepack.runtime.sampling import Sampler, Sampling, penalized
from edgepack.tasks import read_config
from edgepack.tasks.text_generation import eos_ids, repetition_penalty

_CLOSE = 1e-4  # of the largest logit: what is as near to the most likely may be taken in its place
_PROMPT, _NEW, _END = 12, 8, 3  # tokens of text and answer, and before the end; within longrope's first length
_SEED = 3
_REPORT = "this is a bug in edgepack: please report it with config.json and generation_config.json"


def check(origin: Path, folder: Path) -> None:
    """Compare the greedy answer of ``origin`` in transformers with that of a bundle of ``folder``.

    Raises ReadingDiffers, and UnsupportedModel for generation settings that transformers or a bundle refuses.
    """
    config = read_config(folder / "config.json")
    small = shrink(config, models.configuration(config).get_text_config())
    model, settings = models.random(small), answers.settings(origin)
    with tempfile.TemporaryDirectory() as kept:
        models.save(model, Path(kept))
        ours = _Loop(Reference(Checkpoint(Path(kept), describe(small))), repetition_penalty(folder, config))
        theirs = _generate(model, settings, ours)
        if not _processed_alike(theirs, ours):
            key = _culprit(model, settings, ours)
            raise ReadingDiffers(
                "transformers' generate applies the model's generation settings to the logits otherwise than a bundle"
                + (f"; with {key} left out the two agree" if key else ""),
                hint=_REPORT,
            )
        _compare(theirs, ours.answer(()), ours)
        places = dict(zip(answers.ends(settings), dict.fromkeys(_new(theirs, ours)[_END:]), strict=False))
        if places:
            ends = [places[end] for end in eos_ids(folder, config) if end in places]
            _compare(_generate(model, settings, ours, places.values()), ours.answer(ends), ours)


class _Loop:
    """A bundle's generation over the logits of ``reference``."""

    def __init__(self, reference: Reference, penalty: float) -> None:
        self.reference, self.penalty = reference, penalty
        self.room = min(reference.decoder.longest, reference.decoder.context)
        size = max(min(_PROMPT, self.room // 2), 1)
        self.prompt: list[int] = np.random.default_rng(_SEED).integers(2, reference.decoder.vocabulary, size).tolist()
        self.new = min(_NEW, self.room - size)

    def answer(self, ends: Iterable[int]) -> list[int]:
        """Return the ids that follow the prompt, the end token too."""
        sampler = _Noted(Sampling(repetition_penalty=self.penalty), None, self.prompt)
        limits = Limits(tokens=self.new, eos=frozenset(ends), stops=())
        decoding = _Recomputed(self.reference, self.room)
        deque(Generation(decoding, _Silent(), sampler, limits, lambda taken: None).pieces(self.prompt), maxlen=0)
        return sampler.tokens


class _Recomputed(Decoding):
    """``prefill`` and ``step`` without a cache: every token's logits are those of the whole text."""

    def __init__(self, reference: Reference, longest: int) -> None:
        super().__init__(longest)
        self._reference = reference

    def _run(self, tokens: Sequence[int]) -> Array:
        self.ids += tokens
        logits: Array = self._reference.logits(np.array([self.ids]), start=-1)[0, 0]
        return logits


class _Noted(Sampler):
    """A sampler that keeps the ``tokens`` it chose."""

    def __init__(self, sampling: Sampling, seed: int | None, prompt: Iterable[int]) -> None:
        super().__init__(sampling, seed, prompt)
        self.tokens: list[int] = []

    def __call__(self, logits: Array) -> int:
        self.tokens.append(super().__call__(logits))
        return self.tokens[-1]


class _Silent(Detokenizer):
    """No text: the ids are what is compared."""

    def __init__(self) -> None:
        pass

    def add(self, token: int) -> str:
        return ""

    def rest(self) -> str:
        return ""


def _generate(model: PretrainedModel, settings: GenerationConfig, loop: _Loop, ends: Iterable[int] = ()) -> Answer:
    """Return transformers' answer by ``settings``, with other end tokens."""
    model.generation_config = copy.deepcopy(settings)
    model.generation_config.eos_token_id = list(ends) or None
    return models.generate(model, np.array([loop.prompt]), loop.new)


def _new(answer: Answer, loop: _Loop) -> list[int]:
    return [int(token) for token in answer.sequences[0, len(loop.prompt) :]]


def _processed_alike(answer: Answer, loop: _Loop) -> bool:
    """Return whether a bundle makes the same scores, but for one number added to all, of the logits of ``answer``."""
    seen = set(loop.prompt)
    for logits, scores, token in zip(answer.logits, answer.scores, _new(answer, loop), strict=True):
        raw, wanted = logits[0].numpy(), scores[0].numpy()
        made = penalized(raw, seen, loop.penalty)
        if not np.allclose(made - made.max(), wanted - wanted.max(), rtol=0, atol=_CLOSE * np.abs(raw).max()):
            return False
        seen.add(token)
    return True


def _culprit(model: PretrainedModel, settings: GenerationConfig, loop: _Loop) -> str:
    """Return the setting without which the two agree; "" for none."""
    for key in settings.to_diff_dict():
        without = copy.deepcopy(settings)
        setattr(without, key, None)
        if _processed_alike(_generate(model, without, loop), loop):
            return str(key)
    return ""


def _compare(answer: Answer, ours: Sequence[int], loop: _Loop) -> None:
    """Raises ReadingDiffers where the answers part, unless two tokens are equally likely there."""
    theirs = _new(answer, loop)
    place = next((i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), None)
    if place is None:
        same = len(theirs) == len(ours)
    else:
        scores, logits = answer.scores[place][0].numpy(), answer.logits[place][0].numpy()
        same = bool(scores.max() - scores[ours[place]] <= _CLOSE * np.abs(logits).max())
    if not same:
        raise ReadingDiffers(
            f"transformers' generate goes on with the tokens {theirs}, a bundle with {list(ours)}", hint=_REPORT
        )
