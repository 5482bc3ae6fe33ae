"""The memory that units take on the machine that runs them: an estimate, from what builds were seen to take.

A traced build holds PyTorch, transformers and onnxruntime, and beside them copies of the weights in float32: as they
are loaded, as the graph that is written, and in the session that is compared. Of BERTs of 23, 110 and 334 million
weights it took 0.96, 2.1 and 5.9 GB. A language model is written a tensor at a time.
"""

from __future__ import annotations

from edgepack import tasks
from edgepack.records import Source

LEAST = 300_000_000  # bytes: a process that opens a small bundle
_TRACED, _WRITTEN = 700_000_000, 600_000_000  # bytes of a build of a model without weights
_COPIES = 4  # of the weights, in float32
_LAYERS = 1  # of the stored weights, that are in memory at once at most
_FLOAT = 4  # bytes


def of_build(source: Source) -> int:
    """Return bytes that a build of ``source`` takes, with the processes that it asks."""
    if tasks.load(source.task).ROUTE == "builder":
        return _WRITTEN + _LAYERS * source.weights_bytes
    return _TRACED + _COPIES * _FLOAT * source.parameters
