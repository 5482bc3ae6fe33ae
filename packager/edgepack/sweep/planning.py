"""From a sweep to its units: the models are found, names are checked, and every unit has its digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from edgepack import devices, formats, suites, targets, tasks
from edgepack.errors import ProjectError, UnknownName, UsageError
from edgepack.records import Recipe, Source, Target
from edgepack.stages import plan as planning
from edgepack.stages import resolve
from edgepack.sweep import combinations, digests, needed_memory
from edgepack.sweep._records import BENCH, BUILD, VALIDATE, ModelEntry, Sweep, Unit
from edgepack.sweep.combinations import Combination

FIT = "fit"  # in the place of a recipe that the build chooses


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The units of a sweep, each once, in the order in which they are begun."""

    sweep: Sweep
    units: tuple[Unit, ...]
    duplicates: int  # combinations that were another one's work

    @property
    def devices(self) -> list[str]:
        """The devices that units need."""
        return sorted({unit.device for unit in self.units if unit.device})


def plan(sweep: Sweep) -> Plan:
    """Plan every unit of ``sweep``. Raises ProjectError, UnknownName, ModelError and its kin, MissingExtra."""
    asked = combinations.of(sweep)
    loaded = {one.target: targets.load(one.target) for one in asked}
    by_suite = {suite: digests.of_suite(Path(suite)) for one in asked for suite, _ in one.followers if suite}
    _check_recipes(sweep, asked, loaded.values())
    for device in {device for one in asked for _, device in one.followers if device}:
        devices.find(device)
    found = [unit for one in asked for unit in _units(sweep, one, loaded[one.target], by_suite)]
    units = {unit.digest: unit for unit in found}
    _check_places(units.values())
    return Plan(sweep=sweep, units=tuple(_ordered(units.values())), duplicates=len(found) - len(units))


def _units(sweep: Sweep, one: Combination, target: Target, by_suite: dict[str, str]) -> list[Unit]:
    source = _found(one.entry)
    formats.check_installed(target, tasks.load(source.task))
    recipe = _recipe(sweep, one, target, source)
    build = _build(sweep, one, target, source, recipe)
    return [build, *(_follower(build, one, suite, device, by_suite) for suite, device in one.followers)]


@cache
def _found(entry: ModelEntry) -> Source:
    """Return the model of an entry: looked through and hashed once."""
    return resolve.find(entry.model, task=entry.task, adapters=entry.adapters)


def _recipe(sweep: Sweep, one: Combination, target: Target, source: Source) -> Recipe | None:
    """Return the recipe of a combination; None where the build chooses it. Raises ProjectError."""
    if one.entry.fit:
        return None
    if one.entry.max_size is not None:
        searched = [r for r in target.recipes_of(source.task).values() if r.scheme == formats.SEARCHED]
        if not searched:
            raise ProjectError(
                f"{sweep.file}: {source.name} has a max_size, which needs a Core ML target, unlike {target.name}",
                hint=f'[[exclude]] with model = "{one.entry.model}" and target = "{one.target}"',
            )
        return searched[0]
    if not one.recipe:
        return target.recipe_for(source)
    try:
        return targets.recipe(target, one.recipe, source.task)
    except UnknownName as unknown:
        raise ProjectError(
            f"{sweep.file}: {target.name} has no recipe {one.recipe!r}",
            hint=f'[[exclude]] with target = "{one.target}" and recipe = "{one.recipe}" leaves it out',
        ) from unknown


