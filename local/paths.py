"""The files and folders of a clone, of the cache that all clones share, and of the running cluster."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

# A machine has one native cluster (it uses ports 80, 443, 5000 and 6443), so its runtime state has one fixed folder.
# Unix sockets need a short path (107 bytes), and `make down` unmounts everything below this folder.
RUN = Path("/run/slipway")
CONTAINERD_SOCKET = RUN / "containerd.sock"


class ClonePaths:
    """The files and folders of one clone, and its cache."""

    def __init__(self, clone: Path, cache: Path) -> None:
        self.clone, self.cache = clone, cache
        self.sources = clone / "local"
        self.stack_file = clone / "stacks" / "Pulumi.local.yaml"
        self.venv = clone / ".venv"
        self.python = self.venv / "bin" / "python"
        # Everything that is generated for this clone. Git ignores it, and only its owner may read it.
        self.state = clone / ".slipway"
        self.bin = self.state / "bin"
        self.pulumi_home = self.state / "pulumi"
        self.pulumi_state = self.state / "state"
        self.kubeconfig = self.state / "kubeconfig"
        self.passphrase = self.state / "passphrase"
        self.secrets = self.state / "secrets"
        self.ca_certificate = self.state / "ca.crt"
        # One file with the image reference of each store of the local stack.
        self.images = self.state / "images"
        # One log for each step of `make up`.
        self.logs = self.state / "logs"
        # pki, etc, data and logs of the cluster; mounted at RUN / "cluster" while it runs.
        self.cluster = self.state / "cluster"

    def create(self) -> None:
        """Create the folders that the steps write to."""
        for folder in (self.bin, self.pulumi_home, self.pulumi_state, self.logs, self.cluster):
            folder.mkdir(parents=True, exist_ok=True)
        self.cache.mkdir(parents=True, exist_ok=True)


def clone_paths(clone: Path, environ: Mapping[str, str] = os.environ) -> ClonePaths:
    """Return the paths of a clone, with the cache in XDG_CACHE_HOME."""
    cache = environ.get("XDG_CACHE_HOME") or str(home(environ) / ".cache")
    return ClonePaths(clone=clone, cache=Path(cache) / "slipway")


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return HOME, or the home folder of the user database where HOME is not set (cron, some CI systems)."""
    return Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def quoted(path: Path) -> str:
    """Quote the path for a shell, only if it needs quotes."""
    text = str(path)
    return text if re.fullmatch(r"[\w./+@%:=-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def write(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Write the file atomically, with its mode from the first byte. Return False if it has this content already.

    An unchanged file is not touched: kube-proxy exits when its configuration is rewritten, even with the same bytes.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
    temporary.replace(path)
    return True
