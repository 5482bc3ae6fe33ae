"""The tokenizer of a language model as transformers opens it: ``python -m edgepack.original.language_tokenizer``.

A process of its own, since the build of a language model imports neither transformers nor PyTorch. What it finds goes
into a folder: nothing where tokenizer.json says all that transformers does, else the files that do, or an error.json
where transformers refuses.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    hidden: JsonDict = sys.modules
    hidden["torch"] = None  # transformers would import it, in twice the time of all the rest, and tokenizers need none

from edgepack.documents import JsonDict
from edgepack.errors import EdgepackError
from edgepack.original import tokenizers
from edgepack.tasks import read_config

ERROR = "error.json"


def find(folder: Path, to: Path) -> None:
    """Fill ``to``. Raises ModelError, UnsupportedModel."""
    tokenizer = tokenizers.opened(folder)
    if _plain(read_config(folder / "tokenizer.json")) == _plain(tokenizers.backend(tokenizer)):
        return
    beside = [folder / name for name in ("config.json", "tokenizer_config.json", "special_tokens_map.json")]
    for file in beside:
        if file.is_file():
            shutil.copyfile(file, to / file.name)
    tokenizers.save(tokenizer, read_config(folder / "tokenizer_config.json"), to)
    (to / "config.json").unlink()


def _plain(content: JsonDict) -> JsonDict:
    """Return the content of a tokenizer.json as far as it counts: no truncation, no padding, no template that adds
    nothing.
    """
    after = content.get("post_processor")
    empty = after is not None and after.get("type") == "TemplateProcessing" and not after.get("special_tokens")
    return {**content, "truncation": None, "padding": None, "post_processor": None if empty else after}


def main(folder: str, to: str) -> None:
    """Fill the folder ``to``, with an error where there is one."""
    try:
        find(Path(folder), Path(to))
    except EdgepackError as error:
        told = {"kind": type(error).__name__, "message": str(error), "hint": error.hint}
        (Path(to) / ERROR).write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
