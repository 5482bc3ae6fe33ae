"""Jinja for strangers' templates: its sandbox, which keeps them in, with limits on time, text and memory.

The sandbox bounds no loop but range(). Here every line that runs looks at the clock, and whatever makes a text or a
list of others (operators, filters, methods, concatenation, output) is measured before, where it can be large, and
counted after. What walks through lists in lists (comparing, hashing, writing) is measured too: few of them can name the
same one so often that a walk never ends.
"""

from __future__ import annotations

import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, cast

from jinja2 import Template, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

Value = Any  # of a template: what it is given and computes

SECONDS = 5.0  # of one rendering
_LONGEST = 4_000_000  # characters of a text, or entries of a list
_ALTOGETHER = 64_000_000  # characters of all that one rendering makes; an entry of a list counts as _ENTRY
_ENTRY = 8
_WORK = 100_000_000  # sizes of two things multiplied: a replacement in a text, a join of a list
_UNKNOWN = 100_000  # entries of what gives them one by one
_DIGITS = 300  # of a number
_WIDTH = re.compile(r"\d{5,}|\*|\{[^{}]*\{")  # in a format: large, or said elsewhere
_NUMBER = re.compile(r"[0-9]+")
_NODES = 30_000  # of a template: those of 30,000 characters, longer than any in use, have 3,000


class LimitReached(Exception):
    """A template that takes more than it may."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with limits; render inside ``limited``."""

    intercepted_binops = frozenset(("+", "*", "**", "%", "//", "/", "-"))
    code_generator_class: type[CodeGenerator]

    def __init__(self, **options: Value) -> None:
        super().__init__(
            optimized=False, finalize=self.plain, **options
        )  # constants are computed while rendering, not while compiling
        self._made = 0
        self.concat = self.joined  # type: ignore[method-assign]
        self.filters = {name: self._bounded(name, each) for name, each in self.filters.items()}
        self.tests = {name: self._bounded(name, cast(Callable[..., Value], each)) for name, each in self.tests.items()}

    def add_filter(self, name: str, each: Callable[..., Value]) -> None:
        """Add a filter of our own, within the limits like all others."""
        self.filters[name] = self._bounded(name, each)

    def compiled(self, text: str) -> Template:
        """Return the template of ``text``, if it is soon compiled. Raises LimitReached and what Jinja raises."""
        tree = self.parse(text)
        todo: list[nodes.Node] = [tree]
        for count in itertools.count(1):
            if count > _NODES:
                raise LimitReached(f"it has more than {_NODES:,} parts")
            todo.extend(todo.pop().iter_child_nodes())
            if not todo:
                break
        return self.from_string(tree)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Raises LimitReached in what runs inside as soon as it takes too much."""
        self._made, end = 0, time.monotonic() + SECONDS

        def watch(frame: FrameType, event: str, argument: Value) -> Value:
            if time.monotonic() > end:
                raise LimitReached(f"it takes more than {SECONDS:g} seconds")
            return watch

        before = sys.gettrace()
        sys.settrace(watch)
        try:
            yield
        finally:
            sys.settrace(before)

    def joined(self, parts: Iterable[Value]) -> str:
        """Return parts of a text in one. Raises LimitReached."""
        texts, length = [], 0
        for part in parts:
            texts.append(str(self.plain(part)))
            length += len(texts[-1])
            if length > _LONGEST:
                raise LimitReached(f"it makes texts of more than {_LONGEST:,} characters")
        return str(self.counted("".join(texts)))

    def plain(self, value: Value) -> Value:
        """Return ``value``, where a walk through all that it names ends soon. Raises LimitReached."""
        _walked(value)
        return value

    def getitem(self, owner: Value, key: Value) -> Value:
        """Return ``owner[key]``, whose key is hashed."""
        return super().getitem(owner, self.plain(key))

    def call_binop(self, context: Context, operator: str, left: Value, right: Value) -> Value:
        """Return an operator's result. Raises LimitReached."""
        self.plain(left)
        self.plain(right)
        if operator == "%" and isinstance(left, str):
            self._check_format(left)
            self._check_work(left, right)
        elif operator == "**" and not (abs(right) < _DIGITS and abs(left) < 10**9):
            raise LimitReached("it makes numbers of too many digits")
        elif operator == "*" and (_size(left) or _size(right)):
            count = left if isinstance(left, int) else right if isinstance(right, int) else 0
            if count * max(_size(left), _size(right)) > _LONGEST:
                raise LimitReached(f"it makes texts of more than {_LONGEST:,} characters")
        return self.counted(super().call_binop(context, operator, left, right))

    def call(self, context: Context, callable_: Value, /, *arguments: Value, **named: Value) -> Value:
        """Return a call's result. Raises LimitReached."""
        # the sandbox has a limit for range; what a macro does is looked at where it does it
        if callable_ is not self.globals["range"] and not isinstance(callable_, Macro):
            self._check_work(getattr(callable_, "__self__", None), *arguments, *named.values())
        return self.counted(super().call(context, callable_, *arguments, **named))

    def wrap_str_format(self, value: Value) -> Value:
        """Return a text's ``format``, in the sandbox and with the form looked at."""
        inside = super().wrap_str_format(value)
        if inside is None:
            return None

        @wraps(inside)
        def formatted(*arguments: Value, **named: Value) -> Value:
            self._check_format(value.__self__)
            self._check_work(value.__self__, *arguments, *named.values())
            return inside(*arguments, **named)

        return formatted

    def _bounded(self, name: str, each: Callable[..., Value]) -> Callable[..., Value]:
        @wraps(each)
        def bounded(*arguments: Value, **named: Value) -> Value:
            if name == "format":
                self._check_format(str(arguments[0]))
            self._check_work(*arguments, *named.values())
            return self.counted(each(*arguments, **named))

        return bounded

    def _check_work(self, *arguments: Value) -> None:
        """Raises LimitReached where two of the arguments together make too much, or one names too much."""
        sizes = sorted((_weight(argument) for argument in arguments), reverse=True)
        if len(sizes) > 1 and sizes[0] * max(sizes[1], 1) > _WORK:
            raise LimitReached("it makes too much of its texts and lists")

    def _check_format(self, form: str) -> None:
        plain = form.replace("{{", "")
        if _WIDTH.search(plain) or sum(map(int, _NUMBER.findall(plain))) > _LONGEST:
            raise LimitReached("it pads texts to too many characters")

    def counted(self, value: Value) -> Value:
        """Return ``value``, which was made. Raises LimitReached."""
        size = 0 if isinstance(value, range) else _size(value)
        self._made += size if isinstance(value, str) else size * _ENTRY
        if size > _LONGEST or self._made > _ALTOGETHER:
            raise LimitReached(f"it makes texts of more than {_LONGEST:,} characters, or too many")
        if isinstance(value, int) and value.bit_length() > 4 * _DIGITS:
            raise LimitReached("it makes numbers of too many digits")
        return value


