"""Ctrl-C ends a command with one line and 130, whatever is running, and lets it clean up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgepack.errors import Interrupted

SOURCE = Path(__file__).parents[2] / "packager"
# the command, with another program in the place of the commands
PROGRAM = """
import ctypes, os, signal, sys, time, types
from edgepack.cli import main
from edgepack.errors import BundleError, Interrupted

def press(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(0)  # where Python looks for signals

def app(standalone_mode):
    {body}
    sys.exit("went on")

sys.modules["edgepack.cli.app"] = types.SimpleNamespace(app=app)
main()
"""
IMPORTING = """
import os, signal, sys

class Press:
    def find_spec(self, name, *rest):
        if name == os.environ["PRESS_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
from edgepack.cli import main
main()
"""
LOOP = "for _ in range(500): time.sleep(0.01)"
BODIES = {
    "plain": "press()",
    "SIGTERM": "press(signal.SIGTERM)",
    "a callback of C": f"""
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda a, b: press() or 0)
    ctypes.CDLL(None).qsort(ctypes.create_string_buffer(2), 2, 1, compare)
    {LOOP}""",
    "a finalizer": f"""
    kind = type("Kind", (), {{"__del__": lambda self: press()}})
    kind()
    {LOOP}""",
    "a finalizer by its name": f"""
    class Kind:
        def __del__(self):
            press()
    Kind()
    {LOOP}""",
    "a weak reference": f"""
    import weakref
    kind = type("Kind", (), {{}})()
    weakref.finalize(kind, press)
    del kind
    {LOOP}""",
    "at the very end": """
    code = compile("import __main__\\n__main__.press()", "<frozen importlib._bootstrap>", "exec")
    exec(code)
    sys.exit(0)""",
    "at a return": """
    code = compile("import __main__\\n__main__.press()", "<frozen importlib._bootstrap>", "exec")
    exec(code)
    return""",
    "caught": f"""
    try:
        press()
    except BaseException:
        pass
    {LOOP}""",
    "renamed": """
    try:
        press()
    except BaseException as error:
        raise RuntimeError("a library's error") from error""",
    "renamed to ours": """
    try:
        press()
    except BaseException:
        pass
    raise BundleError("cannot open model.onnx")""",
    "exit": """
    try:
        press()
    except BaseException:
        raise OSError(5, "from a library")""",
    "twice": """
    try:
        press()
    finally:
        press(signal.SIGTERM)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            time.sleep(0.01)
        print("cleaned")""",
}


@pytest.mark.parametrize("body", BODIES)
def test_it_is_told_in_one_line(body: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(body=BODIES[body])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith(("error", " hint"))]
    assert told[0] == "error: stopped"
    assert len(told) == 2
    assert "went on" not in done.stderr
    assert "ignored" not in done.stderr or body in ("a callback of C", "a finalizer")
    if "ignored" not in done.stderr:  # what Python itself writes of a callback and a finalizer
        assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ("cleaned\n" if body == "twice" else "")


@pytest.mark.parametrize("module", ["typer", "rich.console", "numpy", "tokenizers", "edgepack.pipeline"])
def test_during_the_imports(module: str) -> None:
    command = [sys.executable, "-c", IMPORTING, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PRESS_AT": module})
    assert (done.returncode, done.stderr.splitlines()[:1]) == (130, ["error: stopped"])


def test_an_import_is_finished_first(tmp_path: Path) -> None:
    # protobuf's native code crashes now and then when an exception comes out of the Python that it runs at its import
    module = "import ctypes, __main__\ncompare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)"
    module += "(lambda a, b: __main__.press() or 0)\nctypes.CDLL(None).qsort(bytes(2), 2, 1, compare)"
    (tmp_path / "native.py").write_text(f"{module}\nprint('imported')\n")
    body = f"""sys.path.insert(0, {str(tmp_path)!r})
    import native
    {LOOP}"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "imported\n")
    assert done.stderr.splitlines()[0] == "error: stopped"
    assert "ignored" not in done.stderr


DEADLOCK = """
    mutex = ctypes.create_string_buffer(256)
    native = ctypes.PyDLL(None)  # which keeps Python's lock
    print("locked", flush=True)
    for _ in range(2):
        native.pthread_mutex_lock(mutex)"""


@pytest.mark.skipif(sys.platform != "linux", reason="the mutex is Linux's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_what_native_code_holds(number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=DEADLOCK)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    time.sleep(0.2)
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(number)
    assert process.wait(10) == -number
    process.stdout.close()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_output_is_full(options: list[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgepack", "targets", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 22
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")


def test_what_draws_cannot_be_loaded() -> None:
    body = """
    sys.modules["edgepack.cli.show"] = None
    raise BundleError("x", hint="y")"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (30, "error: x\n hint: y\n")


@pytest.mark.parametrize(
    "body",
    [
        """
    raise ImportError("state.so: failed to map segment from shared object")""",
        """
    raise ImportError("Exception caught: std::bad_alloc")""",
        """
    import importlib
    def load(name):
        raise MemoryError
    importlib.import_module = load
    raise RuntimeError("of a library that found none and does not say so")""",
    ],
)
def test_a_library_finds_no_memory(body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (16, "error: there is not enough memory for this")


def test_without_the_packages() -> None:
    command = [sys.executable, "-S", "-c", "from edgepack.cli import main; main()", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SOURCE)})
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "'typer'" in done.stderr


def test_no_except_exception_catches_it() -> None:
    assert not issubclass(Interrupted, Exception)
