#!/bin/bash
# A laptop: number 1 of its own pid namespace, with a network of its own and private /etc, /run and /var/lib. One
# interface leads to the network, which has a name server at 192.0.2.1 that is for the test to start. From host.py: FOLDER,
# where bin/ comes first in PATH.
set -eu
mount -t tmpfs tmpfs "$FOLDER/disk"
mkdir "$FOLDER"/disk/{etc,work}
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$FOLDER/disk/etc,workdir=$FOLDER/disk/work" /etc
[[ ! -d $RESOLVERS/usr/sbin ]] || mount -t overlay overlay -o "lowerdir=$RESOLVERS/usr/sbin:/usr/sbin" /usr/sbin
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t sysfs -o ro sysfs /sys  # NetworkManager takes that for "without udev"
mkdir -p /run/dbus /run/systemd/resolve /run/systemd/netif /etc/dbus-1/system.d
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 || true

for user in systemd-resolve messagebus; do
  grep -q "^$user:" /etc/passwd || echo "$user:x:$((RANDOM % 100 + 61000)):65534::/:/bin/false" >>/etc/passwd
done
chown systemd-resolve:65534 /run/systemd/resolve
rm -f /etc/resolv.conf
printf 'nameserver 192.0.2.1\nsearch lan\noptions timeout:1 attempts:1\n' >/etc/resolv.conf
printf 'hosts: files dns\n' >/etc/nsswitch.conf
rm -rf /etc/NetworkManager /etc/dnsmasq.d /etc/systemd/resolved.conf /etc/systemd/resolved.conf.d
cp "$RESOLVERS"/usr/share/dbus-1/system.d/*.conf /etc/dbus-1/system.d/ 2>/dev/null || true

ip link set lo up
ip link add eth0 type veth peer name lan0
unshare --net sleep infinity &
echo $! >"$FOLDER/lan"
until [[ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]]; do sleep 0.01; done
ip link set lan0 netns $!
ip address add 192.0.2.2/24 dev eth0
ip link set eth0 up
nsenter -t $! -n sh -ec "ip address add 192.0.2.1/24 dev lan0; ip link set lan0 up"

touch "$FOLDER/ready"
sleep infinity
