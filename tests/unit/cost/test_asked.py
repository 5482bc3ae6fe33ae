"""What users state for a bill, and what they get for slips of the pen: one line and a hint."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edgepack.cost import Asked, Delivery, Figure, devices, prices, scenario
from edgepack.errors import DataError, EdgepackError, UnknownName, UsageError
from edgepack.records import NotMeasured
from edgepack.units import price

HOSTED = {"requests": 1e6, "per_thousand": 1.5}
DELIVERED = {"size": "600 MB", "installs": 2e6, "updates": 2.0, "egress": "0.085"}
WRONG = [
    ({}, "no number of requests"),
    ({"requests": 1e6}, "no price of the hosted service"),
    ({**HOSTED, "requests": math.nan}, "--requests: nan is out of range, in requests a day"),
    ({**HOSTED, "requests": math.inf}, "--requests: inf"),
    ({**HOSTED, "requests": -5.0}, "--requests: -5"),
    ({**HOSTED, "requests": 0.0}, "--requests: 0"),
    ({**HOSTED, "requests": 1e30}, "--requests: 1e[+]30"),
    ({**HOSTED, "users": 0.0}, "--users: 0 is out of range, in daily users"),
    ({"users": 1e11, "each": 1.0, "per_thousand": 1.5}, "--users"),
    ({"users": 1e6, "each": -1.0, "per_thousand": 1.5}, "--each: -1"),
    ({"each": 10.0, "per_thousand": 1.5}, "--each needs --users"),
    ({**HOSTED, "users": 1e6, "each": 10.0}, "--requests and --each cannot be combined"),
    ({"requests": 1e6, "per_thousand": 0.0}, "--per-thousand: 0 is out of range, in dollars for 1,000 requests"),
    ({"requests": 1e6, "per_thousand": -1.5}, "--per-thousand: -1.5"),
    ({"requests": 1e6, "per_million_in": math.nan, "tokens_in": 5.0}, "--per-million-in: nan"),
    ({"requests": 1e6, "per_million_in": 1.0, "tokens_in": 0.0}, "--tokens-in: 0"),
    ({**HOSTED, "per_million_in": 1.0}, "by the request or by the token"),
    ({**HOSTED, "service": "dezgo-sd1"}, "--service has a price of its own"),
    ({"requests": 1e6, "service": "dezgo-sd"}, "no service named 'dezgo-sd'"),
    ({**HOSTED, **DELIVERED, "egress": "cloudfrnt"}, "no egress price named 'cloudfrnt'"),
    ({**HOSTED, **DELIVERED, "egress": "nan"}, "--egress: nan"),
    ({**HOSTED, **DELIVERED, "egress": "-1"}, "--egress: -1"),
    ({**HOSTED, **DELIVERED, "size": None}, "the size of what is delivered is missing"),
    ({**HOSTED, **DELIVERED, "size": "600"}, "--size: '600' is not a size"),
    ({**HOSTED, **DELIVERED, "size": "0 MB"}, "--size: 0 is"),
    ({**HOSTED, **DELIVERED, "installs": None}, "the delivery lacks --installs"),
    ({**HOSTED, "size": "600 MB"}, "lacks --installs and --updates and --egress"),
    ({**HOSTED, **DELIVERED, "installs": math.inf}, "--installs: inf"),
    ({**HOSTED, **DELIVERED, "updates": -1.0}, "--updates: -1"),
    ({**HOSTED, **DELIVERED, "users": 3e6}, "2,000,000 installs a year are fewer than 3,000,000 daily users"),
    ({**HOSTED, "one_off": -1.0}, "--one-off: -1 is"),
    ({**HOSTED, "unable": 1.5}, "--unable: 1.5 is out of range"),
    ({**HOSTED, "unable": math.nan}, "--unable: nan"),
    ({**HOSTED, "unable": 0.5, "devices": Path("devices.toml")}, "--unable and --devices cannot be combined"),
    ({**HOSTED, "memory": "1 GB"}, "--memory needs --devices"),
    ({**HOSTED, "devices": Path("devices.toml")}, "--devices needs the memory"),
    ({**HOSTED, "energy": "40"}, "--energy: '40' is not an energy"),
    ({**HOSTED, "energy": "4.0.0 J"}, "--energy: '4.0.0 J' is not an energy"),
    ({**HOSTED, "energy": "0 J"}, "--energy: 0 is"),
    ({**HOSTED, "power": "6 W"}, "--power needs the seconds of a request"),
    ({**HOSTED, "power": "6 J", "seconds": 1.0}, "--power: '6 J' is not a power"),
    ({**HOSTED, "power": "6 W", "seconds": math.nan}, "--seconds: nan"),
    ({**HOSTED, "power": "6 W", "energy": "40 J"}, "--energy and --power cannot be combined"),
    ({**HOSTED, "seconds": 1.0}, "--seconds needs --power"),
    ({**HOSTED, "tokens_in": 5.0}, "paid by the request, not by the token"),
]


@pytest.mark.parametrize(("stated", "said"), WRONG, ids=[said for _, said in WRONG])
def test_an_error_names_the_option_and_says_what_to_do(stated: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        scenario(Asked(**stated))
    assert error.value.hint
    assert "\n" not in str(error.value)


def test_the_hint_says_the_range_in_plain_numbers() -> None:
    with pytest.raises(UsageError) as error:
        scenario(Asked(requests=1e6, per_thousand=1e9))
    assert error.value.hint == "give a number from 0.000001 to 1,000,000"


def test_what_nobody_states_is_not_made_up() -> None:
    made = scenario(Asked(**HOSTED))
    assert isinstance(made.delivery, NotMeasured)
    assert made.unable == NotMeasured(reason="state --unable, or --devices")
    assert made.energy == NotMeasured(reason="state --energy, or --power")
    assert made.one_off is None
    assert made.use.users is None


def test_units() -> None:
    def joules(**stated: object) -> float:
        found = scenario(Asked(**HOSTED, **stated)).energy
        assert isinstance(found, Figure)
        return found.value

    assert joules(energy="10 mWh") == pytest.approx(36)
    assert joules(energy="0.01 Wh") == pytest.approx(36)
    assert joules(energy="36J") == 36
    assert joules(power="6000 mW", seconds=6.0) == pytest.approx(36)


def test_presets_have_a_source_and_a_day() -> None:
    known = prices.read()
    assert known.services
    assert known.egress
    for each in (*known.services.values(), *known.egress.values()):
        assert each.source.startswith(f"{each.title}: https://")
        assert each.source[-10:-6].isdecimal()


def test_the_page_lists_the_presets() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cost.md").read_text("utf-8")
    known = prices.read()
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `") and "`--" not in row}
    assert set(rows) == {*known.services, *known.egress}
    for name, service in known.services.items():
        stated = (service.per_thousand, service.per_million_in, service.per_million_out)
        assert all(price(each) in rows[name] for each in stated if each is not None)
    assert all(price(each.per_gb) in rows[name] for name, each in known.egress.items())


def test_prices_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        '[services.ours]\ntitle = "Ours"\nunit = "image"\nper_thousand = 2\nsource = "contract"\nread = "2026-01-31"\n'
        '[egress.cloudfront]\ntitle = "Discount"\nper_gb = 0.02\nsource = "contract"\nread = "2026-01-31"\n'
    )
    made = scenario(Asked(requests=1000, service="ours", prices=file, **{**DELIVERED, "egress": "cloudfront"}))
    assert (made.service.per_thousand, made.service.origin) == (2, "ours in ours.toml")
    assert made.service.source == "Ours: contract, read 2026-01-31"
    assert isinstance(made.delivery, Delivery)
    assert made.delivery.egress.per_gb == 0.02  # in front of the preset
    assert "dezgo-sd1" in prices.read(file).services


PRICED = 'title = "x"\nsource = "y"\nread = "2026-01-31"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[service.x]", "unknown key 'service'"),
        (f"[services.x]\n{PRICED}per_thousnd = 1", "unknown key 'per_thousnd'"),
        (f"[services.x]\n{PRICED}", "by the request or by the token"),
        (f"[services.x]\n{PRICED}per_thousand = 1\nper_million_in = 1", "by the request or by the token"),
        (f"[services.x]\n{PRICED}per_thousand = 0", "per_thousand is 0"),
        (f"[services.x]\n{PRICED}per_thousand = nan", "per_thousand is nan"),
        (f"[services.x]\n{PRICED}per_thousand = '1'", "per_thousand is '1', not number"),
        ('[services.x]\ntitle = "x"\nper_thousand = 1', "lacks 'source'"),
        ('[services.x]\ntitle = "x"\nsource = "y"\nread = "May"\nper_thousand = 1', "read is 'May'"),
        ('[services.x]\ntitle = "x"\nsource = "y"\nread = "2026-02-30"\nper_thousand = 1', "which is no day"),
        ("services = 3", "services is 3, not object"),
        ("[services]\nx = 3", "services.x is not a table"),
        (f"[egress.x]\n{PRICED}", "lacks 'per_gb'"),
        ("[egress", "not valid TOML"),
    ],
)
def test_a_file_of_prices_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=said) as error:
        prices.read(file)
    assert str(file) in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for read in (prices.read, devices.read):
        for name in ("none.toml", "none.csv"):
            with pytest.raises(EdgepackError):
                read(tmp_path / name)


DEVICES = """
[[device]]
name = "phones of 4 GB"
memory = "2 GB"
share = 0.3
[[device]]
memory = 3000000000
share = 0.7
"""


def share(file: Path, memory: str) -> float:
    found = scenario(Asked(**HOSTED, devices=file, memory=memory)).unable
    assert isinstance(found, Figure)
    assert file.name in found.origin
    return found.value


@pytest.mark.parametrize(
    ("name", "text"), [("d.toml", DEVICES), ("d.csv", "name,memory,share\nold,2 GB,0.3\nnew,3 GB,0.7\n")]
)
def test_a_table_of_devices(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert share(file, "1 GB") == 0
    assert share(file, "2 GB") == 0  # just enough
    assert share(file, "2.1 GB") == pytest.approx(0.3)
    assert share(file, "9 GB") == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("d.toml", "", "names no devices"),
        ("d.toml", "[[devices]]", "unknown key 'devices'"),
        ("d.toml", '[[device]]\nmemory = "2 GB"\nshare = 1\nos = 3', "device 1: unknown key 'os'"),
        ("d.toml", '[[device]]\nmemory = "2 GB"', "device 1 lacks 'share'"),
        ("d.toml", '[[device]]\nmemory = "2 GB"\nshare = 0.5', "the shares add up to 0.5, not 1"),
        ("d.toml", '[[device]]\nmemory = "2 GB"\nshare = nan', "the share nan"),
        ("d.toml", '[[device]]\nmemory = "2 GB"\nshare = -1', "the share -1"),
        ("d.toml", '[[device]]\nmemory = "two"\nshare = 1', "'two' is not a size"),
        ("d.toml", "[[device]]\nmemory = 0\nshare = 1", "a memory of 0 bytes"),
        ("d.csv", "memory\n2 GB\n", "line 2 lacks 'share'"),
        ("d.csv", "memory,share\n2 GB,half\n", "line 2: could not convert"),
        ("d.csv", "memory,share,x\n2 GB,1,1\n", "unknown key 'x'"),
        ("d.csv", "memory,share\n2 GB,1,1\n", "3 fields, not 2"),
        ("d.xlsx", "", "neither TOML nor CSV"),
    ],
)
def test_a_table_of_devices_that_is_wrong(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        devices.read(file)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UnknownName) as error:
        scenario(Asked(requests=1, service="gpt-4o-mni"))
    assert error.value.hint == "did you mean 'gpt-4o-mini'?"
