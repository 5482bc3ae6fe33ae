"""Text of strangers, so that it shows what it says: in a terminal, on a page, in XML."""

from __future__ import annotations

import re

# What a terminal or a browser obeys instead of showing, and what turns or hides the text around it: control characters
# but for tab and line end, separators, marks of direction, invisible and private tags, lone surrogates.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return ``text`` with what a terminal or a browser would obey escaped, as Python writes it."""
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)
