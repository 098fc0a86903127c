"""`make bench`: measure, and write docs/reference/benchmarks.md with its picture."""

from __future__ import annotations

import argparse
import importlib

from tests.bench import page

# Each section is a module. Those that need `make up` and change the local cluster come first.
WITH_CLUSTER = ("engine", "change", "make_up")
ON_THE_HOST = ("starts", "growth", "image", "api", "shops")


def main() -> None:
    names = (*WITH_CLUSTER, *ON_THE_HOST)
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=7, help="of each command; the page has their medians")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="measure these sections alone")
    parser.add_argument("--without-engine", action="store_true", help="leave out what needs `make up`")
    arguments = parser.parse_args()
    for name in arguments.only:
        if not (arguments.without_engine and name in WITH_CLUSTER):
            # Each is written as soon as it is measured: a later failure loses nothing.
            page.write([importlib.import_module(f"tests.bench.{name}").measured(arguments.runs)], arguments.runs)


if __name__ == "__main__":
    main()
