"""The exit codes of `./slipway`. They are stable: scripts may rely on them.

Every verb ends with 0 when it has done what it says, with 1 and one message on stderr when it failed, with 2 when the
command line cannot be understood, and with 130 after Ctrl-C; `destroy` and `refresh` with the code of Pulumi. MEANINGS
has the verbs whose exit code says more; their help and docs/operations.md have it from here.
"""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, Mapping[int, str]] = {
    "preview": {0: "no tier forbids the change", 1: "failed", 2: "a tier forbids the change"},
    "up": {0: "all that is declared runs", 1: "refused, failed, or rolled back"},
    "dev": {0: "the release is back in place", 1: "it is not"},
    "status": {0: "healthy", 1: "not healthy", 2: "unknown"},
    "logs": {0: "done", 1: "failed, or no line carries the trace"},
    "rollback": {0: "done", 1: "failed", 2: "the tier forbids the change"},
    "check": {0: "all as reviewed", 1: "a stack is not valid, breaks a rule, or differs"},
    "promote": {0: "promoted, or nothing to promote", 1: "failed, or rolled back", 2: "evidence is missing"},
    "scan": {0: "no vulnerability is reached", 1: "one is, or failed"},
    "verify": {0: "all evidence is valid", 1: "some is missing or wrong"},
    "doctor": {0: "nothing is wrong", 1: "something is wrong, or failed"},
    "drift": {0: "no drift", 1: "failed", 2: "drift, or an orphan"},
    "slo": {0: "something is left of every budget", 1: "a budget is burnt", 2: "unknown"},
    "forecast": {0: "it pays", 1: "it does not", 2: "unknown"},
    "drill": {0: "all was as expected", 1: "it was not, or the drill is refused"},
    "adopt": {0: "done", 1: "refused with nothing changed, or failed"},
    "env delete": {0: "nothing is left", 1: "one could not be deleted"},
}


def sentence(verb: str) -> str:
    """Return the exit codes of a verb for its help; empty if they are those of every verb."""
    meanings = MEANINGS.get(verb, {})
    return f"Exit code {'; '.join(f'{code}: {meaning}' for code, meaning in meanings.items())}." if meanings else ""


def document() -> str:
    """Return the table for docs/operations.md."""
    codes = sorted({code for meanings in MEANINGS.values() for code in meanings})
    head = ["| `./slipway` |" + "".join(f" {code} |" for code in codes), "|---|" + "---|" * len(codes)]
    rows = [
        f"| `{verb}` |" + "".join(f" {meanings.get(code, '')} |".replace("  ", " ") for code in codes)
        for verb, meanings in MEANINGS.items()
    ]
    return "\n".join([*head, *rows]) + "\n"
