"""The biases that a checkpoint holds are those that its config.json describes.

transformers ignores a bias that the config does not ask for, and makes up one that the file lacks: both mean that the
two do not belong together.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from edgepack.decoders import Decoder
from edgepack.errors import DamagedWeights


def check(decoder: Decoder, stored: Container[str], prefix: str) -> None:
    """Raises DamagedWeights for the first bias that is missing from ``stored``, or that nobody asked for."""
    heads = [f"{name}.bias" for name in decoder.names.heads]
    _check(next((name for name in heads if name in stored), heads[0]), stored, asked="head" in decoder.biases)
    for layer in range(decoder.layers):
        for role, path in _paths(decoder.at(layer)):
            _check(f"{prefix}{path.format(i=layer, h=0)}.bias", stored, asked=role in decoder.biases)


def _check(name: str, stored: Container[str], *, asked: bool) -> None:
    if (name in stored) != asked:
        has = "holds" if name in stored else "lacks"
        asks = "asks for none" if name in stored else "asks for it"
        raise DamagedWeights(
            f"the checkpoint {has} {name!r}, and config.json {asks}",
            hint="see attention_bias and mlp_bias in config.json; the weights and the config do not agree",
        )


def _paths(decoder: Decoder) -> Iterator[tuple[str, str]]:
    """Yield the role and the path of everything in a layer that could have a bias."""
    names = decoder.names
    heads = {names.query_norm, names.key_norm}
    roles = {
        "qkv": names.qkv, "o_proj": tuple(filter(None, (names.o_proj,))), "gate_up": names.gate_up,
        "down": (names.down,), "conv": tuple(filter(None, (names.conv_in, names.conv_kernel, names.conv_out))),
        "norm": tuple(path for path in names.norms if path not in heads), "head_norm": tuple(filter(None, heads)),
    }  # fmt: skip
    if decoder.norm.plain:
        del roles["norm"], roles["head_norm"]
    yield from ((role, path) for role, paths in roles.items() for path in paths)
