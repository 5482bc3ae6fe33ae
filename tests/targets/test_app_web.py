"""The module for browsers: it compiles, passes its own tests, and answers as edgepack's runtime does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.clients import environments

import edgepack as runtime
from edgepack.embed import Request, embed
from edgepack.records import Bundle
from edgepack.runtime.opening import opened

Build = Callable[..., tuple[Bundle, ...]]
Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "targets" / "web" / "app"
TASKS = tomllib.loads((TEMPLATE / "app.toml").read_text())["tasks"]
IN_CHROMIUM = ["text-embedding", "image-classification", "text-generation"]
TEXT = "Ada  Lovelace wrote the first program in london, 42 nights on a quux"
QUESTION = ("who wrote the first program", "rain fell on paris all day and all night. " * 9 + TEXT)
IMAGE = (np.add.outer(np.arange(47) * 5, np.arange(71) * 3)[..., None] + [0, 40, 90]).astype(np.uint8)
_ASK = """import "./tests/files_in_node.js";
import { ModelApp } from "./src/index.js";

const asked = JSON.parse(process.argv[2] ?? "{}");
const model = await ModelApp.load({ bundle: new URL("./bundle/", import.meta.url) });
const found = (model as unknown as Record<string, (...args: unknown[]) => unknown>)[asked.method]?.(...asked.args);
let answer: unknown = await found;
if (typeof answer === "object" && answer && Symbol.asyncIterator in answer) {
  let text = "";
  for await (const piece of answer as AsyncIterable<string>) text += piece;
  answer = text;
}
const plain = (_: string, value: unknown) => (ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value);
process.stdout.write(JSON.stringify(answer, plain) + "\\n");
model.close();
"""


@pytest.fixture(scope="session")
def modules() -> Path:
    """A folder node_modules with what the module needs."""
    if not shutil.which("npm"):
        pytest.skip("npm is not here")
    wanted = TEMPLATE / "edgepack-model" / "package.json"

    def make(folder: Path) -> None:
        shutil.copy(wanted, folder)
        environments.run(["npm", "install", "--ignore-scripts", "--silent", "--prefix", folder])

    return environments.kept("web-app", [wanted], "", make) / "node_modules"


@pytest.fixture(scope="session")
def app(
    build: Build, tiny: Callable[[str], Path], modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``app(task)``: the generated folder of a tiny bundle for that task, built."""
    made: dict[str, Path] = {}

    def get(task: str) -> Path:
        if task not in made:
            model = ROOT / "samples" / "storyteller" / "model" if task == "text-generation" else tiny(task)
            bundle = build(model, "web", recipes=("fp32",), allow_loss=True)[0]
            into = tmp_path_factory.mktemp("app")
            embed(Request(listed=opened(bundle.path), into=into, name="model-app"))
            made[task] = into / "model-app"
            (made[task] / "node_modules").symlink_to(modules)
            node(made[task], "scripts/build.mjs")
        return made[task]

    return get


