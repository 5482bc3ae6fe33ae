"""Submodels opened when they are asked for, one at a time: the memory of the largest instead of that of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgepack import memory
from edgepack.arrays import Run


class OneAtATime(Mapping[str, Run]):
    """A mapping of ``names`` to sessions that ``open`` makes.

    Asking for another closes the one before, unless the caller still holds it; asking for the same gives it again.
    """

    def __init__(self, names: tuple[str, ...], open: Callable[[str], Run]) -> None:
        self._names, self._open = names, open
        self._name = ""
        self._session: Run | None = None

    def __getitem__(self, name: str) -> Run:
        """Return the session ``name``. Raises KeyError, and what opening it raises."""
        if name not in self._names:
            raise KeyError(name)
        if self._session is None or name != self._name:
            self._session = None  # before the next is opened
            memory.release()  # what the allocator keeps of it, which the next would come on top of
            self._session, self._name = self._open(name), name
        return self._session

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a submodel, without opening it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many submodels there are."""
        return len(self._names)
