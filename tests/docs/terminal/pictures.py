"""The pictures that `make terminal-pictures` draws, each of a command as it is typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.paths import REPOSITORY

FOLDER = REPOSITORY / "docs" / "reference" / "terminal"
COLUMNS, LINES = 104, 60
"""Size of the terminal."""

# `./slipway up` shows pulumi's preview before the update.
PREVIEW = (r"^Previewing update", r"^Updating \(")


@dataclass(frozen=True)
class Picture:
    """A command, and what has to be seen of it."""

    name: str
    command: str
    title: str
    """The situation in which it is typed."""
    shows: tuple[str, ...]
    """Texts without which the run was another one than the picture is about."""
    exit_code: int = 0
    hidden: tuple[tuple[str, str], ...] = ()
    """Parts that are left out: from a line that matches to the next one that matches, in their order."""

    @property
    def file(self) -> Path:
        """Where the picture is."""
        return FOLDER / f"{self.name}.svg"


PICTURES = {
    picture.name: picture
    for picture in (
        Picture(
            "preview-prod",
            "./slipway preview -s prod --base HEAD",
            "Another host and fewer pods in stacks/Pulumi.prod.yaml",
            ("Ingress/api", "error: prod forbids what exposes"),
            exit_code=2,
        ),
        Picture(
            "preview",
            "./slipway preview -s local",
            "LOG_LEVEL: info and up to 6 pods of api in stacks/Pulumi.local.yaml",
            ("Deployment/api", "HorizontalPodAutoscaler/api"),
        ),
        Picture(
            "up",
            "./slipway up -s local --yes",
            "LOG_LEVEL: info and up to 6 pods of api in stacks/Pulumi.local.yaml",
            ("Updating (local)", "updated", "Duration:"),
            hidden=(PREVIEW,),
        ),
        Picture(
            "failed-up",
            "./slipway up -s local --yes",
            "LOG_LEVEL: loud of web in stacks/Pulumi.local.yaml",
            ("The rollout failed:", "bad configuration", "LOG_LEVEL", "is in force again"),
            exit_code=1,
            hidden=(
                PREVIEW,
                (r"^Diagnostics:", r"^The rollout failed:"),
                (r"^Previewing update", r"is in force again"),
            ),
        ),
        Picture("status", "./slipway status -s local", "A healthy stack", ("healthy", "api", "web", "mysql", "redis")),
        Picture(
            "drill",
            "./slipway drill kill-pod -s local",
            "A pod is killed under 20 requests a second",
            ("as expected", "kill-pod: passed"),
        ),
        Picture(
            "slo",
            "./slipway slo -s local",
            "Minutes after MySQL was locked by a drill",
            ("api", "availability", "what spent api availability:"),
            exit_code=1,
        ),
    )
}
