#!/usr/bin/env bash
# setup.sh run|test: makes sure that what `make run` or `make test` needs is on
# this machine. As root it installs what is missing by the system's package
# manager; otherwise it says exactly what to install, and fails.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# command:Debian package:RHEL package
case ${1:-} in
run) need=() ;;
test) need=(gcc:gcc:gcc rsync:rsync:rsync ssh:openssh-client:openssh-clients sshd:openssh-server:openssh-server
	ip:iproute2:iproute tc:iproute2:iproute-tc iptables:iptables:iptables-nft ipset:ipset:ipset nft:nftables:nftables
	arptables:arptables:iptables-nft) ;;
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

missing=()
for n in "${need[@]}"; do
	command -v "${n%%:*}" >/dev/null || missing+=("$(cut -d: -f$field <<<"$n")")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if [ "$(id -u)" -ne 0 ] || [[ $install == *: ]]; then
	echo "missing: ${missing[*]}. As root: $install ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
[ $field -eq 3 ] || apt-get update -qq
$install "${missing[@]}" >/dev/null
