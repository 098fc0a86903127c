"""Guesses what a service needs to be told in a stack file, and says where each guess comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from slipway.ops.project.errors import ProjectError
from slipway.ops.project.sources import Place, Sources
from slipway.settings.sections.app import USER_ID

# In the order of preference. The first that the program names is asked whether it takes requests.
READY_PATHS = (
    *("/readyz", "/ready", "/-/ready", "/healthz", "/health", "/-/healthy", "/healthcheck", "/api/health", "/_health"),
    *("/status", "/up", "/ping"),
)
LIVE_PATHS = ("/livez", "/live", "/-/healthy", "/healthz")
_LISTENS = (
    r"(ListenAndServe|net\.Listen\(|\.listen\(|createServer|serve_forever|HTTPServer|Flask\(|FastAPI\(|uvicorn|gunicorn"
    r"|aiohttp|axum::|actix_web|Spring|WEBrick|Sinatra)"
)
_PORT = r"""(?:["'`][\w.]*:|\.listen\(\s*|[Pp]ort\s*[:=]+\s*|PORT["'`)\]]*\s*(?:,|\|\||\?\?)\s*["']?)(\d{4,5})\b"""
# Without a port, the port of the usual framework of a language.
_USUAL_PORT = {"node": 3000, "python": 8000}
_MIN_USER = 10000


@dataclass(frozen=True)
class Guess:
    """One value, and the reason for it."""

    what: str
    value: str
    reason: str
    key: str
    """Where to change it: a setting, or a file."""

    @property
    def about(self) -> str:
        """What of the service it is about: `port`."""
        return self.what.partition(": ")[2]

    def __str__(self) -> str:
        return f"{self.what}: {self.value} ({self.reason}); to change it: {self.key}"


@dataclass
class App:
    """A service, as it is written into the stack files."""

    name: str
    context: str = ""
    """Folder of its sources, seen from the project's root; empty for an image of others."""
    image: str = ""
    """An image of others, by digest, or the name of one in `slipway:images`."""
    package: str = ""
    """Go main package, if it can be compiled without Docker."""
    port: int = 0
    """Port of the requests; 0 for a worker."""
    ready: str = ""
    """Path of the readiness probe; empty: a TCP connection."""
    live: str = ""
    user: int = USER_ID
    memory: str = ""
    scratch: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    needs: list[str] = field(default_factory=list[str])
    guesses: list[Guess] = field(default_factory=list[Guess])

    @property
    def is_worker(self) -> bool:
        """Whether it answers no requests."""
        return self.port == 0

    def guess(self, what: str, value: object, reason: str, key: str) -> None:
        """Note a guess, with the key of this service that changes it."""
        at = key if "." in key and "/" in key else f"services.{self.name}.{key} in stacks/defaults.yaml"
        self.guesses.append(Guess(f"{self.name}: {what}", str(value), reason, at))


def name_of(folder: Path) -> str:
    """Return the name of a folder as the name of a service: a DNS label."""
    label = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:30].rstrip("-")
    return label if re.match(r"[a-z]", label) else f"app-{label}".rstrip("-")


def of_sources(sources: Sources, name: str, context: str, others: list[str]) -> App:
    """Return what the sources of a service say. `others` are the services that it may call."""
    app = App(name, context)
    _guess_port(app, sources)
    if not app.is_worker:
        _guess_probes(app, sources)
    _guess_needs(app, sources, others)
    _guess_pod(app, sources)
    _guess_build(app, sources)
    return app


def of_image(name: str, image: str, port: int = 0, health: str = "", *, worker: bool = False) -> App:
    """Return a service that runs an image without sources here. Only a start shows what such an image needs."""
    app = App(name, image=image, port=0 if worker else port or 8080, ready=health)
    if not port and not worker:
        app.guess("port", app.port, "the usual one", "ports.http")
    if not health and not worker:
        app.guess("readiness", f"a TCP connection to {app.port}", "no --health", "probes.ready")
    app.guess("runs as", f"user {USER_ID}, without root", "the user of the image is not known", "user")
    _guess_memory_and_scratch(app, "its program is not known")
    return app


