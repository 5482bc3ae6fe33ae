"""The wrapper's own call."""

from __future__ import annotations

import numpy as np
from edgepack_model import AudioClassification
from edgepack_model._bundle import BUNDLE

from edgepack.runtime.opening import opened


def test_every_label_has_a_score_best_first() -> None:
    audio = opened(BUNDLE, verify=False).processing.audio
    assert audio is not None
    hum = np.sin(np.arange(audio.sampling_rate) / 9).astype(np.float32)
    model = AudioClassification()
    (found,) = model.classify([hum])
    assert sorted(label.name for label in found) == sorted(model.labels)
    assert [label.score for label in found] == sorted((label.score for label in found), reverse=True)
