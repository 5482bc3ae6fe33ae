"""From a request to its plans: each target with each recipe, their names, and an estimate of their memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

from edgepack import client_images, fit, formats, installed, plugins, tasks
from edgepack import targets as targets_
from edgepack.documents import JsonDict
from edgepack.errors import ProjectError, UnknownName, UnsupportedModel, UsageError
from edgepack.plans import Plan, Request, Subject
from edgepack.records import Recipe, Source, Target
from edgepack.runtime import tasks as device_tasks
from edgepack.runtime.processing import Diffusion, Processing
from edgepack.runtime.submodel import MODEL
from edgepack.tasks import AnyTask, _timm, options, submodels
from edgepack.tasks._diffusion import LAYER
from edgepack.toml_file import check_types

_USEFUL_CONTEXT = 2048  # tokens: a recipe that leaves less gives way to a coarser one that leaves them


def check_names(request: Request) -> None:
    """Check the names of targets and recipes before a model is downloaded. Raises UnknownName."""
    for name in request.targets:
        target = targets_.load(name)
        for recipe in request.recipes:
            targets_.recipe(target, recipe)


def check_download(request: Request, downloads: bool) -> None:
    """Check before anything is downloaded that all is installed that any model takes to the targets, or one of the
    task that is asked for; where nothing ``downloads``, ``check_installed`` soon knows the model itself.

    Raises MissingExtra, UnknownName, UnsupportedModel.
    """
    if not downloads:
        return
    asked = [targets_.load(name) for name in request.targets]
    if request.task is None:
        installed.check_all(partial(formats.check_shared, target) for target in asked)
    else:
        task = tasks.load(request.task)
        installed.check_all(partial(formats.check_installed, target, task) for target in asked)


def check_installed(request: Request, source: Source) -> None:
    """Check that all is installed that takes ``source`` to the targets, and what runs its bundles.

    Raises MissingExtra, UnsupportedModel, UsageError (a plug-in whose modules do not go together).
    """
    task = tasks.load(source.task)
    asked = [targets_.load(name) for name in request.targets]
    installed.check_all(partial(formats.check_installed, target, task) for target in asked)
    _check_device(task)


def plans(request: Request, subject: Subject) -> list[Plan]:
    """Plan each target with each recipe, the project's numbers in place of the target's.

    Raises UnsupportedModel where a target cannot run the model, UsageError for a recipe that it cannot be given.
    """
    return [plan for name in dict.fromkeys(request.targets) for plan in _for_target(request, subject, name)]


def check_fit(plan: Plan) -> None:
    """Raises DoesNotFit where the target lacks the memory, with the recipe that would fit."""
    offered = _given(plan.target, plan.task, list(plan.target.recipes_of(plan.source.task).values()), strict=False)

    def estimated(recipe: Recipe) -> fit.Estimate:
        return plan.subject.estimate(recipe, plan.processing, plan.target.format)

    fit.check(plan.source, plan.target, plan.recipe, plan.processing, offered, estimated)


def bundle_name(source: Source, target: Target, recipe: Recipe) -> str:
    """Return model-target, with the profile and the recipe where they are not the target's defaults."""
    parts = [source.name, target.name]
    if target.profile.name != target.profiles[0]:
        parts.append(target.profile.name)
    if recipe.name != target.recipe_for(source).name:
        parts.append(recipe.name)
    return "-".join(parts)


def _check_device(task: AnyTask) -> None:
    """Raises UsageError where the task's module for the device is not there, or names other submodels."""
    brought = plugins.distribution("tasks", task.NAME)
    try:
        found = device_tasks.find(task.NAME)
    except UnknownName as missing:
        raise UsageError(
            f"{task.NAME} (tasks) of {brought} has no module of that name in runtime.tasks, which runs its bundles",
            hint=plugins.CONTRACT,
        ) from missing
    built = set(submodels(task)) or {MODEL}
    run = {*device_tasks.needed(found), *device_tasks.optional(found)}
    if built != run:
        raise UsageError(
            f"{task.NAME} of {brought} builds the submodels {', '.join(sorted(built))}, and its module for the device "
            f"names {', '.join(sorted(run))}",
            hint=plugins.CONTRACT,
        )


def _check_layout(target: Target, task: AnyTask, source: Source) -> None:
    """Raises UnsupportedModel for a target whose clients have no use for ``source``, a model of ``task``."""
    if target.layout == "transformers.js" and source.model_type == _timm.MODEL_TYPE:
        raise UnsupportedModel(
            f"transformers.js, which {target.name}'s bundles are for, has no class for timm's models ({source.name})",
            hint="choose another target (edgepack targets lists them), or the model in transformers' own classes",
        )
    layouts = options(task).layouts
    if layouts is not None and target.layout not in layouts:
        raise UnsupportedModel(
            f"{target.layout}, which {target.name}'s bundles are for, does not support {task.NAME}",
            hint="choose another target: edgepack targets lists them",
        )


