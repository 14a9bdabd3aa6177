#!/bin/bash
# Provides what a node consists of: Debian's packages, and programs built from Go modules (minutes once, kept).
# `programs.sh e2e` also builds upstream's end-to-end tests. Needs root, apt and Go 1.26; idempotent.
set -euo pipefail
cd "$(dirname "$0")"
packages=(containerd runc containernetworking-plugins iptables nftables conntrack busybox-static buildah
  mmdebstrap musl-tools libcap2-bin openssl gcc libc6-dev curl iproute2 procps)
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "installing ${missing[*]}" >&2
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
exec binaries/build.sh "$@"
