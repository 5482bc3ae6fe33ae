"""Every deliberate failure has an exit code of its own, and the tree in the docstring is the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edgepack import errors
from edgepack.errors import EdgepackError


def tree() -> list[type[EdgepackError]]:
    return [getattr(errors, name) for name in errors.__all__ if name != "nearest"]


def test_exit_codes_are_distinct() -> None:
    codes = {kind.__name__: kind.exit_code for kind in tree() if kind is not EdgepackError}
    assert len(set(codes.values())) == len(codes)
    assert codes["CheckFailed"] == 1
    assert 0 not in codes.values()


def test_the_docstring_lists_them_all() -> None:
    listed = dict(re.findall(r"(\w+) +(\d+)  ", str(errors.__doc__)))
    assert listed == {kind.__name__: str(kind.exit_code) for kind in tree()}


def test_unknown_names_suggest_the_nearest() -> None:
    assert errors.UnknownName("target", "rpy", ["rpi", "web"]).hint == "did you mean 'rpi'?"
    assert errors.UnknownName("target", "zzzz", ["rpi", "web"]).hint == "known: rpi, web"


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("use_fast", ["rescale_offset", "crop_pct"], None),
        ("do_flip", ["do_pad", "do_resize", "do_flip_channel_order"], None),
        ("do_resise", ["do_pad", "do_resize"], "do_resize"),
        ("rpy", ["rpi", "web"], "rpi"),
    ],
)
def test_only_a_slip_of_the_pen_is_near(name: str, known: list[str], near: str | None) -> None:
    assert errors.nearest(name, known) == near


def test_who_refuses_a_model_says_what_to_do() -> None:
    kinds = {kind.__name__ for kind in [errors.ModelError, *_below(errors.ModelError)]}
    silent = [
        f"{file.name}:{call.lineno}"
        for file in sorted(Path(errors.__file__).parent.parent.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in kinds
        if not any(keyword.arg == "hint" for keyword in call.keywords)
    ]
    assert not silent


def _below(kind: type[Exception]) -> list[type[Exception]]:
    return [found for child in kind.__subclasses__() for found in (child, *_below(child))]
