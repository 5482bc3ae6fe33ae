"""Failures of a call: the command line, edgepack.toml, a package that is not installed."""

from __future__ import annotations

from collections.abc import Iterable

from edgepack.errors._root import EdgepackError, nearest


class UsageError(EdgepackError):
    """The command line or a call is wrong."""

    exit_code = 2


class UnknownName(UsageError):
    """A name of a kind (target, recipe, task, …) that does not exist."""

    exit_code = 3

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = nearest(name, names)
        hint = f"did you mean {close!r}?" if close else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"no {kind} named {name!r}", hint=hint)
        self.kind, self.name, self.known = kind, name, names


class ProjectError(EdgepackError):
    """edgepack.toml or a suite file is wrong."""

    exit_code = 4


class HistoryError(EdgepackError):
    """A history of measurements that cannot be read or added to: damaged, another program's, in use."""

    exit_code = 6


class FleetError(EdgepackError):
    """A cluster that cannot be reached, or that cannot run a sweep: no worker, no such device, another version."""

    exit_code = 90


class MissingExtra(EdgepackError):
    """A Python package that the command needs is not installed, or in a version that will not do."""

    exit_code = 5

    def __init__(
        self, package: str, extra: str | None, distribution: str = "edgepack", *, found: str = "", wanted: str = ""
    ) -> None:
        """Name what brings ``package``: ``extra`` of ``distribution``, "" where it needs none, None where no extra
        does.

        ``found`` is the version that is installed, where it is another than the ``wanted``.
        """
        self.asked: tuple[tuple[str, str | None], ...] = ((distribution if extra is not None else package, extra),)
        told = f"{package} {found} is installed, and this needs {package}{wanted}"
        bringing = package if extra is None else f"'{distribution}[{extra}]'" if extra else distribution
        super().__init__(
            told if found else f"this needs the Python package {package!r}, which is not installed",
            hint=f"pip install {bringing}",
        )
