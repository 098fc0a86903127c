"""The one-node cluster: its parts in the order they come up; what runs already is left alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import certificates, daemons, network, volumes
from .daemons import ETC, flags
from .debian import cni_folder, path, which
from .down import HERE, owner, records, stop_all
from .host import docker_answers
from .images import write_archive
from .names import DNS_ADDRESS, INGRESS_ADDRESS, NODE
from .places import CONTAINERD_SOCKET, RUN, Places, home, write
from .problems import Problem
from .processes import Processes
from .progress import Step, Task, last_line

RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
DEPLOYMENTS = (("kube-system", "coredns"), ("ingress", "traefik"))


class Cluster:
    """The cluster of one clone; `binary` is Kubernetes and all in one program."""

    def __init__(self, places: Places, binary: Path, traefik: Path) -> None:
        self.places = places
        self.binary = binary
        self.traefik = traefik
        self.processes = Processes(records(), places.cluster / "logs")

    def steps(self) -> list[Step]:
        """What can go side by side does; a step that finds its work done says nothing."""
        return [
            Step("host network", self.prepare_host),
            Step("certificates", self.certificates),
            Step("containers", self.start_containers, after=("host network",)),
            Step("images", self.import_images, after=("containers",)),
            Step("API server", self.start_api_server, after=("host network", "certificates")),
            Step("controllers", self.start_controllers, after=("API server",)),
            Step("volumes", self.offer_volumes, after=("controllers",)),
            Step("node", self.start_node, after=("controllers", "images")),
            Step("add-ons", self.add_ons, after=("API server", "images")),
            Step("ingress and DNS", self.wait_for_add_ons, after=("add-ons", "node")),
            Step("metrics", self.wait_for_metrics, after=("add-ons", "node")),
        ]

    # Host and certificates

    def prepare_host(self, _: Task) -> str | None:
        """Take the machine over from a clone that is gone, and set up the network."""
        told = None
        previous = owner()
        if previous and previous != self.places.clone:
            stop_all(None)
            told = f"removed what was left of the cluster of {previous}"
        elif RUN.is_dir() and not any(self.processes.get(name) for name in self.processes.names()):
            network.remove_leftovers()
        RUN.mkdir(mode=0o711, exist_ok=True)
        write(RUN / "clone", str(self.places.clone))
        for folder in ("etc", "pki", "data", "logs"):
            (self.places.cluster / folder).mkdir(mode=0o700, exist_ok=True)
        cni = cni_folder() or Path("/usr/lib/cni")
        for name, text in daemons.files(cni, self.image("pause"), nameservers()).items():
            write(self.places.cluster / "etc" / name, text)
        network.bind(self.places.cluster, HERE)
        network.prepare()
        return told

    def certificates(self, _: Task) -> str | None:
        """Issue what is missing or about to expire; what runs with an older one is started again by its step."""
        issued = certificates.issue_all(self.places)
        return f"issued {len(issued)} (valid {certificates.DAYS} days, renewed by `make up`)" if issued else None

    # Containers: containerd for the pods, Docker for builds, the registry between them

    def start_containers(self, task: Task) -> str | None:
        started = self.start("containerd", ["--config", ETC / "containerd.toml"], program=which("containerd"))
        self.wait(task, "containerd", lambda: self.ctr("version"))
        started += self.start("registry", ["serve", ETC / "registry.yaml"], program=which("docker-registry"))
        if self.processes.get("dockerd") or not docker_answers():
            command = ["--config-file", ETC / "docker.json"]
            started += self.start("dockerd", command, program=which("dockerd"), env=self.env | proxies())
            self.wait(task, "dockerd", lambda: docker_answers({}))
        return f"started {', '.join(started)}" if started else None

    def import_images(self, task: Task) -> str | None:
        """The images of the cluster's own programs; each is named by its content, so a new build is a new image."""
        there = network.run(*self.images, "list", "-q", check=True).split()
        wanted = {name: self.image(name) for name in ("pause", "cluster", "traefik")}
        missing = [name for name, reference in wanted.items() if reference not in there]
        for name in missing:
            archive = self.places.cluster / "data" / f"{name}.tar"
            program = self.program(name)
            write_archive(archive, wanted[name], {f"/{program.name}": program}, [f"/{program.name}"])
            task.run([*self.images, "import", archive], env=self.env)
            archive.unlink()
        if stale := [name for name in there if name.startswith("slipway.local/") and name not in wanted.values()]:
            task.run([*self.images, "remove", *stale], env=self.env)
        return f"imported {', '.join(missing)}" if missing else None

    def program(self, image: str) -> Path:
        return {"pause": self.binary.with_name("pause"), "cluster": self.binary, "traefik": self.traefik}[image]

    def image(self, name: str) -> str:
        """Named by the folder in the cache, which is named by the content."""
        return f"slipway.local/{name}:{self.program(name).parent.name.rpartition('-')[2]}"

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

    def offer_volumes(self, task: Task) -> str | None:
        """The storage class, and volumes for it; those whose claim was deleted are emptied and offered again."""
        kubectl = [self.places.bin / "kubectl", "--request-timeout=30s"]
        listed = task.read([*map(str, kubectl), "get", "persistentvolumes", "-o", "json"], env=self.env)
        released = volumes.released(json.loads(listed))
        for name in released:
            # First the data: a volume that is offered again is empty, whatever interrupts this.
            shutil.rmtree(self.places.cluster / "data" / "volumes" / name, ignore_errors=True)
            task.run([*kubectl, "delete", "persistentvolume", name], env=self.env)
        folder = volumes.make(self.places.cluster / "data" / "volumes")
        manifest = self.places.cluster / "etc" / "volumes.json"
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
        text = (self.places.sources / "addons.yaml").read_text()
        rendered = self.places.cluster / "etc" / "addons.yaml"
        values = {"CLUSTER_IMAGE": self.image("cluster"), "TRAEFIK_IMAGE": self.image("traefik"), "DNS_IP": DNS_ADDRESS}
        values |= {"INGRESS_IP": INGRESS_ADDRESS, "DNS_OUTSIDE": "node" if nameservers() else "nowhere"}
        write(rendered, render(text, values))
        # Every time, not only when it changed: it also repairs what someone broke by hand.
        apply = [self.places.bin / "kubectl", "apply", "--server-side", "--force-conflicts"]
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
        command = [self.places.bin / "kubectl", "-n", namespace, "rollout", "status", f"deployment/{name}"]
        fix = f"look with: . ./activate && kubectl -n {namespace} describe pods"
        task.run([*command, "--timeout=180s"], env=self.env, fix=fix)

    # Tools of the above

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": path(), "HOME": str(home()), "KUBECONFIG": str(self.places.kubeconfig)}

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
        """[name] if it was started now. The program sees that name as its own, and so knows which part it is."""
        if program is None:
            raise Problem(f"the program of {name} is missing", "install it, then run `make up` again")
        command = [name, *arguments]
        started = self.processes.start(name, command, program=program, reads=reads, env=env or self.env)
        return [name] if started else []

    def wait(self, task: Task, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Until it is ready; at once a Problem when its process has ended."""
        log = self.processes.log(name)

        def check() -> bool:
            if not self.processes.get(name):
                raise Problem(f"{name} ended at once: {last_line(log)}", f"read {log}, then run `make up` again")
            return ready()

        task.until(check, f"{name} gets ready", seconds, fix=f"read {log}, then run `make up` again")

    def kubectl(self, *arguments: str) -> bool:
        return self._succeeds([str(self.places.bin / "kubectl"), "--request-timeout=5s", *arguments])

    def ctr(self, *arguments: str) -> bool:
        return self._succeeds(["ctr", "--address", str(CONTAINERD_SOCKET), *arguments])

    def _succeeds(self, command: list[str]) -> bool:
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done.returncode == 0


def render(text: str, values: Mapping[str, str]) -> str:
    """The text with each @NAME@ filled in."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Problem(f"local/addons.yaml uses @{match[1]}@, known: {', '.join(values)}", "name one of these there")
        return values[match[1]]

    return re.sub(r"@([A-Z_]+)@", value, text)


def nameservers(files: Sequence[Path] = RESOLVERS) -> list[str]:
    """The host's own, for names outside the cluster; a resolver on the host's loopback cannot be reached from a pod."""
    for file in files:
        lines = [line.split() for line in file.read_text().splitlines()] if file.is_file() else []
        found = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
        if outside := [address for address in found if not address.startswith("127.") and address != "::1"]:
            return outside[:3]
    return []


def proxies(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """dockerd needs them to pull base images."""
    return {name: value for name, value in environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")}
