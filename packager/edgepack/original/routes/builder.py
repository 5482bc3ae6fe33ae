"""A language model as the original: computed from its description, or by transformers itself.

Its logits are large: states are remembered instead (decoder.py), and nothing is kept between builds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from edgepack import plugins
from edgepack.arrays import Array, Feeds, Outputs, TaskModel
from edgepack.original import TRANSFORMERS, Original, decoder
from edgepack.original.decoder import Reference
from edgepack.plans import Subject
from edgepack.runtime import graphs
from edgepack.runtime.processing import Processing


class DecoderOriginal(Original):
    """The Reference of ``subject``, or of an ``implementation``, as a Run."""

    frees = False  # it holds no weights

    def __init__(self, subject: Subject, implementation: str) -> None:
        self.source, self.task = subject.source, subject.own_task
        self.input_difference = None
        self._theirs = implementation == TRANSFORMERS

    @cached_property
    def module(self) -> Reference:
        """The reference. Raises UnsupportedModel, DamagedWeights, DoesNotFit."""
        opened: Reference
        if self._theirs:
            opened = plugins.load_module("edgepack.original.causal").open_reference(self.source, self.task)
        else:
            opened = decoder.open_reference(self.source)
        self.forget()  # what only the check has looked at
        return opened

    def check(self, processing: Processing) -> None:
        """Check every weight's name and shape. Raises UnsupportedModel, DamagedWeights."""
        self.module.checkpoint.check()

    def attach(self, model: TaskModel, processing: Processing) -> TaskModel:
        """Return ``model`` as it is: inputs are ids, and the oracle (original/oracle) compares tokenizers."""
        return model

    def learn(self, feeds: Sequence[Feeds]) -> None:
        """Expect the ids of ``feeds``: they run together when the first is asked for, or on the calibration's walk."""
        self.module.expect(row for feed in feeds for row in feed["input_ids"])

    def remember(self, feeds: Feeds, outputs: Outputs) -> None:
        """Do nothing: no run is recorded."""

    def __call__(self, feeds: Mapping[str, Array], /) -> Outputs:
        """Return logits for ``input_ids``, whole sequences without padding: the last token's, or from logits_from
        on.
        """
        start = int(feeds[graphs.FIRST][0]) if graphs.FIRST in feeds else -1
        return {graphs.LOGITS: self.module.logits(feeds["input_ids"], start=start)}

    def close(self) -> None:
        """Do nothing: nothing is held."""


def open_original(subject: Subject, *, inputs: str, implementation: str) -> DecoderOriginal:
    """Open ``subject``; see original.open_original."""
    return DecoderOriginal(subject, implementation)
