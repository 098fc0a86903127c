"""Where things are kept: in the clone, in the cache shared by all clones, and in /run while the cluster runs."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# One native cluster per machine (it owns ports 80, 443, 5000 and 6443), so its runtime state has one fixed place. Unix
# sockets need a short path (107 bytes), and everything mounted below it is ours to unmount.
RUN = Path("/run/slipway")
CONTAINERD_SOCKET = RUN / "containerd.sock"


@dataclass(frozen=True)
class Places:
    """The folders of one clone."""

    clone: Path
    cache: Path

    @property
    def state(self) -> Path:
        """Everything generated that belongs to this clone; git ignores it, only its owner reads it."""
        return self.clone / ".slipway"

    @property
    def venv(self) -> Path:
        return self.clone / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def bin(self) -> Path:
        return self.state / "bin"

    @property
    def pulumi_home(self) -> Path:
        return self.state / "pulumi"

    @property
    def pulumi_state(self) -> Path:
        return self.state / "state"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def passphrase(self) -> Path:
        return self.state / "passphrase"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def images(self) -> Path:
        """One file for each backing service of the local stack, which names its image."""
        return self.state / "images"

    @property
    def ca_certificate(self) -> Path:
        return self.state / "ca.crt"

    @property
    def tls(self) -> Path:
        return self.state / "tls"

    @property
    def logs(self) -> Path:
        """One log per step of `make up`."""
        return self.state / "logs"

    @property
    def cluster(self) -> Path:
        """pki, etc, data and logs of the cluster; mounted at RUN / "cluster" while it runs."""
        return self.state / "cluster"

    @property
    def stack_file(self) -> Path:
        return self.clone / "stacks" / "Pulumi.local.yaml"

    @property
    def sources(self) -> Path:
        return self.clone / "local"

    def make(self) -> None:
        """Create the folders that everything else is written into."""
        for folder in (self.bin, self.pulumi_home, self.pulumi_state, self.logs, self.cluster):
            folder.mkdir(parents=True, exist_ok=True)
        self.cache.mkdir(parents=True, exist_ok=True)


def places(clone: Path, environ: Mapping[str, str] = os.environ) -> Places:
    """The clone's folders, with the cache where XDG says."""
    cache = environ.get("XDG_CACHE_HOME") or str(home(environ) / ".cache")
    return Places(clone=clone, cache=Path(cache) / "slipway")


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """HOME, or what the user database says where HOME is not set (cron, some CI systems)."""
    return Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def quoted(path: Path) -> str:
    """As a shell wants it, without quotes where it needs none."""
    text = str(path)
    return text if re.fullmatch(r"[\w./+@%:=-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def write(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Put the content there in one move, private from the first byte if mode says so; False if it was there already.

    An unchanged file is left alone: kube-proxy ends when its configuration is rewritten, even with the same bytes.
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
