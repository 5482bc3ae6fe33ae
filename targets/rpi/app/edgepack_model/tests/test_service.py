"""The service starts, answers, refuses what is wrong, and stops when it is told to."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from edgepack_model._bundle import BUNDLE

NAME = json.loads((BUNDLE / "edgepack.json").read_text("utf-8"))["name"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service in a process of its own."""
    command = [sys.executable, "-m", "edgepack_model", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    yield found[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()


def ask(url: str, body: object) -> dict[str, list[dict[str, object]]]:
    """Return the answer to a request with a JSON body."""
    told = {"Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body).encode(), told), timeout=120) as answer:
        found: dict[str, list[dict[str, object]]] = json.loads(answer.read())
    return found


# edgepack:if text-embedding
def test_it_embeds(url: str) -> None:
    found = ask(f"{url}/embeddings", {"model": NAME, "input": ["A cat sleeps.", "🙂"]})
    assert [one["index"] for one in found["data"]] == [0, 1]


# edgepack:end
# edgepack:if text-generation
def test_it_completes(url: str) -> None:
    found = ask(f"{url}/completions", {"model": NAME, "prompt": "Once upon a time", "max_tokens": 4, "temperature": 0})
    assert found["choices"][0]["text"]


# edgepack:end
def test_it_refuses_what_is_wrong(url: str) -> None:
    for address, body, status in (
        (f"{url}/nowhere", {}, 404),
        # edgepack:if text-embedding
        (f"{url}/embeddings", {"model": NAME, "input": 5}, 400),
        # edgepack:end
        # edgepack:if text-generation
        (f"{url}/completions", {"model": NAME, "prompt": "x", "max_tokens": 0}, 400),
        # edgepack:end
    ):
        with pytest.raises(HTTPError) as caught:
            ask(address, body)
        assert caught.value.code == status
        caught.value.close()
