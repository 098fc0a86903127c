"""Fixtures of the examples: all of them are deployed beside the main stack, and destroyed at the end."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import ROOT, up
from tests.load.attack import Attack
from tests.load.conftest import results_table
from tests.load.examples.example import Example, copied

DOCUMENT = ROOT / "docs" / "reference" / "examples.md"
INTRODUCTION = """<!-- Written by `make e2e-examples`. -->
# Examples under load

The [examples](../examples.md), deployed beside the main stack on the local cluster: one node, two cores shared by
everything. Half of the requests come on kept connections, half each on one of its own, with TLS. Lost is whatever was
not answered with 200 within 10 s.

| at 100 requests a second | took | sent | lost | p99 |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """Result of one change of an example under load."""

    what: str
    seconds: float
    attack: Attack

    def __str__(self) -> str:
        lost = ", ".join(f"{count:,} {answer}" for answer, count in self.attack.lost.items()) or "0"
        return f"| {self.what} | {self.seconds:.0f} s | {self.attack.sent:,} | {lost} | {self.attack.p99:.0f} ms |"


def document(rows: list[Row | str]) -> str:
    """Return the table; sentences about what was seen besides come behind it."""
    table = "\n".join(str(row) for row in rows if isinstance(row, Row))
    return f"{INTRODUCTION}{table}\n\n" + "\n".join(f"- {text}" for text in rows if isinstance(text, str)) + "\n"


@pytest.fixture(scope="module")
def results() -> Generator[list[Row | str]]:
    """Collect what the tests measure; it is printed and written at the end."""
    with results_table(DOCUMENT, document, ROWS) as rows:
        yield rows


# Three changes of three examples, two sentences about `hello` and `worker`, and one about each first deployment.
ROWS = 3 * 3 + 2 + 4


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, results: list[Row | str]) -> Generator[dict[str, Example]]:
    """Deploy copies of all examples, two at a time."""
    up()
    clone = tmp_path_factory.mktemp("clone")
    all_examples = [
        copied("hello", clone, ("hello",), "hello.slipway.localhost", "/hello/world"),
        copied("two-services", clone, ("shop", "prices"), "shop.slipway.localhost", "/articles/bread"),
        copied("podinfo", clone, ("podinfo",), "podinfo.slipway.localhost", "/version"),
        copied("worker", clone, ("worker",)),
    ]
    with ThreadPoolExecutor(2) as pool:
        try:
            for example, seconds in zip(all_examples, pool.map(Example.deploy, all_examples), strict=True):
                results.append(f"{example.name}: {seconds:.0f} s from its files to the first answer, two at a time.")
            yield {example.name: example for example in all_examples}
        finally:
            destroyed = [pool.submit(example.destroy) for example in all_examples]
    for each in destroyed:
        each.result()
