"""What a model's generation settings ask of transformers' generate: obeyed by the bundle, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import ModelError, UnsupportedModel
from edgepack.tasks import text_generation


def said(folder: Path, **settings: Any) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def repetition_penalty(folder: Path, **config: Any) -> float:
    """Beside a config.json of this content."""
    return text_generation.repetition_penalty(folder, config)


def test_the_penalty_is_the_models_own(tmp_path: Path) -> None:
    assert repetition_penalty(tmp_path) == 1.0
    assert repetition_penalty(said(tmp_path, repetition_penalty=1.1, temperature=0.7, do_sample=True)) == 1.1
    assert repetition_penalty(said(tmp_path, repetition_penalty=None, num_beams=1, min_length=0)) == 1.0


def test_config_json_speaks_where_there_is_no_other_file(tmp_path: Path) -> None:
    assert repetition_penalty(tmp_path, repetition_penalty=1.2) == 1.2
    assert repetition_penalty(tmp_path, text_config={"repetition_penalty": 1.2}) == 1.2
    assert repetition_penalty(tmp_path, repetition_penalty=1.3, text_config={"repetition_penalty": 1.2}) == 1.3
    with pytest.raises(UnsupportedModel, match=r"^config\.json sets num_beams = 4"):
        repetition_penalty(tmp_path, num_beams=4)
    assert repetition_penalty(said(tmp_path, top_k=3), repetition_penalty=1.2, num_beams=4) == 1.0


@pytest.mark.parametrize("penalty", [0, -1, True, "1.1"])
def test_a_penalty_that_is_none(penalty: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="repetition_penalty"):
        repetition_penalty(said(tmp_path, repetition_penalty=penalty))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("suppress_tokens", [3, 4]),
        ("min_new_tokens", 10),
        ("no_repeat_ngram_size", 2),
        ("num_beams", 4),
        ("bad_words_ids", [[3]]),
        ("stop_strings", ["."]),
        ("forced_eos_token_id", 2),
        ("token_healing", True),
    ],
)
def test_what_a_bundle_does_not_obey_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=f"generation_config.json sets {key}"):
        repetition_penalty(said(tmp_path, **{key: value}))


def test_ends_that_no_vocabulary_holds(tmp_path: Path) -> None:
    assert text_generation.eos_ids(said(tmp_path, eos_token_id=[5, 2, 900, -1]), {}) == [5, 2, 900]
    assert text_generation.eos_ids(said(tmp_path, eos_token_id=-1), {}) == []
    for strange in (1 << 40, list(range(20_000)), "2", True):
        with pytest.raises(ModelError, match="eos_token_id is") as caught:
            text_generation.eos_ids(said(tmp_path, eos_token_id=strange), {})
        assert "generation_config.json" in caught.value.hint
