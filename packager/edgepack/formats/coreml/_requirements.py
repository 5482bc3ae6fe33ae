"""A recipe's requirements of Core ML: whether it can store such weights, and the oldest system that restores them.

Systems are called by their opset, the number of the iOS that brought it; macOS 13 to 15 have the same. Ref.:
coremltools' definitions of the constexpr operators, iOS16/constexpr_ops and iOS18/compression.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgepack.errors import UsageError
from edgepack.records import FINER, Recipe, Target

OLDEST, NEWEST = 16, 18
FLOATS = ("fp32", "fp16")  # the schemes that compress nothing
_HALF = 16  # bits
_NEW = 3  # bits of an index that iOS 16 lacks
Schemes = Mapping[str, tuple[int, ...]]  # the bits of their integers or indices; none: any
_JOINT = ("channels", "blocks", "palette", "sparse")  # may leave values out


def systems(opset: int) -> str:
    """Return those that have ``opset``."""
    return f"iOS {opset}, macOS {opset - 3} or later"


def opset(target: Target, recipe: Recipe, *, states: bool = False) -> int:
    """Return the profile's, or the oldest that has what ``recipe`` needs, and the ``states`` of a language model.

    Raises UsageError where the profile's lacks it.
    """
    needed = NEWEST if states else max(target.opset, oldest(recipe))
    chosen = target.profile.opset or needed
    if chosen < needed:
        older = [r.name for r in target.recipes.values() if r.scheme != "mixed" and oldest(r) <= chosen]
        raise UsageError(
            f"{'language models need' if states else f'the recipe {recipe.name} needs'} iOS {needed} "
            f"(macOS {needed - 3}); the profile {target.profile.name} is for older ones",
            hint=f"--target {target.name}" + ("" if states else f", or one of the recipes {', '.join(older)}"),
        )
    return chosen


def oldest(recipe: Recipe) -> int:
    """Return the oldest opset that restores every weight as ``recipe`` stores it, and takes all of its lengths."""
    bits = (recipe.weight_bits, recipe.embedding_bits)
    palettes = recipe.scheme == "palette" and (recipe.block_size or recipe.table_bits < _HALF or _NEW in bits)
    joint = recipe.sparsity and recipe.scheme != "sparse"
    return NEWEST if recipe.scheme == "blocks" or palettes or joint or len(recipe.lengths) > 1 else OLDEST


def unsupported(recipe: Recipe, schemes: Schemes, *, whose: str, values: tuple[int, ...], sparse: bool) -> str:
    """Say in a clause what ``recipe`` asks for beyond ``schemes``; "" where they have all of it.

    ``values`` are the bits of a palette's values, ``sparse`` whether values may be left out.
    """
    if recipe.scheme not in schemes:
        return f"{whose} the schemes {', '.join(schemes)}"
    known = schemes[recipe.scheme]
    if known and not (_among(recipe.weight_bits, known) and _among(recipe.embedding_bits, (*known, FINER))):
        return f"the scheme {recipe.scheme} has {' or '.join(map(str, known))} bits"
    if recipe.table_bits not in (values if recipe.scheme == "palette" else (_HALF,)):
        return f"{whose} no values of {recipe.table_bits} bits in tables"
    if recipe.sparsity and (not sparse or recipe.scheme not in _JOINT or not 0 <= recipe.sparsity < 1):
        return f"{whose} no weights in {recipe.scheme} that leave out {100 * recipe.sparsity:.0f} %"
    return ""


def _among(bits: int, known: tuple[int, ...]) -> bool:
    return bits > FINER or bits in known
