"""Sizes as people write them."""

from __future__ import annotations

import pytest

from edgepack.units import parse_size


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("24 MB", 24_000_000), (" 1.5GiB ", 1_610_612_736), (".5 kB", 500), ("3. KB", 3_000), ("7 B", 7), (7, 7)],
)
def test_a_size_is_bytes(text: str | int, bytes: int) -> None:
    assert parse_size(text) == bytes


@pytest.mark.parametrize(
    "text", ["", "MB", "24", "-1 MB", "1.2.3 MB", ". MB", "1e3 MB", "nan MB", "٣ MB", -5, True, None]
)
def test_what_is_no_size_is_told_with_one_that_is(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write it like '24 MB'"):
        parse_size(text)  # type: ignore[arg-type]
