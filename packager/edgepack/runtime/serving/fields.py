"""The fields of a request's JSON: each is read, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Collection

from edgepack.documents import Json, JsonDict, parse_json
from edgepack.errors import InputError
from edgepack.runtime.serving.exchange import Refused, Request

_JSON = "application/json"


class Fields:
    """The object in a request's body; what is never taken out of it is refused by ``done``."""

    def __init__(self, request: Request) -> None:
        """Raises Refused (415, 400)."""
        # a page of another origin can send other types without asking first
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            raise Refused(415, f"the Content-Type must be {_JSON}")
        try:
            value = parse_json(request.body, "the body", InputError)
        except InputError as error:
            raise Refused(400, str(error)) from error
        if not isinstance(value, dict):
            raise Refused(400, "the body must be a JSON object")
        self._left: JsonDict = value

    def take(self, name: str, default: Json = None) -> Json:
        """Return a field's value, ``default`` where it is null or not there."""
        value = self._left.pop(name, None)
        return default if value is None else value

    def text(self, name: str) -> str:
        """Return a text that has to be there. Raises Refused."""
        value = self.take(name)
        if not isinstance(value, str):
            raise wrong(name, "a text")
        return value

    def switch(self, name: str) -> bool:
        """Return true or false, by default false. Raises Refused."""
        value = self.take(name, False)
        if not isinstance(value, bool):
            raise wrong(name, "true or false")
        return value

    def whole(self, name: str, default: int | None, least: int, most: int) -> int | None:
        """Return a whole number. Raises Refused."""
        value = self.take(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            raise wrong(name, f"a whole number from {least:,} to {most:,}")
        return value

    def number(self, name: str, default: float, fits: Callable[[float], bool], range_: str) -> float:
        """Return a number that ``fits``. Raises Refused, which says that it must be ``range_``."""
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
            raise wrong(name, range_)
        return float(value)

    def only(self, name: str, values: Collection[Json]) -> None:
        """Take a field of which this service has ``values`` alone. Raises Refused."""
        value = self.take(name)
        if value is not None and not any(value == one and type(value) is type(one) for one in values):
            told = " or ".join(map(repr, values))
            raise Refused(400, f"{name} is not supported here" + (f" but as {told}" if told else ""), field=name)

    def done(self) -> None:
        """Raises Refused for a field that nobody took."""
        for name in self._left:
            raise Refused(400, f"there is no field {name!r}", field=name)


def wrong(name: str, range_: str) -> Refused:
    """Return the error for a field that must be ``range_``."""
    return Refused(400, f"{name} must be {range_}", field=name)
