"""Imports that leave out what no model needs leave nothing behind that later imports would notice."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from edgepack.original import imports
library = imports.import_sentence_transformers()
assert library.SentenceTransformer.__module__.startswith("sentence_transformers")
assert not {"scipy.optimize", "sklearn", "sklearn.metrics"} & set(sys.modules)
from transformers.utils import is_scipy_available, is_sklearn_available
assert is_scipy_available() and is_sklearn_available()
import transformers.generation.candidate_generator
from sklearn.metrics import pairwise_distances
from scipy.optimize import linear_sum_assignment
assert pairwise_distances is not None
"""


def test_what_is_left_out_can_be_imported_later() -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True)
