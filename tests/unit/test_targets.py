"""target.toml is checked when it is read."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgepack import targets
from edgepack.errors import TargetError, UnknownName
from edgepack.records import Recipe

RPI = (targets.ROOT / "rpi" / "target.toml").read_text("utf-8")


_RECIPES = {
    "onnx": {"fp32", "fp16", "int8", "int8-fine", "int8-static", "int4"},
    "coreml": {"fp32", "fp16", "int8", "palette6", "palette4", "int4", "mixed"},
}
_SPOKEN = {"onnx": ("int8", "int8-fine", "int4", "int4-fine"), "coreml": ("int4",)}  # of language models, in blocks


@pytest.mark.parametrize("name", targets.names())
def test_built_in_targets_are_whole(name: str) -> None:
    target = targets.load(name)
    assert set(target.default_recipes.values()) <= set(target.recipes)
    assert _RECIPES[target.format] <= set(target.recipes)
    assert all(targets.load(f"{name}:{profile}").profile.name == profile for profile in target.profiles)


def test_a_profile_is_chosen_by_name() -> None:
    assert targets.load("rpi").profile.name == "pi5"
    assert targets.load("rpi:pi4").profile.memory == 1_000_000_000
    with pytest.raises(UnknownName, match="pi6"):
        targets.load("rpi:pi6")


def test_unknown_targets_and_recipes_suggest() -> None:
    with pytest.raises(UnknownName) as error:
        targets.load("androit")
    assert error.value.hint == "did you mean 'android'?"
    with pytest.raises(UnknownName):
        targets.recipe(targets.load("rpi"), "int9")


def board(folder: Path, old: str, new: str) -> str:
    assert old in RPI
    folder.joinpath("target.toml").write_text(RPI.replace(old, new), "utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("opset = 17", "opsett = 17", "unknown key 'opsett'"),
        ("opset = 17", "", "lacks 'opset'"),
        ('layout = "flat"', 'layout = "round"', "no layout 'round'"),
        ('memory = "2 GB"', 'memory = "2 buckets"', "'2 buckets' is not a size"),
        ("threads = 4", "thread = 4", "unknown key 'thread'"),
        ('"*" = "int8"', '"*" = "int9"', "default_recipes names 'int9'"),
        ("opset = 17", "opset = = 17", "valid TOML"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(TargetError) as error:
        targets.load(board(tmp_path, old, new))
    assert said in f"{error.value} {error.value.hint}"


def test_a_folder_is_a_target_and_may_bring_recipes(tmp_path: Path) -> None:
    extra = '[recipes.mine]\nscheme = "blocks"\nweight_bits = 8\nblock_size = 64\nfiner = ["head"]\n\n[floors."*"]'
    target = targets.load(board(tmp_path, '[floors."*"]', extra))
    assert target.recipes["mine"].finer == ("head",)
    assert target.name == tmp_path.name


def test_limits(tmp_path: Path) -> None:
    assert (targets.load("iphone").file_limit, targets.load("mac").file_limit) == (1_000_000_000, None)
    target = targets.load(board(tmp_path, "opset = 17", 'opset = 17\nstore_limit = "9 MB"\nfile_limit = "2 kB"'))
    assert (target.store_limit, target.file_limit) == (9_000_000, 2_000)


def test_a_folder_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no target\.toml"):
        targets.load(str(tmp_path))


MINE = """[recipes.mine]
scheme = "blocks"
weight_bits = 4
block_size = 64
finer = ["head"]

[recipes.mine.text-generation]
block_size = 16

[recipes.int8.fill-mask]
smooth = false

[floors."*"]"""


def test_a_variant_keeps_the_numbers_that_it_does_not_name(tmp_path: Path) -> None:
    target = targets.load(board(tmp_path, '[floors."*"]', MINE))
    plain, varied = (targets.recipe(target, "mine", task) for task in ("fill-mask", "text-generation"))
    assert (plain.block_size, varied.block_size) == (64, 16)
    assert varied == replace(plain, block_size=16)
    assert targets.recipe(target, "int8", "fill-mask") == replace(target.recipes["int8"], smooth=False)
    assert targets.recipe(target, "int8", "text-generation").scheme == "blocks"  # edgepack's own variant stays
    assert targets.recipe(target, "int8", "text-embedding") == target.recipes["int8"]


@pytest.mark.parametrize("name", targets.names())
def test_language_models_have_recipes_that_fit_them(name: str) -> None:
    target = targets.load(name)
    found = target.recipes_of("text-generation")
    assert target.default_recipes["text-generation"] in found
    assert {found[recipe].scheme for recipe in _SPOKEN[target.format]} == {"blocks"}
    assert not any(found[recipe].smooth for recipe in _SPOKEN[target.format])


def test_a_variant_s_keys_are_checked(tmp_path: Path) -> None:
    wrong = MINE.replace("block_size = 16", "block_sise = 16")
    with pytest.raises(TargetError, match="unknown key 'block_sise'") as error:
        targets.load(board(tmp_path, '[floors."*"]', wrong))
    assert error.value.hint == "did you mean 'block_size'?"


@pytest.mark.parametrize(
    ("alias", "name"), [("raspberrypi:pi4", "rpi"), ("iOS", "iphone"), ("macos", "mac"), ("browser", "web")]
)
def test_targets_have_the_names_that_people_try(alias: str, name: str) -> None:
    assert targets.load(alias).name == name
    assert set(targets.ALIASES.values()) <= set(targets.names())
    assert not set(targets.ALIASES) & set(targets.names())


def test_a_table_may_name_every_field_of_a_recipe() -> None:
    names = {field.name for field in fields(Recipe)} - {"name"}
    assert set(targets.RECIPE_TYPES["properties"]) == names


def test_a_part_that_no_model_has_is_told(tmp_path: Path) -> None:
    extra = '[recipes.mine]\nscheme = "blocks"\nweight_bits = 4\nfiner = ["out"]\n\n[floors."*"]'
    with pytest.raises(TargetError, match=r"finer.*'out'.*o_proj"):
        targets.load(board(tmp_path, '[floors."*"]', extra))
