"""The rotary embedding that config.json describes, with every number of its scaling, as transformers 5 reads it.

transformers 4 wrote rope_theta, rope_scaling and partial_rotary_factor side by side; transformers 5 joins them in
rope_parameters. A value inside the table goes before one beside it; original_max_position_embeddings beside the table
goes before the one inside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from edgepack.decoders import Rotary
from edgepack.decoders.rotary import check
from edgepack.decoders.settings import CORRECT, SUPPORTED, Settings
from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel

THETA = 10_000.0  # transformers' own base, where a config states none
BOTH = "transformers would leave rope_parameters out, its rope_theta too; write the scaling into rope_parameters"
_KINDS = ("default", "linear", "dynamic", "llama3", "yarn", "longrope", "proportional")
_TRAINED = "original_max_position_embeddings"


def rotary(
    config: Settings,
    head: int,
    *,
    theta: str = "rope_theta",
    usual: float = THETA,
    part: tuple[str, float] | None = None,
    renamed: Mapping[str, str] | None = None,
    absent: JsonObject | None = None,
) -> Rotary:
    """Return the rotary embedding of all layers, whose heads are ``head`` wide.

    ``theta`` is the key of the base beside the table, ``usual`` the class's own base, ``part`` the key and the default
    of the share of each head that turns, for families that have such a share; ``renamed`` are other names for kinds of
    scaling, ``absent`` is the table of a config without one. Raises ModelError, UnsupportedModel.
    """
    table = scaling_table(config) or Settings(absent or {})
    share = ("partial_rotary_factor", 1.0) if part is None else part
    beside = config.get(share[0])
    stated = table.get("partial_rotary_factor", share[1] if beside is None else beside)
    base = config.get(theta)
    if base is None and not (theta == "rope_theta" and theta in config):  # a null, with which transformers computes
        base = usual
    return turning(
        config, table, head, base=base, share=_share(stated), partial=part is not None,
        trained=config.maybe(_TRAINED), renamed=renamed,
    )  # fmt: skip


def scaling_table(config: Settings) -> Settings:
    """Return rope_scaling or rope_parameters; empty where there is neither.

    Raises ModelError where both say something.
    """
    old, new = config.get("rope_scaling"), config.get("rope_parameters")
    for key, value in (("rope_scaling", old), ("rope_parameters", new)):
        if value is not None and not isinstance(value, Settings):
            raise ModelError(f"config.json: {key} is not an object", hint=CORRECT)
    if old and new:
        raise ModelError("config.json has both rope_scaling and rope_parameters", hint=BOTH)
    return old or new or Settings({})


def turning(
    config: Settings,
    table: Settings,
    head: int,
    *,
    base: Json,
    share: float = 1.0,
    partial: bool = False,
    trained: int | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Rotary:
    """Return the rotary embedding of ``table``; ``base``, ``share`` and ``trained`` are what stands beside the table.

    Without ``partial`` the family's layers turn whole heads: transformers does not look at a share where there is no
    scaling, and cannot compute one where there is.
    """
    kind = _kind(table, renamed or {})
    width = int(head * share)
    if kind == "proportional" or (not partial and kind == "default"):
        width = head  # a share of the pairs turns; the frequencies are those of whole heads
    elif not partial and width != head:
        raise UnsupportedModel(
            f"partial_rotary_factor {share} with the rotary scaling {kind!r} is not supported", hint=SUPPORTED
        )
    if width % 2:
        raise UnsupportedModel(f"{width} of {head} dimensions rotate; the number must be even", hint=CORRECT)
    longest = config.integer("max_position_embeddings")
    starts = kind in _SCALINGS and _SCALINGS[kind][1]
    within = table.maybe(_TRAINED)  # without effect on the others
    first = next((length for length in (trained, within) if starts and length is not None), longest)
    found = Rotary(
        base=_positive("rope_theta", table.get("rope_theta", base)),
        width=width,
        scaling={"rope_type": kind} | (_SCALINGS[kind][0](table, first, longest) if kind in _SCALINGS else {}),
        trained=first,
        longest=longest,
    )
    try:
        check(found)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ModelError("config.json: rope_parameters give no finite rotary angles", hint=CORRECT) from error
    return found


def by_kind(
    config: Settings,
    head: int,
    *,
    full: float,
    local: float,
    full_head: int | None = None,
    absent: JsonObject | None = None,
) -> tuple[Rotary, Rotary]:
    """Return the rotary embeddings of the layers that see everything and of those with a window, each with a table of
    its own; ``full`` and ``local`` are their bases where a table has none. Heads are ``head`` wide, those of the former
    ``full_head`` where it is given; ``absent`` are the tables of a config without. Raises ModelError.
    """
    old, new = config.get("rope_scaling"), config.get("rope_parameters")
    if old and new:
        raise ModelError("config.json has both rope_scaling and rope_parameters", hint=BOTH)
    tables = new if isinstance(new, Settings) else Settings(absent or {})

    def table(kind: str) -> Settings:
        found = tables.get(kind)
        return found if isinstance(found, Settings) else Settings({})

    of_full = old if isinstance(old, Settings) else table("full_attention")
    wide = head if full_head is None else full_head
    return turning(config, of_full, wide, base=full), turning(config, table("sliding_attention"), head, base=local)


def _kind(table: Settings, renamed: Mapping[str, str]) -> str:
    older = table.get("type", "default")
    kind = str(table.get("rope_type", older))
    kind = renamed.get(kind, kind)
    if kind not in _KINDS:
        raise UnsupportedModel(f"the rotary scaling {kind!r} is not supported", hint=f"known: {', '.join(_KINDS)}")
    return kind


def _proportional(table: Settings, trained: int, longest: int) -> JsonDict:
    stated, factor = table.get("partial_rotary_factor"), _maybe(table, "factor")
    return {"share": 1.0 if stated is None else _share(stated), "factor": 1.0 if factor is None else factor}


def _linear(table: Settings, trained: int, longest: int) -> JsonDict:
    return {"factor": table.real("factor")}


def _dynamic(table: Settings, trained: int, longest: int) -> JsonDict:
    """Return plain angles: the factor changes them beyond max_position_embeddings alone, which no bundle passes."""
    table.real("factor")
    return {"rope_type": "default"}


def _llama3(table: Settings, trained: int, longest: int) -> JsonDict:
    return {key: table.real(key) for key in ("factor", "low_freq_factor", "high_freq_factor")}


def _yarn(table: Settings, trained: int, longest: int) -> JsonDict:
    factor = longest / trained if table["factor"] is None else table.real("factor")
    scale, all_scale, attention = (_maybe(table, key) for key in ("mscale", "mscale_all_dim", "attention_factor"))
    if attention is None:
        attention = _magnitude(factor, 1.0)
        if scale and all_scale:
            attention = _magnitude(factor, scale) / _magnitude(factor, all_scale)
    fast, slow = _maybe(table, "beta_fast"), _maybe(table, "beta_slow")
    return {
        "factor": factor,
        "attention_factor": attention,
        "beta_fast": fast or 32.0,  # transformers, too, takes 0 for nothing said
        "beta_slow": slow or 1.0,
        "truncate": table.flag("truncate") if "truncate" in table else True,
    }


def _magnitude(factor: float, scale: float) -> float:
    """Return YaRN's factor of the attention (Peng et al. 2023, equation 22)."""
    return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _longrope(table: Settings, trained: int, longest: int) -> JsonDict:
    stated, attention = _maybe(table, "factor"), _maybe(table, "attention_factor")
    factor = longest / trained if stated is None else stated
    if attention is None:
        attention = math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
    return {
        "attention_factor": attention,
        "short_factor": _numbers(table, "short_factor"),
        "long_factor": _numbers(table, "long_factor"),
    }


# The numbers of each kind of scaling, and whether it starts from the length that the model was first trained with.
_SCALINGS = {
    "linear": (_linear, False), "dynamic": (_dynamic, False), "llama3": (_llama3, True), "yarn": (_yarn, True),
    "longrope": (_longrope, True), "proportional": (_proportional, False),
}  # fmt: skip


def _maybe(table: Settings, key: str) -> float | None:
    return None if table.get(key) is None else table.real(key)


def _numbers(table: Settings, key: str) -> list[float]:
    try:
        return [float(value) for value in table[key]]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"config.json: rope_parameters has no list of numbers {key}", hint=CORRECT) from error


def _share(value: Json) -> float:
    share = _positive("partial_rotary_factor", value)
    if share > 1:
        raise ModelError(
            f"config.json: partial_rotary_factor is {share}; 1.0 rotates all dimensions of a head", hint=CORRECT
        )
    return share


def _positive(key: str, value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ModelError(f"config.json: {key} is {json.dumps(value)}, which is not a number above 0", hint=CORRECT)
    return float(value)
