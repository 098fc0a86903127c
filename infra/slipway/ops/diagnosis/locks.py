"""The locks on the state of a stack, in each of the engine's backends.

In a folder the lock files are read. In a bucket (S3, Google Cloud Storage, Azure) or PostgreSQL only the engine knows
them, and it names them to whoever needs the lock too. Pulumi Cloud says no more than that an update runs.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from urllib.parse import unquote, urlsplit

from slipway.ops import signals
from slipway.ops.program import engine_state
from slipway.ops.program.engine_state import EngineError
from slipway.project import PROJECT, ROOT

# The messages of pulumi 3.259.0, pkg/backend/diy/lock.go and pkg/backend/backenderr/.
_LOCKED, _NOT_LOCKED = "the stack is currently locked by", "already exists"
_HOLDER = re.compile(r": created by (?P<user>.+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)$", re.MULTILINE)


class DamagedLockError(EngineError):
    """A lock does not say whose it is; the message names its file and the way out."""


@dataclass(frozen=True)
class Lock:
    """A lock on the state of a stack, as the engine writes it."""

    user: str
    host: str
    pid: int
    since: str

    @property
    def is_stale(self) -> bool:
        """Whether the update it was for is gone. A lock of another machine is never stale: we cannot look there."""
        return self.host == gethostname() and not _is_engine(self.pid)

    @property
    def text(self) -> str:
        """Return by whom and since when the state is locked."""
        condition = "gone" if self.is_stale else "running"
        return f"by an update that is {condition}: {self.user}@{self.host}, process {self.pid}, since {self.since}"


@dataclass(frozen=True)
class CloudLock:
    """An update that runs, as Pulumi Cloud says. It is never stale, since the service does not say on which machine."""

    stack: str
    is_stale: bool = False

    @property
    def text(self) -> str:
        """Return where it says whose update that is."""
        return f"by an update that runs, as Pulumi Cloud says; `pulumi stack -s {self.stack}` shows whose"


def backend() -> str:
    """Return the URL under which the engine keeps its states. Raises `EngineError` without an engine or a login."""
    return json.loads(engine_state.pulumi("whoami", "--json"))["url"]


def state_locks(stack: str) -> Sequence[Lock | CloudLock]:
    """Return the locks on a state. Raises `DamagedLockError` if one cannot be read."""
    url = backend()
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return _in_folder(stack, folder_of(url))
    return _in_cloud(stack) if scheme in ("http", "https") else _in_bucket(stack, url)


def folder_of(url: str) -> Path:
    """Return the folder of an address such as `file://~`, which is no URL for a parser: the engine expands it."""
    text = url.removeprefix("file://").partition("?")[0]
    return ROOT / Path(unquote(text)).expanduser()


def _in_folder(stack: str, folder: Path) -> list[Lock]:
    files = (folder / ".pulumi" / "locks").glob(f"*/{PROJECT}/{stack}/*.json")
    return [_read_lock(stack, file) for file in sorted(files) if not file.is_dir()]  # the engine ignores folders, too


def _read_lock(stack: str, file: Path) -> Lock:
    content = b""
    try:
        content = file.read_bytes()
        data = json.loads(content)
        return Lock(data["username"], data["hostname"], int(data["pid"]), data["timestamp"])
    except OSError as error:
        damage = error.strerror or type(error).__name__
    except KeyError as error:
        damage = f"no {error} in it"
    except (ValueError, TypeError, RecursionError):
        damage = "no lock that the engine writes" if content else "it is empty"
    raise DamagedLockError(
        f"the lock {file} of stack {stack} cannot be read: {damage}. It does not tell whose it is, and the engine "
        f"starts no update until it is gone. If no update of {stack} runs, on this machine or another: "
        f"`pulumi cancel -s {stack}`, then ./slipway doctor -s {stack}"
    )


def _in_bucket(stack: str, url: str) -> list[Lock]:
    """Return the locks that the engine names when it is asked to create the stack, which it refuses in any case.

    Of all commands that take the lock this one can change nothing: a stack that exists is not created. For an instant
    it holds the lock itself.
    """
    engine_state.export(stack)  # raises EngineError if there is no such stack
    with tempfile.TemporaryDirectory(prefix="slipway-lock-") as folder:
        # A project of the same name, so that neither the stack file nor the key of its secrets is needed.
        Path(folder, "Pulumi.yaml").write_text(json.dumps({"name": PROJECT, "runtime": "python"}))
        variables = {"PULUMI_BACKEND_URL": url, "PULUMI_CONFIG_PASSPHRASE": "for no secret"}
        try:
            engine_state.pulumi("stack", "init", stack, "--no-select", "--cwd", folder, variables=variables)
        except EngineError as error:
            message = str(error)
        else:
            message = "the engine has created it"
    if _NOT_LOCKED in message and _LOCKED not in message:
        return []
    locks = [
        Lock(found["user"], found["host"], int(found["pid"]), found["since"]) for found in _HOLDER.finditer(message)
    ]
    if locks:
        return locks
    raise DamagedLockError(
        f"cannot find out whether stack {stack} is locked in {_without_login(url)}: {message}. If no update of {stack} "
        f"runs anywhere: `pulumi cancel -s {stack}`, then ./slipway doctor -s {stack}"
    )


def _in_cloud(stack: str) -> list[CloudLock]:
    stacks = json.loads(engine_state.pulumi("stack", "ls", "--json"))
    # Those of an organization are listed as ORGANIZATION/STACK.
    running = {entry["name"].rpartition("/")[2] for entry in stacks if entry.get("updateInProgress")}
    return [CloudLock(stack)] if stack in running else []


def _without_login(url: str) -> str:
    """Return the address without user, password and options."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"


def _is_engine(pid: int) -> bool:
    """Whether that process is still the engine: another program may have got its number since."""
    command = ["ps", "-p", str(pid), "-o", "comm="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # small images have no `ps`, or one that knows no `-p`
        return signals.is_process(pid)
    return signals.is_process(pid) if done.stderr else "pulumi" in done.stdout
