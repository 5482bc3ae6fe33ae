"""From what a user states to a scenario: what goes together, what excludes each other, what is missing.

A figure has no default: what nobody stated is an error where the bill needs it, else NotMeasured with what to state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgepack.cost import bundle, devices, prices
from edgepack.cost.prices import Prices
from edgepack.cost.ranges import check
from edgepack.cost.records import Delivery, Figure, Scenario, Service, Use
from edgepack.errors import UsageError
from edgepack.records import NotMeasured
from edgepack.runtime.manifest import Manifest
from edgepack.units import duration, parse_energy, parse_power, parse_size, size


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The figures that a user states, each None where nothing is said; docs/cost.md explains them."""

    bundle: Manifest | None = None
    requests: float | None = None
    users: float | None = None
    each: float | None = None
    service: str | None = None
    per_thousand: float | None = None
    per_million_in: float | None = None
    per_million_out: float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None
    prices: Path | None = None
    size: str | None = None
    installs: float | None = None
    updates: float | None = None
    egress: str | None = None
    one_off: float | None = None
    unable: float | None = None
    devices: Path | None = None
    memory: str | None = None
    energy: str | None = None
    power: str | None = None
    seconds: float | None = None


def scenario(asked: Asked) -> Scenario:
    """Return the scenario. Raises UsageError, UnknownName, DataError, and what opening measurements raises."""
    known = prices.read(asked.prices)
    use, service = _use(asked), _service(asked, known)
    timed = asked.power is not None and asked.seconds is None  # by the bundle, which may count tokens
    if service.per_thousand is not None and not timed and (use.tokens_in, use.tokens_out) != (None, None):
        raise UsageError("the service is paid by the request, not by the token", hint="leave the tokens out")
    return Scenario(
        use=use,
        service=service,
        delivery=_delivery(asked, known),
        unable=_unable(asked),
        energy=_energy(asked, use),
        one_off=asked.one_off,
    )


def _use(asked: Asked) -> Use:
    check(requests=asked.requests, users=asked.users, each=asked.each)
    requests = asked.requests
    if asked.each is not None:
        if asked.users is None:
            raise UsageError("--each needs --users", hint="--users 1000000 --each 10")
        if requests is not None:
            raise UsageError("--requests and --each cannot be combined", hint="--users and --each make the requests")
        requests = asked.users * asked.each
    if requests is None:
        raise UsageError("no number of requests given", hint="--requests 10000000 a day, or --users 1000000 --each 10")
    return Use(requests=requests, users=asked.users, tokens_in=asked.tokens_in, tokens_out=asked.tokens_out)


def _service(asked: Asked, known: Prices) -> Service:
    stated = (asked.per_thousand, asked.per_million_in, asked.per_million_out)
    if asked.service is not None:
        if any(price is not None for price in stated):
            raise UsageError("--service has a price of its own", hint="give --service, or prices, not both")
        return known.service(asked.service)
    if all(price is None for price in stated):
        raise UsageError(
            "no price of the hosted service given",
            hint=f"--per-thousand, --per-million-in and --per-million-out, or --service {' | '.join(known.services)}",
        )
    per_thousand, per_million_in, per_million_out = stated
    return Service(title="", per_thousand=per_thousand, per_million_in=per_million_in, per_million_out=per_million_out)


def _delivery(asked: Asked, known: Prices) -> Delivery | NotMeasured:
    stated = {"--installs": asked.installs, "--updates": asked.updates, "--egress": asked.egress}
    missing = [option for option, value in stated.items() if value is None]
    if len(missing) == len(stated) and asked.size is None:
        whose = "" if asked.bundle else "a bundle or --size, "
        return NotMeasured(reason=f"state {whose}--installs, --updates and --egress")
    if asked.installs is None or asked.updates is None or asked.egress is None:
        raise UsageError(
            f"the delivery lacks {' and '.join(missing)}",
            hint="--installs and --updates are of a year, --egress is in dollars for a GB",
        )
    egress = known.egress_of(asked.egress)
    return Delivery(size=_size(asked), installs=asked.installs, updates=asked.updates, egress=egress)


def _size(asked: Asked) -> Figure:
    if asked.size is None:
        return bundle.size(_bundle(asked, "the size of what is delivered is missing", "--size '600 MB'"))
    if asked.bundle is not None:
        raise UsageError("--size: the bundle has a size of its own", hint="give a bundle or --size, not both")
    return _parsed("--size", parse_size, asked.size)


def _unable(asked: Asked) -> Figure | NotMeasured:
    if asked.devices is None:
        if asked.memory is not None:
            raise UsageError("--memory needs --devices", hint="--devices names a table of devices")
        if asked.unable is None:
            return NotMeasured(reason="state --unable, or --devices")
        return Figure(value=asked.unable)
    if asked.unable is not None:
        raise UsageError("--unable and --devices cannot be combined", hint="the table of devices gives the share")
    need = _memory(asked)
    few = f"{asked.devices.name}: those that give a model less than {size(need.value)}, {need.origin}"
    return Figure(value=devices.unable(devices.read(asked.devices), need.value), origin=few)


def _memory(asked: Asked) -> Figure:
    if asked.memory is None:
        return bundle.memory(_bundle(asked, "--devices needs the memory that the model takes", "--memory '900 MB'"))
    need = _parsed("--memory", parse_size, asked.memory)
    check(memory=need.value)
    return need


def _energy(asked: Asked, use: Use) -> Figure | NotMeasured:
    if asked.power is None:
        if asked.seconds is not None:
            raise UsageError("--seconds needs --power", hint="--power '6 W' while a request is computed")
        if asked.energy is None:
            found = None if asked.bundle is None else bundle.energy(asked.bundle)
            return NotMeasured(reason="state --energy, or --power") if found is None else found
        return _parsed("--energy", parse_energy, asked.energy)
    if asked.energy is not None:
        raise UsageError("--energy and --power cannot be combined", hint="the energy is power x seconds")
    watts, taken = _parsed("--power", parse_power, asked.power).value, _seconds(asked, use)
    check(power=watts, seconds=taken.value)
    return Figure(value=watts * taken.value, origin=f"{watts:g} W x {duration(taken.value)}, {taken.origin}")


def _seconds(asked: Asked, use: Use) -> Figure:
    if asked.seconds is None:
        return bundle.seconds(_bundle(asked, "--power needs the seconds of a request", "--seconds 12"), use)
    return Figure(value=asked.seconds)


def _bundle(asked: Asked, trouble: str, option: str) -> Manifest:
    """Raises UsageError where no bundle is given, with the option that would do."""
    if asked.bundle is None:
        raise UsageError(trouble, hint=f"give a bundle, or {option}")
    return asked.bundle


def _parsed(option: str, parse: Callable[[str], float], text: str) -> Figure:
    try:
        return Figure(value=parse(text))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}", hint=f"{option} takes a number and its unit") from error