def node(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["node", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def types_hold(folder: Path) -> None:
    node(folder, "node_modules/typescript/bin/tsc", "--noEmit", "--project", ".")


def ask(folder: Path, method: str, *arguments: Any) -> Any:
    """What the module answers in Node.js."""
    (folder / "ask.ts").write_text(_ASK)
    options = ["--bundle", "--format=esm", "--platform=node", "--packages=external", "--log-level=error"]
    node(folder, "node_modules/esbuild/bin/esbuild", "ask.ts", *options, "--outfile=ask.mjs")
    return json.loads(node(folder, "ask.mjs", json.dumps({"method": method, "args": arguments})))


def flat(found: Any) -> list[Any]:
    """The labels of one example as JSON has them."""
    return [vars(one) for one in found]


def test_the_template_compiles_as_a_whole(modules: Path, tmp_path: Path) -> None:
    left = shutil.ignore_patterns("node_modules", "dist")
    folder = Path(shutil.copytree(TEMPLATE / "edgepack-model", tmp_path / "app", ignore=left))
    (folder / "node_modules").symlink_to(modules)
    types_hold(folder)


@pytest.mark.parametrize("task", TASKS)
def test_a_module_compiles_and_passes_its_own_tests(task: str, app: Callable[[str], Path]) -> None:
    folder = app(task)
    types_hold(folder)
    told = node(folder, "--test", "dist/tests/node.js")
    assert int(re.findall(r"^# pass (\d+)", told, re.MULTILINE)[0]) >= 8


@pytest.mark.parametrize("task", IN_CHROMIUM)
def test_it_does_in_chromium(task: str, app: Callable[[str], Path]) -> None:
    if not shutil.which("chromium"):
        pytest.skip("chromium is not here")
    told = node(app(task), "scripts/chromium.mjs")
    assert "ok - without room the model runs from memory\n" in told
    assert "ok - golden vectors\n" in told


def test_a_tokenizer_of_another_model_fails_its_tests(app: Callable[[str], Path], tmp_path: Path) -> None:
    left = shutil.ignore_patterns("node_modules")
    folder = Path(shutil.copytree(app("text-classification"), tmp_path / "app", ignore=left))
    (folder / "node_modules").symlink_to((app("text-classification") / "node_modules").resolve())
    table = json.loads((folder / "bundle" / "tokenizer.json").read_text())
    table["model"]["vocab"] |= {"rain": table["model"]["vocab"]["fell"], "fell": table["model"]["vocab"]["rain"]}
    (folder / "bundle" / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(AssertionError, match=r"tokenizer\.json and onnx/model\.onnx do not belong together"):
        node(folder, "--test", "dist/tests/node.js")


def test_vectors_are_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("text-embedding")
    (found,) = ask(folder, "embed", [TEXT])
    model = runtime.load(folder / "bundle")
    np.testing.assert_allclose(found, model.embed(TEXT), atol=1e-4)
    (found,) = ask(folder, "embed", [TEXT], {"prompt": "rain fell: "})
    np.testing.assert_allclose(found, model.embed(TEXT, prompt="rain fell: "), atol=1e-4)


def test_sparse_vectors_are_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("sparse-embedding")
    model = runtime.load(folder / "bundle")
    for options, own in (
        ({}, {}),
        ({"maxActiveDims": 5, "prompt": "rain: "}, {"max_active_dims": 5, "prompt": "rain: "}),
    ):
        (found,), wanted = ask(folder, "embed", [TEXT], options), model.embed(TEXT, **own)
        assert found["indices"] == wanted.indices.tolist()
        np.testing.assert_allclose(found["values"], wanted.values, atol=1e-4)


def test_labels_are_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("text-classification")
    pair = ("rain fell", TEXT)
    for found, wanted in zip(
        ask(folder, "classify", [TEXT, pair]), runtime.load(folder / "bundle").classify([TEXT, pair]), strict=True
    ):
        assert [one["name"] for one in found] == [one.name for one in wanted]
        np.testing.assert_allclose([one["score"] for one in found], [one.score for one in wanted], atol=1e-4)


def test_entities_are_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("token-classification")
    (found,) = ask(folder, "tag", [TEXT])
    wanted = flat(runtime.load(folder / "bundle").tag(TEXT))
    assert len(wanted) > 1
    for one, other in zip(found, wanted, strict=True):
        assert {**one, "score": 0} == {**other, "score": 0}
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_an_answer_is_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("question-answering")
    found, wanted = ask(folder, "answer", *QUESTION), vars(runtime.load(folder / "bundle").answer(*QUESTION))
    assert {**found, "score": 0} == {**wanted, "score": 0}
    assert found["score"] == pytest.approx(wanted["score"], abs=1e-4)


def test_what_is_filled_in_is_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("fill-mask")
    text = "rain fell on [MASK] all day"
    (found,) = ask(folder, "fill", [text])
    wanted = flat(runtime.load(folder / "bundle").fill(text))
    assert [(one["token"], one["text"]) for one in found] == [(one["token"], one["text"]) for one in wanted]


def test_what_is_seen_is_the_runtimes(app: Callable[[str], Path]) -> None:
    height, width, channels = IMAGE.shape
    image = {"data": IMAGE.ravel().tolist(), "height": height, "width": width, "channels": channels}
    folder = app("zero-shot-image-classification")
    names = ["a cat", "a dog", "the photo"]
    (found,) = ask(folder, "classify", [image], names)
    wanted = runtime.load(folder / "bundle").classify(IMAGE, names)
    assert [one["name"] for one in found] == [one.name for one in wanted]
    np.testing.assert_allclose([one["score"] for one in found], [one.score for one in wanted], atol=1e-4)


def test_greedy_text_is_the_runtimes(app: Callable[[str], Path]) -> None:
    folder = app("text-generation")
    found = ask(folder, "generate", "If the file is", {"maxTokens": 60})
    assert found == "".join(runtime.load(folder / "bundle").generate("If the file is", max_tokens=60))


def test_the_chat_page(edgepack: Command, modules: Path, tmp_path: Path) -> None:
    """As its README says, with npm's packages from here and the page's test in the place of a visitor."""
    if not shutil.which("chromium"):
        pytest.skip("chromium is not here")
    page = Path(shutil.copytree(ROOT / "samples" / "chat-page", tmp_path / "chat-page"))
    shutil.copytree(ROOT / "samples" / "storyteller" / "model", tmp_path / "storyteller" / "model")
    build, put, install, make, _ = re.findall(r"^[a-z]+ .+", block(page / "README.md"), re.MULTILINE)
    for command in (build, put):
        done = edgepack(*command.split()[1:], cwd=page)
        assert done.returncode == 0, done.stderr
    assert install == "npm install --prefix storyteller"
    (page / "storyteller" / "node_modules").symlink_to(modules)
    subprocess.run(make.split(), cwd=page, check=True, capture_output=True)
    told = node(page, "storyteller/scripts/chromium.mjs", "test.html", ".")
    assert told.count("ok - ") == 3


def block(page: Path) -> str:
    """The first block of commands."""
    return page.read_text("utf-8").split("```")[1].partition("\n")[2]
