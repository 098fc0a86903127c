"""What a container runtime makes of the name of an image: where it is pulled from, and by which login."""

from __future__ import annotations

DOCKER_HUB = "docker.io"
# The key of a login to Docker Hub, in Docker's config.json and in a Secret that pulls.
DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"


def normalized(name: str) -> str:
    """Return the name with its registry: `acme/api` is `docker.io/acme/api`, and `redis` is `docker.io/library/redis`.

    Docker's own rule: what stands before the first slash is a registry only if it looks like a host (`is_registry`).
    """
    host, slash, rest = name.partition("/")
    if not slash or not is_registry(host):
        host, rest = DOCKER_HUB, name
    if host == "index.docker.io":
        host = DOCKER_HUB
    return f"{host}/library/{rest}" if host == DOCKER_HUB and "/" not in rest else f"{host}/{rest}"


def login_of(repository: str) -> str:
    """Return the key under which a pull secret holds the login for a normalized name."""
    host = repository.partition("/")[0]
    return DOCKER_HUB_LOGIN if host == DOCKER_HUB else host


def is_registry(text: str) -> bool:
    """Return whether what stands before the first slash of a name looks like a host."""
    return "." in text or ":" in text or text == "localhost"
