"""The product of a sweep: models, targets and recipes, less what is excluded, and what is included beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgepack.errors import ProjectError
from edgepack.sweep._records import ModelEntry, Sweep


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A bundle that a sweep asks for, and what it is held to: names as the sweep's file has them."""

    entry: ModelEntry
    target: str
    recipe: str  # "": the target's own, or the build's choice
    followers: tuple[tuple[str, str], ...]  # a suite and a device, "" for none or this machine


def of(sweep: Sweep) -> list[Combination]:
    """Return every bundle of ``sweep``, in its order. Raises ProjectError for none, or an exclude that matches none."""
    used: set[int] = set()
    found = [one for one in _product(sweep) if not _excluded(sweep, _named(one), used)]
    kept = [_less(sweep, one, used) for one in found]
    for number, one in enumerate(sweep.exclude, 1):
        if number - 1 not in used:
            told = ", ".join(f"{key} = {value!r}" for key, value in one.items())
            raise ProjectError(
                f"{sweep.file}, exclude {number} matches nothing: {told}",
                hint="write the names as the file's lists have them",
            )
    included = [_included(sweep, one) for one in sweep.include]
    if not kept and not included:
        empty = next((key for key in ("models", "targets") if not getattr(sweep, key)), "")
        raise ProjectError(
            f"{sweep.file} asks for nothing: {f'{empty} is empty' if empty else 'everything is excluded'}",
            hint='models = ["…"] and targets = ["rpi"]: docs/sweeps.md',
        )
    return [*kept, *included]


def _product(sweep: Sweep) -> Iterator[Combination]:
    followers = _followers(sweep.suites, sweep.devices)
    for entry in sweep.models:
        for target in sweep.targets:
            for recipe in ("",) if entry.chooses else sweep.recipes or ("",):
                yield Combination(entry=entry, target=target, recipe=recipe, followers=followers)


def _followers(suites: tuple[str, ...], devices: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return each suite on each device, and each device with none, where it is measured."""
    return (*(("", device) for device in devices), *((s, d) for d in devices or ("",) for s in suites))


def _named(one: Combination) -> dict[str, str]:
    return {"model": one.entry.model, "target": one.target, "recipe": one.recipe}


def _excluded(sweep: Sweep, names: Mapping[str, str], used: set[int]) -> bool:
    matching = [i for i, one in enumerate(sweep.exclude) if all(names.get(key) == one[key] for key in one)]
    used.update(matching)
    return bool(matching)


def _less(sweep: Sweep, one: Combination, used: set[int]) -> Combination:
    """Return a combination without the suites and devices that are excluded for it."""
    names = _named(one)
    kept = [(s, d) for s, d in one.followers if not _excluded(sweep, {**names, "suite": s, "device": d}, used)]
    return Combination(entry=one.entry, target=one.target, recipe=one.recipe, followers=tuple(kept))


def _included(sweep: Sweep, names: Mapping[str, str]) -> Combination:
    entry = next((one for one in sweep.models if one.model == names["model"]), ModelEntry(model=names["model"]))
    suites = (names["suite"],) if "suite" in names else sweep.suites
    devices = (names["device"],) if "device" in names else sweep.devices
    return Combination(
        entry=entry,
        target=names["target"],
        recipe=names.get("recipe", ""),
        followers=_followers(suites, devices),
    )
