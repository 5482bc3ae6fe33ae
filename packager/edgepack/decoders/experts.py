"""A feed-forward layer of many experts, of which a router chooses a few for each token (Shazeer et al. 2017)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ExpertNames:
    """Names of a layer's tensors in one of the forms that checkpoints have: {i} for the layer, {e} for an expert.

    Without {e} one tensor holds all experts, [experts, rows, width]. Gate and up are two tensors or one.
    """

    router: str  # a module's path
    gate_up: tuple[str, ...]  # whole names
    down: str
    router_norm: str = ""  # of a norm in front of the router: its weight, times the root of the width
    each: str = ""  # of a scale of each expert
    correction: str = ""  # of what is added to each expert's weight where they are chosen, and only there


@dataclass(frozen=True, kw_only=True)
class SharedExpert:
    """A gated feed-forward layer that every token passes through beside the chosen ones, times a share of its own."""

    width: int
    gate_up: tuple[str, ...]  # modules: {i} for the layer
    down: str
    share: str  # of the hidden width, to the number whose sigmoid the share is


@dataclass(frozen=True, kw_only=True)
class Experts:
    """Experts with a gated feed-forward layer each: down(activation(gate) (up + beta)), weighed and added.

    The activation silu is gate sigmoid(alpha gate).
    """

    count: int
    chosen: int  # for a token
    width: int  # of an expert's feed-forward layer
    names: tuple[ExpertNames, ...]  # the first that a checkpoint has counts
    activation: str = "silu"
    beside: bool = False  # the usual feed-forward layer is there, too, and they do not take its place
    routing: str = "chosen"  # weights by softmax over: chosen (those alone) | all; by sigmoid; or by sparsemixer
    normed: bool = False  # sigmoid's weights of those that are chosen are divided by their sum
    scale: float = 1.0  # of the weighted sum
    layers: tuple[bool, ...] = ()  # whether a layer has experts, by layer; none: all
    jitter: float = 0.0  # sparsemixer's: how far below the largest score one still counts, as a share of it
    transposed: bool = False  # stored [in, out], where one tensor holds all
    interleaved: bool = False  # rows of gate and up by turns, where one tensor holds all
    biased: bool = False  # router and experts have biases, those of experts named …_bias
    alpha: float = 1.0
    beta: float = 0.0
    shared: SharedExpert | None = None
    limit: float = 0.0  # gates are kept below it, ups between -limit and limit; 0: as they are

    @property
    def first(self) -> int:
        """The first layer that has experts."""
        return self.layers.index(True) if self.layers else 0

    def label(self, layer: int) -> str:
        """Return what stands before the names of what is made of them in ``layer``."""
        return f"layers.{layer}.{'experts' if self.beside else 'mlp'}"

    def form(self, stored: Container[str], lead: str) -> ExpertNames:
        """Return the names of a checkpoint's form; ``lead`` stands before each. Where none fits, the first form's."""
        forms = (one for one in self.names for end in ("", BLOCKS) if self._anchor(one, lead) + end in stored)
        return next(forms, self.names[0])

    def tensors(self, form: ExpertNames, layer: int) -> Iterator[str]:
        """Yield the names of all tensors of ``layer`` that are read in ``form``."""
        yield from (f"{form.router.format(i=layer)}.{part}" for part in ("weight", "bias")[: 1 + self.biased])
        yield from (name.format(i=layer) for name in (form.router_norm, form.each, form.correction) if name)
        if self.shared:
            modules = (*self.shared.gate_up, self.shared.down, self.shared.share)
            yield from (f"{module.format(i=layer)}.weight" for module in modules)
        for name in (*form.gate_up, form.down):
            own = "{e}" in name
            yield from (name.format(i=layer, e=expert) for expert in range(self.count if own else 1))
            if not own:
                ends = (BLOCKS, SCALES, *(("_bias",) if self.biased else ()))
                yield from (name.format(i=layer) + end for end in ends)

    def _anchor(self, form: ExpertNames, lead: str) -> str:
        return lead + form.gate_up[0].format(i=self.first, e=0)


NEAR_ZERO = 1e-6  # added to the sum that sigmoid's weights are divided by
BLOCKS, SCALES = "_blocks", "_scales"  # what MXFP4 stores in place of a tensor
