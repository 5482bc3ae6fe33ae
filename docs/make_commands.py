"""Write docs/commands.md from the commands themselves: python docs/make_commands.py"""

import re
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from edgepack import errors
from edgepack.cli.app import app

PAGE = Path(__file__).parent / "commands.md"
_GROUP = typer.main.get_command(app)
COMMANDS = _GROUP.list_commands(None)


def text() -> str:
    """The page."""
    run = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"})
    parts = ["# Commands\n\nGenerated from the commands; every one takes `--json` but init.\n"]
    for name in COMMANDS:
        for names in ([name], *([name, below] for below in getattr(_GROUP.commands[name], "commands", ()))):
            shown = run.invoke(app, [*names, "--help"], prog_name="edgepack").stdout.strip()
            parts.append(f"## edgepack {' '.join(names)}\n\n```text\n{shown}\n```\n")
    parts.append("## Exit codes\n\n0 is success. A failure says what is wrong in one line and what to do in another.\n")
    rows = re.findall(r"(\w+) +(\d+)  +(.+)", str(errors.__doc__))
    rows.sort(key=lambda row: int(row[1]))
    lines = [f"| {code} | {said} |" for _, code, said in rows if not said.startswith("(never")]
    parts.append("\n".join(["| code | meaning |", "| --- | --- |", *dict.fromkeys(lines)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), "utf-8")
