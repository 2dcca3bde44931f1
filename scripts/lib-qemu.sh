# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Variables go to and come from the scripts that source this.
# shellcheck disable=SC2034,SC2154
#
# Which QEMU to run.  Sourced after lib.sh.

# QEMU 7.2 loses TLB invalidations of EL2's own mappings on a CPU with VHE, so
# that pKVM there copies and wipes the wrong pages.  This one is right.
qemu_vhe_min=10

# The major version of the program $1, or 0.
qemu_major() {
	local v

	v=$("$@" --version 2> /dev/null |
		sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p') || true
	echo "${v:-0}"
}

# Sets qemu, an array, to the command for architecture $1 that is at least of
# the major version $2: the system's, or the one that setup unpacked.
qemu_find() {
	local prog

	case $1 in
	arm64) prog="qemu-system-aarch64" ;;
	x86) prog="qemu-system-x86_64" ;;
	*) die "no such architecture: $1" ;;
	esac
	qemu=("$prog")
	if command -v "$prog" > /dev/null && (($(qemu_major "$prog") >= $2)); then
		return
	fi
	qemu=("$cache/qemu/run" "$prog")
	if [[ -x ${qemu[0]} ]] && (($(qemu_major "${qemu[@]}") >= $2)); then
		return
	fi
	return 1
}
