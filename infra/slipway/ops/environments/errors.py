"""The error of `./slipway env`."""

from __future__ import annotations

from slipway.ops.errors import UserError


class EnvError(UserError):
    """An environment cannot be made, deleted, put to sleep or woken; the message says why, and what to do."""
