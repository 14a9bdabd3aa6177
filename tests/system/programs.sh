#!/bin/bash
# Resolvers of Linux systems for tests/system, from Debian packages: systemd-resolved, dnsmasq, NetworkManager.
# They are unpacked into ${KDNS_CACHE:-~/.cache/kdns}/resolvers and not installed: installed, systemd-resolved would
# take over this machine's own /etc/resolv.conf. What cannot be had is named; tests that need it say so.
set -u
folder=${KDNS_CACHE:-$HOME/.cache/kdns}/resolvers
[ -e "$folder/.complete" ] && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "no Debian packages can be unpacked here: systemd-resolved, dnsmasq and NetworkManager are not there" >&2
  exit 1
fi

# The version of the systemd that is here, with whose libraries they run.
version=$(dpkg-query -W -f '${Version}' systemd 2>/dev/null) || { echo "there is no systemd here" >&2; exit 1; }
packages=("systemd-resolved=$version" "libnss-resolve=$version" dnsmasq-base network-manager libnm0 libndp0
  libteamdctl0 libjansson4 libmm-glib0 libnewt0.52 libbluetooth3 libpsl5 libcurl3-gnutls libnetfilter-conntrack3
  libnfnetlink0 libnftables1 libnftnl11 libmnl0 dbus-daemon
  dbus-system-bus-common)
mkdir -p "$folder/packages" && cd "$folder/packages" || exit 1
apt-get download -qq "${packages[@]}" 2>/dev/null ||
  { apt-get update -qq && apt-get download -qq "${packages[@]}"; } || exit 1
for package in *.deb; do dpkg-deb -x "$package" .. || exit 1; done
rm -r "$folder/packages"
touch "$folder/.complete"
