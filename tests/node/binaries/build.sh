#!/bin/bash
# Builds what is missing of a node's programs from the Go module proxy into ${KDNS_CACHE:-~/.cache/kdns}/bin:
# kubelet, kube-proxy, kube-scheduler, kubectl, agnhost (what upstream's tests run in pods) and, where asked
# for by `build.sh e2e`, those tests as e2edns.test. Idempotent; minutes from nothing. Versions are pinned by
# go.mod and go.sum beside this file; the control plane comes from tests/cluster/binaries, of the same version.
set -euo pipefail
cd "$(dirname "$0")"
../../cluster/binaries/build.sh
bin=${KDNS_CACHE:-$HOME/.cache/kdns}/bin
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version \
 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"

# build NAME COMMAND…: under a temporary name first, so that an interrupted build leaves nothing half done.
build() {
  local name=$1
  shift
  [[ ! -x $bin/$name ]] || return 0
  echo "building $name" >&2
  nice -n 10 "$@" -mod=readonly -trimpath -ldflags "$stamp" -o "$bin/.$name.new" "$package"
  mv "$bin/.$name.new" "$bin/$name"
}
for package in k8s.io/kubernetes/{cmd/{kubelet,kube-proxy,kube-scheduler,kubectl},test/images/agnhost}; do
  build "${package##*/}" go build
done
if [[ ${1:-} == e2e ]]; then
  package=./e2edns
  build e2edns.test go test -c
fi
