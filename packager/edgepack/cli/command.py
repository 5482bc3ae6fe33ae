"""How a command's help names its arguments, and the order of the commands."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from typer.core import TyperCommand, TyperGroup


class _Formatter(Protocol):
    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...


class Command(TyperCommand):
    """A command whose arguments stand in its help as they are typed, without their types in Python."""

    # Typer has no public name for the context's class, nor for a parameter's: Any

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage, without the braces that Typer writes around what is required."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: _Formatter) -> None:
        """Write the arguments and the options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                name = _argument(parameter) if parameter.param_type_name == "argument" else record[0]
                rows[parameter.param_type_name].append((name, record[1]))
        for kind, listed in rows.items():
            if listed:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(listed)


class Commands(TyperGroup):
    """The commands, in which the group ``device`` stands beside ``devices``; Typer puts groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        names = [name for name in super().list_commands(ctx) if name != "device"]
        names.insert(names.index("devices") + 1, "device")
        return names


def _argument(parameter: Any) -> str:
    return f"{parameter.metavar or parameter.name}{'' if parameter.nargs == 1 else '...'}"
