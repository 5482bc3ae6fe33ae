"""One HTML page that needs nothing beside itself: styles and plots are inside, light and dark, for any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from edgepack.printable import printable
from edgepack.reports.page import MARK, Section
from edgepack.reports.table import DASH

_FILES = resources.files("edgepack.reports")


def render(title: str, verdict: tuple[str, bool], facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Render the page's HTML; every text is escaped."""
    return _template().render(
        mark=Markup(MARK),
        dash=DASH,
        style=Markup(_FILES.joinpath("page.css").read_text("utf-8")),
        title=title,
        verdict=verdict[0],
        good=verdict[1],
        facts=facts,
        sections=[section for section in sections if section.table.rows or section.table.notes],
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_FILES.joinpath("page.html").read_text("utf-8"))


def _shown(value: object) -> str:
    """Escape in a text what a browser would obey; markup of our own stays."""
    return value if isinstance(value, Markup) else printable(str(value))
