"""How a decoder's layers are divided among several files where one may not hold them all.

What each file takes is estimated before anything is written, from shapes and the recipe. All layers of a decoder are
alike. The first part has the embedding, the last the final norm and the head; where the two are one matrix, each of
them has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgepack.decoders import Decoder
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.decoders.matrix import Weight
from edgepack.errors import DoesNotFit
from edgepack.formats.coreml.builder.experts import products
from edgepack.formats.coreml.builder.storage import layout
from edgepack.formats.coreml.builder.store import HEADER, room
from edgepack.records import Recipe
from edgepack.units import size

_SMALLER = "choose a recipe with fewer bits, or a smaller model: one matrix cannot be split"


@dataclass(frozen=True)
class Part:
    """The ``layers`` of one package, which is the ``place``-th (from 1 on) of so many in a row."""

    layers: range
    place: int = 1
    of: int = 1

    @property
    def first(self) -> bool:
        """True if it takes ids."""
        return self.place == 1

    @property
    def last(self) -> bool:
        """True if it gives logits."""
        return self.place == self.of

    @property
    def name(self) -> str:
        """ "2-of-3"."""
        return f"{self.place}-of-{self.of}"


@dataclass(frozen=True)
class ShardSizes:
    """Bytes of a weight file."""

    always: int  # in each part: tables, and biases of zeros
    embedding: int  # with learned positions
    layer: int  # where layers differ, their mean
    head: int  # with the final norm
    shared: int  # of the head, where it is the embedding

    def whole(self, layers: int) -> int:
        """Return the size of everything in one file."""
        return self.always + self.embedding + layers * self.layer + self.head - self.shared


def shard(checkpoint: Checkpoint, recipe: Recipe, slots: int, file_limit: int | None) -> tuple[Part, ...]:
    """Return one part, or as few as have no file of more than ``file_limit`` bytes, about as large as each other.

    ``slots`` of a cache are turned by tables. Raises DoesNotFit where a matrix or a layer alone is too large.
    """
    decoder, sizes = checkpoint.decoder, estimate_sizes(checkpoint, recipe, slots)
    if file_limit is None or sizes.whole(decoder.layers) <= file_limit:
        return (Part(range(decoder.layers)),)
    if decoder.own or decoder.layer_width:
        raise DoesNotFit(
            f"{recipe.name} makes {size(sizes.whole(decoder.layers))} of this {decoder.model_type}; a file may hold "
            f"{size(file_limit)}, and its layers read what others have made, so that it cannot be divided",
            hint=_SMALLER,
        )
    fixed = [sizes.always + sizes.embedding, sizes.always + sizes.head]
    for name, taken in (("embedding", fixed[0]), ("head", fixed[1]), ("layer", sizes.always + sizes.layer)):
        if taken > file_limit:
            raise DoesNotFit(
                f"{recipe.name} makes the {name} alone {size(taken)}; a file may hold {size(file_limit)}",
                hint=_SMALLER,
            )
    first, middle, last = ((file_limit - taken) // sizes.layer for taken in (fixed[0], sizes.always, fixed[1]))
    if decoder.names.positions and not first:
        raise DoesNotFit(
            f"{recipe.name} leaves no room for a layer beside the embedding; a file may hold {size(file_limit)}",
            hint=_SMALLER,
        )
    between = max(-(-(decoder.layers - first - last) // middle), 0)
    fixed[1:1] = [sizes.always] * between
    return _balanced(decoder.layers, fixed, sizes.layer, least=1 if decoder.names.positions else 0)


def _balanced(layers: int, fixed: list[int], layer: int, *, least: int) -> tuple[Part, ...]:
    """Return one layer after the other to the part that is smallest so far; the first has ``least`` of them.

    Where there is place for a layer at all, there is some in the smallest part.
    """
    counts = [0] * len(fixed)
    counts[0] = least
    for _ in range(layers - least):
        taken = [start + count * layer for start, count in zip(fixed, counts, strict=True)]
        counts[taken.index(min(taken))] += 1
    begins = [sum(counts[:place]) for place in range(len(counts) + 1)]
    return tuple(Part(range(begins[place], begins[place + 1]), place + 1, len(counts)) for place in range(len(counts)))


def estimate_sizes(checkpoint: Checkpoint, recipe: Recipe, slots: int) -> ShardSizes:
    """Return the room that each piece of the model takes; of vectors and tables, the most that it can be."""
    d = checkpoint.decoder
    embedding, positions, head = checkpoint.embedding(), checkpoint.positions(), checkpoint.head()
    whole: list[tuple[str, Weight]] = []
    if d.layer_width:
        whole = [("layer_inputs", checkpoint.layer_inputs()), ("o_proj", checkpoint.layer_inputs_projection())]
    if checkpoint.altup:
        whole += [("altup_in", checkpoint.altup.enter()), *(("altup_out", one) for one in checkpoint.altup.leave())]

    def taken(role: str, matrix: Weight) -> int:
        return layout(matrix.shape, role, recipe, tied=d.tied).room

    first = [number for number in range(d.layers) if d.experts_of(number)][:1]
    kinds = [_products(checkpoint, number) for number in (range(d.layers) if d.own else sorted({0, *first}))]
    layer = [part for one in kinds for part in one]
    norm = 2 * room("float32", (d.hidden,))
    projections = [checkpoint.project_in(), checkpoint.project_out()]
    before, after = (taken("embedding", matrix) + _biases([matrix]) if matrix else 0 for matrix in projections)
    of_heads = {d.names.query_norm, d.names.key_norm}
    shapes = [d.at(layer) for layer in range(d.layers if d.own else 1)]
    kernel = max(room("float32", (d.hidden, 1, shape.convolution)) for shape in shapes) + room("float32", (d.hidden, 1))
    widest = max(shape.head_dim for shape in shapes)
    normed = room("float32", (d.heads + max(shape.kv_heads for shape in shapes), 1, widest))
    turning = 2 * room("float32", (slots, widest)) * sum(rotary is not None for rotary in (d.rotary, d.local_rotary))
    summed = [sum(taken(role, matrix) for role, matrix in one) for one in kinds]
    table = taken("embedding", embedding)
    embedding_norm = norm if d.names.embedding_norm else 0
    return ShardSizes(
        always=HEADER + room("int32", (slots,)) + turning + _biases([m for _, m in layer if m.bias is None]),
        embedding=table
        + (taken("positions", positions) if positions else 0)
        + before
        + embedding_norm
        + sum(taken(role, matrix) for role, matrix in whole),
        layer=(-(-sum(summed) // len(summed)) if d.own else max(summed))
        + _biases([m for _, m in layer if m.bias is not None])
        + _beside_experts(d)
        + _between_residuals(d)
        + norm * sum(path not in of_heads for path in d.names.norms)
        + (normed if d.names.query_norm else 0)
        + (kernel if d.convolving else 0),
        head=norm + taken("head", head) + _biases([head]) + after,
        shared=table if d.tied else 0,
    )


def _products(checkpoint: Checkpoint, layer: int) -> list[tuple[str, Weight]]:
    """Return the products of a layer with their roles."""
    found = checkpoint.experts(layer)
    listed: list[tuple[str, Weight]]
    if checkpoint.decoder.at(layer).convolution:
        listed = [("conv_in", checkpoint.conv_in(layer)), ("conv_out", checkpoint.conv_out(layer))]
    else:
        listed = [("qkv", checkpoint.qkv(layer)), ("o_proj", checkpoint.o_proj(layer))]
    if found is None or found.experts.beside:
        listed += [("gate_up", checkpoint.gate_up(layer)), ("down", checkpoint.down(layer))]
    if found:
        inner, outer = products(found, layer)
        listed += [("gate_up", inner), ("down", outer)]
    if checkpoint.decoder.laurel_rank:
        listed += [("laurel_down", checkpoint.laurel_down(layer)), ("laurel_up", checkpoint.laurel_up(layer))]
    if checkpoint.decoder.layer_width:
        listed += [("gate_up", checkpoint.input_gate(layer)), ("down", checkpoint.input_projection(layer))]
    return listed


def _beside_experts(decoder: Decoder) -> int:
    """Return the room of a router, of its experts' last biases, and of the sinks of a layer."""
    found, sinks = decoder.experts, room("float16", (decoder.heads,)) if decoder.names.sinks else 0
    if found is None:
        return sinks
    wide = room("float32", (found.count, decoder.hidden))
    return sinks + wide + (wide + room("float32", (found.count,)) if found.biased else 0)


def _between_residuals(decoder: Decoder) -> int:
    """Return the room of what decides on residuals beside each other in a layer."""
    if decoder.altup is None:
        return 0
    count = decoder.altup.count
    shapes = ((count, decoder.hidden), (count * count, count), (count, count), (decoder.hidden,))
    return sum(room("float32", shape) for shape in shapes)


def _biases(matrices: Iterable[Weight]) -> int:
    return sum(room("float16", (matrix.shape[0],)) for matrix in matrices)
