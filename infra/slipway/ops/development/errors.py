"""Errors of `./slipway dev` that a user can resolve."""

from __future__ import annotations

from slipway.ops.errors import UserError


class DevError(UserError):
    """A session is not possible here, or not now."""
