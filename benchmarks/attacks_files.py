"""What kills, signals, damaged caches and readers find in a user's folder: how often something was lost or wrong.

    python benchmarks/attacks_files.py [--short] [--moments 100] [--rebuilds 200]

A tiny BERT is built, in processes that are forked from one that has imported everything. Attacks:

- kill -9 at every file operation of a rebuild and of a first build (a hook counts what Python asks the system), and the
  same where the file system cannot exchange two folders;
- kill -9, SIGINT and SIGTERM at random moments of the command;
- a page of zeros in every file of the cache, and the file cut short;
- readers that hash the bundle again and again while it is rebuilt;
- a file of the user's that appears in the bundle's folder at a random moment of a rebuild;
- a link to a folder of the user's that takes the place of what a killed build left, while that is being deleted.

After each, the earlier bundle or the new one has to be there, whole; the user's own files are as they were; the next
build succeeds, gives the same bytes and leaves nothing else behind. ``--short`` fills bundles with a few bytes instead
of building, and takes seconds.

The exit code is 1 where anything was lost, mixed, missing or wrong. One thing is expected and no fault, in the row
without an exchange alone: a bundle whose build is killed between its two renames is missing until the next build brings
it back (docs/how-it-works.md). The table says so there; a bundle that does not come back is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgepack import cache, exchange, outfolder
from edgepack.errors import BundleError, FileTrouble
from edgepack.runtime import manifest, rereading

NAME = "tiny-rpi"
EDGEPACK = Path(sys.executable).parent / "edgepack"
MINE = {"out": ("thesis.txt", "other/photo.jpg"), "cache": ("mine.txt", "exports/notes.txt")}
EVENTS = {
    "open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "ctypes.dlsym",
}  # fmt: skip
Build = Callable[[Path], None]  # out


class Place:
    """A user's folder with a finished bundle and files of the user's, and a cache with some too."""

    def __init__(self, root: Path, build: Build) -> None:
        self.out, self.cache, self.build = root / "out", root / "cache", build
        os.environ["EDGEPACK_CACHE"] = str(self.cache)
        self.clear()
        assert in_a_fork(self.rebuild) == 0, "the build itself fails"
        self.first = self.bundle()

    def clear(self) -> None:
        """Begin anew, with the user's files alone."""
        for folder, names in ((self.out, MINE["out"]), (self.cache, MINE["cache"])):
            shutil.rmtree(folder, ignore_errors=True)
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text("years of work")

    def rebuild(self) -> None:
        """The bundle once more."""
        self.build(self.out)

    def bundle(self) -> dict[str, str]:
        """The hashes of the bundle's files. Raises BundleError where it is not whole."""
        listed = manifest.read(self.out / NAME)
        manifest.verify(listed)
        return {name: entry["sha256"] for name, entry in listed.table["files"].items()}

    def wrong_now(self, *, had_one: bool) -> str:
        """What an attack has done, in a word; "" where nothing."""
        if not all((self.out / name).read_text() == "years of work" for name in MINE["out"]):
            return "a user's file"
        if not all((self.cache / name).read_text() == "years of work" for name in MINE["cache"]):
            return "a user's file"
        if not os.path.lexists(self.out / NAME):
            return "missing" if had_one else ""
        try:
            return "" if self.bundle() == self.first else "other bytes"
        except BundleError:
            return "not whole"

    def wrong_after(self) -> str:
        """The same after the next build."""
        if in_a_fork(self.rebuild) != 0:
            return "the next build fails"
        left = [*self.out.glob(".*"), *self.cache.glob("*/.new-*")]
        wrong = "leftovers" if left else self.wrong_now(had_one=True)
        return "lost" if wrong == "missing" else wrong


def in_a_fork(work: Callable[[], None]) -> int:
    """Do ``work`` in a copy of this process; its exit code, negative for a signal."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(number: int, place: Place, count: Any = None) -> Callable[[], None]:
    """A rebuild that is killed before its ``number``-th file operation (0: never; ``count.value`` tells how many)."""
    seen = 0
    roots = (str(place.out), str(place.cache))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in EVENTS and _ours(event, arguments, roots):
            seen += 1
            if count is not None:
                count.value = seen
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        sys.addaudithook(hook)
        place.rebuild()

    return work


def _ours(event: str, arguments: tuple[Any, ...], roots: tuple[str, str]) -> bool:
    """Whether an event changes something in the user's folders; a folder that is emptied names its files alone."""
    if event == "ctypes.dlsym":
        return arguments[1] == "renameat2"
    if event == "open" and not int(arguments[2]) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return False
    named = [os.fsdecode(one) for one in arguments if isinstance(one, str | bytes | os.PathLike)]
    return any(one.startswith(roots) for one in named) or any(one and "/" not in one for one in named[:1])