def check_pinned(image: str, known: list[str] | None = None) -> None:
    """Raise ProjectError unless an image is named by digest. `known` are images that could have been meant."""
    if not re.search(r"@sha256:[0-9a-f]{64}$", image):
        raise ProjectError(
            f"--image {image}: name it by digest, REPOSITORY:TAG@sha256:..., so that it is the same tomorrow. "
            "`docker buildx imagetools inspect` and `crane digest` print the digest of a tag"
            + (f". Or name one of slipway:images: {', '.join(known)}" if known else "")
        )


def _guess_port(app: App, sources: Sources) -> None:
    exposed = sources.dockerfile.ports if sources.dockerfile else []
    listens, port = sources.first(_LISTENS), sources.first(_PORT)
    reads_port = sources.first(r"""(?:["'`]|env\.)(PORT)\b""")
    if exposed:
        app.port, reason = exposed[0], "EXPOSE in the Dockerfile"
    elif not listens and not reads_port:
        app.guess("kind", "worker", "nothing in its sources listens on a port", "kind")
        return
    elif port:
        app.port, reason = int(port.text), port.where
    else:
        app.port = _USUAL_PORT.get(sources.language, 8080)
        reason = "nothing says which; the usual one"
    app.guess("port", app.port, reason, "ports.http")
    if reads_port:
        app.env["PORT"] = str(app.port)
        app.guess("variable PORT", app.port, f"{reads_port.where} reads it", "env.PORT")


def _guess_probes(app: App, sources: Sources) -> None:
    known = "|".join(map(re.escape, sorted({*READY_PATHS, *LIVE_PATHS}, key=len, reverse=True)))
    paths = sources.all(rf"""["'`](?:GET )?({known})["'`]""")
    ready = next((paths[path] for path in READY_PATHS if path in paths), None)
    if ready is None:
        app.guess("readiness", f"a TCP connection to {app.port}", "no health path in its sources", "probes.ready")
        return
    app.ready = ready.text
    app.guess("readiness", f"GET {ready.text}", ready.where, "probes.ready.path")
    if "ready" in ready.text and (live := next((paths[path] for path in LIVE_PATHS if path in paths), None)):
        app.live = live.text
        app.guess("liveness", f"GET {live.text}", live.where, "probes.live.path")


def _guess_needs(app: App, sources: Sources, others: list[str]) -> None:
    """Find the services that it calls by address, or by a variable such as PRICES_URL."""
    for other in others:
        variable = f"{other.upper().replace('-', '_')}_URL"
        read, called = sources.first(rf"\b({variable})\b"), sources.first(rf"http://({other})\b")
        place: Place | None = read or called
        if place and other != app.name:
            app.needs.append(other)
            app.guess("calls", other, place.where, "needs")
            if read:
                app.env[variable] = f"http://{other}"


def _guess_pod(app: App, sources: Sources) -> None:
    user = sources.dockerfile.user if sources.dockerfile else ""
    if user.isdecimal() and int(user) >= _MIN_USER:
        app.user = int(user)
    elif sources.dockerfile:
        given = f"its Dockerfile has USER {user}" if user else "its Dockerfile has no USER"
        app.guess("runs as", f"user {USER_ID}, without root", given, "user")
    if not sources.is_go:
        _guess_memory_and_scratch(app, "not a Go program")


def _guess_memory_and_scratch(app: App, reason: str) -> None:
    app.memory, app.scratch = "256Mi", "/tmp"  # noqa: S108 a folder of the container
    app.guess("memory of a pod", app.memory, reason, "resources.memory")
    app.guess("folder it may write", f"{app.scratch}, 64Mi", "all others are read-only", "scratch")


def _guess_build(app: App, sources: Sources) -> None:
    mains = sources.main_packages if sources.is_go else []
    if not mains:
        return
    named = [package for package in mains if package.rpartition("/")[2] == app.name]
    app.package = "." if "." in mains else [*named, *mains][0]
    reason = "Go module" if len(mains) == 1 else f"of {', '.join(mains)}"
    app.guess("program", app.package, reason, f"slipway:images.{app.name}.package in stacks/Pulumi.local.yaml")
