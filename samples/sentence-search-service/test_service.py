"""The search finds the nearest note, and the service answers, refuses what is wrong and stops when nobody asks."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
from index import Index
from service import at_home

HERE = Path(__file__).parent


def test_the_nearest_note_is_found() -> None:
    vectors = {"rain": [1, 0], "sun": [0, 1], "will it be wet?": [0.8, 0.6]}
    index = Index(["rain", "sun"], lambda texts: np.array([vectors[text] for text in texts], np.float32))
    assert [found.note for found in index.search("will it be wet?", count=2)] == ["rain", "sun"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8090", "[::1]:8090", "192.168.1.7", "pi", "pi.local:8090"])
def test_names_of_this_network(host: str) -> None:
    assert at_home(host)


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:8090", "pi.local.evil.example"])
def test_other_names(host: str) -> None:
    assert not at_home(host)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the service with its own notes, in a process of its own."""
    command = [sys.executable, "service.py", "--port", "0", "--idle-stop", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    yield found[0]
    assert process.wait(60) == 0  # nobody asks any more
    process.stdout.close()


def test_a_question_is_answered(url: str) -> None:
    with urlopen(f"{url}/search?q={quote('how do I fix a flat tyre?')}", timeout=60) as answer:
        found = json.loads(answer.read())
    assert "bicycle tube" in found[0]["note"]
    assert len(found) == 3
    with urlopen(url, timeout=60) as answer:
        assert b"<form>" in answer.read()


def test_what_is_wrong_is_refused(url: str) -> None:
    for request, status in (
        (Request(f"{url}/search"), 400),
        (Request(f"{url}/search?q={'x' * 501}"), 400),
        (Request(f"{url}/search?q={'x' * 9000}"), 431),
        (Request(f"{url}/../notes.txt"), 404),
        (Request(f"{url}/search?q=x", b"x"), 405),
        (Request(f"{url}/search?q=x", headers={"Host": "evil.example"}), 421),
    ):
        with pytest.raises(HTTPError) as caught:
            urlopen(request, timeout=60)
        assert caught.value.code == status
        caught.value.close()


def test_clients_that_send_nothing_hold_up_nobody(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(8)]
    with urlopen(f"{url}/search?q=bread", timeout=60) as answer:
        assert "flour" in json.loads(answer.read())[0]["note"]
    for one in silent:
        one.close()
