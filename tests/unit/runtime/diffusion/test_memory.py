"""A budget of memory: the levers that it takes, in the order of what they cost, and the least that works."""

from types import SimpleNamespace

import pytest

from edgepack.errors import DoesNotFit, UsageError
from edgepack.runtime.diffusion.memory import Budget, Need, budget

SIZE = 512, 512
PIXELS = 512 * 512
NEEDS = {
    "text_encoder": Need(fixed=125_000_000, pixel=0),
    "unet": Need(fixed=860_000_000, pixel=200_000_000 / PIXELS),
    "vae_encoder": Need(fixed=40_000_000, pixel=1_300_000_000 / PIXELS),
    "vae_decoder": Need(fixed=50_000_000, pixel=1_400_000_000 / PIXELS),
}


def levers(megabytes, size=SIZE, count=1, *, in_bands=True, **asked):
    made = Budget(bytes=megabytes * 1_000_000, taken=60_000_000, needs=NEEDS, in_bands=in_bands)
    return made.levers(size, count, **{"guided": True, **asked})


def test_levers_are_taken_as_they_are_needed():
    free, banded, apart = levers(2000), levers(1330), levers(1150)
    assert (free.together, free.tile) == (True, None)
    assert banded.together
    assert banded.tile >= 128
    assert not apart.together
    assert apart.needs <= 1150_000_000


def test_an_image_to_begin_with_takes_the_encoder():
    assert levers(1330, (768, 512)).needs < levers(2100, (768, 512), begun=True).needs


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ({}, 1120), ({"guided": False}, 1120), ({"in_bands": False}, 1510), ({"count": 2}, 1320),
        ({"size": (1024, 512)}, 1320),
    ],
)  # fmt: skip
def test_the_least_that_works_is_told(asked, least):
    with pytest.raises(DoesNotFit, match=r"the budget is 900\.0 MB") as caught:
        levers(900, **asked)
    assert f"--memory {least}MB is enough" in caught.value.hint
    levers(least, **asked)
    with pytest.raises(DoesNotFit):
        levers(least - 1, **asked)


def test_what_was_not_measured_cannot_be_held():
    with pytest.raises(UsageError, match="the memory that unet takes was not measured"):
        budget(10**9, SimpleNamespace(), {"unet": SimpleNamespace(name="unet")}, ())
