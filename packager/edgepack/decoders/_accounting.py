"""Every tensor of a language model's checkpoint is used by its description, or known to change nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from edgepack.decoders import Decoder
from edgepack.errors import DamagedWeights
from edgepack.weights import Stored, names

_PART = 1 << 24  # bytes that are compared at once
# Parts of published checkpoints that the language model does not run: gemma 3's images, a trainer's value head.
ACTIVATION_NUMBERS = ("alpha_p", "alpha_n", "beta", "eps")  # xIELU's, by transformers' names
_BESIDE = re.compile(r"(?:^|\.)(?:vision_tower|audio_tower|embed_vision|embed_audio|multi_modal_projector)\.|^v_head\.")


def prefix(decoder: Decoder, stored: Mapping[str, Stored]) -> str:
    """Return what stands before the description's paths in ``stored``.

    Raises ModelError where another tool's prefix does, DamagedWeights where there is no embedding.
    """
    listed = decoder.names
    names.check_merged(stored)
    anchors = [f"{lead}{listed.embedding}.weight" for lead in listed.prefixes]
    names.check_wrapped(stored, anchors)
    found = next((lead for lead, name in zip(listed.prefixes, anchors, strict=True) if name in stored), None)
    if found is None:
        raise DamagedWeights(
            f"the weights lack {anchors[0]!r}; the first that they hold is {min(stored, default='none')!r}",
            hint="the checkpoint and its config.json do not belong together, or a file is missing",
        )
    return found


def check(decoder: Decoder, stored: Mapping[str, Stored], lead: str) -> None:
    """Raises DamagedWeights for the first tensor that the description has no place for."""
    known = set(_paths(decoder, lead))
    numbers = {*_numbers(decoder, lead), *_expert_tensors(decoder, stored, lead)}
    numbers |= {lead + name for layer, linear in decoder.recurring.items() for name in linear.tensors(layer)}
    for name, tensor in stored.items():
        path, _, kind = name.rpartition(".")
        buffer = names.BUFFERS.search(name) and not (path in known and len(tensor.shape) == 1)
        read = (path in known and kind in {"weight", "bias"}) or name in numbers
        beside = _BESIDE.search(name) or name.startswith(decoder.names.beside)
        if not read and not buffer and not beside:
            layer = re.match(rf"{re.escape(lead)}\w+\.(\d+)\.", name)
            if layer and int(layer[1]) >= decoder.layers:
                raise DamagedWeights(
                    f"the weights hold more than the {decoder.layers} layers of config.json ({name})",
                    hint="the checkpoint and its config.json do not belong together",
                )
            raise names.unexpected(name, f"the {decoder.model_type} of config.json")


def same(first: Stored, second: Stored) -> bool:
    """Return whether two tensors hold the same bytes."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    maps = [np.memmap(tensor.file, np.uint8, "r", tensor.offset, (tensor.bytes,)) for tensor in (first, second)]
    return all(
        np.array_equal(maps[0][start : start + _PART], maps[1][start : start + _PART])
        for start in range(0, first.bytes, _PART)
    )


def _paths(decoder: Decoder, lead: str) -> Iterator[str]:
    """Yield the modules whose weights (and biases) the description reads."""
    listed, norms = decoder.names, not decoder.norm.plain
    yield from listed.heads
    altup = decoder.altup
    whole = (
        listed.embedding, listed.positions, listed.project_in, listed.project_out, listed.layer_inputs,
        listed.layer_inputs_projection, *((*altup.enter, *altup.leave) if altup else ()),
    )  # fmt: skip
    normed = (listed.final, listed.embedding_norm, listed.layer_inputs_norm) if norms else ()
    for path in filter(None, (*whole, *normed)):
        yield lead + path
    for i in range(decoder.layers):
        # a layer that reads another's keys may have some of its own, which nobody looks at
        own = listed if decoder.at(i).reads is not None else decoder.at(i).names
        ends = (own.o_proj, own.down, own.input_gate, own.input_projection)
        between = altup.paths if altup else ()
        mixing = (own.conv_in, own.conv_kernel, own.conv_out, own.laurel_down, own.laurel_up, *between)
        for path in filter(None, (*own.qkv, *own.gate_up, *ends, *mixing, *(own.norms if norms else ()))):
            yield from (lead + path.format(i=i, h=head) for head in range(decoder.heads if "{h}" in path else 1))


def _expert_tensors(decoder: Decoder, stored: Mapping[str, Stored], lead: str) -> Iterator[str]:
    """Yield the names of the experts' tensors, in the form that the checkpoint has."""
    if decoder.experts:
        form = decoder.experts.form(stored, lead)
        for layer in range(decoder.layers):
            if decoder.experts_of(layer):
                yield from (lead + name for name in decoder.experts.tensors(form, layer))


def _numbers(decoder: Decoder, lead: str) -> Iterator[str]:
    """Yield the names of numbers by themselves: those of activations, of sinks, and a layer's scale."""
    if decoder.names.sinks:
        yield from (lead + decoder.names.sinks.format(i=i) for i in range(decoder.layers))
    for name in filter(None, (decoder.names.layer_scale, decoder.altup.scale if decoder.altup else "")):
        yield from (lead + name.format(i=i) for i in range(decoder.layers))
    if decoder.names.activation:
        for i in range(decoder.layers):
            yield from (f"{lead}{decoder.names.activation.format(i=i)}.{name}" for name in ACTIVATION_NUMBERS)
