"""Parts of a model that change with the length of a text, of which a traced graph has one form: the angles of rotary
positions, and the tokens that BigBird's attend to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgepack.documents import JsonObject
from edgepack.errors import UnsupportedModel
from edgepack.plans import Plan

# transformers' rope types that turn texts beyond the trained length by other angles, from their first token on
_BY_LENGTH = ("dynamic", "longrope", "su")
_TRAINED = "original_max_position_embeddings"


_BLOCKS = "block_sparse"  # BigBird's attention to a few blocks (Zaheer et al. 2020, section 2)


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for a model whose positions or attention change within the length that the bundle
    takes.
    """
    if plan.processing.text is None:
        return
    longest = plan.processing.text.max_length
    for kind, trained in _changing(plan.config):
        if longest > trained:
            raise UnsupportedModel(
                f"{plan.source.name}: its rope_type {kind!r} has other rotary angles for texts of more than "
                f"{trained:,} tokens, and an exported graph has one set of angles; the bundle would take "
                f"{longest:,} tokens",
                hint=f"--context {trained}",
            )

    whole = _attended(plan.config)
    if whole is not None and longest > whole:
        raise UnsupportedModel(
            f"{plan.source.name}: its attention_type {_BLOCKS!r} leaves tokens out in texts of more than {whole:,} "
            f"tokens, which an exported graph does not; the bundle would take {longest:,} tokens",
            hint=f"--context {whole}",
        )


def _attended(config: JsonObject) -> int | None:
    """Return the length up to which a BigBird attends to all tokens as transformers runs it; None of other models."""
    if config.get("model_type") != "big_bird" or config.get("attention_type", _BLOCKS) != _BLOCKS:
        return None
    return (5 + 2 * int(config.get("num_random_blocks", 3))) * int(config.get("block_size", 64))


def kinds(config: JsonObject) -> str:
    """Name in a clause the model's kinds of rotary positions that are not plain: traces often fail at them."""
    found = {str(table.get("rope_type", table.get("type", ""))) for table in _tables(config)}
    return "".join(f" (its rope_type is {kind!r})" for kind in sorted(found - {"", "default"}))


def _changing(config: JsonObject) -> Iterator[tuple[str, int]]:
    """Yield each rope type that changes with the length, and the length up to which it does not."""
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, Mapping) else {}):
        for table in _tables(part):
            kind = str(table.get("rope_type", table.get("type", "default")))
            limits = (part.get("max_position_embeddings"), part.get(_TRAINED), table.get(_TRAINED))
            known = [limit for limit in limits if isinstance(limit, int)]
            if kind in _BY_LENGTH and known:
                yield kind, min(known)


def _tables(config: JsonObject) -> Iterator[JsonObject]:
    """Yield the table of rotary settings, or one for each kind of layer."""
    for key in ("rope_parameters", "rope_scaling"):
        said = config.get(key)
        if isinstance(said, Mapping):
            yield from (table for table in (said, *said.values()) if isinstance(table, Mapping))
