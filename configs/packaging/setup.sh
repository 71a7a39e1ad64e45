#!/usr/bin/env bash
# setup.sh run|test: makes sure that what `make run` or `make test` needs is on
# this machine. As root it installs what is missing by the system's package
# manager; otherwise it says exactly what to install, and fails. What only some
# tests need is installed where it can be; without it these tests skip, and say
# why. Nothing that is installed here is left running or enabled.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# command:Debian package:RHEL package[:service that it brings]
want=()
case ${1:-} in
run) need=() ;;
test) need=(gcc:gcc:gcc rsync:rsync:rsync ssh:openssh-client:openssh-clients sshd:openssh-server:openssh-server
	ip:iproute2:iproute tc:iproute2:iproute-tc iptables:iptables:iptables-nft ipset:ipset:ipset nft:nftables:nftables
	arptables:arptables:iptables-nft)
	want=(prometheus-alertmanager:prometheus-alertmanager:-:prometheus-alertmanager
		prometheus:prometheus:-:prometheus promtool:prometheus:-:prometheus
		systemd-analyze:systemd:- dbus-daemon:dbus:-) ;;
*) echo "usage: $0 run|test" >&2; exit 2 ;;
esac

if ! command -v go >/dev/null; then
	echo "go is missing: install Go 1.21 or newer from https://go.dev/dl/ and put it on the PATH" >&2
	exit 1
fi

if command -v apt-get >/dev/null; then field=2 install="apt-get install -y"
elif command -v dnf >/dev/null; then field=3 install="dnf install -y"
elif command -v yum >/dev/null; then field=3 install="yum install -y"
else field=2 install="install with your package manager:"
fi
may=false
[ "$(id -u)" -ne 0 ] || [[ $install == *: ]] || may=true

# missing ENTRY...: the packages of the commands that are not there.
missing() {
	for n in "$@"; do
		command -v "${n%%:*}" >/dev/null || cut -d: -f$field <<<"$n"
	done | grep -v '^-$' | sort -u || true
}

# get PACKAGE...: installs, and lets no service start that a package brings.
get() {
	echo "installing: $*"
	export DEBIAN_FRONTEND=noninteractive
	if [ $field -eq 2 ]; then
		local policy=/usr/sbin/policy-rc.d # invoke-rc.d(8): 101 is "not allowed"
		if [ ! -e $policy ]; then
			printf '#!/bin/sh\nexit 101\n' >$policy
			chmod 755 $policy
			trap "rm -f $policy" EXIT
		fi
		apt-get update -qq || return
	fi
	$install "$@" >/dev/null
}

mapfile -t packages < <(missing "${need[@]}")
if [ ${#packages[@]} -gt 0 ]; then
	$may || { echo "missing: ${packages[*]}. As root: $install ${packages[*]}" >&2; exit 1; }
	get "${packages[@]}"
fi

for n in "${want[@]}"; do
	package=$(missing "$n")
	[ -n "$package" ] && $may || continue
	if ! get --no-install-recommends "$package"; then # they would bring more services
		echo "$package cannot be installed: the tests that need it are skipped" >&2
		continue
	fi
	IFS=: read -r _ _ _ service <<<"$n"
	if [ -n "$service" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now --quiet "$service"
	fi
done
