"""No regular expression and no rule takes more than its share of time for a long value, whoever wrote it.

An expression that tries each character as a start, and reads on to the end each time, takes seconds for 20 KB and
never ends for 200 KB. So each is given long texts made of its own words: eight times the text may take about eight
times as long.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

import local
import slipway
from local.stack import stack_file
from slipway.objects import quantity
from slipway.ops.cluster.masking import SECRET, Mask
from slipway.rules import house_rules
from slipway.rules.required import configuration
from slipway.rules.stack import Stack
from slipway.settings import engine_yaml
from slipway.settings.engine_yaml import Node
from slipway.settings.stack_file import repeated_items
from slipway.settings.types import credentials, scalars, units
from slipway.settings.types.text_format import TextFormat
from tests.conftest import Declare
from tests.paths import REPOSITORY

FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer"}
LENGTH, TIMES = 1_000, 8
# Eight times the text takes eight times as long, or 64 times if each character is a start.
MOST_TIMES = 25
# So little may be any multiple of even less: clocks and other processes count more.
NEGLIGIBLE_SECONDS = 0.005

REPEATED = [
    *("a", "A", "0", "-", ".", "_", "/", ":", "=", "@", " ", "\t", "\n", '"', "'", "\\", "[", "{", "}", "<{%"),
    *("a-", "a.", "a:", "a ", "a@", "-a", "0.", "0m", "aA", "://a:", "a/", '\\"', 'a="', "[1", "-a=", "a\n"),
]


Expression = tuple[re.Pattern[str], set[str]]
"""A compiled expression, and the functions it is used with."""


def modules() -> Iterator[ModuleType]:
    """The modules of infra/ and local/."""
    names = [
        found.name
        for package in (slipway, local)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for name in names:
        if "__main__" not in name:
            yield importlib.import_module(name)


def expressions() -> Iterator[tuple[str, Expression]]:
    """Each regular expression that is written in a module, with its file and line."""
    for module in modules():
        text = Path(str(module.__file__)).read_text()
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(ast.Attribute(ast.Name("re"), function), [pattern, *rest]) if function in FUNCTIONS:
                    flags = [ast.unparse(one) for one in (*rest, *(word.value for word in node.keywords))]
                    with_flags = " | ".join(flag for flag in flags if flag.startswith("re.")) or "0"
                    try:
                        source, number = (value(one, module) for one in (ast.unparse(pattern), with_flags))
                    except (NameError, AttributeError, KeyError):
                        continue  # it comes from a user, an argument or a table
                    compiled = re.compile(source, number)
                    used = {function} if function != "compile" else uses(compiled, module)
                    yield f"{module.__name__}:{node.lineno}", (compiled, used)
                case _:
                    pass


def uses(pattern: re.Pattern[str], module: ModuleType) -> set[str]:
    """The methods by which the sources use a compiled expression; the costliest where they do not say."""
    names = [name for name, found in vars(module).items() if found == pattern]
    found = {use for name in names for use in re.findall(rf"\b{name}\.(\w+)", SOURCES) if use in FUNCTIONS}
    return found or {"sub"}


def value(source: str, module: ModuleType) -> Any:
    return eval(source, dict(vars(module)))  # noqa: S307 - our own sources


SOURCES = "".join(file.read_text() for name in ("infra", "local") for file in (REPOSITORY / name).rglob("*.py"))
EXPRESSIONS = dict(expressions())


def words(pattern: re.Pattern[str]) -> list[str]:
    """The words that an expression looks for."""
    without_classes = re.sub(r"\\[a-zA-Z]|\(\?[a-z]+\)|\[[^]]*\]", " ", pattern.pattern)
    return list(dict.fromkeys(re.findall(r"[A-Za-z]{2,}|[a-z]+:", without_classes)))[:8]


def seconds_for(work: Callable[[str], object], text: str, tries: int = 2) -> float:
    """Return the least time of some tries: what else the machine does only adds to it."""

    def once() -> float:
        start = time.perf_counter()
        work(text)
        return time.perf_counter() - start

    return min(once() for _ in range(tries))


def slow(work: Callable[[str], object], beginning: str, repeated: str) -> str:
    """Return what is wrong with the time that a text and a longer one take; nothing if all is well."""
    texts = [beginning + repeated * (length // len(repeated)) for length in (LENGTH, LENGTH * TIMES)]
    for tries in (1, 4):  # who looks slow once gets a second chance
        short, long = (seconds_for(work, text, tries) for text in texts)
        if long < NEGLIGIBLE_SECONDS or long < MOST_TIMES * short:
            return ""
    return f"{beginning!r} and {repeated!r} repeated: {1000 * short:.1f} ms, {TIMES} times as much {1000 * long:.1f} ms"


@pytest.mark.parametrize("at", EXPRESSIONS)
def test_an_expression_takes_eight_times_as_long_for_eight_times_the_text(at: str):
    pattern, used = EXPRESSIONS[at]
    own = words(pattern)
    repeated = [*REPEATED, *(word + end for word in own for end in ("", "-", ".", ":", " ", '="'))]
    for use in used:
        find = partial(pattern.sub, "") if use == "sub" else getattr(pattern, use)
        problems = (slow(find, *texts) for texts in itertools.product(["", *own], repeated))
        assert next(filter(None, problems), "") == ""


def test_most_expressions_of_the_sources_are_looked_at():
    calls = len(re.findall(rf"\bre\.({'|'.join(FUNCTIONS)})\(", SOURCES))
    assert len(EXPRESSIONS) > 0.75 * calls


FORMS = {name: form for name, kind in vars(scalars).items() for form in get_args(kind) if isinstance(form, TextFormat)}


@pytest.mark.parametrize("name", FORMS)
def test_a_setting_of_any_length_is_judged_at_once(name: str):
    form = FORMS[name]

    def judge(text: str) -> None:
        with contextlib.suppress(ValueError):
            form.validate(text)

    # Longer ones are refused for their length; within it an expression could still try endless combinations.
    times = [seconds_for(judge, (text * form.max_length)[: form.max_length - 1] + "!") for text in REPEATED]
    assert max(times) < 0.1


TEXTS = [
    *("a", "a.", "a:", "a-", "eyJ-", "eyJhbGciOi.", "-token", "--api-key", "http://", "a:a@", "0", "1.1", "AaA"),
    *("BEGIN PRIVATE KEY", "{", "a: [\n", "- a\n", "? ", "&a [*a,\n", "'", "#\n", "\n"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_all_rules_together_take_eight_times_as_long_for_values_eight_times_as_long(program: Declare, text: str):
    objects = list(program("dev").manifests().values())

    def judge(text: str) -> None:
        configuration._parsed.cache_clear()  # pyright: ignore[reportPrivateUsage]
        stack = Stack(with_value(objects, text))
        for house_rule in house_rules.RULES.values():
            list(house_rule.find(stack))

    assert slow(judge, "", text) == ""


@pytest.mark.parametrize("key", ["needs", "secrets"])
def test_repeated_items_of_a_list_eight_times_as_long_are_found_in_eight_times_the_time(key: str):
    def judge(text: str) -> None:
        names = [f"name-{number}" for number in range(len(text))]
        tree = Node.of({"services": {"api": {key: names}}})
        assert list(repeated_items(tree)) == []

    assert slow(judge, "", "x") == ""


def with_value(objects: list[Any], text: str) -> list[Any]:
    """The objects of a stack, with a value in each place that takes any text."""
    found: list[Any] = copy.deepcopy(objects)
    for one in found:
        if one["kind"] == "ConfigMap":
            one["data"] = {**one["data"], "VALUE": text, text[:60]: "1s", "HTTP_WRITE_TIMEOUT": text}
        for pod in Stack([one]).pods:
            for container in pod.containers:
                container.fields.setdefault("args", []).append(text)
                container.fields.setdefault("env", []).append({"name": "VALUE", "value": text})
    return found


@pytest.mark.parametrize(
    "text",
    ["a\nb: 2027-13-45", "[" * 3000 + "\n", "a: 1\n b: ]", "x: &x {y: *x}\n", "a\n" + "9" * 5000],
    ids=["no day of the calendar", "too deep", "no YAML", "an anchor that holds itself", "a long number"],
)
def test_a_value_that_only_looks_like_yaml_breaks_no_rule(program: Declare, text: str):
    stack = Stack(with_value(list(program("dev").manifests().values()), text))
    assert [problem.message for problem in house_rules.RULES["SW501"].find(stack)] == []


def test_anchors_that_multiply_each_other_are_looked_at_once():
    bomb = "a0: &a0 {token: hunter2}\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    pairs = list(configuration._pairs(bomb))  # pyright: ignore[reportPrivateUsage]
    assert ("token", "hunter2") in pairs
    assert len(pairs) < 100


CREDENTIALS = [
    "postgres://user:pass@host/db",
    "git+ssh2://u:p@h",
    "user:pass@tcp(host:3306)/db",
    "user:pa:ss@unix(/run/x)",
    "user:pass:@tcp(h)",
    "-----BEGIN RSA PRIVATE KEY-----",
    "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "token-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "-eyJ.eyJ-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "AKIAABCDEFGHIJKLMNOP",
    "ghp_" + "a" * 36,
    "--password=x",
    "-p --my-token x",
    "--db_password_file x",
    "--api-key=x",
    "--my-api-key2 x",
    "--apikey x",
]
HARMLESS = [
    "postgres://user@host/db",
    "user@tcp(host:3306)/db",
    "user:@tcp(h)",
    "https://example.com/a:b",
    "eyJshort.eyJ.x",
    "--password",
    "--verbose=token",
    "token=x",
    "12:30",
]


@pytest.mark.parametrize("text", CREDENTIALS)
def test_a_credential_is_still_recognised(text: str):
    assert credentials.SECRET_VALUES.search(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_credential_still_passes(text: str):
    assert not credentials.SECRET_VALUES.search(text)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("MY_APP.DB-PASSWORD=hunter22 x", f"MY_APP.DB-PASSWORD={SECRET} x"),
        ("x-eyJhbGciOi.eyJzdWIiOi.abc end", f"x-{SECRET} end"),
        ("eyJa.eyJhbGciOi.eyJzdWIi.abc", f"eyJa.{SECRET}"),
    ],
)
def test_a_secret_in_a_log_line_is_still_masked(line: str, shown: str):
    assert Mask().line(line) == shown


def test_a_number_of_any_length_is_no_crash():
    assert engine_yaml.scalar("9" * 5000) == "9" * 5000
    assert engine_yaml.scalar("0" + "7" * 5000) == "0" + "7" * 5000
    assert quantity("1.2.3") is None
    assert units.seconds("1.2.3s") == 0


def test_the_context_of_a_stack_file_is_found_below_any_number_of_empty_lines():
    text = "\n" * 20_000 + "config:\n  slipway:cluster:\n\n    context: dev\n" + "\n" * 20_000
    start = time.perf_counter()
    assert stack_file.context(text) == "dev"
    assert time.perf_counter() - start < 1
