"""The names of stored tensors: what training tools put before them, and which tensors no model computes with."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from edgepack.errors import DamagedWeights, ModelError, UnsupportedModel

# What torch.compile, FSDP and activation checkpointing put into a name, anywhere.
_INSIDE = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What wraps a whole model, by who writes it.
_WRITERS = {
    "_orig_mod.": "torch.compile", "_fsdp_wrapped_module.": "FSDP", "_checkpoint_wrapped_module.": "checkpointing",
    "module.": "DataParallel", "base_model.model.": "PEFT", "pretrained_model.": "TRL",
    "0.auto_model.": "sentence-transformers", "auto_model.": "sentence-transformers",
}  # fmt: skip
_RENAME = (
    'take it off: python -c "import glob; from safetensors.torch import load_file, save_file; '
    "[save_file({{k.replace('{prefix}', '', 1): v for k, v in load_file(f).items()}}, f, {{'format': 'pt'}}) "
    "for f in glob.glob('model*.safetensors')]\" in the folder, and the same in an index file"
)
# Buffers that older releases saved, which the model computes anew.
BUFFERS = re.compile(
    r"(?:^|\.)(?:rotary_emb\.(?:inv_freq|cos_cached|sin_cached)|rotary_pos_emb\.inv_freq|masked_bias|position_ids|"
    r"attn\.bias|attention\.bias|attn\.masked_bias|embeddings\.token_type_ids|num_batches_tracked)$"
)


def check_merged(names: Iterable[str]) -> None:
    """Raises UnsupportedModel for weights that hold an adapter beside what it changes."""
    adapter = next((name for name in names if re.search(r"\.lora_(embedding_)?[AB]\b", name)), None)
    if adapter:
        raise UnsupportedModel(
            f"the weights hold an adapter that is not merged ({adapter})",
            hint="merge it before saving: model.merge_and_unload().save_pretrained(folder)",
        )


def check_wrapped(names: Iterable[str], anchors: Container[str], families: Container[str] = ()) -> None:
    """Raises ModelError where ``anchors`` (names of the model's own tensors) are found under a wrapper's prefix alone.

    transformers finds none of the weights then, and goes on with random ones. The hint takes the prefix off. Raises
    DamagedWeights where it is one of ``families``, by which transformers calls another architecture's encoder.
    """
    listed = list(names)
    inner = next((match[0] for name in listed if (match := _INSIDE.search(name))), "")
    plain = [_INSIDE.sub("", name) for name in listed]
    prefix = _prefix([name for name in plain if name not in anchors], anchors)
    for found in filter(None, (inner, prefix)):
        if found.removesuffix(".") in families:
            raise DamagedWeights(
                f"the weights' names begin with {found!r}, as a {found.removesuffix('.')} has them; config.json is "
                "another model's",
                hint="take the config.json that was saved with the weights",
            )
        raise ModelError(
            f"the weights' names carry {found!r}, which {_WRITERS.get(found, 'another tool')} puts there; "
            "transformers finds no weight under them",
            hint=_RENAME.format(prefix=found),
        )


def without_inner(name: str) -> str:
    """Return ``name`` without what wrappers put inside of it."""
    return _INSIDE.sub("", name)


def _prefix(names: Sequence[str], anchors: Container[str]) -> str:
    """Return the shortest prefix that most of ``names`` have and under which one of them is an anchor, or ""."""
    for name in names:
        ends = [match.end() for match in re.finditer(r"\.", name)]
        found = next((name[:end] for end in ends if name[end:] in anchors), "")
        if found and 2 * sum(other.startswith(found) for other in names) > len(names):
            return found
    return ""


def unexpected(name: str, what: str) -> DamagedWeights:
    """Return the error for a tensor that ``what`` has no place for."""
    return DamagedWeights(
        f"the weights hold {name!r}, which {what} has no place for",
        hint="a weight that is ignored would change the answers: correct config.json, or remove the tensor from a copy",
    )
