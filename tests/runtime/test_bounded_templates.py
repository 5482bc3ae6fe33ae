"""Chat templates of strangers end soon, in a text or an error, and say what they say in plain Jinja."""

from __future__ import annotations

import contextlib
import json
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import EdgepackError
from edgepack.runtime import bounded_jinja
from edgepack.runtime.chat import ChatTemplate

HELLO = [{"role": "user", "content": "Hello"}]
_GROWS = "{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = EXPRESSION %}{% endfor %}{{ n.s }}"
_NESTS = (
    "{% set n = namespace(s=(1,), t=(1,)) %}{% for i in range(60) %}{% set n.s = (n.s, n.s) %}"
    "{% set n.t = (n.t, n.t) %}{% endfor %}"
)
ENDLESS = [
    "{% for a in range(9**5) %}{% for b in range(9**5) %}{% for c in range(9**5) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    *(_GROWS.replace("EXPRESSION", each) for each in ("n.s ~ n.s", "n.s + n.s", "n.s * 9", "[n.s, n.s]|join")),
    *(_NESTS + each for each in ("{{ n.s }}", "{{ n.s == n.t }}", "{{ {n.s: 1} }}", "{{ {}[n.s] }}", "{{ n.s|tojson }}",
                                 "{{ n.s in [n.t] }}", "{{ n.s is eq(n.t) }}", "{{ '%s' % (n.s,) }}",
                                 "{{ n.s ~ '' }}")),
    "{{ 'a' * 10**10 }}", "{{ 10**10**9 }}", "{{ '%10000000000d' % 1 }}", "{{ '%*d' % (10**10, 1) }}",
    "{{ '{:>10000000000}'.format(1) }}", "{{ '{0:{1}}'.format(1, 10**10) }}", "{{ 'a'|center(10**10) }}",
    "{{ 'a'.ljust(10**10) }}", "{{ ('a' * 10**6)|replace('a', 'b' * 10**6) }}", "{{ range(99999)|join('a' * 10**6) }}",
    "{{ [1]|batch(10**9, 1)|list }}", "{{ lipsum(100000) }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for a in [[1]] recursive %}{{ loop([a]) }}{% endfor %}", "{% include '/etc/passwd' %}",
]  # fmt: skip
# what makes much of little by an argument, a form, or something inside a list or a dict
MULTIPLIERS = [
    "{{ [[[[[1]]]]]|tojson(indent=100000000) }}", "{{ [1]|tojson(indent='x' * 3000000) }}",
    "{% set n = namespace(a=[1] * 100000) %}{% for i in range(300) %}{% set n.a = [n.a] %}{% endfor %}"
    "{{ n.a|tojson(indent=16) }}",
    "{{ ([1] * 100000)|tojson(separators=('x' * 300000, 'y')) }}",
    "{{ ('{x}' * 100000).format_map({'x': 'a' * 1000000}) }}", "{{ ('{0}' * 100000).format(['a' * 1000000]) }}",
    "{{ ('%(x)s' * 100000) % {'x': 'a' * 1000000} }}", "{{ ('a' * 100000).translate({97: 'x' * 1000000}) }}",
    "{{ ('%s' * 100000)|format(['a' * 1000000]) }}", "{{ ('{0:9999}' * 400000).format(1) }}",
    "{{ '{0:{1}}'.format(1, '999999999') }}", "{{ ('%9999d' * 1000) % ((1,) * 1000) }}",
    "{{ ('a\n' * 100000)|indent('x' * 100000) }}", "{{ ('\t' * 100000).expandtabs(100000) }}",
    "{{ ('a ' * 1000000)|wordwrap(1, wrapstring='x' * 1000000) }}", "{{ ['a' * 1000] * 100000 * 1000 }}",
    "{{ (1).to_bytes(2000000000, 'big')|length }}", "{{ 'a'.encode().ljust(2000000000)|length }}",
]  # fmt: skip
LARGE = [
    "{{ 1" + "<1" * 90_000 + " }}", "{{ {" + "1:1," * 45_000 + "} }}", "{{ " + "'a'~" * 45_000 + "1 }}",
    "{%set a=1%}" * 15_000, "{{1}}" * 39_000, "{{ f(" + "1," * 90_000 + ") }}", "{%macro a()%}{%endmacro%}" * 8_500,
    "a" * 200_001,
]  # fmt: skip


