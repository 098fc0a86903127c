"""The configuration files and command lines of the cluster's daemons.

Configuration is written as JSON, which is also YAML and needs no quoting by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.down import CLUSTER_MOUNT
from local.node.names import (
    CNI_NETWORK,
    DNS_ADDRESS,
    NODE,
    NODE_ADDRESS,
    NODE_PODS,
    POD_NETWORK,
    REGISTRY,
    SERVICE_NETWORK,
)
from local.paths import CONTAINERD_SOCKET, RUN

ETC, PKI, DATA = CLUSTER_MOUNT / "etc", CLUSTER_MOUNT / "pki", CLUSTER_MOUNT / "data"


def files(cni: Path, pause: str, nameservers: Sequence[str]) -> dict[str, str]:
    """Return the content of every configuration file by its path in ETC. `cni` is the folder of the CNI plugins."""
    configs = {"cni/10-slipway.conflist": CNI, "registry.yaml": REGISTRY_CONFIG, "docker.json": DOCKER}
    configs |= {"kubelet.yaml": KUBELET_CONFIG, "kube-proxy.yaml": PROXY_CONFIG}
    texts = {name: json.dumps(config, indent=2) for name, config in configs.items()}
    texts |= {f"certs.d/{name}/hosts.toml": REGISTRY_HOST for name in (REGISTRY, "localhost:5000")}
    texts["resolv.conf"] = "".join(f"nameserver {address}\n" for address in nameservers)
    texts["containerd.toml"] = containerd(cni, pause)
    return texts


def containerd(cni: Path, pause: str) -> str:
    """Return containerd's configuration, with everything below RUN so that it never touches another containerd.

    restrict_oom_score_adj: runc cannot lower the score without CAP_SYS_RESOURCE, as in many VMs and containers.
    """
    return f"""version = 2
