"""The configuration files of a node's programs, as text."""

from __future__ import annotations

import json
from pathlib import Path

from tests.node import images
from tests.node.places import DNS, NAMESPACE, NODE_ADDRESSES, POD_RANGES


def kubelet(run: Path) -> str:
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{NAMESPACE}",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(run / "pki/ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": "/etc/resolv.conf",
            "failSwapOn": False,
            "maxPods": 250,
            # A disk that is nearly full here would have the node's Pods evicted.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "volumePluginDir": str(run / "plugins"),
        }
    )


def proxy(run: Path, mode: str) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": mode,
            "clusterCIDR": ",".join(POD_RANGES),
            "clientConnection": {"kubeconfig": str(run / "proxy.kubeconfig")},
            # These limits are the machine's, not the namespace's: left as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
    )


def containerd(run: Path) -> str:
    """``restrict_oom_score_adj``: without CAP_SYS_RESOURCE a container cannot be made unlikelier to die."""
    return f"""\
version = 2
root = "{run}/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  restrict_oom_score_adj = true
  enable_unprivileged_ports = false
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{run}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def pod_network() -> str:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.244.0.0/24"}], [{"subnet": "fd00:10:244::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]})


def upstream() -> str:
    """The resolver of the node's own /etc/resolv.conf, to which the cluster's DNS forwards."""
    return f". {{\n  bind {NODE_ADDRESSES[0]}\n  file upstream.zone .\n  errors\n}}\n"


def kubeconfig(run: Path, name: str) -> str:
    cluster = {
        "server": "https://127.0.0.1:6443",
        "certificate-authority": str(run / "pki/ca.crt"),
    }
    user = {
        "client-certificate": str(run / f"pki/{name}.crt"),
        "client-key": str(run / f"pki/{name}.key"),
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "node",
            "clusters": [{"name": "node", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}],
        }
    )
