"""Time the original in PyTorch by the same protocol, in a process of its own: what a relative check compares with.

Run as ``python -m edgepack.original.clock MODEL`` with a request on standard input, as runtime/rounds.py is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch

from edgepack import tasks
from edgepack.documents import JsonDict
from edgepack.original import pytorch
from edgepack.runtime import rounds


def opener(asked: JsonDict) -> Callable[[int], rounds.Work]:
    """Return a function that opens the model named in the request with ``threads`` threads."""
    task = tasks.submodel_task(tasks.load(asked["task"]), asked["submodel"])

    def opened(threads: int) -> rounds.Work:
        torch.set_num_threads(rounds.threads_of(asked))
        module = pytorch.open_path(asked["path"], asked["model_type"], asked["name"], task, asked["adapters"])
        return rounds.one_pass(lambda feeds: pytorch.run(module, feeds, task.OUTPUTS))

    return opened


if __name__ == "__main__":
    request = json.load(sys.stdin)
    print(json.dumps(rounds.serve(opener(request), request)))
