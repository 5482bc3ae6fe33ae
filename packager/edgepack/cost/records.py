"""The records that a bill is computed from: money in US dollars, sizes in bytes, energy in joules.

Each checks its figures by ranges.py when it is made, and raises UsageError.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.cost.ranges import check
from edgepack.errors import UsageError
from edgepack.records import NotMeasured

STATED = "stated"
GB = 1e9  # bytes, as networks are billed


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number, and where it comes from, in words."""

    value: float
    origin: str = STATED


@dataclass(frozen=True, kw_only=True)
class Use:
    """The requests of all users: how many a day and, of language models, their tokens."""

    requests: float  # a day
    users: float | None = None  # a day; None: not stated
    tokens_in: float | None = None  # of a request, on average
    tokens_out: float | None = None

    def __post_init__(self) -> None:
        check(requests=self.requests, users=self.users, tokens_in=self.tokens_in, tokens_out=self.tokens_out)


@dataclass(frozen=True, kw_only=True)
class Service:
    """The price of a hosted service: by the request, or by the token."""

    title: str
    unit: str = "request"  # that is paid for; "image" for models that make images
    per_thousand: float | None = None  # dollars for 1,000 requests
    per_million_in: float | None = None  # dollars for a million input tokens
    per_million_out: float | None = None
    origin: str = STATED
    source: str = ""  # where a price that has a name was read, and when

    def __post_init__(self) -> None:
        by_token = self.per_million_in is not None or self.per_million_out is not None
        if by_token == (self.per_thousand is not None):
            raise UsageError(
                "a service is paid by the request or by the token",
                hint="give --per-thousand, or --per-million-in and --per-million-out",
            )
        check(per_thousand=self.per_thousand, per_million_in=self.per_million_in, per_million_out=self.per_million_out)

    def daily(self, use: Use) -> float:
        """Return the dollars for a day. Raises UsageError where tokens have a price and no number, or the reverse."""
        if self.per_thousand is not None:
            return use.requests * self.per_thousand / 1000
        tokens = _millionths("in", use.tokens_in, self.per_million_in)
        return use.requests * (tokens + _millionths("out", use.tokens_out, self.per_million_out)) / 1e6


def _millionths(side: str, tokens: float | None, price: float | None) -> float:
    """Return millionths of a dollar for the ``tokens`` of a request."""
    if (tokens is None) != (price is None):
        have, lack = ("price", "number") if tokens is None else ("number", "price")
        option = f"--tokens-{side}" if tokens is None else f"--per-million-{side}"
        raise UsageError(f"the {side}put tokens have a {have} and no {lack}", hint=f"give {option} too")
    return 0.0 if tokens is None or price is None else tokens * price


@dataclass(frozen=True, kw_only=True)
class Egress:
    """The price of data that leaves a server."""

    title: str
    per_gb: float  # dollars; 0: an app store delivers it
    origin: str = STATED
    source: str = ""  # where a price that has a name was read, and when

    def __post_init__(self) -> None:
        check(egress=self.per_gb)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The way of a bundle to the devices: once for each install, and again for each update."""

    size: Figure  # bytes
    installs: float  # a year: every device that downloads the bundle
    updates: float  # a year
    egress: Egress

    def __post_init__(self) -> None:
        check(size=self.size.value, installs=self.installs, updates=self.updates)

    @property
    def install_cost(self) -> float:
        """Dollars for the year's installs."""
        return self.installs * self.size.value / GB * self.egress.per_gb

    @property
    def update_cost(self) -> float:
        """Dollars for the year's updates of these devices."""
        return self.install_cost * self.updates

    @property
    def device_bytes(self) -> float:
        """Bytes that a device downloads in a year."""
        return self.size.value * (1 + self.updates)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """All that a bill is made of; what nobody stated is NotMeasured, with what to state."""

    use: Use
    service: Service
    delivery: Delivery | NotMeasured
    unable: Figure | NotMeasured  # the share of users whose device cannot run it, who stay on the server, 0..1
    energy: Figure | NotMeasured  # joules of a request on the device
    one_off: float | None = None  # dollars that going on-device takes once; None: not counted

    def __post_init__(self) -> None:
        check(one_off=self.one_off)
        if isinstance(self.unable, Figure):
            check(unable=self.unable.value)
        if isinstance(self.energy, Figure):
            check(energy=self.energy.value)
        users = self.use.users
        if isinstance(self.delivery, Delivery) and users is not None and self.delivery.installs < users:
            raise UsageError(
                f"{self.delivery.installs:,.0f} installs a year are fewer than {users:,.0f} daily users",
                hint="--installs counts every device that downloads the bundle in the year, those of the users first",
            )
