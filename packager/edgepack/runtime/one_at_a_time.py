"""Submodels opened when they are asked for, one at a time: the memory of the largest instead of that of all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Generic, TypeVar

from edgepack import memory
from edgepack.arrays import Run

R = TypeVar("R", bound=Run)


class OneAtATime(Mapping[str, R], Generic[R]):
    """A mapping of ``names`` to sessions that ``open`` makes.

    Asking for another closes the one before, unless the caller still holds it; asking for the same gives it again.
    """

    def __init__(self, names: tuple[str, ...], open: Callable[[str], R]) -> None:
        self._names, self._open = names, open
        self._name = ""
        self._session: R | None = None

    def __getitem__(self, name: str) -> R:
        """Return the session ``name``. Raises KeyError, and what opening it raises."""
        if name not in self._names:
            raise KeyError(name)
        if self._session is None or name != self._name:
            self.close()  # before the next is opened
            self._session, self._name = self._open(name), name
        return self._session

    def close(self) -> None:
        """Close the one that is open."""
        self._session = None
        memory.release()  # what the allocator keeps of it, which the next would come on top of

    def without(self, names: Collection[str]) -> OneAtATime[R]:
        """Return the others than ``names``; what is open here is closed."""
        self.close()
        return OneAtATime(tuple(name for name in self._names if name not in names), self._open)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a submodel, without opening it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many submodels there are."""
        return len(self._names)


def without(runs: Mapping[str, R], names: Collection[str]) -> Mapping[str, R]:
    """Return ``runs`` but for those of ``names``; where they are opened one at a time, they still are."""
    if isinstance(runs, OneAtATime):
        return runs.without(names)
    return {name: run for name, run in runs.items() if name not in names}
