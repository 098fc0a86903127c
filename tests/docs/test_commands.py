"""What the pages say can be typed as it stands: verbs, options, targets, links, files and settings exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from slipway.__main__ import app
from slipway.ops.program.recorder import declare, stack_config, stacks
from tests.conftest import recorded
from tests.docs import flow
from tests.docs.pages import PAGES, WRITTEN, Page
from tests.paths import HAS_REFERENCE_APP, REPOSITORY

MOST_WORDS = 900
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
ENTRY = get_command(app)
# Top-level folders and files: a path in backticks that starts with one of these is meant to be in the project.
TOP = {path.name for path in REPOSITORY.iterdir()}
# What a run makes. It is in no clone.
MADE = (".slipway", ".venv", "rendered", "app/dist", ".git/")
# Subcommands and options of the Pulumi CLI that the pages use. It is not there in unit tests.
PULUMI = {
    "up": {"--refresh", "--skip-preview", "--yes", "-s"},
    "preview": {"--expect-no-changes", "--policy-pack", "-s"},
    "login": set[str](),
    "plugin": {"--file"},
    "config": {"--secret", "-s"},
    "stack": {"--file", "--json", "--secrets-provider", "-s"},
    "cancel": {"-s"},
    "state": {"--all", "-s"},
    "refresh": set[str](),
    "destroy": set[str](),
}

every_page = pytest.mark.parametrize("page", [Page(file) for file in PAGES], ids=str)
every_written_page = pytest.mark.parametrize("page", [Page(file) for file in WRITTEN], ids=str)


def test_readme_is_read_in_five_minutes():
    assert len(Page(REPOSITORY / "README.md").text.split()) <= MOST_WORDS


@every_page
def test_commands_of_slipway_name_verbs_options_and_stacks_that_exist(page: Page):
    problems = [f"{command}: {problem}" for command in slipway_commands(page) for problem in wrong_in(command)]
    assert problems == []


def test_the_pages_hold_commands_of_both_kinds():
    commands = [command for file in PAGES for command in Page(file).commands]
    assert sum(command.startswith("./slipway ") for command in commands) > 50
    assert sum(command.startswith("make ") for command in commands) > 30


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("./slipway deploy", "there is no verb deploy"),
        ("./slipway config list", "there is no verb config list"),
        ("./slipway up --force", "there is no option --force"),
        ("./slipway status -s production", "there is no stack production"),
    ],
)
def test_a_command_that_does_not_exist_is_seen(command: str, problem: str):
    assert wrong_in(command) == [problem]


@every_page
def test_targets_of_make_exist(page: Page):
    typed = [shlex.split(command) for command in page.commands if re.match(r"make( |$)", command)]
    named = {word for words in typed for word in words[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", word)}
    assert named - TARGETS == set()


@every_page
def test_commands_of_pulumi_are_those_the_cli_has(page: Page):
    typed = [shlex.split(command) for command in page.commands if command.startswith("pulumi ")]
    unknown = [words for words in typed if options_in(words) - PULUMI.get(words[1], set())]
    assert [words for words in typed if words[1] not in PULUMI] == []
    assert unknown == []


def test_no_page_has_a_kind_of_command_that_nothing_here_checks():
    # Those of kubectl are checked in test_runbooks.py, where all of them stand.
    checked = {"./slipway", "make", "pulumi", ".", "curl", "printf", "(cd", "kubectl"}
    typed = {line.split()[0] for file in WRITTEN for line in Page(file).lines}
    assert typed == checked


def test_the_address_that_is_asked_for_is_that_of_the_local_stack():
    asked = [line.split() for file in WRITTEN for line in Page(file).lines if line.startswith("curl ")]
    assert asked == [["curl", "--cacert", ".slipway/ca.crt", f"{recorded('local').outputs['url']}/v1/shops"]]


def test_git_runs_make_check_before_a_commit_once_the_line_for_the_hook_was_typed(tmp_path: Path):
    typed = next(line for line in Page(REPOSITORY / "CONTRIBUTING.md").lines if line.startswith("printf "))
    (tmp_path / "Makefile").write_text("check:\n\t@echo checked; false\n")
    git = ["git", "-c", "user.name=n", "-c", "user.email=n@example.com", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run(["sh", "-c", typed], cwd=tmp_path, check=True)
    committed = subprocess.run(
        [*git, "commit", "--allow-empty", "-m", "m"], capture_output=True, text=True, check=False
    )
    assert committed.returncode == 1
    assert "checked" in committed.stdout + committed.stderr


@every_page
def test_links_lead_to_pages_and_headings_that_exist(page: Page):
    inner = [link for link in page.links if not link.startswith(("https://", "http://"))]
    assert [link for link in inner if not leads_somewhere(page, link)] == []


@every_written_page
def test_files_that_are_named_exist(page: Page):
    named = {text for text in page.inline if is_path(text)}
    assert [name for name in sorted(named) if not exists(name)] == []


def test_the_map_names_what_is_there():
    lines = Page(REPOSITORY / "README.md").blocks("")[0].splitlines()
    named = [
        REPOSITORY / line.split()[0] / folder
        for line in lines
        for folder in ("", *re.findall(r"([a-z0-9]+)/", line)[1:])
    ]
    assert len(named) > 10
    assert [str(path) for path in named if not exists(str(path.relative_to(REPOSITORY)))] == []


@every_written_page
def test_settings_that_are_named_exist(page: Page):
    known = set(flow.sections_of(flow.REFERENCE.read_text())) | {"service"}
    named = {name for name in re.findall(r"slipway:([a-z][A-Za-z]*)(?![-\w])", page.text) if name not in known}
    assert named == set()


def test_every_verb_and_every_target_has_a_line():
    readme, contributing = Page(REPOSITORY / "README.md").inline, Page(REPOSITORY / "CONTRIBUTING.md").inline
    assert [verb for verb in verbs() if verb not in readme] == []
    undescribed = {target for target in TARGETS if f"make {target}" not in contributing}
    assert undescribed == {"help", "venv", "test-first", "test-second"}


def test_every_page_is_reached_from_the_readme():
    reached, ahead = set[Path](), [REPOSITORY / "README.md"]
    while ahead:
        file = ahead.pop()
        if file not in reached and file.suffix == ".md" and file.is_file():
            reached.add(file)
            ahead += [(file.parent / link.partition("#")[0]).resolve() for link in Page(file).links]
    assert set(PAGES) - reached == set()


def test_the_quickstart_is_a_stack_file_that_the_program_takes():
    quickstart = yaml.safe_load(Page(REPOSITORY / "README.md").blocks("yaml")[0])["config"]
    config = laid_over(quickstart, stack_config("local"))
    del config["slipway:cluster"]["server"]
    program = declare("local", config)
    assert program.outputs["image"].startswith("localhost:5001/slipway/api:src-")
    assert {found["spec"]["ingressClassName"] for found in of_kind(program, "Ingress")} == {"nginx"}


def test_the_stores_of_the_quickstart_may_name_images_instead_of_being_built():
    named = yaml.safe_load(Page(REPOSITORY / "docs" / "local-cluster.md").blocks("yaml")[0])["config"]
    config = laid_over(named, stack_config("local"))
    del config["slipway:imageFiles"]
    program = declare("local", config)
    images = [found["spec"]["template"]["spec"]["containers"][0]["image"] for found in of_kind(program, "StatefulSet")]
    assert sorted(images) == sorted(named[f"slipway:{store}"]["image"] for store in ("mysql", "redis"))


def test_the_picture_shows_what_the_program_declares():
    assert flow.PICTURE.read_text() == flow.picture(recorded), "docs/flow.svg is stale: run `make picture`"


def test_the_picture_holds_every_component_section_and_stack_output():
    picture = flow.PICTURE.read_text()
    parts = [*flow.components([recorded(stack) for stack in stacks()]), *flow.sections_of(flow.REFERENCE.read_text())]
    assert len(parts) > 15
    assert [name for name in (*parts, *recorded("prod").outputs) if name not in picture] == []


# What the pages are held against


def slipway_commands(page: Page) -> list[str]:
    """Return what is written as a command of ./slipway."""
    return [command for command in page.commands if command.startswith("./slipway ")]


def wrong_in(command: str) -> list[str]:
    """Return what of a command line the typer application does not know."""
    words = shlex.split(re.split(r" [|>&;]", command)[0])[1:]
    found: Any = ENTRY
    path: list[str] = []
    while isinstance(found, TyperGroup) and words and not words[0].startswith("-"):
        path.append(words.pop(0))
        inner = found.commands.get(path[-1])
        if inner is None:
            return [f"there is no verb {' '.join(path)}"]
        found = inner
    known = {
        "--help",
        *(option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)),
    }
    return [*_wrong_options(words, known), *_wrong_stacks(words)]


def options_in(words: list[str]) -> set[str]:
    """Return the options of a command line, without their values."""
    return {word.partition("=")[0] for word in words if word.startswith("-")}


def _wrong_options(words: list[str], known: set[str]) -> Iterator[str]:
    for option in sorted(options_in(words) - known):
        yield f"there is no option {option}"


def _wrong_stacks(words: list[str]) -> Iterator[str]:
    for option, value in pairwise(words):
        if option in {"-s", "--stack"} and value not in {*stacks(), "STACK"}:
            yield f"there is no stack {value}"


def verbs() -> list[str]:
    """Return the verbs of ./slipway."""
    assert isinstance(ENTRY, TyperGroup)
    return list(ENTRY.commands)


def leads_somewhere(page: Page, link: str) -> bool:
    """Whether a link leads to a file of the project and, in a page, to a heading."""
    path, _, anchor = link.partition("#")
    target = (page.file.parent / path).resolve() if path else page.file
    return target.exists() and (not anchor or anchor in Page(target).anchors)


def is_path(text: str) -> bool:
    """Whether text in backticks is a path of the project, rather than a command or a setting."""
    return re.fullmatch(r"[\w.-]+(/[\w.-]*)+", text) is not None and text.partition("/")[0] in TOP


def exists(name: str) -> bool:
    """Whether the project has this file or folder, or makes it. Pages describe the reference app and its stacks."""
    replaced = not HAS_REFERENCE_APP and name.startswith(("app/", "stacks/"))
    return replaced or name.startswith(MADE) or (REPOSITORY / name).exists()


def laid_over(own: Any, below: Any) -> Any:
    """Return one mapping over another, key by key."""
    if isinstance(own, dict) and isinstance(below, dict):
        return {**below, **{key: laid_over(value, below.get(key)) for key, value in own.items()}}
    return own


def of_kind(program: Any, kind: str) -> list[dict[str, Any]]:
    """Return the declared objects of a kind."""
    return [found for (of, _), found in program.manifests().items() if of == kind]
