"""Submodels that are opened one at a time."""

import gc
import weakref

import numpy as np
import pytest

from edgepack import runtime
from edgepack.errors import UsageError
from edgepack.runtime.one_at_a_time import OneAtATime, without

ALIVE = weakref.WeakSet()


class Opened:
    """Counts those that are open."""

    def __init__(self, name):
        self.name = name
        gc.collect()
        assert not ALIVE, "the one before is still open"
        ALIVE.add(self)


def test_the_one_before_is_closed():
    runs = OneAtATime(("text", "unet"), Opened)
    assert runs["text"].name == "text"
    assert runs["unet"].name == "unet"
    assert runs["unet"] is runs["unet"]
    assert ("unet" in runs, "vae" in runs, list(runs), len(runs)) == (True, False, ["text", "unet"], 2)
    assert len(ALIVE) == 1
    with pytest.raises(KeyError):
        runs["vae"]


def test_those_that_are_left_are_opened_one_at_a_time_too():
    runs = OneAtATime(("text", "unet", "safety"), Opened)
    assert runs["text"].name == "text"
    fewer = without(runs, ["safety"])
    assert (list(fewer), fewer["unet"].name, len(ALIVE)) == (["text", "unet"], "unet", 1)
    assert without({"text": 1, "safety": 2}, ["safety"]) == {"text": 1}


def test_a_bundle_answers_the_same(minilm):
    usual, lazily = (runtime.load(minilm.path, one_at_a_time=one) for one in (False, True))
    np.testing.assert_array_equal(lazily.embed("a cat"), usual.embed("a cat"))
    with pytest.raises(UsageError, match="one_at_a_time"):
        runtime.load(minilm.path, one_at_a_time=1)
