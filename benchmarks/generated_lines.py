"""Lines of code that `edgepack embed` generates, by platform and task: the wrapper's and those of the runtime below it.

    python benchmarks/generated_lines.py [--tests]

Counted are lines of source without the tests (with --tests: of the tests alone) and the demo; blank lines and comments
stand beside. The runtime is what lies in the folder of that name: what tasks share. Python's, a copy of edgepack's own,
is not counted. Exits with 1 where a wrapper has 400 lines of code or more.
"""

from __future__ import annotations

import argparse
import collections
import re
from pathlib import Path

from edgepack import targets
from edgepack.embed import app as apps
from edgepack.embed import facts, names
from edgepack.embed.app import App
from edgepack.embed.generated import template_files
from edgepack.embed.template import Filling

SOURCES = {".py", ".kt", ".kts", ".swift", ".ts", ".mjs"}
PARTS = {
    "image-classification": {"image"},
    "image-embedding": {"image"},
    "zero-shot-image-classification": {"text", "image"},
    "audio-classification": {"audio"},
    "text-generation": {"generation", "chat"},
    "text-to-image": {"text", "diffusion"},
}
LIMIT = 400  # lines of code of a wrapper
_COMMENT = re.compile(r"//|/\*|\*|#(?!\[)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true")
    tests = parser.parse_args().tests
    print(f"{'platform':9} {'task':32} {'wrapper':>8} {'runtime':>8} {'comments':>9} {'blank':>6}")
    most = 0
    for target in ("rpi", "android", "iphone", "web"):
        app = apps.read(targets.load(target))
        for task in app.tasks:
            counts: collections.Counter[str] = collections.Counter()
            for name, text in files(app, target, task):
                if ("test" in name.lower()) == tests and not name.startswith("demo/"):
                    found = counted(text, Path(name).suffix)
                    counts += found
                    counts["runtime" if "runtime" in name.lower().split("/") else "wrapper"] += found["code"]
            numbers = [counts[kind] for kind in ("wrapper", "runtime", "comments", "blank")]
            print(f"{target:9} {task:32} " + "{:8} {:8} {:9} {:6}".format(*numbers))
            most = max(most, counts["wrapper"])
    if most >= LIMIT:
        raise SystemExit(1)


def files(app: App, target: str, task: str) -> list[tuple[str, str]]:
    """The sources of a task in the usual form, as they are generated."""
    form = next(iter(app.forms))
    words = {task, form, target, "onnx", "coreml", *PARTS.get(task, {"text"})}
    known = {*app.tasks, *app.forms, *targets.names(), *facts.PARTS, facts.CHAT, "onnx", "coreml"}
    named, kind = names.given("SentenceSearch"), app.tasks[task].type
    filling = Filling(names=named, type=kind, facts=Facts(), words=words, known=known)
    return [
        (name, filling.text(file.read_text("utf-8"), name))
        for name, file in template_files(app, form, task)
        if file.suffix in SOURCES
    ]


class Facts(dict[str, str | None]):
    """Every fact there may be."""

    def get(self, name: str, default: str | None = None) -> str:  # type: ignore[override]
        """Some text."""
        return name


def counted(text: str, suffix: str) -> collections.Counter[str]:
    """The lines of code, of comments and docstrings, and those that are blank."""
    if suffix == ".py":
        text = re.sub(r'^ *"""[\s\S]*?"""$', lambda found: re.sub(".+", "#", found[0]), text, flags=re.MULTILINE)
    lines = [line.strip() for line in text.splitlines()]
    comments = sum(bool(_COMMENT.match(line)) for line in lines)
    blank = sum(not line for line in lines)
    return collections.Counter(code=len(lines) - comments - blank, comments=comments, blank=blank)


if __name__ == "__main__":
    main()
