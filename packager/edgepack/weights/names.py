"""The names of stored tensors: what training tools put before them, and which tensors no model computes with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from edgepack.errors import DamagedWeights, UnsupportedModel

T = TypeVar("T")
# What torch.compile, FSDP and activation checkpointing put into a name, anywhere.
_INSIDE = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What wraps a whole model: DataParallel, PEFT, TRL, Lightning, sentence-transformers, another model class.
_WRAPPER = re.compile(
    r"(?:module\.|base_model\.model\.|base_model\.|pretrained_model\.|model\.|0\.auto_model\.|auto_model\.|"
    r"transformer\.|bert\.|roberta\.|distilbert\.|backbone\.|encoder\.|llm\.)+"
)
# Buffers that older releases saved, which the model computes anew.
BUFFERS = re.compile(
    r"(?:^|\.)(?:rotary_emb\.(?:inv_freq|cos_cached|sin_cached)|rotary_pos_emb\.inv_freq|masked_bias|position_ids|"
    r"attn\.bias|attention\.bias|attn\.masked_bias|embeddings\.token_type_ids|num_batches_tracked)$"
)


def without_inner(names: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """``names`` without what wrappers put inside of them, and what that was; "" and the same where there is none."""
    found = next((match[0] for name in names if (match := _INSIDE.search(name))), "")
    return (found, _renamed({name: _INSIDE.sub("", name) for name in names}, names)) if found else ("", dict(names))


def wrappers(names: Iterable[str]) -> list[str]:
    """The prefixes of wrappers that all of ``names`` (or all but a few heads) might carry, the longest first."""
    listed = list(names)
    found = set()
    for name in listed:
        match = _WRAPPER.match(name)
        pieces = re.findall(r"(?:0\.)?[^.]+\.", match[0]) if match else []
        found |= {"".join(pieces[: count + 1]) for count in range(len(pieces))}
    shared = [prefix for prefix in found if sum(name.startswith(prefix) for name in listed) > len(listed) / 2]
    return sorted(shared, key=len, reverse=True)


def without_prefix(names: Mapping[str, T], prefix: str) -> dict[str, T]:
    """``names`` with ``prefix`` left out where they have it. Raises DamagedWeights where two become one."""
    return _renamed({name: name.removeprefix(prefix) for name in names}, names)


def wrapped(names: Mapping[str, T], anchors: Sequence[str]) -> tuple[str, dict[str, T]]:
    """``names`` as one of ``anchors`` (the full names of a tensor that must be there) is found among them.

    Returns what was left out of the names ("" for nothing) and the names without it. Where no anchor is found the
    names stay as they are. Raises UnsupportedModel for an adapter that is not merged, DamagedWeights.
    """
    adapter = next((name for name in names if re.search(r"\.lora_(embedding_)?[AB]\b", name)), None)
    if adapter:
        raise UnsupportedModel(
            f"the weights hold an adapter that is not merged ({adapter})",
            hint="merge it before saving: model.merge_and_unload().save_pretrained(folder)",
        )
    inner, plain = without_inner(names)
    if any(anchor in plain for anchor in anchors):
        return inner, plain
    for anchor in sorted(anchors, key=len, reverse=True):
        leads = {name.removesuffix(anchor) for name in plain if name == anchor or name.endswith(f".{anchor}")}
        known = [lead for lead in leads if not lead or _WRAPPER.fullmatch(lead)]
        if len(known) == 1:
            return inner + known[0], without_prefix(plain, known[0])
    return inner, plain


def unexpected(name: str, what: str) -> DamagedWeights:
    """The error for a tensor that ``what`` has no place for."""
    return DamagedWeights(
        f"the weights hold {name!r}, which {what} has no place for",
        hint="a weight that is ignored would change the answers: correct config.json, or remove the tensor from a copy",
    )


def _renamed(new: Mapping[str, str], names: Mapping[str, T]) -> dict[str, T]:
    seen: dict[str, str] = {}
    for name, short in new.items():
        if short in seen:
            raise DamagedWeights(f"the weights hold {seen[short]!r} and {name!r}, which would both be {short!r}")
        seen[short] = name
    return {new[name]: value for name, value in names.items()}
