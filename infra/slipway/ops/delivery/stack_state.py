"""What a stack runs: the release in force by the engine's state, and its record in the cluster with later notes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from slipway import releases
from slipway.image.promotion import outputs_images
from slipway.ops.cluster import connection
from slipway.ops.cluster.connection import StackCluster
from slipway.ops.program import config, engine_state
from slipway.ops.program.engine_state import State, UnknownToEngineError
from slipway.ops.program.recorder import stack_config
from slipway.releases import Release
from slipway.settings.settings import Settings


@dataclass(frozen=True)
class StackState:
    """One stack. What is read from its cluster is read when it is asked for, and raises what the connection raises."""

    stack: str
    settings: Settings
    state: State | None
    """None for a stack that was never updated."""

    @cached_property
    def in_force(self) -> Release | None:
        """Return the release in force; None if no rollout was complete yet."""
        return engine_state.in_force(self.state) if self.state else None

    @cached_property
    def images(self) -> dict[str, str]:
        """Return the images that others promote: those of the stack's outputs, by name."""
        return outputs_images(engine_state.outputs(self.state)) if self.state else {}

    @cached_property
    def cluster(self) -> StackCluster:
        """Return the stack's cluster."""
        return connection.connect(self.stack, self.settings)

    @cached_property
    def records(self) -> list[Release]:
        """Return the releases that the cluster has records of, the newest first."""
        return releases.kept(self.cluster.client, self.stack)

    @property
    def record(self) -> Release | None:
        """Return the record of the release in force; None if the cluster has none."""
        revision = self.in_force.revision if self.in_force else None
        return next((release for release in self.records if release.revision == revision), None)

    @property
    def image_commit(self) -> str:
        """Return the commit that the images in force were built from; empty where it is not known."""
        record = self.record
        if record is None:
            return ""
        is_built = all(image.source == "build" for image in self.settings.images.values())
        return record.image_commit or (record.commit if is_built else "")


def read(stack: str) -> StackState:
    """Return the state of a stack. Raises EngineError if the engine does not know it, RunError for its stack file."""
    stack_config(stack)  # an unknown stack is refused before anything is done
    return StackState(stack, config.settings(stack), engine_state.export(stack))


def read_if_any(stack: str) -> StackState:
    """Return the state of a stack that may not have been updated yet. Raises what `read` does for any other reason."""
    try:
        return read(stack)
    except UnknownToEngineError:
        return StackState(stack, config.settings(stack), None)
