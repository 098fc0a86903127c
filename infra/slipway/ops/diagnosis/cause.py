"""A cause: its label, the object, the evidence, and the next command. Every diagnosis returns these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Label(StrEnum):
    """Labels of causes, most specific first: of several causes of one workload only the first is reported."""

    IMAGE = "image cannot be pulled"
    MISSING_OBJECT = "missing object"
    MISSING_KEY = "missing config key"
    BAD_CONFIGURATION = "bad configuration"
    OUT_OF_MEMORY = "out of memory"
    POLICY = "policy refused"
    QUOTA = "quota"
    ADMISSION = "admission"
    NODE = "node not ready"
    VOLUME = "volume"
    UNSCHEDULABLE = "unschedulable"
    LIVENESS = "liveness probe"
    STARTUP = "startup probe"
    MIGRATION = "migration failed"
    JOB = "job failed"
    CRASH = "crash loop"
    READINESS = "readiness probe"
    DEADLINE = "deadline exceeded"

    @property
    def rank(self) -> int:
        """Return 0 for the most specific label, 1 for the next one, and so on."""
        return list(Label).index(self)


@dataclass(frozen=True)
class Cause:
    """Why something does not run."""

    label: Label
    object: str
    """`Pod/api-6d5f-x2x4k, container api`."""
    evidence: tuple[str, ...]
    """Conditions, events, exit codes and log lines that show it."""
    next: str
    """The one command to type next."""
    consequences: tuple[str, ...] = ()
    """What else is wrong because of it."""


class StackLocation(NamedTuple):
    """The namespace and context of a stack, from which suggested commands are built."""

    stack: str
    context: str
    namespace: str

    def kubectl(self, command: str, *, namespaced: bool = True) -> str:
        """Return the kubectl command with context and namespace."""
        return f"kubectl --context {self.context} {f'-n {self.namespace} ' if namespaced else ''}{command}"

    def slipway(self, verb: str, rest: str = "") -> str:
        """Return a command such as `./slipway logs -s dev api`."""
        return f"./slipway {verb} -s {self.stack} {rest}".rstrip()


# What the API server, the kubelet and the scheduler write in their messages.
OBJECT_NOT_FOUND = re.compile(
    r'(configmap|secret|serviceaccount|persistentvolumeclaim)s? "?([\w./-]+)"? not found', re.I
)
KEY_NOT_FOUND = re.compile(r"couldn't find key|references non-existent (secret|config) key")


def missing_object(message: str, object: str, evidence: Sequence[str], location: StackLocation) -> Cause | None:
    """Return the cause if a message names an object that does not exist.

    The program declares it, so `pulumi up` can restore it.
    """
    match = OBJECT_NOT_FOUND.search(message)
    if match is None:
        return None
    missing = f"{match[1].lower()} {match[2]} is not there"
    return Cause(Label.MISSING_OBJECT, object, (missing, *evidence), f"pulumi up -s {location.stack} --refresh")
