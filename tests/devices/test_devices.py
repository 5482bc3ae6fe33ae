"""Bundles on devices: over a real ssh, with what can go wrong on the way and there."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.devices.conftest import GOLDEN, processes, refused
from tests.unit.test_reports import TIMING

import edgepack as runtime
from edgepack import devices, errors, history, suites, targets
from edgepack.devices import Device, Session
from edgepack.devices import _folder as store
from edgepack.devices._boards import PROFILES
from edgepack.devices._device import transport
from edgepack.devices._link import Link
from edgepack.records import Bundle
from edgepack.runtime import machine, manifest
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Here
from edgepack.stages import bench, validate
from edgepack.tasks._audio import wav

SENTENCES = ["the cat sleeps", "a loan from the bank"]
Board = Callable[..., Device]


@pytest.fixture
def listed(minilm: Bundle) -> manifest.Manifest:
    return manifest.read(minilm.path)


def wait(condition: Callable[[], object], seconds: float) -> float:
    """Wait until it holds; how long that took. Fails after ``seconds``."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def services(folder: Path) -> list[int]:
    """The processes that name the folder in their command."""
    return processes(
        lambda words: "edgepack.runtime.service" in words and any(word.startswith(str(folder)) for word in words)
    )


def test_a_sounds_file_that_lies_here_is_heard_there(
    board: Board, build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    (bundle,) = build(tiny("audio-classification"), "rpi")
    file = tmp_path / "hum.wav"
    file.write_bytes(wav(np.sin(np.arange(9000) / 9)[:, None] * 0.5, 22_050))
    with devices.connect(board(), manifest.read(bundle.path), threads=1) as there:
        assert validate.validate(there, GOLDEN).passed
        (answer,) = there.model().predict([file])
        assert answer == runtime.load(bundle.path).classify(file)
        assert there.model().classify(file) == answer


def test_a_bundle_answers_there_as_here(board: Board, listed: manifest.Manifest, minilm: Bundle) -> None:
    said: list[str] = []
    device = board(target="rpi", profile="pi5")
    with devices.connect(device, listed, threads=1, say=said.append) as there:
        result = validate.validate(there, GOLDEN)
        assert [check.passed for check in result.results] == [True]
        (timing, *_) = bench.bench(there, Rules(runs=3, seconds=0.0), inputs=("1x32",))
        assert (timing.what, timing.runs, timing.where.threads) == ("1x32", 3, 1)
        made = np.stack(there.model().predict(SENTENCES))
        (run,) = there.scorers.values()
        assert run.runtime.startswith("onnxruntime")
    here = runtime.load(minilm.path).embed(SENTENCES)
    assert np.abs(made - here).max() < 1e-6
    assert any("pushing" in line for line in said)
    said.clear()
    with devices.connect(device, listed, say=said.append):
        assert os.listdir(Path(device.folder) / "runs")
    assert not any("pushing" in line for line in said)
    assert not os.listdir(Path(device.folder) / "runs")
    assert devices.clear(device) > listed.model_bytes
    assert os.listdir(device.folder) == ["lock"]


def test_a_metric_of_a_suite_is_measured_there(board: Board, listed: manifest.Manifest, tmp_path: Path) -> None:
    rows = ["sentence1,sentence2,score", "a cat,a cat sleeps,4.5", "a cat,bank rates,0.2", "rain,heavy rain fell,4.0"]
    (tmp_path / "pairs.csv").write_text("\n".join([*rows, ""]))
    (tmp_path / "release.toml").write_text(
        '[[check]]\nkind = "metric"\nmetric = "spearman"\nat_least = -1\ndata = { path = "pairs.csv" }\n'
    )
    suite = suites.read(tmp_path / "release.toml")
    with devices.connect(board(), listed) as there:
        result = validate.validate(there, suite)
    here = validate.validate(Here(listed), suite)
    assert [check.value for check in result.results] == [check.value for check in here.results]
    (accuracy,) = (figure for figure in result.accuracy if figure.metric == "spearman")
    assert accuracy.where is not None
    assert accuracy.where.runtime.startswith("onnxruntime")


def test_the_commands(board: Board, minilm: Bundle, edgepack: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    place = Path(board().folder).parent
    done = edgepack("devices", "--json", cwd=place)
    (facts,) = json.loads(done.stdout)
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["cores"] == os.cpu_count()
    done = edgepack("run", minilm.path, "--device", "board", "hello", "--json", cwd=place)
    (answer,) = json.loads(done.stdout)
    assert np.abs(answer["result"] - runtime.load(minilm.path).embed("hello")).max() < 1e-6
    for named, told in ((("--device", "board"), "board"), ((), "local")):
        done = edgepack("validate", minilm.path, *named, "--json", "--out", place / told, cwd=place)
        found = json.loads(done.stdout)
        assert found["device"] == json.loads((place / told / "report.json").read_text())["device"] == told
        assert [check["where"]["machine"] for check in found["checks"]] == [machine.processor()]
        assert f'hostname="{told}"' in (place / told / "junit.xml").read_text()
        assert f"measured on {machine.processor()}" in (place / told / "report.html").read_text()
    done = edgepack("bench", minilm.path, "--device", "boerd", cwd=place)
    assert (done.returncode, "did you mean 'board'?" in done.stderr) == (3, True)
    done = edgepack("bench", minilm.path, "--device", "usb://1", cwd=place)
    assert "ssh://user@host[:port]" in done.stderr
    done = edgepack("bench", minilm.path, "--device", "xcrun", cwd=place)
    assert (done.returncode, "a Mac with Xcode" in done.stderr) == (84, True)


# What a login prints or does before the interpreter begins, the exit code of its end, and what an error says of it
LOGINS = {
    "printf 'no end of line: '": None,
    "echo 'This account is not available.'; exit 1": (1, "exit code 1.*: This account is not available."),
    "head -c 1 > /dev/null": (1, "exit code 1.*SyntaxError"),
    "exit 3": (3, "exit code 3"),
}


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_that_does_other_things(board: Board, tmp_path: Path, login: str) -> None:
    program = tmp_path / "login"
    program.write_text(f'#!/bin/sh\n{login}\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    device, told = board(python=program), LOGINS[login]
    if told is None:
        assert devices.probe(device).cores
        return
    with refused(errors.DeviceLacks, f"board ended .*login before it answered .{told[1]}", "Python has to be 3.8"):
        devices.probe(device)


FACTS = {
    '{"model": "x", "features": [], "emulated": false, "memory": 1%s}' % ("0" * 300): "memory",
    '{"model": "x", "features": [], "emulated": false, "temperature": 1e300}': "temperature",
    '{"model": 5, "features": [], "emulated": false}': "model",
}


@pytest.mark.parametrize("facts", FACTS)
def test_facts_that_are_none(scripted: Callable[[str], Device], facts: str) -> None:
    with refused(errors.DeviceAnswerWrong, f"tells wrong facts: .*{FACTS[facts]}", ""):
        devices.probe(scripted(f"{HELLO}print({facts!r}, flush=True)"))


def test_facts_that_would_look_like_lines_of_edgepack_s(scripted: Callable[[str], Device]) -> None:
    said = {"model": "a board\nerror: no", "features": [], "emulated": False}
    assert devices.probe(scripted(f"{HELLO}say({said!r})")).model == "a board error: no"


def test_a_device_that_never_ends_a_line(scripted: Callable[[str], Device]) -> None:
    device = scripted("while True: print('x', end='', flush=True); time.sleep(0.05)")
    link = Link(transport(device).command(device, [device.python]), "board")
    with link, refused(errors.DeviceLost, "board does not answer any more", "edgepack devices"):
        link.line(patience=0.5)


def test_what_is_here_in_part_is_sent_in_part(board: Board, tmp_path: Path) -> None:
    device, file = board(), tmp_path / "weights"
    file.write_bytes(np.random.default_rng(0).bytes(1_000_000))
    name = manifest.digest(file)
    place = Path(device.folder) / "store" / name[:2] / name
    place.parent.mkdir(parents=True)
    Path(f"{place}.part").write_bytes(file.read_bytes()[:600_000])
    said: list[str] = []
    with store.opened(device) as there:
        there.push({"weights": file}, said.append)
        assert said == ["pushing 400.0 kB to board"]
        assert place.read_bytes() == file.read_bytes()
        place.write_bytes(b"\0" + file.read_bytes()[1:])  # damaged there
        there.push({"weights": file})
        assert place.read_bytes() == file.read_bytes()
        Path(f"{place}.part").write_bytes(b"\0" * 10)
        place.unlink()
        with refused(errors.DeviceLost, "arrived damaged", "sent once more"):
            there.push({"weights": file})
        there.push({"weights": file})


def test_no_connection(board: Board, sshd: SimpleNamespace) -> None:
    with refused(errors.DeviceUnreachable, "accepts none of your keys", "ssh-copy-id"):
        devices.probe(board(ssh_config=sshd.folder / "no_key"))
    with refused(errors.DeviceUnreachable, "host key is unknown", "connect once: ssh -F"):
        devices.probe(board(ssh_config=sshd.folder / "no_host"))
    with refused(errors.DeviceUnreachable, "nothing accepts ssh connections there", "start sshd"):
        devices.probe(board(address="ssh://127.0.0.1:1"))
    with refused(errors.DeviceLacks, "has no /nowhere/python", "apt install python3"):
        devices.probe(board(python="/nowhere/python"))


@pytest.mark.parametrize(
    "address", ["ssh://", "ssh://-oProxyCommand=touch /tmp/x", "ssh://a b", "ssh://a:99999", "ssh://-l@h"]
)
def test_an_address_that_is_none(board: Board, address: str) -> None:
    with refused(errors.ProjectError, "devices.toml: devices.board: .* is not an ssh address", "ssh://user@host"):
        board(address=address)
    Path("devices.toml").unlink()
    with refused(errors.UsageError, "is not an ssh address", "ssh://user@host"):
        devices.find(address)


@pytest.mark.parametrize(
    ("settings", "said", "hint"),
    [
        ({"adress": "ssh://pi"}, "unknown key 'adress'", "did you mean 'address'?"),
        ({"address": "usb://1"}, "devices.board: no device named 'usb://1'", "ssh://user@host[:port]"),
        ({"target": "rpj"}, "devices.board: no target named 'rpj'", "did you mean 'rpi'?"),
        ({"target": "./nowhere"}, "devices.board: no target named '.*/nowhere'", "rpi"),
        ({"target": "rpi", "profile": "pi6"}, "no profile of target rpi named 'pi6'", "did you mean 'pi5'?"),
        ({"target": "rpi:pi5"}, "target is 'rpi:pi5'", 'profile = "pi5"'),
        ({"profile": "pi5"}, "profile 'pi5' is of no target", 'target = "rpi"'),
        ({"modules": "node_modules"}, "ssh has no use for 'modules'", "address, target, profile, folder, python"),
        ({"address": "browser"}, "browser has no use for 'python'", "address, target, profile, program, modules"),
        ({"address": "xcrun"}, "xcrun has no use for 'python'", "it takes address, target, profile"),
        ({"address": "local", "ssh_config": "x"}, "local has no use for 'ssh_config'", "folder, python"),
        ({"python": "python3\\u0000"}, "python", ""),
    ],
)
def test_what_a_device_in_devices_toml_has_no_use_for(
    board: Board, settings: dict[str, str], said: str, hint: str
) -> None:
    with refused(errors.ProjectError, said, hint):
        board(**settings)


def test_a_device_s_target_is_known_by_what_people_call_it_and_by_its_folder(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(targets.ROOT / "rpi", tmp_path / "shelf" / "kiosk", ignore=shutil.ignore_patterns("app"))
    assert board(target="RaspberryPi", profile="pi4").target == "rpi"
    board(target="./shelf/kiosk", profile="pi4")
    monkeypatch.chdir("/")
    assert devices.listed(tmp_path / "devices.toml")["board"].target == "kiosk"


def test_emulated_boards_have_profiles_of_their_target() -> None:
    assert set(PROFILES.values()) <= set(targets.load("rpi").profiles)


def test_a_folder_of_somebody_else_s_stays_as_it_is(board: Board, listed: manifest.Manifest) -> None:
    device = board()
    own = Path(device.folder) / "runs" / "training.log"  # as edgepack calls what it deletes
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    for use in (lambda: devices.clear(device), lambda: devices.connect(device, listed).__enter__()):
        with refused(errors.DeviceError, "holds files that are not edgepack's", "folder ="):
            use()
    assert [own.read_text(), *os.listdir(device.folder)] == ["mine", "runs"]


def test_a_program_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.toml").write_text('[devices.desk]\naddress = "local"\npython = "/nowhere/python"\n')
    with refused(errors.DeviceLacks, "desk: /nowhere/python cannot be started", "python ="):
        devices.probe(devices.find("desk"))


def test_what_is_missing_there_is_named(board: Board, listed: manifest.Manifest, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    device = board(python=tmp_path / "bare" / "bin" / "python")
    with refused(errors.DeviceLacks, "lacks numpy>=.*onnxruntime>=", "--prepare"), devices.connect(device, listed):
        pass
    assert not (Path(device.folder) / "store").exists()


# What an onnxruntime does there when it is imported, and the error that tells of it
ENDS = {
    "import os; os.kill(os.getpid(), 4)": (errors.DeviceStopped, "instruction that the processor there lacks", "newer"),
    "import os; os.kill(os.getpid(), 9)": (errors.DeviceStopped, "when memory runs out", "a smaller recipe"),
    "raise ImportError('wrong ELF class: ELFCLASS32')": (errors.DeviceLacks, "wrong ELF class", "--prepare"),
    "import os; os._exit(3)": (errors.DeviceStopped, "exit code 3", "edgepack devices"),
}


@pytest.mark.parametrize("does", ENDS)
def test_a_runtime_that_ends(board: Board, listed: manifest.Manifest, does: str) -> None:
    device = board()
    site = Path(device.folder) / "site" / "python{}.{}".format(*sys.version_info)
    for name in ("onnxruntime", "onnxruntime-99.0.dist-info"):
        (site / name).mkdir(parents=True)
    (Path(device.folder) / "lock").touch()  # by which the folder is edgepack's
    (site / "onnxruntime" / "__init__.py").write_text(f"{does}\n")
    (site / "onnxruntime-99.0.dist-info" / "METADATA").write_text("Name: onnxruntime\nVersion: 99.0\n")
    with refused(*ENDS[does]), devices.connect(device, listed) as there:
        asked(there)
    assert not os.listdir(Path(device.folder) / "runs")


def test_two_at_once(board: Board, listed: manifest.Manifest) -> None:
    device = board()
    with devices.connect(device, listed):
        me = f"process {os.getpid()}"
        with refused(errors.DeviceBusy, me, "try again"), devices.connect(device, listed):
            pass
        devices.probe(device)  # looks only


def test_a_full_disk(board: Board, listed: manifest.Manifest, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place]).returncode:
        pytest.skip("only root can make a small disk")
    try:
        with refused(errors.DeviceFull, "free, and", "--clear"), devices.connect(board(folder=place), listed):
            pass
        filler = place / "filler"
        device = board(folder=place)
        with store.opened(device) as there:
            there.ask("missing", files=[])
            filler.write_bytes(b"\0" * 7_000_000)
            there._lacking = lambda told, places: [(name, 0) for name in places]  # type: ignore[method-assign]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(there, "ask", lambda what, **named: {})  # what was free a moment ago
                with refused(errors.DeviceFull, "no space left", "--clear"):
                    there.push({"model": listed.folder / "model.onnx"})
        assert not list(place.rglob("*.part"))
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def started(folder: Path, minilm: Bundle) -> subprocess.Popen[bytes]:
    """A long bench from a process of its own, which measures by now."""
    command = [sys.executable, "-m", "edgepack", "bench", minilm.path, "--device", "board", "--seconds", "600"]
    host = subprocess.Popen(command, cwd=folder.parent, stderr=subprocess.PIPE)
    wait(lambda: services(folder), 20)
    time.sleep(1.5)  # in the middle of the measuring, by then
    return host


def test_a_killed_host_leaves_nothing(board: Board, minilm: Bundle) -> None:
    folder = Path(board().folder)
    host = started(folder, minilm)
    host.kill()
    host.communicate()
    assert wait(lambda: not services(folder), 3) < 3
    wait(lambda: not os.listdir(folder / "runs"), 2)


def test_a_dropped_connection(board: Board, minilm: Bundle, sshd: SimpleNamespace) -> None:
    folder = Path(board().folder)
    host = started(folder, minilm)
    for place in Path("/proc").glob("[0-9]*/stat"):
        name, _, rest = place.read_text().partition(") ")
        if "(sshd" in name and int(rest.split()[1]) == sshd.process.pid:
            os.kill(int(place.parent.name), signal.SIGKILL)
    _, said = host.communicate(timeout=10)
    assert (host.returncode, b"the connection to board broke off" in said) == (82, True)
    wait(lambda: not services(folder) and not os.listdir(folder / "runs"), 3)


HELLO = """
def say(value): print(json.dumps(value), flush=True)
say({"edgepack": 1, "python": "3.11.2", "machine": "x", "folder": "/", "packages":
     {"numpy": "99", "onnxruntime": "99", "tokenizers": "99", "jinja2": "99", "packaging": "99"}})
"""
SERVED = (
    HELLO
    + """
for _ in range(6): say({"folder": "/", "missing": []})
"""
)
HOSTILE = {
    "print('no ' * 10, flush=True)\n" * 200: "prints other text",
    "while True: sys.stdout.write('x' * 65536)": "a line of more than 1,048,576 bytes",
    "print('{\"edgepack\": [')": "not valid JSON",
    HELLO + "say([1])": "did not answer with an object",
    HELLO + "print('{' * 10**6)": "not valid JSON",
    SERVED + "while True: say({'alive': True}); sys.stderr.write('x' * 1000)": "does not stop sending",
    SERVED + "say({'result': '__import__(\"os\")'})": "an invalid answer",
    SERVED + "say({'result': True}); say({'result': {'model': {'machine': 1}}})": "an invalid answer",
    SERVED + "say({'error': 5})": "an invalid answer",
    SERVED + "say({'error': {'kind': 'SystemExit', 'said': 'no', 'hint': ''}})": "no",
}


@pytest.mark.parametrize("program", HOSTILE, ids=range(len(HOSTILE)))
def test_a_device_that_answers_anything(
    scripted: Callable[[str], Device], listed: manifest.Manifest, program: str
) -> None:
    with (
        pytest.raises(errors.DeviceError, match=HOSTILE[program]) as caught,
        devices.connect(scripted(program), listed) as there,
    ):
        asked(there)
    assert type(caught.value) in (errors.DeviceAnswerWrong, errors.DeviceError)


def asked(there: Session) -> None:
    assert there.scorers


WHOLE = json.loads(json.dumps(asdict(replace(TIMING, what="1x32"))))


@pytest.mark.parametrize(
    "told",
    [
        {"what": "1x32"},
        [{"what": "1x32", "p50": "fast"}],
        [WHOLE | {"p50": 0.0}],
        [WHOLE | {"p50": 1e300}],
        5,
        [],
    ],
)
def test_timings_that_are_none(scripted: Callable[[str], Device], listed: manifest.Manifest, told: object) -> None:
    program = f"{SERVED}say({{'result': True}}); say({{'result': None}}); say({{'result': {told!r}}})"
    with pytest.raises(errors.DeviceAnswerWrong), devices.connect(scripted(program), listed) as there:
        bench.bench(there, Rules(), inputs=("1x32",))


VECTORS = "{'array': ['float32', [%d], base64.b64encode(bytes(4 * %d)).decode()]}"
# Well-formed answers to what two sentences mean, none of which is two vectors
WRONG = [
    "5",
    "'a text'",
    "{'array': [5, 5, 5]}",
    "{'array': ['float32', [10 ** 30], '']}",
    "{'record': ['Label'], 'fields': {}}",
    "{'record': 'Label', 'fields': {'name': 5, 'score': 1.0, 'id': 0}}",
    f"[{VECTORS % (3, 3)}]",
    f"[{VECTORS % (3, 3)}, {VECTORS % (4, 4)}]",
    f"[{VECTORS % (3, 3)}, 'a text']",
]


@pytest.mark.parametrize("told", WRONG)
def test_an_answer_of_another_type(scripted: Callable[[str], Device], listed: manifest.Manifest, told: str) -> None:
    where = "{'machine': 'x', 'isa': 'x', 'os': 'x', 'runtime': 'x', 'threads': 1, 'target': False}"
    says = (f"say({{'result': {one}}})" for one in ("True", f"{{'model': {where}}}", told))
    program = f"import base64\n{SERVED}{'; '.join(says)}"
    with pytest.raises(errors.DeviceAnswerWrong), devices.connect(scripted(program), listed) as there:
        there.model().predict(SENTENCES)


def test_a_core_ml_package(board: Board, build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path]) -> None:
    (made,) = build(tiny("text-classification"), "iphone", recipes=("fp32",), allow_loss=True)
    here = runtime.load(made.path).classify("rain fell on paris")
    with devices.connect(board(address="local"), manifest.read(made.path)) as there:
        assert validate.validate(there, GOLDEN).passed
        assert there.model().predict(["rain fell on paris"]) == [here]


def test_a_shelf_of_devices(
    board: Board, minilm: Bundle, tmp_path: Path, edgepack: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    board(address="local")
    shelf = tmp_path / "shelf.toml"
    lost = '[devices.lost]\naddress = "ssh://nobody@127.0.0.1:1"\n'
    shelf.write_text(lost + (tmp_path / "devices.toml").read_text())
    brief = ("--runs", 3, "--seconds", 0, "--input", "1x8", "--history", tmp_path / "h.sqlite")
    done = edgepack("bench", minilm.path, "--all", shelf, *brief, "--html", tmp_path / "speed.html")
    assert (done.returncode, "nothing accepts ssh connections there" in done.stdout) == (81, True)
    assert [entry.device for entry in history.read(tmp_path / "h.sqlite")] == ["board"]
    assert "1 of 2 devices failed" in (tmp_path / "speed.html").read_text()
    done = edgepack("bench", minilm.path, "--all", shelf, *brief, "--json")
    failed, measured = json.loads(done.stdout)
    assert (failed["device"], failed["exit_code"], measured["timings"][0]["runs"]) == ("lost", 81, 3)
    shelf.write_text("")
    done = edgepack("bench", minilm.path, "--all", shelf)
    assert (done.returncode, "names no device" in done.stderr) == (4, True)
    done = edgepack("bench", minilm.path, "--all", tmp_path / "none.toml")
    assert (done.returncode, "none.toml" in done.stderr) == (4, True)
    assert edgepack("bench", minilm.path, "--all", shelf, "--device", "local").returncode == 2
    done = edgepack("bench", minilm.path, "--html", shelf)  # a file of the user's
    assert done.returncode == 22


def test_a_device_that_throttles(
    board: Board, listed: manifest.Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    program = tmp_path / "bin" / "vcgencmd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho throttled=0xe0008\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    with devices.connect(board(address="local"), listed) as there:
        rules = Rules(runs=3, seconds=0.0, repeat=1)
        (timing,) = bench.bench(there, rules, inputs=("1x8",), say=said.append)
    assert timing.attempts == 2
    assert "throttled or under-voltage (0xe0008)" in timing.verdict
    assert any(line.startswith("measuring 1x8 again: ") and "0xe0008" in line for line in said)
    assert timing.after is not None
    assert timing.after.throttled == 0xE0008


@pytest.mark.parametrize("name", store.MODULES)
def test_what_runs_first_on_a_device_reads_as_python_3_8(name: str) -> None:
    source = (Path(runtime.__file__).parent / name).read_text("utf-8")
    assert ast.parse(source, feature_version=(3, 8)).body
