"""The packages that edgepack and its extras ask for, beside those that are installed.

Both are read from the metadata that pip installed with them, so that pyproject.toml alone names packages and versions.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepack.errors import MissingExtra

if TYPE_CHECKING:  # `--help` does without the milliseconds that packaging takes
    from packaging.requirements import Requirement

EDGEPACK = "edgepack"
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}  # whose modules have another name than they


@dataclass(frozen=True)
class Need:
    """A distribution that is asked for, and the version of it that is installed."""

    name: str
    wanted: str  # a version specifier; "" for any version
    found: str | None

    @property
    def met(self) -> bool:
        """True if a version that will do is installed."""
        return self.found is not None and _contains(self.wanted, self.found)

    def __str__(self) -> str:
        told = f"{self.name} {self.found or 'missing'}"
        return told if self.met or self.found is None else f"{told} (needs {self.wanted})"


def needs(extra: str = "", distribution: str = EDGEPACK) -> tuple[Need, ...]:
    """Return everything that ``distribution[extra]`` asks for beyond the plain ``distribution``; "" is the plain one's.

    Raises MissingExtra where the distribution itself is not installed.
    """
    return tuple(_need(requirement) for requirement in _requirements(distribution, extra))


def check_shared(extras: Sequence[str], distribution: str = EDGEPACK) -> None:
    """Raises MissingExtra for the first package that each of ``extras`` asks for and that is missing, or another
    version than they ask for; it names the extra that brings the most.
    """
    asked_by = {extra: needs(extra, distribution) for extra in extras}
    largest = max(extras, key=lambda extra: len(asked_by[extra]))
    shared = [need for need in asked_by[largest] if all(need in asked for asked in asked_by.values())]
    _check(needs("", distribution), "", distribution)
    _check(shared, largest, distribution)


def check(extra: str = "", distribution: str = EDGEPACK) -> None:
    """Raises MissingExtra for the first package that is missing, or installed in a version that will not do."""
    _check((*needs("", distribution), *(needs(extra, distribution) if extra else ())), extra, distribution)


def check_all(checks: Iterable[Callable[[], None]]) -> None:
    """Raises the MissingExtra of the first of ``checks`` that raises one, with a hint that is enough for all."""
    errors = []
    for each in checks:
        try:
            each()
        except MissingExtra as error:
            errors.append(error)
    if not errors:
        return
    first = errors[0]
    first.asked = tuple(dict.fromkeys(one for error in errors for one in error.asked))
    first.hint = " ".join(["pip install", *dict.fromkeys(_wanted(name, first.asked) for name, _ in first.asked)])
    raise first


def _wanted(name: str, asked: Iterable[tuple[str, str | None]]) -> str:
    """Return a distribution with the extras that are ``asked`` of it, as pip takes it; none that another brings."""
    brings = {extra: {need.name for need in needs(extra, name)} for other, extra in asked if other == name and extra}
    needed = [extra for extra in brings if not any(brings[extra] < brings[other] for other in brings)]
    return f"'{name}[{','.join(needed)}]'" if needed else name


def missing(module: str, distribution: str = EDGEPACK) -> MissingExtra | None:
    """Return the error for a ``module`` that cannot be imported; None where ``distribution`` does not ask for it.

    An app's copy of the runtime is no distribution: there it is not known what asks for what.
    """
    name = distribution_of(module)
    try:
        extra = extra_of(name, distribution)
    except importlib.metadata.PackageNotFoundError:
        return MissingExtra(name, None, distribution)
    return None if extra is None else MissingExtra(name, extra, distribution)


def distribution_of(module: str) -> str:
    """Return the distribution that brings a module, one that edgepack or an extra asks for."""
    package = module.partition(".")[0]
    return _canonical(_DISTRIBUTIONS.get(package, package))


def extra_of(name: str, distribution: str = EDGEPACK) -> str | None:
    """Return the smallest extra that brings ``name``, "" where the plain ``distribution`` does; None where none
    does.
    """
    extras = importlib.metadata.metadata(distribution).get_all("Provides-Extra") or ()
    asked = {extra: [_canonical(r.name) for r in _requirements(distribution, extra)] for extra in ("", *extras)}
    bringing = [extra for extra, names in asked.items() if _canonical(name) in names]
    return min(bringing, key=lambda extra: (extra != "", len(asked[extra])), default=None)


def _check(asked: Iterable[Need], extra: str, distribution: str) -> None:
    for need in asked:
        if not need.met:
            raise MissingExtra(need.name, extra, distribution, found=need.found or "", wanted=need.wanted)


def _requirements(distribution: str, extra: str) -> Iterator[Requirement]:
    """Yield those that ``extra`` adds, with those of the extras that it consists of."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires(distribution) or ():
        requirement = Requirement(text)
        if not _applies(requirement, extra) or (extra and _applies(requirement, "")):
            continue
        if _canonical(requirement.name) == _canonical(distribution):
            for other in sorted(requirement.extras):
                yield from _requirements(distribution, other)
        else:
            yield requirement


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _need(requirement: Requirement) -> Need:
    found = _version(requirement.name, tuple(sys.path))
    wanted = sorted(map(str, requirement.specifier), reverse=True)  # ">=2.13,<2.14"
    return Need(requirement.name, ",".join(wanted), found)


@functools.lru_cache(maxsize=128)
def _version(name: str, path: tuple[str, ...]) -> str | None:
    """Return what is installed on ``path``; its metadata takes milliseconds to be read."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _contains(wanted: str, found: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(wanted).contains(Version(found), prereleases=True)
    except InvalidVersion:
        return not wanted


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