root = "{DATA / "containerd"}"
state = "{RUN / "containerd"}"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{ETC / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{ETC / "certs.d"}"
"""


REGISTRY_HOST = f"""server = "http://{REGISTRY}"
[host."http://{REGISTRY}"]
  capabilities = ["pull", "resolve"]
"""
REGISTRY_CONFIG = {
    "version": "0.1",
    "log": {"level": "warn"},
    "storage": {"filesystem": {"rootdirectory": str(DATA / "registry")}, "delete": {"enabled": True}},
    "http": {"addr": REGISTRY},
}
DOCKER = {
    "data-root": str(DATA / "docker"),
    "exec-root": str(RUN / "docker"),
    "pidfile": str(RUN / "docker.pid"),
    "hosts": ["unix:///var/run/docker.sock"],
    "containerd": str(CONTAINERD_SOCKET),
    "userland-proxy": False,
}
# ptp instead of a bridge: every packet between pods is routed, so network policies see it.
CNI = {
    "cniVersion": "0.4.0",
    "name": CNI_NETWORK,
    "plugins": [
        {
            "type": "ptp",
            "mtu": 1500,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "dataDir": str(RUN / "cni"),
                "ranges": [[{"subnet": NODE_PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
KUBELET_CONFIG = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE_ADDRESS,
    "failCgroupV1": False,
    "cgroupDriver": "cgroupfs",
    "oomScoreAdj": 0,
    "failSwapOn": False,
    "enforceNodeAllocatable": ["pods"],
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": str(PKI / "ca.crt")},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": str(PKI / "kubelet-server.crt"),
    "tlsPrivateKeyFile": str(PKI / "kubelet-server.key"),
    "clusterDomain": "cluster.local",
    "clusterDNS": [DNS_ADDRESS],
    "resolvConf": str(ETC / "resolv.conf"),
    "serializeImagePulls": False,
    # How long a changed ConfigMap may take to reach the files of a pod; the default of a minute is too slow to test.
    "syncFrequency": "10s",
    # No image garbage collection: imported images cannot be pulled again.
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "evictionHard": {
        "memory.available": "200Mi",
        "nodefs.available": "1%",
        "imagefs.available": "1%",
        "nodefs.inodesFree": "1%",
    },
    "volumePluginDir": str(DATA / "kubelet-plugins"),
    "podLogsDir": str(DATA / "pod-logs"),
}
PROXY_CONFIG = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    "clusterCIDR": POD_NETWORK,
    "hostnameOverride": NODE,
    "healthzBindAddress": "127.0.0.1:10256",
    "oomScoreAdj": 0,
    "clientConnection": {"kubeconfig": str(ETC / "kube-proxy.kubeconfig")},
    # Zero leaves the connection tracking of the host as it is.
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}
ETCD = {
    "name": NODE,
    "data-dir": DATA / "etcd",
    "log-level": "warn",
    # Only a power cut could lose the last writes, which a development cluster can afford.
    "unsafe-no-fsync": True,
    "listen-client-urls": "https://127.0.0.1:2379",
    "advertise-client-urls": "https://127.0.0.1:2379",
    "listen-peer-urls": "https://127.0.0.1:2380",
    "initial-advertise-peer-urls": "https://127.0.0.1:2380",
    "initial-cluster": f"{NODE}=https://127.0.0.1:2380",
    "cert-file": PKI / "etcd.crt",
    "key-file": PKI / "etcd.key",
    "trusted-ca-file": PKI / "etcd-ca.crt",
    "client-cert-auth": True,
    "peer-cert-file": PKI / "etcd.crt",
    "peer-key-file": PKI / "etcd.key",
    "peer-trusted-ca-file": PKI / "etcd-ca.crt",
    "peer-client-cert-auth": True,
}
API_SERVER = {
    "secure-port": 6443,
    "advertise-address": NODE_ADDRESS,
    "service-cluster-ip-range": SERVICE_NETWORK,
    "allow-privileged": True,
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "etcd-servers": "https://127.0.0.1:2379",
    "etcd-cafile": PKI / "etcd-ca.crt",
    "etcd-certfile": PKI / "apiserver-etcd-client.crt",
    "etcd-keyfile": PKI / "apiserver-etcd-client.key",
    "client-ca-file": PKI / "ca.crt",
    "tls-cert-file": PKI / "apiserver.crt",
    "tls-private-key-file": PKI / "apiserver.key",
    "kubelet-certificate-authority": PKI / "ca.crt",
    "kubelet-client-certificate": PKI / "apiserver-kubelet-client.crt",
    "kubelet-client-key": PKI / "apiserver-kubelet-client.key",
    "kubelet-preferred-address-types": "InternalIP",
    "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    "service-account-key-file": PKI / "sa.pub",
    "service-account-signing-key-file": PKI / "sa.key",
    # For requests that are passed on to metrics-server: `kubectl top` and autoscaling.
    "requestheader-client-ca-file": PKI / "front-proxy-ca.crt",
    "requestheader-allowed-names": "front-proxy-client",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-username-headers": "X-Remote-User",
    "proxy-client-cert-file": PKI / "front-proxy-client.crt",
    "proxy-client-key-file": PKI / "front-proxy-client.key",
}


def client(name: str) -> dict[str, object]:
    """Return the flags that the controller manager and the scheduler have in common."""
    config = ETC / f"{name}.kubeconfig"
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    shared: dict[str, object] = dict.fromkeys(names, config)
    return shared | {"leader-elect": "false", "bind-address": "127.0.0.1"}


SCHEDULER = client("kube-scheduler")
CONTROLLER_MANAGER = client("kube-controller-manager") | {
    "use-service-account-credentials": True,
    "service-account-private-key-file": PKI / "sa.key",
    "root-ca-file": PKI / "ca.crt",
    "cluster-signing-cert-file": PKI / "ca.crt",
    "cluster-signing-key-file": PKI / "ca.key",
    "requestheader-client-ca-file": PKI / "front-proxy-ca.crt",
    "allocate-node-cidrs": True,
    "cluster-cidr": POD_NETWORK,
    "node-cidr-mask-size": 24,
    "service-cluster-ip-range": SERVICE_NETWORK,
}
KUBELET = {
    "config": ETC / "kubelet.yaml",
    "kubeconfig": ETC / "kubelet.kubeconfig",
    "hostname-override": NODE,
    "node-ip": NODE_ADDRESS,
    "root-dir": DATA / "kubelet",
    "cert-dir": DATA / "kubelet" / "pki",
    # The kubelet's statistics use the default socket of containerd, whatever the configuration says.
    "containerd": CONTAINERD_SOCKET,
}
# Files that the configuration names. A change of them restarts the kubelet.
KUBELET_READS = (PKI / "ca.crt", PKI / "kubelet-server.crt")


def flags(values: Mapping[str, object]) -> list[str]:
    """Return --name=value for each flag, or only the name if the value is True."""
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in values.items()]