def _for_target(request: Request, subject: Subject, name: str) -> list[Plan]:
    whole = subject.processing
    task, target = subject.task, targets_.load(name)
    _check_layout(target, task, subject.source)
    recipes = [_numbered(recipe, request) for recipe in _recipes(request, target, subject.source)]
    sizes = [request.context] if request.context or not request.fit else task.contexts(whole)
    candidates = [
        _plan(subject, target, recipe, _processing(target, task.limited(task.sized(whole, size), recipe.lengths)))
        for recipe in _given(target, task, recipes, strict=not request.fit)
        for size in sizes
    ]
    chosen = [_finest(candidates)] if request.fit else candidates
    for plan in chosen:
        formats.route(target, task).check(plan)
    return chosen


def _processing(target: Target, processing: Processing) -> Processing:
    """Return what the task says, so far as the target's clients can. Raises UnsupportedModel."""
    if target.layout == "transformers.js" and processing.image:
        return replace(processing, image=client_images.for_transformers_js(processing.image))
    if target.format == "coreml" and processing.diffusion:
        return replace(processing, diffusion=_of_packages(processing.diffusion))
    return processing


def _of_packages(diffusion: Diffusion) -> Diffusion:
    """Return what packages for Apple's StableDiffusion can: one size, and the states of the layers that they give."""
    encoders = tuple(
        replace(encoder, skipping=tuple(name for name in encoder.skipping if name.startswith(LAYER)))
        for encoder in diffusion.encoders
    )
    return replace(diffusion, fixed_size=True, encoders=encoders)


def _given(target: Target, task: AnyTask, recipes: Sequence[Recipe], *, strict: bool) -> list[Recipe]:
    """Return those of ``recipes`` that models of the task can be given; where ``strict``, UsageError for one that
    cannot.

    Raises UsageError for lengths where the target's models take any.
    """
    if any(recipe.lengths for recipe in recipes) and not formats.find(target.format).LENGTHS:
        raise UsageError(f"{target.name} takes texts of any length", hint="--lengths is for iphone and mac")
    route = formats.route(target, task)
    unsupported = {recipe.name: route.unsupported(recipe) for recipe in recipes}
    missing = {name: what for name, what in unsupported.items() if what}
    if missing and strict:
        name, what = next(iter(missing.items()))
        raise UsageError(
            f"the recipe {name} is not supported for {task.NAME}: {what}",
            hint="choose another recipe, or change its numbers",
        )
    return [recipe for recipe in recipes if recipe.name not in missing]


def _recipes(request: Request, target: Target, source: Source) -> list[Recipe]:
    """Return those that are asked for; with a size, the one that is searched; else the target's, or with --fit all.

    Raises UsageError where a search lacks its size, or the size a search.
    """
    offered = target.recipes_of(source.task)
    searched = [recipe for recipe in offered.values() if recipe.scheme == formats.SEARCHED]
    if request.max_size is not None:
        if not searched:
            raise UsageError(
                f"--max-size needs a Core ML target; {target.name} has no mixed-precision recipe",
                hint=f"choose one of its recipes, each of one size: --recipe {', '.join(offered)}",
            )
        if request.recipes:
            raise UsageError(
                "--max-size chooses the recipe itself: it cannot go with --recipe",
                hint="edgepack build MODEL --target iphone --max-size 25MB",
            )
        return [replace(recipe, max_bytes=request.max_size) for recipe in searched]
    if request.recipes:
        named = [targets_.recipe(target, recipe, source.task) for recipe in dict.fromkeys(request.recipes)]
        if any(recipe.scheme == formats.SEARCHED for recipe in named):
            raise UsageError(
                "the recipe mixed needs a size", hint="leave --recipe out and give the size: --max-size 25MB"
            )
        return named
    return [r for r in offered.values() if r not in searched] if request.fit else [target.recipe_for(source)]


def _plan(subject: Subject, target: Target, recipe: Recipe, processing: Processing) -> Plan:
    return Plan(
        name=bundle_name(subject.source, target, recipe),
        subject=subject,
        target=target,
        recipe=recipe,
        processing=processing,
        need=subject.estimate(recipe, processing, target.format),
    )


def _finest(candidates: Sequence[Plan]) -> Plan:
    """Return the finest recipe that fits with a context that is of use, then the longest context that fits with it."""

    def fineness(plan: Plan) -> tuple[bool, int, int, int, int]:
        recipe, longest = plan.recipe, plan.processing.max_length
        context = 0 if longest is None else longest
        fine = (recipe.weight_bits, recipe.embedding_bits, -recipe.block_size)
        return (context >= _USEFUL_CONTEXT, *fine, context)

    fitting = [plan for plan in candidates if plan.fits]
    # where none fits, the smallest is told, with its arithmetic
    return max(fitting, key=fineness) if fitting else min(candidates, key=lambda plan: plan.need.total)


def _numbered(recipe: Recipe, request: Request) -> Recipe:
    """Return the recipe with the project's numbers, and the lengths that are asked for."""
    values = request.overrides.get(recipe.name, {})
    unknown = set(values) - set(asdict(recipe))
    if unknown:
        raise ProjectError(f"a recipe has no {min(unknown)!r}", hint=f"it has {', '.join(asdict(recipe))}")
    check_types(dict(values), targets_.RECIPE_TYPES, f"the recipe {recipe.name}", ProjectError)
    numbers: JsonDict = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    own = replace(recipe, **numbers)
    return replace(own, lengths=tuple(sorted(set(request.lengths or own.lengths))))
