#!/bin/bash
# Provides the programs that tests and bench/ run beside kdns: dig, dnsperf, Knot, checkers of zone files, musl and
# openssl from the system, etcd, kube-apiserver, kube-controller-manager and CoreDNS built from Go modules (six
# minutes once, kept in ${KDNS_CACHE:-~/.cache/kdns}). What cannot be had is named; with CI=true that is a
# failure, without it the tests that need it say so and are skipped.
set -u
cd "$(dirname "$0")/.."

programs=(dig dnsperf ip kzonecheck knotd musl-gcc named-checkzone openssl)
packages=(bind9-dnsutils bind9-utils dnsperf iproute2 knot knot-dnssecutils musl-tools openssl)

missing=()
for program in "${programs[@]}"; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing packages for: ${missing[*]}" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${packages[@]}" >/dev/null
  missing=()
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$program")
  done
fi

tests/system/programs.sh || missing+=("resolvers of Linux systems (tests/system/programs.sh)")

if command -v go >/dev/null; then
  tests/cluster/binaries/build.sh || missing+=("the programs of tests/cluster/binaries")
else
  for program in etcd kube-apiserver kube-controller-manager coredns; do
    [ -x "${KDNS_CACHE:-$HOME/.cache/kdns}/bin/$program" ] || missing+=("$program (built with Go 1.26)")
  done
fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'not there: %s\n' "${missing[@]}" >&2
  [ "${CI:-}" = true ] && exit 1
fi
exit 0
