"""A language model's weights as its description names them, read from safetensors in pieces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgepack import weights
from edgepack.arrays import Array
from edgepack.decoders import Decoder, _accounting, _biases, arrangement
from edgepack.decoders._accounting import ACTIVATION_NUMBERS
from edgepack.decoders.altup_weights import AltUpWeights
from edgepack.decoders.expert_weights import ExpertWeights
from edgepack.decoders.linear_weights import LinearWeights
from edgepack.decoders.matrix import Matrix, finite
from edgepack.errors import DamagedWeights, UnsupportedModel
from edgepack.weights import Stored
from edgepack.weights.lora import Adapter

_HALF = 0.5
_AGAIN = "the checkpoint and its config.json do not belong together, or a file is missing"


class Checkpoint:
    """The weights of ``decoder`` in ``folder``, with those of an ``adapter`` added as they are read.

    A head that differs from the embedding is a head of its own, whatever config.json says of tying, as in
    transformers. Raises ModelError for names under a wrapper's prefix, and DamagedWeights where a tensor is missing,
    has another shape than the config demands, or is one that the description has no place for.
    """

    def __init__(self, folder: Path, decoder: Decoder, adapter: Path | None = None) -> None:
        self._stored = {tensor.name: tensor for file in weights.files(folder) for tensor in weights.tensors(file)}
        self._prefix = _accounting.prefix(decoder, self._stored)
        _accounting.check(decoder, self._stored, self._prefix)
        _biases.check(decoder, self._stored, self._prefix)
        self.decoder = self._untied(decoder)
        if adapter is not None:
            self._stored = self._merged(Adapter.read(adapter))

    def _untied(self, decoder: Decoder) -> Decoder:
        own = next((f"{name}.weight" for name in decoder.names.heads if f"{name}.weight" in self._stored), None)
        embedding = self._stored[f"{self._prefix}{decoder.names.embedding}.weight"]
        apart = decoder.tied and own is not None and not _accounting.same(self._stored[own], embedding)
        return replace(decoder, tied=False) if apart else decoder

    def _merged(self, adapter: Adapter) -> dict[str, Stored]:
        """Return the tensors with the adapter's. Raises ModelError, UnsupportedModel."""
        d = self.decoder
        heads = {f"{name}.weight" for name in d.names.heads} - set(self._stored)
        named = [*adapter.replaced, *(f"{module}.weight" for module in adapter.updates)]
        absent = next((name for name in named if name in heads), None)
        if d.tied and absent:
            raise _unclear(absent)
        changed = adapter.onto(self._stored, self._named, self._by_inputs)
        ends = [f"{self._prefix}{d.names.embedding}.weight", *(f"{name}.weight" for name in d.names.heads)]
        touched = next((name for name in ends if changed.get(name) is not self._stored.get(name)), None)
        if d.tied and touched:
            raise _unclear(touched)
        return changed

    def _named(self, name: str) -> str | None:
        """Return the stored name of a tensor that an adapter names, whose model class may put another prefix before
        it.
        """
        prefixes = sorted(self.decoder.names.prefixes, key=len, reverse=True)
        bare = next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
        return next((found for found in (name, self._prefix + bare) if found in self._stored), None)

    def _by_inputs(self, name: str) -> bool:
        """Return whether a weight is stored as [in, out]: embeddings, whose inputs are ids, and GPT-2's layers."""
        listed = self.decoder.names
        tables = (listed.embedding, listed.positions, listed.layer_inputs)
        embeddings = {f"{self._prefix}{path}.weight" for path in tables}
        heads = {f"{path}.weight" for path in listed.heads}
        return name in embeddings or (self.decoder.transposed and name not in heads)

    def check(self) -> None:
        """Look at the name and shape of every weight, and read the small ones. Raises DamagedWeights."""
        d = self.decoder
        self.embedding(), self.positions(), self.head()
        if d.names.final:
            self.norm(d.names.final)
        for layer in range(d.layers):
            linear = self.linear(layer)
            if linear:
                linear.check()
            elif d.at(layer).convolution:
                self.conv_in(layer), self.conv_kernel(layer), self.conv_out(layer)
            else:
                self.qkv(layer), self.o_proj(layer), self.sinks(layer)
            experts = self.experts(layer)
            if experts:
                experts.router(layer), experts.gate_up(layer), experts.down(layer), experts.biases(layer)
                experts.correction(layer), experts.router_norm(layer), experts.shared(layer)
            if experts is None or experts.experts.beside:
                self.gate_up(layer), self.down(layer)
            for path in d.at(layer).names.norms:
                self.norm(path, layer)
            if d.layer_width:
                self.input_gate(layer), self.input_projection(layer)
            if d.laurel_rank:
                self.laurel_down(layer), self.laurel_up(layer)
            if d.names.layer_scale:
                self.layer_scale(layer)
        if self.altup:
            self.altup.check(d.layers)
        if d.layer_width:
            self.layer_inputs(), self.layer_inputs_projection(), self.norm(d.names.layer_inputs_norm)

    def embedding(self) -> Matrix:
        """Return [vocabulary, the embedding's width]."""
        return self._matrix((self._prefix + self.decoder.names.embedding,), (self.decoder.vocabulary, self._width))

    def positions(self) -> Matrix | None:
        """Return [context, hidden], where positions are learned."""
        d = self.decoder
        if not d.names.positions:
            return None
        stored = self._matrix((self._prefix + d.names.positions,), (d.first_position + d.context, d.hidden))
        return replace(stored, skipped=d.first_position)

    def head(self) -> Matrix:
        """Return [vocabulary, the embedding's width]: the embedding where the two are tied."""
        d = self.decoder
        for name in () if d.tied else d.names.heads:
            if f"{name}.weight" in self._stored:
                return self._matrix((name,), (d.vocabulary, self._width))
        if d.tied:
            bias = self._vector(f"{d.names.heads[0]}.bias", d.vocabulary) if "head" in d.biases else None
            return replace(self.embedding(), bias=bias)
        raise DamagedWeights(f"the weights lack {d.names.heads[0]}.weight", hint=_AGAIN)

    def project_in(self) -> Matrix | None:
        """Return [hidden, the embedding's width], where the embedding has a width of its own."""
        d = self.decoder
        return (
            self._matrix((self._prefix + d.names.project_in,), (d.hidden, self._width)) if d.names.project_in else None
        )

    def project_out(self) -> Matrix | None:
        """Return [the embedding's width, hidden], where the head has a width of its own."""
        d = self.decoder
        if not d.names.project_out:
            return None
        return self._matrix((self._prefix + d.names.project_out,), (self._width, d.hidden))

    @property
    def _width(self) -> int:
        return self.decoder.embedding_width or self.decoder.hidden

    def qkv(self, layer: int) -> Matrix:
        """Return query, key, value and gate below each other, so far as the layer has them, [qkv_dim + gate_dim,
        hidden].
        """
        d = self.decoder.at(layer)
        alike = 1 if d.values_are_keys else 2
        return self._layer(layer, d.names.qkv, (d.qkv_dim + d.gate_dim, d.hidden), arrangement.rows(d), alike)

    def o_proj(self, layer: int) -> Matrix:
        """Return [hidden, q_dim], with the branch's scale."""
        d = self.decoder.at(layer)
        return self._scaled(self._layer(layer, (d.names.o_proj,), (d.hidden, d.q_dim)))

    def conv_in(self, layer: int) -> Matrix:
        """Return what makes a convolution's gates and what it mixes: the gate before it, the one behind it, its input,
        [3 hidden, hidden].
        """
        d = self.decoder.at(layer)
        return self._layer(layer, (d.names.conv_in,), (3 * d.hidden, d.hidden))

    def conv_kernel(self, layer: int) -> tuple[Array, Array | None]:
        """Return the weight of each token that a convolution mixes, the latest last, float32 [hidden, convolution],
        and the bias [hidden].
        """
        d = self.decoder.at(layer)
        path = self._prefix + d.names.conv_kernel.format(i=layer)
        weight = self._vector(f"{path}.weight", d.hidden, 1, d.convolution)[:, 0]
        return weight, self._vector(f"{path}.bias", d.hidden) if f"{path}.bias" in self._stored else None

    def conv_out(self, layer: int) -> Matrix:
        """Return [hidden, hidden], with the branch's scale."""
        d = self.decoder.at(layer)
        return self._scaled(self._layer(layer, (d.names.conv_out,), (d.hidden, d.hidden)))

    def linear(self, layer: int) -> LinearWeights | None:
        """Return the weights of linear attention; None where ``layer`` has none."""
        d = self.decoder
        found = d.at(layer).linear
        return LinearWeights(self._stored, self._prefix, found, layer, d.hidden, d.branch_scale) if found else None

    def gate_up(self, layer: int) -> Matrix:
        """Return [2 intermediate, hidden], gate above up, or [intermediate, hidden]."""
        d = self.decoder.at(layer)
        return self._layer(layer, d.names.gate_up, (d.intermediate * (2 if d.gated else 1), d.hidden))

    def down(self, layer: int) -> Matrix:
        """Return [hidden, intermediate], with the branch's scale."""
        d = self.decoder.at(layer)
        return self._scaled(self._layer(layer, (d.names.down,), (d.hidden, d.intermediate)))

    def experts(self, layer: int) -> ExpertWeights | None:
        """Return the experts of ``layer``; None where it has the usual feed-forward layer alone."""
        d, found = self.decoder, self.decoder.experts_of(layer)
        if found is None:
            return None
        return ExpertWeights(self._stored, self._prefix, found, d.hidden, d.branch_scale * found.scale)

    @property
    def altup(self) -> AltUpWeights | None:
        """The weights of residuals beside each other, where there are some."""
        found = self.decoder.altup
        return AltUpWeights(self, found, self.decoder.hidden) if found else None

    def sinks(self, layer: int) -> Array | None:
        """Return the score by head that no key has, float32 [heads], where there are some."""
        d = self.decoder
        return self._vector(self._prefix + d.names.sinks.format(i=layer), d.heads) if d.names.sinks else None

    def layer_inputs(self) -> Matrix:
        """Return the embedding whose rows hold a vector for each layer, [vocabulary, layers * layer_width], scaled.

        The vectors are the mean of two of one length, hence the root of a half (in the norm of the other one, too).
        """
        d = self.decoder
        rows = d.layer_rows or d.vocabulary
        found = self._matrix((self._prefix + d.names.layer_inputs,), (rows, d.layers * d.layer_width))
        return replace(found, scale=(d.layer_width * _HALF) ** 0.5)

    def layer_inputs_projection(self) -> Matrix:
        """Return what makes the other half of those vectors of the embedding, [layers * layer_width, hidden]."""
        d = self.decoder
        path = self._prefix + d.names.layer_inputs_projection
        return replace(self._matrix((path,), (d.layers * d.layer_width, d.hidden)), scale=d.hidden**-0.5)

    def input_gate(self, layer: int) -> Matrix:
        """Return [layer_width, hidden]."""
        d = self.decoder
        return self._layer(layer, (d.names.input_gate,), (d.layer_width, d.hidden))

    def input_projection(self, layer: int) -> Matrix:
        """Return [hidden, layer_width]."""
        d = self.decoder
        return self._layer(layer, (d.names.input_projection,), (d.hidden, d.layer_width))

    def laurel_down(self, layer: int) -> Matrix:
        """Return [laurel_rank, hidden]."""
        d = self.decoder
        return self._layer(layer, (d.names.laurel_down,), (d.laurel_rank, d.hidden))

    def laurel_up(self, layer: int) -> Matrix:
        """Return [hidden, laurel_rank]."""
        d = self.decoder
        return self._layer(layer, (d.names.laurel_up,), (d.hidden, d.laurel_rank))

    def product(self, paths: tuple[str, ...], shape: tuple[int, int], layer: int = 0) -> Matrix:
        """Return the weights of modules below each other, whose ``shape`` together is known."""
        return self._layer(layer, paths, shape)

    def numbers(self, name: str, *shape: int, layer: int = 0) -> Array:
        """Return the tensor of a whole ``name``, float32 of that shape."""
        return self._vector(self._prefix + name.format(i=layer), *shape)

    def layer_scale(self, layer: int) -> float:
        """Return the number that the residual after ``layer`` is multiplied by."""
        return float(self.numbers(self.decoder.names.layer_scale, 1, layer=layer)[0])

    def activation(self, layer: int) -> dict[str, float]:
        """Return the numbers of the activation of ``layer``, where it has some of its own."""
        path = self._prefix + self.decoder.names.activation.format(i=layer)
        found = ((name, self._tensor(f"{path}.{name}")) for name in ACTIVATION_NUMBERS)
        numbers = {name: weights.read(replace(stored, shape=(1,))) for name, stored in found}  # some have no side
        return {name: float(finite(number, path)[0]) for name, number in numbers.items()}

    def norm(self, path: str, layer: int = 0) -> tuple[Array | None, Array | None]:
        """Weight (the description's offset added) and bias of the norm at ``path``, float32; None for what it lacks.

        Both are [width]; of queries and keys [head], [heads, head] where each head has its own, or [heads * head] of a
        norm over all. The final one's have the scale of the logits.
        """
        d = self.decoder
        if d.norm.plain:
            return None, None
        weight = self._norm_part(path, layer, "weight")
        assert weight is not None  # it is read or an error
        weight = weight + np.float32(d.norm.offset)
        bias = self._norm_part(path, layer, "bias")
        scale = {d.names.final: d.logits_scale, d.names.layer_inputs_norm: _HALF**0.5}.get(path, 1.0) if path else 1.0
        if scale != 1.0:
            weight = weight * np.float32(scale)
            bias = None if bias is None else bias * np.float32(scale)
        return weight, bias

    def _norm_part(self, path: str, layer: int, part: str) -> Array | None:
        d = self.decoder.at(layer)
        heads = {d.names.query_norm: d.heads, d.names.key_norm: d.kv_heads}.get(path) if path else None
        inner = None if heads is None else arrangement.within(d)
        shape: tuple[int, ...] = (d.layer_width if path and path == d.names.layer_inputs_norm else d.hidden,)
        if heads is not None:
            shape = {"shared": (d.head_dim,), "own": (heads, d.head_dim), "joint": (heads * d.head_dim,)}[d.head_norm]
        names = [f"{self._prefix}{path.format(i=layer, h=head)}.{part}" for head in range(heads or 1)]
        if part == "bias" and names[0] not in self._stored:
            return None
        if "{h}" in path:
            found = np.stack([self._vector(name, d.head_dim) for name in names])
        else:
            found = self._vector(names[0], *shape)
        return found if inner is None else found.reshape(-1, d.head_dim)[:, inner].reshape(shape)

    def _scaled(self, matrix: Matrix) -> Matrix:
        scale = self.decoder.branch_scale
        if scale == 1.0:
            return matrix
        return replace(matrix, scale=scale, bias=None if matrix.bias is None else matrix.bias * np.float32(scale))

    def _layer(self, layer: int, paths: tuple[str, ...], shape: tuple[int, int], order: Array | None = None,
               alike: int = 2) -> Matrix:  # fmt: skip
        names = tuple(self._prefix + path.format(i=layer) for path in paths)
        return self._matrix(names, shape, self.decoder.transposed, order, alike)

    def _matrix(
        self,
        names: tuple[str, ...],
        wanted: tuple[int, int],
        transposed: bool = False,
        order: Array | None = None,
        alike: int = 2,  # of a matrix's last parts, which have as many rows: k and v, gate and up
    ) -> Matrix:
        parts = tuple(self._tensor(f"{name}.weight") for name in names)
        found = Matrix(names[0], parts, None, transposed, order)
        rows, widths = ({part.shape[side:][:1] for part in parts[first:]} for side, first in ((0, -alike), (1, 0)))
        if any(len(part.shape) != 2 for part in parts) or len(rows) + len(widths) > 2 or found.shape != wanted:
            listed = " + ".join(str(list(part.shape)) for part in parts)
            raise DamagedWeights(f"the weight {names[0]}.weight is {listed}; config.json says {wanted}", hint=_AGAIN)
        return replace(found, bias=self._bias(names, found))

    def _bias(self, names: tuple[str, ...], matrix: Matrix) -> Array | None:
        if not any(f"{name}.bias" in self._stored for name in names):
            return None
        rows = [part.shape[1 if matrix.transposed else 0] for part in matrix.parts]
        joined = np.concatenate([self._vector(f"{name}.bias", size) for name, size in zip(names, rows, strict=True)])
        return joined if matrix.order is None else joined[matrix.order]

    def _vector(self, name: str, *shape: int) -> Array:
        """Return float32 of that shape."""
        stored = self._tensor(name)
        if stored.shape != shape:
            raise DamagedWeights(f"{name} is {list(stored.shape)}; config.json says {list(shape)}", hint=_AGAIN)
        return finite(weights.read(stored), name)

    def _tensor(self, name: str) -> Stored:
        if name not in self._stored:
            raise DamagedWeights(f"the weights lack {name!r}", hint=_AGAIN)
        return self._stored[name]


def _unclear(name: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"the adapter changes {name!r}, which this model uses as embedding and as head at once",
        hint="merge it with PEFT and say by tie_word_embeddings which of the two it changes",
    )
