"""Sounds to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.arrays import Answers, Example, Feeds, Run
from edgepack.runtime.audio.input import AudioInput
from edgepack.runtime.labels import Label, labels
from edgepack.runtime.processing import Audio, Classes, Processing
from edgepack.runtime.submodel import MODEL


class Model:
    """``classify(sound)``: the labels of each sound, best first."""

    def __init__(self, runs: Mapping[str, Run], folder: Path, processing: Processing) -> None:
        classes = processing.section(Classes)
        self._runs = runs
        self.labels, self._problem = list(classes.labels), classes.problem_type
        self.audio = AudioInput(processing.section(Audio))

    def classify(self, sounds: Example | Sequence[Example], *, sampling_rate: int | None = None) -> Answers:
        """Return a list of Label per sound (float array [samples], or a WAV file's path or bytes); one gives one list.

        ``sampling_rate`` is that of arrays (default: the model's). Raises InputError, UsageError.
        """
        given = list(sounds) if isinstance(sounds, list | tuple) else [sounds]
        if sampling_rate is not None:
            given = [self.audio.samples(sound, sampling_rate) for sound in given]
        found = self.predict(given)
        return found if isinstance(sounds, list | tuple) else found[0]

    def feeds(self, examples: Sequence[Example]) -> Feeds:
        """Return one batch's input arrays."""
        return self.audio.feeds(examples)

    def predict(self, examples: Sequence[Example]) -> list[list[Label]]:
        """Return the labels of each sound, best first; they are run one by one, since nothing is padded."""
        return [
            labels(self._runs[MODEL](self.feeds([sound]))["logits"][0], self.labels, self._problem)
            for sound in examples
        ]