def _build(sweep: Sweep, one: Combination, target: Target, source: Source, recipe: Recipe | None) -> Unit:
    entry = one.entry
    name = planning.bundle_name(source, target, recipe or target.recipe_for(source))
    options = {
        "--target": [one.target],
        "--recipe": [] if recipe is None or entry.chooses else [recipe.name],
        "--task": [entry.task] if entry.task else [],
        "--adapter": entry.adapters,
        "--context": [entry.context] if entry.context else [],
        "--lengths": [",".join(map(str, entry.lengths))] if entry.lengths else [],
        "--max-size": [entry.max_size] if entry.max_size else [],
        "--original": [entry.original] if entry.original else [],
        "--out": [sweep.out / entry.folder],
    }
    flags = [f"--{key.replace('_', '-')}" for key in ("fit", "allow_loss", "allow_unread") if getattr(entry, key)]
    given = [str(word) for option, values in options.items() for value in values for word in (option, value)]
    return Unit(
        kind=BUILD,
        digest=digests.of_build(source, entry, target, recipe, sweep),
        model=source.name,
        target=planning_name(target),
        recipe=FIT if recipe is None else recipe.name,
        bundle=str(Path(entry.folder) / name),
        arguments=(entry.model, *given, *flags, "--no-speed"),
        memory=entry.memory or needed_memory.of_build(source),
        sha256=source.sha256,
    )


def planning_name(target: Target) -> str:
    """Return the target's name, with its profile where that is not the default."""
    return target.name if target.profile.name == target.profiles[0] else f"{target.name}:{target.profile.name}"


def _follower(build: Unit, one: Combination, suite: str, device: str, by_suite: dict[str, str]) -> Unit:
    """Return the unit that checks the bundle of ``build`` by ``suite``, or measures it on ``device``."""
    kind = VALIDATE if suite else BENCH
    # with adapters the bundle itself tells what it was built from
    original = ["--original", one.entry.model] if suite and not one.entry.adapters else []
    options = [*(["--suite", suite] if suite else []), *original, *(["--device", device] if device else [])]
    shaped = {"build": build.digest, "suite": by_suite.get(suite, ""), "device": device}
    return Unit(
        kind=kind,
        digest=digests.of(kind, shaped),
        model=build.model,
        target=build.target,
        recipe=build.recipe,
        bundle=build.bundle,
        arguments=tuple(options),
        memory=build.memory if suite else needed_memory.LEAST,
        sha256=build.sha256,
        suite=suites.read(Path(suite)).name if suite else "",
        device=device,
        needs=build.digest,
    )


def _check_recipes(sweep: Sweep, asked: Iterable[Combination], loaded: Iterable[Target]) -> None:
    """Raises UnknownName for a recipe that no target has, before a model is looked for."""
    known = {name for target in loaded for name in target.recipes}
    for one in asked:
        if one.recipe and one.recipe not in known:
            raise UnknownName("recipe", one.recipe, known)
        if one.recipe and one.entry.chooses:
            raise ProjectError(
                f"{sweep.file}: {one.entry.model} chooses its recipe by fit or max_size; {one.recipe!r} is included",
                hint="leave the recipe out, or give the model a second [[model]] without them",
            )


def _check_places(units: Iterable[Unit]) -> None:
    """Raises UsageError where two builds of other options would make bundles of the same name."""
    builds = [unit for unit in units if unit.kind == BUILD]
    for i, one in enumerate(builds):
        for other in builds[:i]:
            chosen = one.recipe == FIT or other.recipe == FIT
            same = one.bundle == other.bundle or (
                chosen and Path(one.bundle).parent == Path(other.bundle).parent
                and (one.model, one.target) == (other.model, other.target)
            )  # fmt: skip
            if same:
                raise UsageError(
                    f"two units may make the same bundle {one.bundle}, with other options or of another model",
                    hint='give one of their [[model]] tables a folder of its own: folder = "short"',
                )


def _ordered(units: Iterable[Unit]) -> Sequence[Unit]:
    """Begin with one build of each model, which leaves its export in the cache for the others; checks follow builds."""
    by_model: dict[str, list[Unit]] = {}
    followers = []
    for unit in units:
        if unit.kind == BUILD:
            by_model.setdefault(unit.sha256, []).append(unit)
        else:
            followers.append(unit)
    rounds = zip_longest(*by_model.values())
    return [*(unit for turn in rounds for unit in turn if unit is not None), *followers]
