"""The Swift package that a bundle becomes. There is no Swift compiler here: files are parsed, their shape compared.

What a compiler would find beyond that (types, calls that are none) is not tested, as the package's README says.
"""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import environments

from edgepack import embed as room
from edgepack.embed import Request
from edgepack.embed.app import read
from edgepack.records import Bundle
from edgepack.runtime.opening import opened
from edgepack.targets import load

pytestmark = pytest.mark.slow  # nine small packages are built

Build = Callable[..., tuple[Bundle, ...]]
SAMPLES = Path(__file__).parents[2] / "samples"
STORYTELLER = SAMPLES / "storyteller" / "model"
APP = read(load("iphone"))
TASKS = tuple(task for task in APP.tasks if task != "text-to-image")  # whose package takes a minute to build
_PARSER = Path(__file__).parent / "swift" / "parse.py"
CALLS = {  # the public functions of the wrapper, by task
    "text-embedding": {"embed", "similarity", "prewarm", "unload"},
    "sparse-embedding": {"embed", "weights", "similarity", "prewarm", "unload"},
    "text-classification": {"classify", "prewarm", "unload"},
    "image-classification": {"classify", "prewarm", "unload"},
    "image-embedding": {"embed", "prewarm", "unload"},
    "fill-mask": {"fill", "prewarm", "unload"},
    "zero-shot-image-classification": {"classify", "embedTexts", "embedImages", "prewarm", "unload"},
    "audio-classification": {"classify", "prewarm", "unload"},
    "text-generation": {"generate", "tokens", "prewarm", "unload"},
}


@pytest.fixture(scope="session")
def packages(build: Build, tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of each task."""
    folder = tmp_path_factory.mktemp("apple")
    (folder / "Package.swift").write_text("")
    found = {}
    for task in TASKS:
        model = STORYTELLER if task == "text-generation" else tiny(task)
        (bundle,) = build(model, "iphone", recipes=("fp16",))
        found[task] = room.embed(Request(listed=opened(bundle.path), into=folder, name=f"my-{task}")).folder
    return found


def parsed(files: list[Path]) -> list[dict[str, list[str]]]:
    """For each Swift file its errors (a line and what stands there), and its public functions and types."""
    parser = [environments.python("swift"), _PARSER]
    found: list[dict[str, list[str]]] = environments.ask(parser, [str(file) for file in files])
    return found


def swift(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.swift") if "Resources" not in file.parts)


def test_the_parser_finds_errors(tmp_path: Path) -> None:
    file = tmp_path / "Wrong.swift"
    file.write_text("func f( {\n")
    assert parsed([file])[0]["errors"]


@pytest.mark.parametrize("task", TASKS)
def test_a_package_parses_and_has_its_tasks_calls(packages: dict[str, Path], task: str) -> None:
    files = swift(packages[task])
    assert len(files) > 8
    told = dict(zip(files, parsed(files), strict=True))
    assert not {file.name: facts["errors"] for file, facts in told.items() if facts["errors"]}
    name = "My" + "".join(word.capitalize() for word in task.split("-"))
    (wrapper,) = (file for file in files if file.name == f"{name}.swift")
    assert name in told[wrapper]["types"]
    assert set(told[wrapper]["functions"]) == CALLS[task]
    assert told[wrapper]["undocumented"] == []


def test_the_whole_template_parses() -> None:
    files = swift(APP.place / APP.folder)
    told = dict(zip((file.name for file in files), parsed(files), strict=True))
    assert not {name: facts["errors"] for name, facts in told.items() if facts["errors"]}
    assert told["TextToImage.swift"]["functions"] == ["generate", "prepare", "unload"]


def test_the_sample_parses() -> None:
    files = swift(SAMPLES / "sentence-search-iphone")
    assert len(files) == 3
    assert not [facts["errors"] for facts in parsed(files) if facts["errors"]]


@pytest.mark.parametrize("task", TASKS)
def test_names_fit_what_is_there(packages: dict[str, Path], task: str) -> None:
    """Package.swift names folders that exist; what the code reads of edgepack.json is in it."""
    folder = packages[task]
    name = folder.name
    text = (folder / "Package.swift").read_text()
    assert (folder / "Sources" / f"{name}Kit" / "Resources" / "bundle" / "edgepack.json").is_file()
    assert (folder / "Tests" / f"{name}KitTests").is_dir()
    assert f'name: "{name}Kit"' in text
    assert "edgepack:" not in text
    table = json.loads(next(folder.rglob("edgepack.json")).read_text())
    for model in table["models"].values():
        assert set(model) >= {"file", "files", "inputs", "golden"}
        assert set(model["golden"]) >= {"file", "output", "least_cosine"}
    wanted = {"image": ("image",), "text": ("text",), "audio": ("audio",), "generation": ("generation",)}
    for part, keys in wanted.items():
        assert all(key in table["processing"] for key in keys) or part not in table["processing"]


@pytest.mark.parametrize("task", [task for task in TASKS if "image" in task])
def test_the_input_is_called_as_the_code_calls_it(packages: dict[str, Path], task: str) -> None:
    table = json.loads(next(packages[task].rglob("edgepack.json")).read_text())
    models = [model for name, model in table["models"].items() if name != "text_model"]
    assert [feature["name"] for model in models for feature in model["inputs"]] == ["image"]


def test_an_asset_pack_lies_beside_the_package(packages: dict[str, Path], tmp_path: Path) -> None:
    (held,) = packages["text-embedding"].rglob("Resources/bundle")
    (tmp_path / "project.yml").write_text("")
    asked = Request(listed=opened(held), into=tmp_path, form="background-assets", name="my-search")
    folder = room.embed(asked).folder
    manifest = json.loads((folder / "AssetPack" / "Manifest.json").read_text())
    assert manifest["assetPackID"] == "my-search"
    assert manifest["fileSelectors"] == [{"directory": "my-search"}]
    assert (folder / "AssetPack" / "my-search" / "edgepack.json").is_file()
    keys = plistlib.loads((folder / "AssetPack" / "Info.plist").read_bytes())
    assert {"BAHasManagedAssetPacks": True, "BAUsesAppleHosting": True}.items() <= keys.items()
    assert not list(folder.rglob("Resources"))
    told = dict(zip((file.name for file in swift(folder)), parsed(swift(folder)), strict=True))
    assert not {name: facts["errors"] for name, facts in told.items() if facts["errors"]}
    assert "fetch" in told["Delivered.swift"]["functions"]
    assert 'pack = "my-search"' in (folder / "Sources/MySearchKit/Delivered.swift").read_text()
    assert "Resources" not in (folder / "Package.swift").read_text()
    assert not list(packages["text-embedding"].rglob("Delivered.swift"))


def test_every_type_is_declared_once(packages: dict[str, Path]) -> None:
    for task, folder in packages.items():
        types = list(_types(folder / "Sources"))
        assert len(types) == len(set(types)), task


def _types(folder: Path) -> Iterator[str]:
    for file in swift(folder):
        yield from re.findall(r"^(?:public |final |private )*(?:class|struct|enum|actor) (\w+)", file.read_text(), re.M)


def test_a_mac_has_the_same_template() -> None:
    assert read(load("mac")) == APP
