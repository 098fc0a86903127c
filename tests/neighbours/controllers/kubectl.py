"""kubectl for the namespaces of controllers, which objects are applied to as text."""

from __future__ import annotations

import subprocess

from tests.e2e.conftest import environment


def kubectl_in(namespace: str, *arguments: str, text: str | None = None, ok: bool = True) -> str:
    """Run kubectl with this input, and return its output. Without a namespace, the objects of the text name theirs."""
    where = ("-n", namespace) if namespace else ()
    done = subprocess.run(
        ["kubectl", "--context", "slipway-local", *where, *arguments],
        input=text,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0 or not ok, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout
