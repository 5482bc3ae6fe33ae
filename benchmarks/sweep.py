"""What `edgepack sweep` is held to: two workers against one, its overhead, a worker that is killed, a missing board.

    python benchmarks/sweep.py [--rounds 3]

24 builds: eight small BERTs of random weights, made here, each in three recipes, each process with one thread and each
run with an empty cache. A round runs them by one worker, by two, and as plain `edgepack build` commands in a pool of
two processes, in turns; the median round counts. Then a unit's process and a Dask worker are killed with kill -9 in the
middle. The sweeps' bundles must have the bytes of the plain commands'.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

EDGEPACK = str(Path(sys.executable).parent / "edgepack")
MODELS, RECIPES = 8, ("int8", "int8-fine", "int4")
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "rain", "fell", "on", "paris"]
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
PATIENCE = 120  # seconds for a step of the preparations


def save_models(folder: Path) -> None:
    letters = [chr(code) for code in range(97, 123)]
    pieces = dict.fromkeys([*SPECIAL.values(), *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **SPECIAL)
    for number in range(MODELS):
        torch.manual_seed(number)
        config = transformers.BertConfig(
            vocab_size=len(pieces), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
            max_position_embeddings=64,
        )  # fmt: skip
        transformers.BertModel(config).save_pretrained(folder / f"bert-{number}")
        fast.save_pretrained(folder / f"bert-{number}")


def write_sweep(folder: Path, out: str, **more: object) -> Path:
    """The file of a sweep of all models, beside them."""
    file = folder / f"{out}.toml"
    tables = "".join(f'[[model]]\nmodel = "./bert-{i}"\nallow_loss = true\n' for i in range(MODELS))
    keys = {"name": out, "out": out, "targets": ["rpi"], "recipes": list(RECIPES), **more}
    file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()) + tables, "utf-8")
    return file


def environment(cache: Path) -> dict[str, str]:
    shutil.rmtree(cache, ignore_errors=True)
    return {**os.environ, "EDGEPACK_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


def swept(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    """A sweep that has begun, with nothing in its cache or its folder."""
    shutil.rmtree(folder / out, ignore_errors=True)
    command = [EDGEPACK, "sweep", str(write_sweep(folder, out)), "--json", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment(folder / "cache"), stdout=pipe, stderr=pipe, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the sweep failed: {errors}")
    found: dict[str, Any] = json.loads(output)
    return found


def command(folder: Path, number: int, recipe: str) -> list[str]:
    model = str(folder / f"bert-{number}")
    options = ["-t", "rpi", "-r", recipe, "--out", str(folder / "plain"), "--allow-loss", "--no-speed", "--json"]
    return [EDGEPACK, "build", model, *options]


def built(words: list[str]) -> int:
    return subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode


def plain(folder: Path) -> None:
    """The same builds in the same order, as commands in a pool of two processes."""
    shutil.rmtree(folder / "plain", ignore_errors=True)
    os.environ.update(environment(folder / "cache"))
    with ProcessPoolExecutor(2) as pool:
        codes = list(pool.map(built, [command(folder, i, recipe) for recipe in RECIPES for i in range(MODELS)]))
    if any(codes):
        raise SystemExit(f"plain builds failed: {codes}")


def digests(folder: Path) -> dict[str, str]:
    return {
        file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob("*/edgepack.json"))
    }


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.05)


def half_done(folder: Path, out: str) -> bool:
    return len(list((folder / out).glob("*/edgepack.json"))) >= MODELS


def unit_killed(folder: Path) -> dict[str, Any]:
    """Kill the process of a unit in the middle of a sweep on this machine."""
    process = swept(folder, "killed", "--workers", "2")
    until(lambda: half_done(folder, "killed"))
    running = psutil.Process(process.pid).children
    known = running()
    until(lambda: set(running()) - set(known))  # one that has just begun
    (set(running()) - set(known)).pop().send_signal(signal.SIGKILL)
    return finished(process)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers on this machine: the scheduler's port and the workers' processes."""
    file, quiet = folder / "scheduler.json", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    dask = [sys.executable, "-m", "dask"]
    started = [subprocess.Popen([*dask, "scheduler", *local, "--port", "0", "--scheduler-file", str(file)], **quiet)]
    try:
        until(file.exists)
        address = json.loads(file.read_text())["address"]
        worker = [*dask, "worker", address, *local, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
        started += [subprocess.Popen(worker, **quiet, cwd=folder) for _ in range(2)]
        yield address.removeprefix("tcp://"), started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def worker_killed(folder: Path) -> dict[str, Any]:
    """Kill a Dask worker in the middle of a sweep, and ask for a board that none has."""
    os.environ.update(environment(folder / "cache"))
    with cluster(folder) as (address, workers):
        process = swept(folder, "dask", "--on", f"dask://{address}")
        until(lambda: half_done(folder, "dask"))
        workers[0].send_signal(signal.SIGKILL)
        found = finished(process)
        file = write_sweep(folder, "board", devices=["ssh://nobody@board.invalid"])
        asked = [EDGEPACK, "sweep", str(file), "--on", f"dask://{address}"]
        started = time.perf_counter()
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        print(f"a board that no worker has: exit code {done.returncode} after {time.perf_counter() - started:.1f} s")
        print("   ", done.stderr.splitlines()[0])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    folder = Path(tempfile.mkdtemp())
    save_models(folder)
    seconds: dict[str, list[float]] = {"one": [], "two": [], "plain": []}
    for _ in range(rounds):
        seconds["one"].append(timed(lambda: finished(swept(folder, "one", "--workers", "1"))))
        seconds["two"].append(timed(lambda: finished(swept(folder, "two", "--workers", "2"))))
        seconds["plain"].append(timed(lambda: plain(folder)))
    one, two, pool = (statistics.median(seconds[name]) for name in ("one", "two", "plain"))
    print({name: [round(value, 2) for value in values] for name, values in seconds.items()})
    print(f"24 builds: one worker {one:.1f} s, two {two:.1f} s: {one / two:.2f} times (to reach: 1.8)")
    print(f"plain commands in a pool of two {pool:.1f} s: overhead {two / pool - 1:+.1%} (to reach: 5 %)")
    expected = digests(folder / "plain")
    runs = {"killed": unit_killed(folder), "dask": worker_killed(folder)}
    for name in ("one", "two", *runs):
        found = digests(folder / name)
        same = "equal" if found == expected else "DIFFER from"
        print(f"{name}: {len(found)} bundles, whose bytes {same} those of the plain commands")
    for name, told in runs.items():
        again = [unit["bundle"] for unit in told["units"] if unit["attempts"] > 1]
        print(f"{name}: passed {told['passed']}, begun again by the sweep itself: {', '.join(again) or 'none'}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