@pytest.mark.parametrize("text", MULTIPLIERS, ids=range(len(MULTIPLIERS)))
def test_nothing_is_multiplied_without_end(text: str) -> None:
    before, limit = resource.getrlimit(resource.RLIMIT_AS), 3 << 30
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit if before[1] < 0 else min(used + limit, before[1]), before[1]))
    try:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(EdgepackError):
            ChatTemplate(text, {}).render(HELLO)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 500_000  # kB
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("text", LARGE, ids=range(len(LARGE)))
def test_large_templates_are_refused_or_soon_compiled(text: str) -> None:
    begin = time.process_time()
    with contextlib.suppress(EdgepackError):
        ChatTemplate(text, {}).render(HELLO)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "text", ["{{ 1e999999 + 1 }}", "{{ -1e999|int }}", "{{ 'inf'|float|int }}", "{{ 1|tojson(indent=-1) }}"]
)
def test_numbers_that_are_none_are_errors_of_the_template(text: str) -> None:
    with pytest.raises(EdgepackError, match="chat template"):
        ChatTemplate(text, {}).render(HELLO)


def test_json_is_indented_as_python_does_it() -> None:
    text = "{{ {'a': [1, {'b': 'é'}]}|tojson(indent=4) }}{{ [1, 2]|tojson(separators=(',', ':')) }}"
    assert (
        ChatTemplate(text, {}).render(HELLO)
        == json.dumps({"a": [1, {"b": "é"}]}, indent=4, ensure_ascii=False) + "[1,2]"
    )


@pytest.mark.parametrize("text", ENDLESS, ids=range(len(ENDLESS)))
def test_templates_end_soon(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_jinja, "SECONDS", 0.5)
    begin = time.monotonic()
    with pytest.raises(EdgepackError) as error:
        ChatTemplate(text, {}).render(HELLO)
    assert time.monotonic() - begin < 5
    assert "\n" not in str(error.value)


_PIECES = [
    "{{ messages[0].content }}", "{% for m in messages %}", "{% endfor %}", "{% if m %}", "{% else %}", "{% endif %}",
    "{{ m.role ~ '|' ~ m.content }}", "{% set x = m %}", "{{ x|tojson }}", "{{ x", "}}", "{%", "%}", "text", "\n", "{#",
    "{% macro f(a) %}", "{% endmacro %}", "{{ f(1) }}", "{{ 'a'|upper|trim }}", "{{ [1, 2][::-1] }}", "{% break %}",
    "{{ raise_exception('no') }}", "{% generation %}", "{% endgeneration %}", "{{ strftime_now('%Y') }}",
    "{{ 1 // 0 }}",
    "{{ {'a': 1}.items()|list }}", "{{ bos_token }}", "{{ undefined.x.y }}", "{{ '\\ud800' }}", "\x00",
    "{{ -messages }}",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_any_template_is_a_text_or_an_error(text: str) -> None:
    try:
        made = ChatTemplate(text, {"bos_token": "<s>"}).render(HELLO)
    except EdgepackError:
        return
    made.encode("utf-8")


def test_limits_change_nothing_of_what_templates_say() -> None:
    text = (
        "{% for m in messages %}{{ m.role ~ ':' ~ m['content']|trim }}{{ {'a': [m.role, (1, 2)]}|tojson }}"
        "{% if m.role == 'user' and m.content in ['Hello'] %}{{ '%s-%d' % ('x', 3) }}{% endif %}{% endfor %}"
        "{% set n = namespace(k=0) %}{% for i in range(3) %}{% set n.k = n.k + i %}{% endfor %}"
        "{{ n.k }}{{ messages|length }}"
    )
    assert ChatTemplate(text, {}).render(HELLO) == 'user:Hello{"a": ["user", [1, 2]]}x-331'
