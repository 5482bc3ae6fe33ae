"""The licence in a model card's front matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import ModelError
from edgepack.licences.card import licence


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("---\nlicense: Apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\ntags:\n- a\nlicense: 'mit'  # ours\n---\n", "mit"),
        ("---\nlicense:\n- mit\n- cc-by-4.0\n---\n", "mit and cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: llama3.2\n---\n", "llama3.2"),
        ("---\nlicense: other\n---\n", "other"),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense:\n---\n", None),
        ("---\nlanguage: en\n---\n", None),
        ("# A model\n\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_licences(card: str, found: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card, "utf-8")
    assert licence(tmp_path / "README.md") == found


@pytest.mark.parametrize("card", [b"---\nlicense: [mit\n---\n", b"---\n- a\n---\n", b"---\nlicense: \xff\n---\n"])
def test_a_card_that_cannot_be_read_is_an_error_that_names_it(card: bytes, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(card)
    with pytest.raises(ModelError, match=r"README\.md cannot be read") as error:
        licence(tmp_path / "README.md")
    assert error.value.hint
