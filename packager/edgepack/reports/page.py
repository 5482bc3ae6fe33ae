"""One HTML page that needs nothing beside itself: styles and plots are inside, light and dark."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.printable import printable

MARK = '<p class="brand">edgepack</p>'  # by which a page is known as ours


@dataclass(frozen=True)
class Table:
    """Rows of text; ``passed`` marks each row as good, bad or neither."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    passed: Sequence[bool | None] = ()


@dataclass(frozen=True)
class Section:
    """A heading, a table and plots (SVG)."""

    title: str
    table: Table
    plots: Sequence[str] = field(default_factory=list)


def render(title: str, verdict: tuple[str, bool], facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page's HTML."""
    word, good = verdict
    listed = "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in facts.items())
    body = "".join(_section(section) for section in sections if section.table.rows)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body><main><header>"
        f"{MARK}<h1>{_text(title)}</h1>"
        f'<p class="verdict {"good" if good else "bad"}">{_text(word)}</p><dl>{listed}</dl></header>{body}'
        "</main></body></html>\n"
    )


def _section(section: Section) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in section.table.head)
    marks = [*section.table.passed, *[None] * len(section.table.rows)]
    rows = "".join(_row(row, mark) for row, mark in zip(section.table.rows, marks, strict=False))
    figures = f'<div class="plots">{"".join(section.plots)}</div>' if section.plots else ""
    return (
        f'<section><h2>{_text(section.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{figures}</section>"
    )


def _row(row: Sequence[str], mark: bool | None) -> str:
    kind = {True: "good", False: "bad", None: ""}[mark]
    return f'<tr class="{kind}">' + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"


def _text(value: str) -> str:
    return html.escape(printable(str(value)))


_STYLE = """
:root{--paper:#fbfaf7;--card:#fff;--ink:#1d2433;--soft:#667085;--line:#e4e2dc;--mark:#2f6f8f;--good:#1b7f4d;--bad:#b3372f;
--goodbg:#e6f4ec;--badbg:#fbeae8}
@media(prefers-color-scheme:dark){:root{--paper:#12151b;--card:#1a1f28;--ink:#e8eaf0;--soft:#98a2b3;--line:#2b323e;
--mark:#6fb3d2;--good:#5fd39a;--bad:#ff8a80;--goodbg:#143124;--badbg:#3a1b19}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1040px;margin:0 auto;padding:40px 20px 64px}
.brand{margin:0;color:var(--mark);font-weight:650;letter-spacing:.06em}
h1{margin:.1em 0 .4em;font-size:30px;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0 0 12px;font-size:18px}
.verdict{display:inline-block;margin:0 0 20px;padding:4px 14px;border-radius:99px;font-weight:600}
.verdict.good{background:var(--goodbg);color:var(--good)}.verdict.bad{background:var(--badbg);color:var(--bad)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:12px 24px;margin:0}
dt{color:var(--soft);font-size:12.5px}dd{margin:0;overflow-wrap:anywhere}
section{margin-top:28px;padding:22px;background:var(--card);border:1px solid var(--line);border-radius:12px}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500;font-size:12.5px}
th,td{padding:7px 14px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
tr.good td:first-child::before{content:"✓ ";color:var(--good);font-weight:700}
tr.bad td:first-child::before{content:"✗ ";color:var(--bad);font-weight:700}
tr.bad td{color:var(--bad)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:20px;margin-top:18px}
figure{margin:0;max-width:460px}figcaption{color:var(--soft);font-size:12.5px}
svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}svg .tick{fill:var(--soft)}
.mark{fill:var(--mark)}.dot{fill:var(--mark);opacity:.45}
.axis,.rule{stroke:var(--soft);stroke-width:1}.rule{stroke-dasharray:3 3}
.bar{stroke:var(--mark);stroke-width:7;stroke-linecap:round}
"""
