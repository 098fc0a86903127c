"""Start the parts of the cluster, in their order; parts that run already are left alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from local.bootstrap.debian import cni_folder, system_path, which
from local.down import CLUSTER_MOUNT, owner, records, stop_all
from local.errors import SetupError
from local.node import certificates, daemons, data_images, network, volumes
from local.node.daemons import ETC, flags
from local.node.images import write_archive
from local.node.names import DNS_ADDRESS, INGRESS_ADDRESS, NODE
from local.paths import CONTAINERD_SOCKET, RUN, ClonePaths, home, write
from local.processes import Processes
from local.progress import Step, Task, last_line
from slipway.ops.prerequisites.docker import docker_answers

RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
DEPLOYMENTS = (("kube-system", "coredns"), ("ingress", "traefik"))


class LocalCluster:
    """The cluster of one clone. `binary` is the program that contains Kubernetes, etcd and the add-ons."""

    def __init__(self, paths: ClonePaths, binary: Path, traefik: Path) -> None:
        self.paths = paths
        self.binary = binary
        self.traefik = traefik
        self.processes = Processes(records(), paths.cluster / "logs")

    def steps(self) -> list[Step]:
        """Return the steps with their dependencies. A step with nothing to do reports nothing."""
        return [
            Step("host network", self.prepare_host),
            Step("certificates", self.certificates),
            Step("containers", self.start_containers, after=("host network",)),
            Step("images", self.import_images, after=("containers",)),
            Step("API server", self.start_api_server, after=("host network", "certificates")),
            Step("controllers", self.start_controllers, after=("API server",)),
            Step("volumes", self.provide_volumes, after=("controllers",)),
            Step("node", self.start_node, after=("controllers", "images")),
            Step("add-ons", self.add_ons, after=("API server", "images")),
            Step("ingress and DNS", self.wait_for_add_ons, after=("add-ons", "node")),
            Step("metrics", self.wait_for_metrics, after=("add-ons", "node")),
        ]

    # Host and certificates

    def prepare_host(self, _: Task) -> str | None:
        """Set up the network, after removing the cluster of a clone that no longer exists."""
        message = None
        previous = owner()
        if previous and previous != self.paths.clone:
            stop_all(None)
            message = f"removed the remains of the cluster of {previous}"
        elif RUN.is_dir() and not any(self.processes.get(name) for name in self.processes.names()):
            network.remove_leftovers()
        RUN.mkdir(mode=0o711, exist_ok=True)
        write(RUN / "clone", str(self.paths.clone))
        self._write_configuration()
        network.bind_mount(self.paths.cluster, CLUSTER_MOUNT)
        network.prepare()
        return message

    def _write_configuration(self) -> None:
        for folder in ("etc", "pki", "data", "logs"):
            (self.paths.cluster / folder).mkdir(mode=0o700, exist_ok=True)
        cni = cni_folder() or Path("/usr/lib/cni")
        for name, text in daemons.files(cni, self.image("pause"), nameservers()).items():
            write(self.paths.cluster / "etc" / name, text)

    def certificates(self, _: Task) -> str | None:
        """Issue missing and expiring certificates. The steps restart the daemons that use them."""
        issued = certificates.issue_all(self.paths)
        return f"issued {len(issued)} (valid {certificates.DAYS} days, renewed by `make up`)" if issued else None

    # Containers: containerd for the pods, Docker for builds, the registry between them

    def start_containers(self, task: Task) -> str | None:
        started = self.start("containerd", ["--config", ETC / "containerd.toml"], program=which("containerd"))
        self.wait(task, "containerd", lambda: self.ctr("version"))
        if not data_images.load_target(self.paths.stack_file):
            started += self.start("registry", ["serve", ETC / "registry.yaml"], program=which("docker-registry"))
        if self.processes.get("dockerd") or not docker_answers():
            command = ["--config-file", ETC / "docker.json"]
            started += self.start("dockerd", command, program=which("dockerd"), env=self.env | proxies())
            self.wait(task, "dockerd", lambda: docker_answers({}))
        return f"started {', '.join(started)}" if started else None

    def import_images(self, task: Task) -> str | None:
        """Import the images of the cluster's own programs."""
        return self.import_programs(task, {name: self.program(name) for name in ("pause", "cluster", "traefik")})

    def import_programs(self, task: Task, programs: Mapping[str, Path]) -> str | None:
        """Import an image for each program, named by its content, and remove those of earlier builds."""
        present = network.run(*self.images, "list", "-q", check=True).split()
        wanted = {name: image_reference(name, program) for name, program in programs.items()}
        missing = [name for name, reference in wanted.items() if reference not in present]
        for name in missing:
            archive, program = self.paths.cluster / "data" / f"{name}.tar", programs[name]
            write_archive(archive, wanted[name], {f"/{program.name}": program}, [f"/{program.name}"])
            task.run([*self.images, "import", archive], env=self.env)
            archive.unlink()
        if stale := superseded(present, wanted.values()):
            task.run([*self.images, "remove", *stale], env=self.env)
        return f"imported {', '.join(missing)}" if missing else None

    def program(self, image: str) -> Path:
        return {"pause": self.binary.with_name("pause"), "cluster": self.binary, "traefik": self.traefik}[image]

    def image(self, name: str) -> str:
        """Return the image reference of one of the cluster's own programs."""
        return image_reference(name, self.program(name))

    # Control plane

    def start_api_server(self, task: Task) -> str | None:
        started = self.start("etcd", flags(daemons.ETCD), program=self.binary)
        started += self.start("kube-apiserver", flags(daemons.API_SERVER), program=self.binary)
        self.wait(task, "kube-apiserver", lambda: self.kubectl("get", "--raw", "/readyz"), 120)
        self.wait(task, "kube-apiserver", lambda: self.kubectl("get", "namespace", "kube-system"))
        return f"Kubernetes answers on https://127.0.0.1:6443 (started {', '.join(started)})" if started else None

    def start_controllers(self, _: Task) -> str | None:
        started = self.start("kube-controller-manager", flags(daemons.CONTROLLER_MANAGER), program=self.binary)
        started += self.start("kube-scheduler", flags(daemons.SCHEDULER), program=self.binary)
        return f"started {', '.join(started)}" if started else None

    # Volumes

    def provide_volumes(self, task: Task) -> str | None:
        """Create the storage class and its volumes; empty and recreate those whose claim was deleted."""
        kubectl = [self.paths.bin / "kubectl", "--request-timeout=30s"]
        listed = task.read([*map(str, kubectl), "get", "persistentvolumes", "-o", "json"], env=self.env)
        released = volumes.released(json.loads(listed))
        for name in released:
            # Delete the data first, so that a recreated volume is empty even after an interruption.
            shutil.rmtree(self.paths.cluster / "data" / "volumes" / name, ignore_errors=True)
            task.run([*kubectl, "delete", "persistentvolume", name], env=self.env)
        folder = volumes.create_folders(self.paths.cluster / "data" / "volumes")
        manifest = self.paths.cluster / "etc" / "volumes.json"
        write(manifest, volumes.manifest(daemons.DATA / folder.name))
        task.run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", manifest], env=self.env)
        return f"emptied {', '.join(released)}: their claims were deleted" if released else None

    # Node

    def start_node(self, task: Task) -> str | None:
        started = self.start("kubelet", flags(daemons.KUBELET), program=self.binary, reads=daemons.KUBELET_READS)
        started += self.start("kube-proxy", [f"--config={ETC / 'kube-proxy.yaml'}"], program=self.binary)
        started += self.start("netpol", ["--kubeconfig", ETC / "netpol.kubeconfig"], program=self.binary)
        ports = [f"127.0.0.1:{port}={INGRESS_ADDRESS}:{port}" for port in (80, 443)]
        started += self.start("ports", ports, program=self.binary)
        ready = ("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=2s")
        self.wait(task, "kubelet", lambda: self.kubectl(*ready), 120)
        return f"node {NODE} is ready (started {', '.join(started)})" if started else None

    # Add-ons

    def add_ons(self, task: Task) -> str | None:
        text = (self.paths.sources / "addons.yaml").read_text()
        rendered = self.paths.cluster / "etc" / "addons.yaml"
        values = {"CLUSTER_IMAGE": self.image("cluster"), "TRAEFIK_IMAGE": self.image("traefik"), "DNS_IP": DNS_ADDRESS}
        values |= {"INGRESS_IP": INGRESS_ADDRESS, "DNS_OUTSIDE": "node" if nameservers() else "nowhere"}
        write(rendered, render(text, values))
        # Applied every time, because this also repairs manual changes.
        apply = [self.paths.bin / "kubectl", "apply", "--server-side", "--force-conflicts"]
        task.run([*apply, "-f", rendered], env=self.env)
        return None

    def wait_for_add_ons(self, task: Task) -> str | None:
        for namespace, name in DEPLOYMENTS:
            self.wait_for_deployment(task, namespace, name)
        return "CoreDNS and Traefik are ready"

    def wait_for_metrics(self, task: Task) -> str | None:
        self.wait_for_deployment(task, "kube-system", "metrics-server")
        self.wait(task, "kubelet", lambda: self.kubectl("top", "node"), 300)
        return "kubectl top and autoscaling work"

    def wait_for_deployment(self, task: Task, namespace: str, name: str) -> None:
        command = [self.paths.bin / "kubectl", "-n", namespace, "rollout", "status", f"deployment/{name}"]
        fix = f"run: . ./activate && kubectl -n {namespace} describe pods"
        task.run([*command, "--timeout=180s"], env=self.env, fix=fix)

    # Helpers

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": system_path(), "HOME": str(home()), "KUBECONFIG": str(self.paths.kubeconfig)}

    images = ("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io", "images")

    def start(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        program: Path | None,
        reads: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return [name] if the daemon was started now. The program runs the part that its argv[0] names."""
        if program is None:
            raise SetupError(f"the program of {name} is missing", "install it, then run `make up` again")
        command = [name, *arguments]
        started = self.processes.start(name, command, program=program, reads=reads, env=env or self.env)
        return [name] if started else []

    def wait(self, task: Task, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until the daemon is ready. Raise SetupError at once if its process has ended."""
        log = self.processes.log(name)

        def check() -> bool:
            if not self.processes.get(name):
                raise SetupError(
                    f"{name} ended after its start: {last_line(log)}", f"read {log}, then run `make up` again"
                )
            return ready()

        task.wait_until(check, f"{name} is not ready", seconds, fix=f"read {log}, then run `make up` again")

    def kubectl(self, *arguments: str) -> bool:
        return self._succeeds([str(self.paths.bin / "kubectl"), "--request-timeout=5s", *arguments])

    def ctr(self, *arguments: str) -> bool:
        return self._succeeds(["ctr", "--address", str(CONTAINERD_SOCKET), *arguments])

    def _succeeds(self, command: list[str]) -> bool:
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done.returncode == 0


def image_reference(name: str, program: Path) -> str:
    """Return the reference of a program's image: its tag is the hash in the name of the cache folder."""
    return f"slipway.local/{name}:{program.parent.name.rpartition('-')[2]}"


def superseded(present: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return the images that are earlier builds of the wanted ones."""
    current = set(wanted)
    names = {reference.rpartition(":")[0] for reference in current}
    return [reference for reference in present if reference.rpartition(":")[0] in names and reference not in current]


def render(text: str, values: Mapping[str, str], source: str = "local/addons.yaml") -> str:
    """Replace each @NAME@ in the text of a file by its value."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise SetupError(f"{source} uses @{match[1]}@, known: {', '.join(values)}", "use one of these")
        return values[match[1]]

    return re.sub(r"@([A-Z_]+)@", value, text)


def nameservers(files: Sequence[Path] = RESOLVERS) -> list[str]:
    """Return the host's name servers, without those on the loopback interface, which pods cannot reach."""
    for file in files:
        lines = [line.split() for line in file.read_text().splitlines()] if file.is_file() else []
        addresses = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
        if outside := [address for address in addresses if not address.startswith("127.") and address != "::1"]:
            return outside[:3]
    return []


def proxies(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the proxy variables, which dockerd needs to pull base images."""
    return {name: value for name, value in environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")}
