"""Read target.toml into a Target; an unknown key is an error with a suggestion.

A target is a folder with a target.toml. Built-in ones live in targets/ beside the source, or in
edgepack/_targets in an installed wheel; ``--target ./my-board`` takes any folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import TargetError, UnknownName
from edgepack.records import COMPONENTS, PARTS, Floors, Profile, Recipe, Target
from edgepack.runtime.schema import Schema
from edgepack.toml_file import check_table, read_toml
from edgepack.units import parse_size

# What people call a target, when they do not know its name.
ALIASES = {
    "raspberrypi": "rpi",
    "raspberry-pi": "rpi",
    "raspberry": "rpi",
    "pi": "rpi",
    "ios": "iphone",
    "ipad": "iphone",
    "macos": "mac",
    "browser": "web",
}
_PACKAGED = Path(__file__).parent / "_targets"
ROOT = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "targets"

_REQUIRED = ("title", "format", "runtime", "runtime_version", "opset", "profiles", "default_recipes")
_PAGE = "see docs/adding-a-target.md"
_LAYOUTS = ("flat", "transformers.js")
_STRING, _COUNT = {"type": "string", "maxLength": 1000}, {"type": "integer", "minimum": 0, "maximum": 1 << 50}
_SIZE = {"type": ["string", "integer"]}
_FIGURE = {"type": "number", "minimum": -1e15, "maximum": 1e15}  # neither NaN nor infinite: those keep or miss anything
_PROFILE: Schema = {
    "type": "object",
    "properties": {
        "title": _STRING,
        "isa": _STRING,
        "memory": _SIZE,
        "bandwidth": _SIZE,
        "threads": {"type": "integer", "minimum": 1, "maximum": 1024},
        "opset": _COUNT,
    },
}
RECIPE_TYPES: Schema = {
    "type": "object",
    "properties": {
        "scheme": _STRING,
        **dict.fromkeys(("weight_bits", "activation_bits", "block_size", "embedding_bits", "table_bits"), _COUNT),
        "max_bytes": _COUNT,
        "sparsity": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "lengths": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "smooth": {"type": "boolean"},
        "finer": {"type": "array", "items": {"enum": sorted({*COMPONENTS, *PARTS})}},
        "min_coverage": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_TYPES: Schema = {
    "properties": {
        "format": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$"},  # a module's name, and a file's
        **dict.fromkeys(("title", "layout", "runtime", "runtime_version", "default_profile"), _STRING),
        "opset": _COUNT,
        "ir_version": _COUNT,
        "denied_operators": {"type": "array", "items": _STRING},
        "store_limit": _SIZE,
        "file_limit": _SIZE,
        "default_recipes": {"type": "object", "additionalProperties": _STRING},
        "recipes": {"type": "object", "additionalProperties": RECIPE_TYPES},
        "floors": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _FIGURE}},
        "profiles": {
            "type": "object",
            "additionalProperties": _PROFILE,
        },
    }
}


def names() -> list[str]:
    """Return the built-in targets."""
    return sorted(folder.parent.name for folder in ROOT.glob("*/target.toml"))


def load(name: str) -> Target:
    """Return the target ``name``: a built-in one, an alias of it or a folder; ``name:profile`` chooses a profile.

    Raises UnknownName or TargetError.
    """
    base, _, profile = name.partition(":")
    base = ALIASES.get(base.lower(), base)
    folder = Path(base) if "/" in base or "\\" in base else ROOT / base
    file = folder / "target.toml"
    if not file.is_file():
        if folder.is_dir():
            raise TargetError(f"{folder} has no target.toml", hint="see docs/adding-a-target.md")
        raise UnknownName("target", base, names())
    return _target(folder, _read(file), profile)


def built_in_recipes(form: str) -> tuple[dict[str, Recipe], dict[str, dict[str, Recipe]]]:
    """Return the recipes that every target of a format starts from, and by task those with other numbers for it."""
    file = ROOT / "recipes" / f"{form}.toml"
    return _recipes(_read(file) if file.is_file() else {}, file, {})


def recipe(target: Target, name: str, task: str = "") -> Recipe:
    """Return the recipe ``name`` of ``target``, with its numbers for ``task``. Raises UnknownName."""
    recipes = target.recipes_of(task)
    if name not in recipes:
        raise UnknownName("recipe", name, recipes)
    return recipes[name]


def _read(file: Path) -> JsonDict:
    return read_toml(file, TargetError)


def _target(folder: Path, table: JsonDict, profile: str) -> Target:
    file = folder / "target.toml"
    check_table(table, _TYPES, file, TargetError, required=_REQUIRED, hint=_PAGE)
    if table.get("layout", "flat") not in _LAYOUTS:
        raise TargetError(f"{file}: no layout {table['layout']!r}", hint=f"known: {', '.join(_LAYOUTS)}")
    recipes, variants = built_in_recipes(table["format"])
    own, varied = _recipes(table.get("recipes", {}), file, recipes)
    recipes |= own
    variants = {task: variants.get(task, {}) | varied.get(task, {}) for task in {*variants, *varied}}
    for name in table["default_recipes"].values():
        if name not in recipes:
            raise TargetError(f"{file}: default_recipes names {name!r}", hint=f"known: {', '.join(recipes)}")
    profiles = table["profiles"]
    if not profiles:
        raise TargetError(f"{file} has no profile", hint="see docs/adding-a-target.md")
    usual = table.get("default_profile") or next(iter(profiles))
    chosen = profile or usual
    if chosen not in profiles:
        raise UnknownName(f"profile of target {folder.name}", chosen, profiles)
    limits = {key: _size(table[key], file) for key in ("store_limit", "file_limit") if key in table}
    return Target(
        name=folder.resolve().name,
        title=table["title"],
        folder=folder,
        format=table["format"],
        layout=table.get("layout", "flat"),
        runtime=table["runtime"],
        runtime_version=table["runtime_version"],
        opset=table["opset"],
        ir_version=table.get("ir_version", 10),
        profile=_profile(chosen, profiles[chosen], file),
        profiles=tuple(sorted(profiles, key=lambda name: name != usual)),
        denied_operators=tuple(table.get("denied_operators", ())),
        store_limit=limits.get("store_limit"),
        file_limit=limits.get("file_limit"),
        default_recipes={"*": "fp32"} | table["default_recipes"],
        recipes=recipes,
        variants=variants,
        floors=Floors(by_task=table.get("floors", {})),
    )


def _profile(name: str, table: JsonObject, file: Path) -> Profile:
    place = f"{file}: profile {name!r}"
    check_table(table, _PROFILE, place, TargetError, required=("isa", "memory", "threads"), hint=_PAGE)
    return Profile(
        name=name,
        title=table.get("title", name),
        isa=table["isa"],
        memory=_size(table["memory"], file),
        threads=table["threads"],
        bandwidth=_size(table.get("bandwidth", 0), file),
        opset=table.get("opset", 0),
    )


def _recipes(
    table: JsonObject, file: Path, known: Mapping[str, Recipe]
) -> tuple[dict[str, Recipe], dict[str, dict[str, Recipe]]]:
    """Return the recipes of a table, and by task the variants: tables in a recipe's own that are named after a task."""
    plain, variants = {}, defaultdict[str, dict[str, Recipe]](dict)
    for name, values in table.items():
        own = {key: value for key, value in values.items() if not isinstance(value, dict)}
        if own or name not in known:
            plain[name] = _recipe(name, own, file)
        base = {key: value for key, value in asdict({**known, **plain}[name]).items() if key != "name"}
        for task in values.keys() - own.keys():
            variants[task][name] = _recipe(name, base | values[task], file)
    return plain, variants


def _recipe(name: str, table: JsonObject, file: Path) -> Recipe:
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()}
    place = f"{file}: recipe {name!r}"
    check_table(listed, RECIPE_TYPES, place, TargetError, required=("scheme",), hint=_PAGE)
    values: JsonDict = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Recipe(name=name, **values)


def _size(text: str | int, file: Path) -> int:
    try:
        return parse_size(text)
    except (ValueError, OverflowError) as error:
        raise TargetError(f"{file}: {error}") from error