def every_operation(place: Place, *, first: bool) -> Counter[str]:
    """Kill a build, the first or a later one, at each of its file operations in turn."""
    found: Counter[str] = Counter()
    total = multiprocessing.Value("i", 0)
    if first:
        place.clear()
    in_a_fork(killed_at(0, place, total))
    for number in range(1, total.value + 1):
        if first:
            place.clear()
        code = in_a_fork(killed_at(number, place))
        found["attacks"] += 1
        found["killed"] += code == -signal.SIGKILL
        _note(found, place.wrong_now(had_one=not first))
        _note(found, place.wrong_after())
    return found


def random_moments(place: Place, count: int, seconds: float, numbers: tuple[int, ...]) -> Counter[str]:
    """Kill a rebuild after a random time, in a fork."""
    found: Counter[str] = Counter()
    dice = random.Random(7)
    for _ in range(count):
        process = multiprocessing.get_context("fork").Process(target=place.rebuild)
        process.start()
        time.sleep(dice.uniform(0, seconds))
        number = dice.choice(numbers)
        os.kill(process.pid or 0, number)
        process.join()
        found["attacks"] += 1
        found["killed"] += process.exitcode == -number
        _note(found, place.wrong_now(had_one=True))
        _note(found, place.wrong_after())
    return found


def stopped_commands(place: Place, command: list[str], count: int) -> Counter[str]:
    """SIGINT and SIGTERM at random moments of the command, its imports too: one line, 130, nothing left."""
    found: Counter[str] = Counter()
    dice = random.Random(8)
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.monotonic() - begun
    for _ in range(count):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(dice.uniform(0.1, seconds))
        process.send_signal(dice.choice([signal.SIGINT, signal.SIGTERM]))
        _, said = process.communicate()
        found["attacks"] += 1
        found["killed"] += process.returncode == 130
        if process.returncode not in (0, 130) or "Traceback" in said:
            found["another exit"] += 1
            print(process.returncode, said[-300:])
        left = [*place.out.glob(".*"), *place.cache.glob("*/.new-*")]
        _note(found, "leftovers" if left else place.wrong_now(had_one=True))
    return found


