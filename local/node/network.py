"""Change the network of the host for the cluster, and undo all of these changes."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.bootstrap.debian import system_path, which
from local.errors import SetupError
from local.node.names import CNI_NETWORK, NODE_ADDRESS, POD_NETWORK
from local.paths import CONTAINERD_SOCKET, RUN
from local.processes import current_process, wait_for_end

CNI_RESULTS = Path("/var/lib/cni/results")
COMMENT = "slipway"

# Traffic from pods to anything but pods gets the node's address. Firewalls that drop forwarded packets (Docker and ufw
# set one up) accept the pods' packets. Network policies have their own table and still apply.
RULES = (
    ("nat", "POSTROUTING", f"-s {POD_NETWORK} ! -d {POD_NETWORK} -j MASQUERADE"),
    ("filter", "FORWARD", f"-s {POD_NETWORK} -j ACCEPT"),
    ("filter", "FORWARD", f"-d {POD_NETWORK} -j ACCEPT"),
    ("filter", "INPUT", f"-s {POD_NETWORK} -j ACCEPT"),
)
# Tables that kube-proxy and the network policy agent leave behind when they end.
TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "slipway_netpol"))
# Forwarding is enabled before dockerd starts: dockerd would enable it with a policy that drops packets of pods.
SETTINGS = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}


def run(*command: str, check: bool = False) -> str:
    """Return the output of a system command. Raise SetupError if it fails and `check` is set."""
    try:
        done = subprocess.run(
            command, env=os.environ | {"PATH": system_path()}, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started: {error.strerror}", "make up") from error
    if check and done.returncode != 0:
        raise SetupError(
            f"`{' '.join(command)}`: {(done.stderr or done.stdout).strip()}",
            "check that root may change the network of this machine; a container needs --privileged",
        )
    return done.stdout


def prepare() -> None:
    """Set up forwarding, the node's address and the rules for traffic of pods, where they are missing."""
    for name, value in SETTINGS.items():
        raise_setting(Path("/proc/sys") / name, value)
    run("ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", "lo", check=True)
    for table, chain, rule in RULES:
        commented = [*rule.split(), "-m", "comment", "--comment", COMMENT]
        if rule_missing(table, chain, commented):
            run("iptables", "-w", "-t", table, "-I", chain, *commented, check=True)


def rule_missing(table: str, chain: str, rule: Sequence[str]) -> bool:
    command = ["iptables", "-w", "-t", table, "-C", chain, *rule]
    return (
        subprocess.run(command, env=os.environ | {"PATH": system_path()}, capture_output=True, check=False).returncode
        != 0
    )


def raise_setting(setting: Path, value: int) -> None:
    """Raise a kernel setting, but never lower it, because other programs may need more."""
    with contextlib.suppress(OSError, ValueError):
        if int(setting.read_text()) < value:
            setting.write_text(str(value))


def bind_mount(folder: Path, target: Path) -> None:
    """Mount the folder at a second path."""
    target.mkdir(parents=True, exist_ok=True)
    if str(target) not in mounts_below(RUN):
        run("mount", "--bind", str(folder), str(target), check=True)


def remove_leftovers() -> None:
    """Undo all changes that carry our name: after a stop, after a kill -9, or for a deleted clone."""
    end_shims()
    for mount in sorted(mounts_below(RUN), key=len, reverse=True):
        run("umount", "-l", mount)
    if which("iptables"):
        remove_rules()
    if which("nft"):
        for family, table in TABLES:
            run("nft", "delete", "table", family, table)
    run("ip", "address", "delete", f"{NODE_ADDRESS}/32", "dev", "lo")
    remove_empty_cgroups()
    for result in CNI_RESULTS.glob(f"{CNI_NETWORK}-*"):
        result.unlink(missing_ok=True)


def remove_rules() -> None:
    """Remove our iptables rules, and the chains of kube-proxy and portmap."""
    for table in ("nat", "filter"):
        for command in removals(run("iptables", "-w", "-t", table, "-S").splitlines()):
            run("iptables", "-w", "-t", table, *command)
    remove_chains("KUBE-")
    if "CNI-DN-" not in run("iptables", "-w", "-t", "nat", "-S"):  # no other CNI network has ports here
        remove_chains("CNI-HOSTPORT-")


def removals(rules: Iterable[str]) -> list[list[str]]:
    """Return the iptables arguments that delete our rules and the port chains of our pods, from `iptables -S`."""
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
    """Remove the bridge and the chains of our dockerd."""
    run("ip", "link", "delete", "docker0")
    remove_chains("DOCKER", interface="docker0")


def remove_chains(prefix: str, interface: str = "") -> None:
    """Remove the chains with this prefix, the rules that jump to them, and the rules of the interface."""
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
    """Remove the cgroups of deleted pods, which cost the next kubelet 3 s each. The kernel keeps those in use."""
    for top in (root / "kubepods", *root.glob("*/kubepods")):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def mounts_below(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> list[str]:
    """Return the mount points below a folder, once for each mount on them."""
    points = [line.split()[4] for line in mountinfo.read_text().splitlines()]
    unescaped = [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point) for point in points]
    return [point for point in unescaped if point.startswith(f"{folder}/")]


def end_shims() -> None:
    """Kill containers that were not stopped, and their shims, which have our containerd's socket as an argument."""
    shims: list[int] = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and str(CONTAINERD_SOCKET).encode() in words:
                shims.append(int(cmdline.parent.name))
    for shim in shims:
        for pid in [*children(shim), shim]:
            process = current_process(pid)
            process.kill(signal.SIGKILL)
            wait_for_end(process, 5)


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for thread in threads for child in thread.read_text().split()]
    return []
