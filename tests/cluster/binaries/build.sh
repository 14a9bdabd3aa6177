#!/bin/bash
# Builds what is missing of etcd, kube-apiserver, kube-controller-manager and CoreDNS from the Go module
# proxy into ${KDNS_CACHE:-~/.cache/kdns}/bin. Idempotent. Needs Go >= 1.26; about five minutes on two cores
# from nothing. The versions are pinned by go.mod/go.sum beside this file.
set -euo pipefail
cd "$(dirname "$0")"
bin=${KDNS_CACHE:-$HOME/.cache/kdns}/bin
coredns=v1.15.0
mkdir -p "$bin"

missing() { [[ ! -x $bin/$1 ]]; }
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version \
 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"

# Built under a temporary name and renamed, so that an interrupted build leaves nothing half done.
build() {
  missing "$1" || return 0
  echo "building $1 from $2" >&2
  go build -mod=readonly -trimpath -ldflags "$stamp" -o "$bin/.$1.new" "$2"
  mv "$bin/.$1.new" "$bin/$1"
}
build etcd go.etcd.io/etcd/server/v3
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
if missing coredns; then
  echo "building coredns $coredns" >&2
  GOBIN=$bin GOFLAGS=-buildvcs=false go install -trimpath -ldflags "-s -w" "github.com/coredns/coredns@$coredns"
fi
