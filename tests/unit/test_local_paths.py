"""No place on the machine of a model's author stays in the card; addresses and other slashes do."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack import local_paths


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (
            "a fine-tuned version of [/home/ada/models/bert](https://huggingface.co//home/ada/models/bert) on x",
            "a fine-tuned version of [bert](bert) on x",
        ),
        ("based on `/Users/ada/My-Model/`.", "based on `My-Model`."),
        ('SentenceTransformer("/content/drive/out/checkpoint-500")', 'SentenceTransformer("checkpoint-500")'),
        (r"from C:\Users\ada\bert, or D:/models/bert", "from bert, or bert"),
        ("data_files=/mnt/nfs/ada/train.csv;", "data_files=train.csv;"),
        ("![](/workspace/ada/loss.png)", "![](loss.png)"),
    ],
)
def test_places_become_names(said: str, left: str, tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    card.write_text(said, "utf-8")
    local_paths.remove_from_text(card)
    assert card.read_text("utf-8") == left


@pytest.mark.parametrize(
    "said",
    [
        "see https://huggingface.co/home/page and http://localhost:8000/data/v1/x, or POST /v1/embeddings",
        "and/or, 1/2, ./data/train.csv, ../tmp/x/y, ~/.cache/huggingface, data/home/x, 16:9/4:3",
        "#!/usr/bin/env python > /dev/null",
        "[the docs](/docs/transformers/index)",
        "org/model at https://example.com/a//b",
        "naïve 日本 🎂\n\n| a | b |",
    ],
)
def test_the_rest_stays(said: str, tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    card.write_text(said, "utf-8")
    local_paths.remove_from_text(card)
    assert card.read_text("utf-8") == said
