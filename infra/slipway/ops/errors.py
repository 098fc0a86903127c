"""Errors that a user can resolve. Each ends a verb with one message and exit code 1, never with a traceback."""

from __future__ import annotations

CANNOT_TELL = 2
"""Exit code of the verbs whose exit code is the state of a stack, where that is unknown."""


class UserError(Exception):
    """Base class of ops' own errors; the message says what is wrong and what to do about it."""


class UnknownServiceError(UserError):
    """There is no service of that name; the message lists those there are."""


def message(error: Exception) -> str | None:
    """Return the message for the user; None for any other error, which is a defect of Slipway."""
    if isinstance(error, UserError):
        return str(error)
    # Imported here: a verb that needs neither Pulumi nor the API starts in half the time without them.
    import httpx2
    import pulumi

    from slipway import files
    from slipway.ops.cluster import refusal

    if isinstance(error, pulumi.RunError):
        return str(error)
    if isinstance(error, httpx2.HTTPError):  # of the client for models; StackCluster's own methods raise UserErrors
        return refusal.error_message(error)
    return files.message(error) if isinstance(error, OSError) else None