class _Generator(CodeGenerator):
    """Code in which what the sandbox leaves to Python goes through the environment: ~, comparisons, lists, keys."""

    # ruff: noqa: N802 (Jinja's names)
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(")
        self._through("plain", node.expr, frame)
        for operand in node.ops:
            self.write(f" {operators[operand.op]} ")
            self._through("plain", operand.expr, frame)
        self.write(")")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self.write("environment.counted(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx != "load":  # the names that are assigned to
            return super().visit_Tuple(node, frame)
        self.write("environment.counted(")
        super().visit_Tuple(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self.write("environment.counted({")
        for pair in node.items:
            self._through("plain", pair.key, frame)
            self.write(": ")
            self.visit(pair.value, frame)
            self.write(", ")
        self.write("})")

    def _through(self, method: str, node: nodes.Expr, frame: Frame) -> None:
        self.write(f"environment.{method}(")
        self.visit(node, frame)
        self.write(")")


BoundedEnvironment.code_generator_class = _Generator


def _size(value: Value) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict | set | range) else 0


def _walked(value: Value) -> int:
    """Return the entries and characters of all that ``value`` names. Raises LimitReached."""
    todo, length = [value], 0
    while todo:
        one = todo.pop()
        length += 1 + _size(one)
        if length > _LONGEST:
            raise LimitReached(f"it makes lists with more than {_LONGEST:,} entries and characters")
        if isinstance(one, list | tuple | set):
            todo.extend(one)
        elif isinstance(one, Mapping) and not isinstance(one, Context):
            todo.extend((*one.keys(), *one.values()))
    return length


def _weight(value: Value) -> int:
    """Return what an argument can make of another: its length, that of all in it, or the number that it is."""
    walked = _walked(value)
    if isinstance(value, bool | Context):
        return 0
    if isinstance(value, int):
        return abs(value)
    if isinstance(value, list | tuple | set | Mapping):
        return walked
    return _UNKNOWN if isinstance(value, Iterator) else _size(value)
