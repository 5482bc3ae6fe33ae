"""Options that several commands share."""

from __future__ import annotations

import pytest

from edgepack.cli.options import size_of
from edgepack.errors import UsageError


@pytest.mark.parametrize("text", ["", "much", "0 MB", "0.4 B", "1.2.3 MB"])
def test_an_option_that_is_no_size_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--body: ") as caught:
        size_of("--body")(text)
    assert caught.value.hint == "--body '24 MB'"


def test_an_option_that_is_a_size_is_bytes() -> None:
    assert size_of("--body")("20 kB") == 20_000
