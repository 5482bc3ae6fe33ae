"""Texts filled up to the lengths that a package takes, where it does not take any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import parse_json
from edgepack.errors import InputError, PackageDamaged

PADDING = "edgepack.padding"  # user-defined metadata, written by ``told``
_IDS = "input_ids"


@dataclass(frozen=True)
class Padding:
    """``lengths`` in tokens, ascending; the id ``fill`` beside zeros; the outputs that have a side for the tokens."""

    lengths: Sequence[int]
    fill: int
    per_token: Sequence[str]

    def told(self) -> str:
        """Return it as metadata."""
        return json.dumps({"lengths": self.lengths, "pad_id": self.fill, "per_token": self.per_token})

    def fitted(self, row: Mapping[str, Array]) -> dict[str, Array]:
        """Return int32 [1, tokens] each, as long as the package takes them.

        Raises InputError where they are too long.
        """
        tokens = row[_IDS].shape[1]
        length = next((length for length in self.lengths if length >= tokens), None)
        if length is None:
            raise InputError(f"a text of {tokens} tokens; the package takes {self.lengths[-1]} at most")
        return {
            name: np.pad(array, [(0, 0), (0, length - tokens)], constant_values=self.fill if name == _IDS else 0)
            for name, array in row.items()
        }

    def cut(self, outputs: Mapping[str, Array], tokens: int) -> dict[str, Array]:
        """Return ``outputs`` without what the filling gave."""
        return {name: array[:, :tokens] if name in self.per_token else array for name, array in outputs.items()}


def read(told: str) -> Padding:
    """Return what ``told`` says."""
    facts = parse_json(told, PADDING, PackageDamaged)
    try:
        return Padding([int(length) for length in facts["lengths"]], int(facts["pad_id"]), list(facts["per_token"]))
    except (KeyError, TypeError, ValueError) as error:
        raise PackageDamaged(f"the metadata {PADDING} cannot be read", hint="build the bundle again") from error
