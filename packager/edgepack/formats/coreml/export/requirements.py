"""What a recipe asks of Core ML: whether there is such a form of a weight, and the oldest system that restores it.

Systems are called by their opset, the number of the iOS that brought it; macOS 13 to 15 have the same. Ref.:
coremltools' definitions of the constexpr operators, iOS16/constexpr_ops and iOS18/compression.
"""

from __future__ import annotations

from edgepack.records import FINER, Recipe

OLDEST, NEWEST = 16, 18
FLOATS = ("fp32", "fp16")  # the schemes that compress nothing
_HALF = 16  # bits
_NEW = 3  # bits of an index that iOS 16 lacks
# the schemes, with the bits of their integers or indices
_SCHEMES = {
    "fp32": (), "fp16": (), "channels": (8,), "blocks": (4, 8), "palette": (1, 2, 3, 4, 6, 8), "sparse": (), "mixed": ()
}  # fmt: skip
_WRITTEN = {"fp16": (), "channels": (8,), "blocks": (4, 8), "palette": (4, 6)}  # those of language models
_JOINT = ("channels", "blocks", "palette", "sparse")  # may leave values out


def opset(recipe: Recipe) -> int:
    """The oldest that restores every form that ``recipe`` gives a weight, and takes all of its lengths."""
    bits = (recipe.weight_bits, recipe.embedding_bits)
    palettes = recipe.scheme == "palette" and (recipe.block_size or recipe.table_bits < _HALF or _NEW in bits)
    joint = recipe.sparsity and recipe.scheme != "sparse"
    return NEWEST if recipe.scheme == "blocks" or palettes or joint or len(recipe.lengths) > 1 else OLDEST


def lacking(recipe: Recipe, *, written: bool) -> str:
    """What ``recipe`` asks for in vain, in a clause, "" where there is all of it. ``written``: of a language model."""
    schemes = _WRITTEN if written else _SCHEMES
    whose = "language models have" if written else "there are"
    if recipe.scheme not in schemes:
        return f"{whose} the schemes {', '.join(schemes)}"
    known = schemes[recipe.scheme]
    if known and not (_among(recipe.weight_bits, known) and _among(recipe.embedding_bits, (*known, FINER))):
        return f"the scheme {recipe.scheme} has {' or '.join(map(str, known))} bits"
    if recipe.table_bits != _HALF and (written or recipe.scheme != "palette" or recipe.table_bits != FINER):
        return f"{whose} no values of {recipe.table_bits} bits in tables"
    if recipe.sparsity and (written or recipe.scheme not in _JOINT or not 0 <= recipe.sparsity < 1):
        return f"{whose} no weights in {recipe.scheme} that leave out {recipe.sparsity:.0%}"
    return ""


def _among(bits: int, known: tuple[int, ...]) -> bool:
    return bits > FINER or bits in known
