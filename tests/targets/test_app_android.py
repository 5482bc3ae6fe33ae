"""The Android module that a bundle becomes: compiled by Kotlin's own compiler, and its tests run on a JVM.

Every task's module is compiled in one go, each in its own package. Text embedding runs as on a phone: from assets.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.targets import kotlin
from tests.targets.kotlin import Failed, stand_ins

from edgepack import embed as room
from edgepack.embed import Request
from edgepack.embed.app import read
from edgepack.records import Bundle
from edgepack.runtime.opening import opened
from edgepack.targets import load

__all__ = ["stand_ins"]

pytestmark = pytest.mark.slow  # a small bundle for each task, and a minute or two of Kotlin's compiler

Build = Callable[..., tuple[Bundle, ...]]
SAMPLES = Path(__file__).parents[2] / "samples"
STORYTELLER = SAMPLES / "storyteller" / "model"
TASKS = tuple(read(load("android")).tasks)
_CHAT = (
    "{% for message in messages %}{% if message.role == 'system' and not loop.first %}"
    "{{ raise_exception('the system speaks first') }}{% endif %}"
    "{{ '<' ~ message.role ~ '> ' ~ message.content | trim ~ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
_FROM_ASSETS = "text-embedding"  # the task whose tests take the bundle out of an app's assets


@dataclass(frozen=True)
class App:
    """An app with a module for each task, and their compiled classes."""

    folder: Path
    sample: Path  # the sample with its module
    classes: list[Path]

    def module(self, task: str) -> Path:
        return self.folder / f"my-{task}"

    def test(self, task: str, *, cwd: Path | None = None) -> str:
        module = cwd or self.module(task)
        package = f"edgepack.my_{task.replace('-', '_')}"
        names = [file.stem for file in (self.module(task) / "src/sharedTest/kotlin").glob("*Test.kt")]
        assets, files = module / "src/main/assets", self.folder / "files"
        return kotlin.tested([f"{package}.{name}" for name in names], self.classes, module, assets=assets, files=files)


@pytest.fixture(scope="session")
def bundles(build: Build, tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A small bundle for Android of each task; the language model has a chat template."""
    chat = Path(shutil.copytree(STORYTELLER, tmp_path_factory.mktemp("chat") / "storyteller"))
    (chat / "chat_template.jinja").write_text(_CHAT)
    models = {task: chat if task == "text-generation" else tiny(task) for task in TASKS}
    return {task: build(model, "android", recipes=("int8",))[0] for task, model in models.items()}


@pytest.fixture(scope="session")
def app(bundles: dict[str, Bundle], stand_ins: list[Path], tmp_path_factory: pytest.TempPathFactory) -> App:
    """All bundles embedded in one app, compiled together."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "settings.gradle.kts").write_text("")
    sources: list[Path] = []
    for task, bundle in bundles.items():
        module = room.embed(Request(listed=opened(bundle.path), into=folder, name=f"my-{task}")).folder
        place = "androidTest" if task == _FROM_ASSETS else "test"
        for part in ("main", "sharedTest", place):
            sources += sorted((module / "src" / part / "kotlin").rglob("*.kt"))
    sample = Path(shutil.copytree(SAMPLES / "sentence-search-android", folder / "sample"))
    asked = Request(listed=opened(bundles["text-embedding"].path), into=sample, name="SentenceSearch")
    sources += sorted((room.embed(asked).folder / "src" / "main" / "kotlin").rglob("*.kt"))
    sources += sorted((sample / "app").rglob("*.kt"))
    return App(folder, sample, kotlin.compiled(sources, stand_ins, tmp_path_factory.mktemp("classes")))


@pytest.mark.parametrize("task", TASKS)
def test_a_module_answers_as_the_original_did(app: App, task: str) -> None:
    resources = app.module(task) / "src" / "sharedTest" / "resources"
    told = replace(app, classes=[*app.classes, resources]).test(task)
    found = re.search(r"OK \((\d+) tests\)", told)
    assert found, told
    assert int(found[1]) >= 5


def test_the_sample_finds_the_nearest_note(app: App) -> None:
    assert "OK (1 test)" in kotlin.tested(["edgepack.samples.search.IndexTest"], app.classes, app.sample)


def test_a_model_that_was_exchanged_fails(app: App, tmp_path: Path) -> None:
    task = "text-classification"
    module = Path(shutil.copytree(app.module(task), tmp_path / "module"))
    (graph,) = module.rglob("model.onnx")
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(bytes(content))
    resources = module / "src" / "sharedTest" / "resources"
    with pytest.raises(Failed, match=r"model\.onnx and tokenizer\.json do not belong together"):
        replace(app, classes=[*app.classes, resources]).test(task, cwd=module)


def test_other_answers_fail(app: App, tmp_path: Path) -> None:
    """The golden vectors are compared indeed: with another one, whose hash is right, the tests fail."""
    task = "text-classification"
    module = Path(shutil.copytree(app.module(task), tmp_path / "module"))
    (golden,), (manifest,) = module.rglob("golden.safetensors"), module.rglob("edgepack.json")
    content = bytearray(golden.read_bytes())
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    start, end = header["0.output.logits"]["data_offsets"]
    content[8 + length + start : 8 + length + end] = bytes(end - start - 4) + b"\x00\x00\x80\x3f"
    golden.write_bytes(bytes(content))
    table = manifest.read_text()
    old = json.loads(table)["files"]["golden.safetensors"]["sha256"]
    manifest.write_text(table.replace(old, hashlib.sha256(bytes(content)).hexdigest()))
    resources = module / "src" / "sharedTest" / "resources"
    with pytest.raises(Failed, match="is wanted"):
        replace(app, classes=[*app.classes, resources]).test(task, cwd=module)


def test_a_pack_of_plays_is_a_module_of_its_own(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    (tmp_path / "settings.gradle.kts").write_text("")
    asked = Request(listed=opened(bundles["text-embedding"].path), into=tmp_path, form="play-ai-pack", name="Search")
    folder = room.embed(asked).folder
    assert (folder / "ai-pack/src/main/assets/search/edgepack.json").is_file()
    assert 'packName = "search"' in (folder / "ai-pack/build.gradle.kts").read_text()
    assert not (folder / "src/main/assets").exists()
    assert 'ASSETS = "search"' in (folder / "src/main/kotlin/runtime/Installed.kt").read_text()
    assert 'File("ai-pack/src/main/assets/search")' in (folder / "src/test/kotlin/Place.kt").read_text()