def damaged_caches(place: Place) -> Counter[str]:
    """A page of zeros and a cut in every file of the cache: the next build gives the same bytes."""
    found: Counter[str] = Counter()
    names = [file.relative_to(place.cache) for file in place.cache.rglob("*") if file.is_file()]
    for name in [name for name in names if name.as_posix() not in MINE["cache"]]:
        for cut in (False, True):
            file = place.cache / name
            if not file.is_file() or file.is_symlink():
                continue
            with file.open("r+b") as stream:
                size = file.stat().st_size
                stream.seek(max(size // 2 - 2048, 0))
                if cut:
                    stream.truncate()
                else:
                    stream.write(bytes(min(4096, size - stream.tell())))
            found["attacks"] += 1
            _note(found, place.wrong_after())
    return found


def readers(place: Place, rebuilds: int) -> Counter[str]:
    """Two processes hash the bundle as the runtime does, while others of that name take its place."""
    found: Counter[str] = Counter()
    stop = multiprocessing.Event()
    counts = multiprocessing.Array("i", 3)  # reads, missing, mixed
    both = [multiprocessing.get_context("fork").Process(target=_read, args=(place, stop, counts)) for _ in range(2)]
    for reader in both:
        reader.start()
    failed = sum(in_a_fork(lambda: varied_build(place.out)) != 0 for _ in range(rebuilds))
    stop.set()
    for reader in both:
        reader.join()
    found.update({"attacks": counts[0], "rebuilds": rebuilds})
    for name, number in (("missing", counts[1]), ("mixed", counts[2]), ("the build fails", failed)):
        if number:
            found[name] += number
    return found


def _read(place: Place, stop: Any, counts: Any) -> None:
    while not stop.is_set():
        wrong = 0
        try:
            rereading.steady(place.out / NAME, place.bundle)
        except (BundleError, OSError):
            wrong = 2 if (place.out / NAME).is_dir() else 1
        with counts.get_lock():
            counts[0] += 1
            if wrong:
                counts[wrong] += 1


def appearing(place: Place, count: int, seconds: float) -> Counter[str]:
    """A file of the user's appears in the bundle at a random moment of a rebuild: it stays, there or beside it."""
    found: Counter[str] = Counter()
    dice = random.Random(9)
    for _ in range(count):
        process = multiprocessing.get_context("fork").Process(target=_quietly, args=(place.rebuild,))
        process.start()
        time.sleep(dice.uniform(0, 1.2 * seconds))
        (place.out / NAME / "thesis.txt").write_text("years of work")
        process.join()
        found["attacks"] += 1
        found["killed"] += process.exitcode != 0
        kept = list(place.out.glob(f"{NAME}*/thesis.txt"))
        if [file.read_text() for file in kept] != ["years of work"]:
            found["a user's file"] += 1
        for file in kept:
            file.unlink()
        _note(found, place.wrong_after())
    return found


def swapping(place: Place, count: int) -> Counter[str]:
    """A link takes the place of a dead build's folder, or of one in it, while the next build deletes it."""
    found: Counter[str] = Counter()
    victim, away = place.out.parent / "victim", place.out.parent / "away"
    for number in range(count):
        dead = place.out / ".building-abcdefgh"
        for folder in (dead, victim):
            for file in (folder / f"d{index % 3}" / f"{index}" for index in range(300)):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        (dead / "edgepack.lock").touch()
        before = _tree(victim)
        swapped, led = (dead, victim) if number % 2 else (dead / "d2", victim / "d2")
        process = multiprocessing.get_context("fork").Process(target=_quietly, args=(place.rebuild,))
        process.start()
        while process.is_alive() and _count(dead / "d0") == 100:
            pass
        with contextlib.suppress(OSError):
            swapped.rename(away)
            swapped.symlink_to(led, target_is_directory=True)
            found["killed"] += 1
        process.join()
        found["attacks"] += 1
        if _tree(victim) != before:
            found["a user's file"] += 1
        for folder in (away, dead):
            folder.unlink() if folder.is_symlink() else shutil.rmtree(folder, ignore_errors=True)
        _note(found, place.wrong_after())
    return found


def _quietly(work: Callable[[], None]) -> None:
    """Do ``work``, whose refusal is what is expected."""
    try:
        work()
    except FileTrouble:
        os._exit(FileTrouble.exit_code)


def _count(folder: Path) -> int:
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def _tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _note(found: Counter[str], wrong: str) -> None:
    if wrong:
        found[wrong] += 1


@contextlib.contextmanager
def without_exchange() -> Iterator[None]:
    """As on a file system that cannot exchange two folders."""
    before, exchange.exchange = exchange.exchange, lambda one, other: False
    try:
        yield
    finally:
        exchange.exchange = before


def a_model(folder: Path) -> Path:
    """A tiny BERT with a tokenizer of letters, as transformers saves them."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(97, 123)]
    words = {word: number for number, word in enumerate([*special, *letters, *(f"##{one}" for one in letters)])}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=32, initializer_range=0.15,
    )  # fmt: skip
    torch.manual_seed(5)
    folder.mkdir()
    transformers.BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def real_build(root: Path) -> tuple[Build, list[str]]:
    """A build in this process, and the command that does the same."""
    from edgepack import pipeline, plugins

    class Silent:
        def step(self, text: str) -> None: ...

        def note(self, text: str) -> None: ...

    export = [f"formats.onnx.export.{name}" for name in ("trace", "fuse", "contents", "schemes.int8_dynamic")]
    for name in ("original.pytorch", "original.text_arrangement", "original.inputs", *export):
        plugins.load_module(f"edgepack.{name}")
    model = a_model(root / "tiny")

    def build(out: Path) -> None:
        request = pipeline.Request(
            model=str(model), targets=("rpi",), out=out, allow_loss=True, measure_speed=False, task="text-embedding"
        )
        pipeline.build(request, Silent())

    command = [
        str(EDGEPACK),
        "build",
        str(model),
        "-t",
        "rpi",
        "--task",
        "text-embedding",
        "--allow-loss",
        "--no-speed",
    ]
    return build, [*command, "--out", str(root / "out")]


def small_build(out: Path) -> None:
    """A bundle of a few bytes, with a cache entry, by the same functions."""

    def make(folder: Path) -> None:
        (folder / "sub").mkdir()
        for name in ("model.bin", "sub/names.json"):
            (folder / name).write_bytes(b"export" * 1000)

    export = cache.fetch("exports", {"model": "tiny"}, make)
    _fill(out, {"model.onnx": (export / "model.bin").read_bytes(), "config.json": b"{}"})


def varied_build(out: Path) -> None:
    """A bundle of twenty files, other ones each time."""
    _fill(out, {"model.onnx": os.urandom(50_000), **{f"{number}.bin": os.urandom(5000) for number in range(20)}})


def small_manifest(name: str, files: dict[str, Any]) -> dict[str, Any]:
    """A manifest of ``files``, model.onnx among them, that says no more than the schema demands."""
    source = {"model": "tiny", "revision": None, "architecture": "", "model_type": "", "licence": None, "parameters": 0}
    target = {"name": "rpi", "profile": "pi4", "isa": "arm64", "runtime": "", "runtime_version": "", "threads": 4}
    bits = {"weight_bits": 8, "activation_bits": 8, "embedding_bits": 8, "block_size": 0}
    recipe = {"name": "int8", "scheme": "int8", **bits, "smooth": False, "finer": [], "min_coverage": 0.0}
    text = {
        "inputs": ["input_ids"],
        "max_length": 8,
        "pad_id": 0,
        "pad_token": "0",
        "pad_type_id": 0,
        "padding_side": "right",
        "truncation_side": "right",
    }
    processing = {"text": text, "answer": {"kind": "mask", "mask_id": 4, "mask_token": "4"}}
    tensors = [{"name": "input_ids", "dtype": "int64", "shape": [1]}]
    model = {
        "file": "model.onnx", "files": ["model.onnx"], "format": "onnx", "opset": 18, "needs": "", "inputs": tensors,
        "outputs": tensors,
        "components": [], "coverage": {"compressed": 0, "total": 0, "skipped": []}, "operators": {},
        "golden": {"file": "model.onnx", "output": "logits", "least_cosine": 0.9},
    }  # fmt: skip
    return {
        "schema": 2, "edgepack": "0.1.0", "name": name, "task": "fill-mask", "source": source | {"sha256": "0" * 64},
        "target": target, "recipe": recipe, "models": {"model": model}, "processing": processing, "files": files,
        "reproduce": {"tools": {}, "calibration_sha256": "0" * 64, "seed": 0},
    }  # fmt: skip


def _fill(out: Path, contents: dict[str, bytes]) -> None:
    with outfolder.workspace(out, NAME) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        files = {
            name: {"sha256": manifest.digest(folder / name), "bytes": len(content)}
            for name, content in contents.items()
        }
        table = small_manifest(NAME, files)
        (folder / manifest.MANIFEST).write_text(json.dumps(table))


def main(short: bool, moments: int, rebuilds: int) -> int:
    """Print the table; 1 where anything was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build, command = (small_build, []) if short else real_build(root)
        place = Place(root, build)
        begun = time.monotonic()
        in_a_fork(place.rebuild)
        seconds = time.monotonic() - begun
        rows = {
            "kill -9 at each operation of a rebuild": lambda: every_operation(place, first=False),
            "kill -9 at each operation of a first build": lambda: every_operation(place, first=True),
            "kill -9 at random moments": lambda: random_moments(place, moments, seconds, (signal.SIGKILL,)),
            "a page of zeros, a cut in each cached file": lambda: damaged_caches(place),
        }
        if command:
            rows["SIGINT, SIGTERM at random moments"] = lambda: stopped_commands(place, command, moments)
        rows["a file appears during a rebuild"] = lambda: appearing(place, moments, seconds)
        rows["a link is swapped in during a deletion"] = lambda: swapping(place, moments)
        rows[f"reads during {rebuilds} rebuilds"] = lambda: readers(place, rebuilds)
        bad = 0
        for name, attack in rows.items():
            bad += _show(name, attack())
        with without_exchange():
            place.clear()
            in_a_fork(place.rebuild)
            bad += _show("kill -9 at each operation, no exchange", every_operation(place, first=False), "missing")
    return int(bad > 0)


def _show(name: str, found: Counter[str], allowed: str = "") -> int:
    """Print one row; how much was wrong."""
    wrong = {key: number for key, number in found.items() if key not in ("attacks", "killed", "rebuilds")}
    expected = {allowed: " (expected between two renames: the next build brought it back)"}
    told = ", ".join(f"{key} {number}{expected.get(key, '')}" for key, number in wrong.items()) or "nothing wrong"
    hit = f", {found['killed']} of them hit" if "killed" in found else ""
    print(f"{name}: {found['attacks']}{hit}: {told}", flush=True)
    return sum(number for key, number in wrong.items() if key != allowed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--rebuilds", type=int, default=200)
    asked = parser.parse_args()
    sys.exit(main(asked.short, asked.moments, asked.rebuilds))
