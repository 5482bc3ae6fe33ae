"""What a request leads to: each target with each recipe, their names, and the memory that each is reckoned to need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepack import fit
from edgepack import targets as targets_
from edgepack.data import DataSpec
from edgepack.errors import ProjectError, UsageError
from edgepack.records import Recipe, Source, Target
from edgepack.stages import convert
from edgepack.toml_file import check_types

_USEFUL_CONTEXT = 2048  # tokens: a recipe that leaves less gives way to a coarser one that leaves them
_SEARCHED = "mixed"  # the scheme whose recipe is searched for a size


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to build."""

    model: str
    targets: tuple[str, ...]
    recipes: tuple[str, ...] = ()  # none: the target's default for the model
    task: str | None = None
    adapter: str | None = None  # a LoRA to merge into the model
    out: Path = Path("dist")
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibration: DataSpec | None = None
    evaluation: DataSpec | None = None
    context: int | None = None  # tokens of a language model's bundle; None: as is usual
    lengths: tuple[int, ...] = ()  # numbers of tokens that a model takes; none: any
    max_size: int | None = None  # bytes of a model whose weights each get the form that fits best
    fit: bool = False  # the finest recipe and the longest context that fit, where none is asked for
    allow_loss: bool = False
    original: str = ""  # "transformers": language models too are compared with transformers itself
    allow_unread: bool = False  # go on where config.json has settings that nobody understood
    measure_speed: bool = True
    force: bool = False  # replace in ``out`` what is not edgepack's


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One bundle that a request leads to, and the memory that it is reckoned to need."""

    name: str
    target: Target
    recipe: Recipe
    processing: Mapping[str, Any]
    need: fit.Estimate

    @property
    def fits(self) -> bool:
        """Whether the target has the memory."""
        return self.need.total <= self.target.profile.memory


def check_names(request: Request) -> None:
    """Misspelt names are told before a model is downloaded. Raises UnknownName."""
    for name in request.targets:
        target = targets_.load(name)
        for recipe in request.recipes:
            targets_.recipe(target, recipe)


def plans(request: Request, source: Source, task: ModuleType, config: Mapping[str, Any]) -> list[Plan]:
    """Each target with each recipe, the project's numbers in place of the target's.

    Raises UnsupportedModel where a target cannot run the model, UsageError for a recipe that it has no form for.
    """
    whole = task.processing(source.path, config)
    plans = []
    for name in dict.fromkeys(request.targets):
        target = targets_.load(name)
        convert.check(target, task, config)
        recipes = [_numbered(recipe, request) for recipe in _recipes(request, target, source)]
        sizes = [request.context] if request.context or not request.fit else task.contexts(whole)
        candidates = [
            _plan(
                source,
                target,
                recipe,
                config,
                convert.processing(target, task.limited(task.sized(whole, size), recipe.lengths)),
            )
            for recipe in convert.takes(target, task, recipes, strict=not request.fit)
            for size in sizes
        ]
        plans += [_finest(candidates)] if request.fit else candidates
    return plans


def bundle_name(source: Source, target: Target, recipe: Recipe) -> str:
    """model-target, with the profile and the recipe where they are not the target's defaults."""
    parts = [source.name, target.name]
    if target.profile.name != target.profiles[0]:
        parts.append(target.profile.name)
    if recipe.name != target.recipe_for(source).name:
        parts.append(recipe.name)
    return "-".join(parts)


def _recipes(request: Request, target: Target, source: Source) -> list[Recipe]:
    """Those that are asked for; with a size, the one that is searched; else the target's, or with --fit all.

    Raises UsageError where a search lacks its size, or the size a search.
    """
    offered = target.recipes_of(source.task)
    searched = [recipe for recipe in offered.values() if recipe.scheme == _SEARCHED]
    if request.max_size is not None:
        if request.recipes or not searched:
            why = "beside --recipe" if request.recipes else f"for {target.name}, whose recipes have one form for all"
            raise UsageError(
                f"there is no --max-size {why}", hint="it searches a form for each weight: --target iphone"
            )
        return [replace(recipe, max_bytes=request.max_size) for recipe in searched]
    if request.recipes:
        named = [targets_.recipe(target, recipe, source.task) for recipe in dict.fromkeys(request.recipes)]
        if any(recipe.scheme == _SEARCHED for recipe in named):
            raise UsageError("the recipe mixed is searched for a size", hint="--max-size 25MB in its place")
        return named
    return [r for r in offered.values() if r not in searched] if request.fit else [target.recipe_for(source)]


def _plan(
    source: Source, target: Target, recipe: Recipe, config: Mapping[str, Any], processing: Mapping[str, Any]
) -> Plan:
    need = fit.estimate(source, recipe, config, processing)
    return Plan(
        name=bundle_name(source, target, recipe), target=target, recipe=recipe, processing=processing, need=need
    )


def _finest(candidates: Sequence[Plan]) -> Plan:
    """The finest recipe that fits with a context that is of use, then the longest context that fits with it."""

    def fineness(plan: Plan) -> tuple[bool, int, int, int, int]:
        recipe, context = plan.recipe, int(plan.processing.get("max_length", 0))
        fine = (recipe.weight_bits, recipe.embedding_bits, -recipe.block_size)
        return (context >= _USEFUL_CONTEXT, *fine, context)

    fitting = [plan for plan in candidates if plan.fits]
    # where none fits, the smallest is told, with its arithmetic
    return max(fitting, key=fineness) if fitting else min(candidates, key=lambda plan: plan.need.total)


def _numbered(recipe: Recipe, request: Request) -> Recipe:
    """With the project's numbers, and the lengths that are asked for."""
    values = request.overrides.get(recipe.name, {})
    unknown = set(values) - set(asdict(recipe))
    if unknown:
        raise ProjectError(f"a recipe has no {min(unknown)!r}", hint=f"it has {', '.join(asdict(recipe))}")
    check_types(dict(values), targets_.RECIPE_TYPES, f"the recipe {recipe.name}", ProjectError)
    numbers: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    own = replace(recipe, **numbers)
    return replace(own, lengths=tuple(sorted(set(request.lengths or own.lengths))))
