"""The biases that a checkpoint holds are those that its config.json describes.

transformers ignores a bias that the config does not ask for, and makes up one that the file lacks: both mean that the
two do not belong together.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from edgepack.decoders import Decoder
from edgepack.errors import DamagedWeights


def check(decoder: Decoder, stored: Container[str], prefix: str) -> None:
    """Raises DamagedWeights for the first bias of a layer that is missing from ``stored``, or that nobody asked for."""
    for layer in range(decoder.layers):
        for role, path in _paths(decoder):
            name = f"{prefix}{path.format(i=layer)}.bias"
            if (name in stored) != (role in decoder.biases):
                has = "holds" if name in stored else "lacks"
                asks = "asks for none" if name in stored else "asks for it"
                raise DamagedWeights(
                    f"the checkpoint {has} {name!r}, and config.json {asks}",
                    hint="see attention_bias and mlp_bias in config.json; the weights and the config do not agree",
                )


def _paths(decoder: Decoder) -> Iterator[tuple[str, str]]:
    """Yield the role and the path of everything in a layer that could have a bias."""
    names = decoder.names
    roles = {
        "qkv": names.qkv, "o_proj": (names.o_proj,), "gate_up": names.gate_up, "down": (names.down,),
        "norm": (names.norm1, names.norm2, names.after_attention, names.after_mlp, names.query_norm, names.key_norm),
    }  # fmt: skip
    yield from ((role, path) for role, paths in roles.items() for path in paths if path)
