"""`./slipway history --all`: what runs where, since when, from which commit, by whom.

A stack whose cluster does not answer, or that was never updated, is named as unknown. `--json` prints, and keys are
only ever added to it:

    {"stacks": [{"stack": "prod", "revision": "0a1b2c3d", "since": "2026-11-21T08:35:23+00:00", "by": "Jane Doe",
                 "commit": "72015a6e", "imageCommit": "72015a6e", "images": {"api": "repository:tag@sha256:..."}}],
     "unknown": [{"stack": "staging", "reason": "..."}]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pulumi

from slipway.ops.cluster import refusal
from slipway.ops.delivery import stack_state
from slipway.ops.delivery.evidence import short
from slipway.ops.errors import UserError
from slipway.ops.program.recorder import stacks
from slipway.ops.terminal.tables import table
from slipway.releases import Release


def command(*, as_json: bool) -> None:
    """Print what each stack runs, in the order of promotion."""
    names = stacks()
    # Each stack is a run of the CLI and a request to another cluster, which may take long to give no answer.
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        found = dict(zip(names, pool.map(_in_force, names), strict=True))
    known = {stack: answer for stack, answer in found.items() if isinstance(answer, Release)}
    unknown = {stack: answer for stack, answer in found.items() if isinstance(answer, str)}
    if as_json:
        rows = [_data(stack, release) for stack, release in known.items()]
        missing = [{"stack": stack, "reason": reason} for stack, reason in unknown.items()]
        json.dump({"stacks": rows, "unknown": missing}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(known, unknown)


def _in_force(stack: str) -> Release | str:
    """Return the record of the release in force as the cluster has it, or why it is not known."""
    try:
        found = stack_state.read(stack)
        if found.in_force is None:
            return "no release is recorded"
        return found.record or f"its cluster has no record of release {found.in_force.revision}"
    except httpx2.HTTPError as error:
        return refusal.error_message(error)
    except (UserError, pulumi.RunError) as error:
        return str(error).splitlines()[0]


def _data(stack: str, release: Release) -> dict[str, Any]:
    return {
        "stack": stack,
        "revision": release.revision,
        "since": release.at,
        "by": release.by,
        "commit": release.commit,
        "imageCommit": release.image_commit,
        "images": release.images,
    }


def _print(known: dict[str, Release], unknown: dict[str, str]) -> None:
    head = ("stack", "revision", "since (UTC)", "who", "commit", "images")
    rows = [(stack, *_cells(release)) for stack, release in known.items()]
    rows += [(stack, "unknown", reason, "", "", "") for stack, reason in unknown.items()]
    sys.stdout.write(table(rows, head, [*[""] * len(known), *["red"] * len(unknown)]))


def _cells(release: Release) -> Sequence[str]:
    built = f" (images {release.image_commit})" if release.image_commit not in ("", release.commit) else ""
    images = ", ".join(f"{name} {short(image)}" for name, image in release.images.items())
    return release.revision, release.at[:19].replace("T", " "), release.by, f"{release.commit}{built}", images
