"""`make bench`: measure, and write docs/reference/benchmarks.md with its picture."""

from __future__ import annotations

import argparse

from tests.bench import engine, growth, page, starts


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=7, help="of each command; the page has their medians")
    parser.add_argument("--without-engine", action="store_true", help="leave out what needs `make up`")
    arguments = parser.parse_args()
    sections = [starts.measured(arguments.runs), growth.measured(arguments.runs)]
    if not arguments.without_engine:
        sections.insert(0, engine.measured(arguments.runs))
    page.write(sections, arguments.runs)


if __name__ == "__main__":
    main()
