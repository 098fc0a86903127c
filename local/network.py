"""What the cluster changes in the host's network, and how all of it is taken back."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .debian import path, which
from .names import CNI_NETWORK, NODE_ADDRESS, POD_NETWORK
from .places import CONTAINERD_SOCKET, RUN
from .problems import Problem
from .processes import ended, process

CNI_RESULTS = Path("/var/lib/cni/results")
COMMENT = "slipway"

# Pods reach everything but other pods under the node's address; a firewall that drops forwarded packets (Docker and ufw
# set one up) lets theirs through. Network policies live in a table of their own and still hold.
RULES = (
    ("nat", "POSTROUTING", f"-s {POD_NETWORK} ! -d {POD_NETWORK} -j MASQUERADE"),
    ("filter", "FORWARD", f"-s {POD_NETWORK} -j ACCEPT"),
    ("filter", "FORWARD", f"-d {POD_NETWORK} -j ACCEPT"),
    ("filter", "INPUT", f"-s {POD_NETWORK} -j ACCEPT"),
)
# Tables of kube-proxy and of the network policy agent, which leave them behind when they end.
TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "slipway_netpol"))
# Forwarding is on before dockerd starts: dockerd would switch it on with a policy that drops what pods send.
SETTINGS = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}


def run(*command: str, check: bool = False) -> str:
    """What a system command prints; Problem when it fails and must not."""
    try:
        done = subprocess.run(command, env=os.environ | {"PATH": path()}, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be started: {error.strerror}", "make up") from error
    if check and done.returncode != 0:
        raise Problem(
            f"`{' '.join(command)}`: {(done.stderr or done.stdout).strip()}",
            "does this machine let root change its network? A container needs --privileged",
        )
    return done.stdout


def prepare() -> None:
    """Forwarding, the node's address, and the rules for the pods' traffic; nothing where it is there already."""
    for name, value in SETTINGS.items():
        raise_setting(Path("/proc/sys") / name, value)
    run("ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", "lo", check=True)
    for table, chain, rule in RULES:
        commented = [*rule.split(), "-m", "comment", "--comment", COMMENT]
        if rule_missing(table, chain, commented):
            run("iptables", "-w", "-t", table, "-I", chain, *commented, check=True)


def rule_missing(table: str, chain: str, rule: Sequence[str]) -> bool:
    command = ["iptables", "-w", "-t", table, "-C", chain, *rule]
    return subprocess.run(command, env=os.environ | {"PATH": path()}, capture_output=True, check=False).returncode != 0


def raise_setting(setting: Path, value: int) -> None:
    """Never lower it: another program may need it higher."""
    with contextlib.suppress(OSError, ValueError):
        if int(setting.read_text()) < value:
            setting.write_text(str(value))


def bind(folder: Path, at: Path) -> None:
    """Show the folder at another path too."""
    at.mkdir(parents=True, exist_ok=True)
    if str(at) not in mounts_below(RUN):
        run("mount", "--bind", str(folder), str(at), check=True)


def remove_leftovers() -> None:
    """Take back everything that carries our name: after a stop, after a kill -9, for a clone that is no more."""
    end_shims()
    for mount in sorted(mounts_below(RUN), key=len, reverse=True):
        run("umount", "-l", mount)
    if which("iptables"):
        for table in ("nat", "filter"):
            for command in removals(run("iptables", "-w", "-t", table, "-S").splitlines()):
                run("iptables", "-w", "-t", table, *command)
        remove_chains("KUBE-")
        if "CNI-DN-" not in run("iptables", "-w", "-t", "nat", "-S"):  # no other CNI network has ports here
            remove_chains("CNI-HOSTPORT-")
    if which("nft"):
        for family, table in TABLES:
            run("nft", "delete", "table", family, table)
    run("ip", "address", "delete", f"{NODE_ADDRESS}/32", "dev", "lo")
    remove_empty_cgroups()
    for result in CNI_RESULTS.glob(f"{CNI_NETWORK}-*"):
        result.unlink(missing_ok=True)


def removals(rules: Iterable[str]) -> list[list[str]]:
    """iptables arguments that delete our rules, and the port chains of pods of our CNI network, from `iptables -S`."""
    deletions: list[list[str]] = []
    chains: list[str] = []
    for rule in rules:
        words = shlex.split(rule)
        comment = words[words.index("--comment") + 1] if "--comment" in words else ""
        if words[:1] != ["-A"]:
            continue
        if comment == COMMENT:
            deletions.append(["-D", *words[1:]])
        elif re.match(rf'dnat name: "{CNI_NETWORK}" ', comment):
            deletions.append(["-D", *words[1:]])
            chains.append(words[-1])
    return deletions + [[action, chain] for chain in dict.fromkeys(chains) for action in ("-F", "-X")]


def remove_docker_network() -> None:
    """What our dockerd leaves behind: its bridge, and its chains."""
    run("ip", "link", "delete", "docker0")
    remove_chains("DOCKER", interface="docker0")


def remove_chains(prefix: str, interface: str = "") -> None:
    """The chains that are called so, the rules that lead to them, and those of the interface."""
    for program in filter(which, ("iptables", "ip6tables")):
        for table in ("nat", "filter", "mangle"):
            rules = [shlex.split(rule) for rule in run(program, "-w", "-t", table, "-S").splitlines()]
            chains = [words[1] for words in rules if words[0] == "-N" and words[1].startswith(prefix)]
            for words in rules:
                if words[0] == "-A" and words[1] not in chains and (words[-1] in chains or interface in words):
                    run(program, "-w", "-t", table, "-D", *words[1:])
            for action in ("-F", "-X"):
                for chain in chains:
                    run(program, "-w", "-t", table, action, chain)


def remove_empty_cgroups(root: Path = Path("/sys/fs/cgroup")) -> None:
    """Those of pods that are gone: the next kubelet would look at each for 3 s. The kernel keeps those in use."""
    for top in (root / "kubepods", *root.glob("*/kubepods")):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def mounts_below(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> list[str]:
    """Mount points in that folder, one entry for each mount on them."""
    points = [line.split()[4] for line in mountinfo.read_text().splitlines()]
    unescaped = [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point) for point in points]
    return [point for point in unescaped if point.startswith(f"{folder}/")]


def end_shims() -> None:
    """End containers that nobody stopped, with their shims: those with our containerd's socket as an argument."""
    shims: list[int] = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and str(CONTAINERD_SOCKET).encode() in words:
                shims.append(int(cmdline.parent.name))
    for shim in shims:
        for pid in [*children(shim), shim]:
            found = process(pid)
            found.kill(signal.SIGKILL)
            ended(found, 5)


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for thread in threads for child in thread.read_text().split()]
    return []
