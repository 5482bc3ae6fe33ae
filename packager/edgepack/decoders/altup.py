"""Alternating updates (Baykal et al. 2023): residuals beside each other, of which a layer computes one.

A layer predicts all of them by what they are, runs over one, and corrects the others by how far it came out elsewhere
than predicted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AltUp:
    """Residuals beside each other, and the paths of the modules between them: {i} for the layer."""

    count: int
    active: int  # the one that layers compute
    scaled: bool  # it is multiplied by a weight where a layer's own vector gates it
    enter: tuple[str, ...]  # what makes the other residuals of the embedding
    leave: tuple[str, ...]  # and what each goes through before they are added up
    router: str  # what the shares of the residuals hang on
    prediction: str
    correction: str
    scale: str  # a whole name

    @property
    def paths(self) -> tuple[str, ...]:
        """The modules of a layer."""
        return self.router, self.prediction, self.correction


LEAST = 1e-5  # of a mean square that another residual's length is divided by
