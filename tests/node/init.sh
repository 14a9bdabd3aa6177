#!/bin/bash
# The node's first process: number 1 of its own pid, mount, uts and ipc namespaces and of the network namespace
# that node.py made. It shapes the machine that the node sees, starts a node's programs, and reaps. When it
# ends, so do they, with every container, mount and interface of theirs.
#
# From node.py: RUN (the node's folder, working directory), NAME, PROGRAMS, NODE4 NODE6 PODS4 PODS6 SERVICES4 SERVICES6.
set -u
[[ $$ == 1 ]] || { echo "started by node.py, as process 1" >&2; exit 1; }

# -- what of the machine's file system is the node's own. /sys has to be that of this network namespace.
mount --make-rprivate /
mkdir -p mounts/{cgroup,log,kubelet,cni}
mount --rbind /sys/fs/cgroup mounts/cgroup
umount --lazy /sys
mount -t sysfs sysfs /sys
mount --move mounts/cgroup /sys/fs/cgroup
if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
  mkdir -p "/sys/fs/cgroup/$NAME"
else
  for controller in /sys/fs/cgroup/*/; do mkdir -p "$controller$NAME" 2>/dev/null; done
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /var/lib/kubelet /var/lib/cni
mount --bind mounts/log /var/log
mount --bind mounts/kubelet /var/lib/kubelet
mount --bind mounts/cni /var/lib/cni
mount --bind resolv.conf /etc/resolv.conf
mount --bind hosts /etc/hosts

# kubelet makes its machine panic on an oops and overcommit memory. It finds files that say so already, and
# this machine stays as it was.
pretend() {
  mkdir -p "mounts/sysctl/$(dirname "$1")"
  echo "$2" >"mounts/sysctl/$1"
  mount --bind "mounts/sysctl/$1" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
mount --make-rshared /

# -- network: no interface leads out. A bridge without ports bears the node's addresses.
hostname "$NAME"
ip link set lo up
ip link add node0 type bridge
ip link set node0 up
ip address add "$NODE4/32" dev node0
ip address add "$NODE6/128" dev node0 nodad
# Pods in the node's network reach Services: there has to be a route before kube-proxy's rules are looked at.
ip route add "$SERVICES4" dev node0 src "$NODE4"
ip -6 route add "$SERVICES6" dev node0 src "$NODE6"
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0
sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1

# -- programs. `start` is given a name for the log, then the command.
start() {
  local log=log/$1.log
  shift
  "$@" >"$log" 2>&1 &
}
start etcd "$PROGRAMS/etcd" --data-dir etcd --unsafe-no-fsync --log-level error
start containerd containerd --config containerd.toml
start upstream "$PROGRAMS/coredns" -conf upstream.Corefile
start apiserver "$PROGRAMS/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
  --advertise-address "$NODE4" --service-cluster-ip-range "$SERVICES4,$SERVICES6" \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key \
  --kubelet-preferred-address-types InternalIP \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file pki/accounts.key --service-account-signing-key-file pki/accounts.key \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true \
  --profiling=false --shutdown-delay-duration 0s
until curl -sk -o /dev/null -m 2 https://127.0.0.1:6443/livez; do sleep 0.2; done
start controller-manager "$PROGRAMS/kube-controller-manager" --kubeconfig controller-manager.kubeconfig \
  --leader-elect=false --bind-address 127.0.0.1 --use-service-account-credentials=true \
  --root-ca-file pki/ca.crt --service-account-private-key-file pki/accounts.key \
  --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key \
  --allocate-node-cidrs=true --cluster-cidr "$PODS4,$PODS6" --service-cluster-ip-range "$SERVICES4,$SERVICES6" \
  --flex-volume-plugin-dir "$RUN/plugins" --kube-api-qps 500 --kube-api-burst 1000
start scheduler "$PROGRAMS/kube-scheduler" --kubeconfig scheduler.kubeconfig --leader-elect=false \
  --bind-address 127.0.0.1
until [[ -S /run/containerd/containerd.sock ]]; do sleep 0.1; done
start kubelet "$PROGRAMS/kubelet" --config kubelet.yaml --kubeconfig kubelet.kubeconfig \
  --node-ip "$NODE4,$NODE6" --hostname-override "$NAME" --cert-dir pki/kubelet
start proxy "$PROGRAMS/kube-proxy" --config proxy.yaml --hostname-override "$NAME"

while :; do wait -n 2>/dev/null || sleep 1; done
