"""What the user gives, as options or at a prompt: checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from slipway.ops.project import guess
from slipway.ops.project.errors import ProjectError
from slipway.ops.project.guess import App
from slipway.settings.stack_file import broken_rule
from slipway.settings.types.scalars import DnsLabel, Repository, UrlPath

Ask = Callable[[str, str], str]
"""Asks for a value, given a suggestion."""
NAME_RULE = "take lower case letters, digits and `-`, at most 30, a letter first"
MAX_PORT = 65535


@dataclass(frozen=True)
class Wishes:
    """What the user has given; empty values are guessed."""

    name: str = ""
    image: str = ""
    port: int = 0
    health: str = ""
    registry: str = ""
    context: str = "slipway-local"
    local_registry: str = "localhost:5000"
    ingress_class: str = "traefik"
    ingress_namespace: str = ""
    certificates: Path | None = None
    worker: bool = False


def check(wishes: Wishes) -> None:
    """Raise ProjectError with everything that no stack file would take."""
    if problems := list(_problems(wishes)):
        raise ProjectError("\n".join(problems))


def _problems(wishes: Wishes) -> Iterator[str]:
    if wishes.name and guess.name_of(Path(wishes.name)) != wishes.name:
        yield f"--name {wishes.name}: {NAME_RULE}"
    if wishes.health and (rule := broken_rule(UrlPath, wishes.health)):
        yield f"--health {wishes.health}: {rule}"
    if wishes.health and wishes.worker:
        yield "--health: a worker answers no requests; leave --health or --worker out"
    if wishes.port and wishes.worker:
        yield "--port: a worker answers no requests; leave --port or --worker out"
    for option, value in {"--registry": wishes.registry, "--local-registry": wishes.local_registry}.items():
        if value and broken_rule(Repository, f"{value}/app"):
            yield (
                f"{option} {value}: should be a registry, with a path or without, such as registry.example.com/team: "
                "lower case, no https:// and no / at the end"
            )
    for option, value in {
        "--ingress-class": wishes.ingress_class,
        "--ingress-namespace": wishes.ingress_namespace,
    }.items():
        if value and (rule := broken_rule(DnsLabel, value)):
            yield f"{option} {value}: {rule}"


def asked(app: App, ask: Ask) -> App:
    """Return a service as the user confirms it. An answer that cannot be is asked for again."""
    port = int(_answer(ask, f"{app.name}: port of its HTTP requests (0: it answers none)", str(app.port), _port_rule))
    if port == 0:
        return app if app.is_worker else _as_worker(app)
    if port != app.port:
        app = with_wishes(app, Wishes(port=port))
    question = f"{app.name}: path that answers 200 when it can take requests (tcp: only connect)"
    path = _answer(ask, question, app.ready or "tcp", _path_rule)
    if path == (app.ready or "tcp"):
        return app
    changed = with_wishes(app, Wishes(health=path))
    return changed if path != "tcp" else replace(changed, ready="")


def _as_worker(app: App) -> App:
    about = {"port", "readiness", "liveness", "variable PORT"}
    guesses = [found for found in app.guesses if found.about not in about]
    env = {name: value for name, value in app.env.items() if name != "PORT"}
    return replace(app, port=0, ready="", live="", env=env, guesses=guesses)


def _answer(ask: Ask, question: str, suggestion: str, rule_of: Callable[[str], str]) -> str:
    answer = ask(question, suggestion).strip()
    while problem := rule_of(answer):
        answer = ask(f"{answer}: {problem}\n{question}", suggestion).strip()
    return answer


def _port_rule(text: str) -> str:
    return "" if re.fullmatch(r"\d{1,5}", text) and int(text) <= MAX_PORT else f"should be a port, 0 to {MAX_PORT}"


def _path_rule(text: str) -> str:
    return "" if text == "tcp" else broken_rule(UrlPath, text)


def with_wishes(app: App, wishes: Wishes) -> App:
    """Return a service with the port and the path that the user gave in place of the guessed ones."""
    changed = replace(app, port=wishes.port or app.port, ready=wishes.health or app.ready)
    given = {*(["port", "kind"] if wishes.port else []), *(["readiness", "liveness"] if wishes.health else [])}
    changed.guesses = [found for found in app.guesses if found.about not in given]
    changed.live = "" if wishes.health else app.live
    if wishes.port:
        old, new = str(app.port), str(wishes.port)
        changed.env = {**app.env, "PORT": new} if "PORT" in app.env else app.env
        changed.guesses = [
            replace(found, value=found.value.replace(old, new))
            if found.about in ("readiness", "variable PORT")
            else found
            for found in changed.guesses
        ]
    return changed
