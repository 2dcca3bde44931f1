# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Variables go to and come from the scripts that source this.
# shellcheck disable=SC2034
#
# What the scripts share: paths, messages, locks, and where the project's own
# kernel files are.  Sourced, never run.

set -euo pipefail

# The kernel version that the hooks in patches/ are written against.
kbase=7.3

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${GMEM_CACHE:-$repo/build}
# What distclean may remove: a directory that was not there before, or empty.
if [[ ! -d $cache || -z $(find "$cache/" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit) ]]; then
	mkdir -p "$cache"
	touch "$cache/.gmem-cache"
fi
mkdir -p "$cache/lock"
cache=$(cd "$cache" && pwd -P)
# Logs and results belong to the checkout, even where the cache is shared.
build=$repo/build
patchdir=$repo/patches/$kbase
series=$patchdir/series

# Top-level directories of the repo that mirror the kernel's.  Files in them
# have the path that they have in the kernel; kernel/configs is for the
# scripts only and stays out of the tree.
mirror_dirs=(mm virt arch include lib drivers tools Documentation)

export LC_ALL=C
# git must never take the checkout around the cache for one of its trees, nor ask for a
# signature of a commit in them.
export GIT_CEILING_DIRECTORIES=$cache:$cache/tmp
git_n=${GIT_CONFIG_COUNT:-0}
export GIT_CONFIG_COUNT=$((git_n + 1))
export "GIT_CONFIG_KEY_$git_n=commit.gpgsign" "GIT_CONFIG_VALUE_$git_n=false"

me=$(basename "$0")

# Before a command: it ends when this shell does, however that ends. Ctrl-C reaches
# no process that a script has started in the background.
tied=(setpriv --pdeathsig TERM)

# gmem_bench ARCH|host: build this checkout's gmem-bench, and print its path.
gmem_bench() {
	local dir=$build/benchmarks/$1 args=()

	[[ $1 == host ]] || args=("ARCH=$1")
	# Without the ARCH= that one of our make targets was called with, and without
	# what somebody else's kernel is built with.
	env -u MAKEFLAGS -u ARCH -u CROSS_COMPILE make -s -C "$repo/benchmarks" "${args[@]}" O="$dir" >&2 || exit
	echo "$dir/gmem-bench"
}

# pack DIR: the directory as an archive for an initramfs, on stdout.
pack() { (cd "$1" && find . | sort | cpio -o -H newc -R 0:0 --quiet); }

note() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { note "$*"; exit 1; }

# setup PART...: have scripts/setup install what is missing of these parts.
setup() { "$repo/scripts/setup" "$@" >&2 || exit; }

# need TOOL...: every tool must be there, also where setup has no say.
need() {
	local t missing=()

	for t in "$@"; do
		command -v "$t" > /dev/null || missing+=("$t")
	done
	((${#missing[@]} == 0)) ||
		die "not installed: ${missing[*]} (run: make setup)"
}

# A directory for temporary files that is gone when the script is.
tmpdir() {
	mkdir -p "$cache/tmp"
	tmp=$(mktemp -d "$cache/tmp/$me.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
}

# lock NAME: held until the script ends.
lock() {
	local fd

	exec {fd}> "$cache/lock/$1"
	if ! flock -w 2 "$fd"; then
		note "waiting for another run that uses $1"
		flock "$fd"
	fi
	lock_fds+=("$fd")
}

lock_fds=()

# For a background process: a lock is held as long as anyone has it open.
drop_locks() {
	local fd

	for fd in "${lock_fds[@]}"; do
		exec {fd}>&-
	done
}

# The version of the kernel tree in $1, or nothing where it is none.
tree_version() {
	[[ -f $1/Makefile ]] || return 0
	sed -n '1,8{
		s/^VERSION = *//p
		s/^PATCHLEVEL = */./p
		s/^SUBLEVEL = */./p
	}' "$1/Makefile" | tr -d '\n'
}

# check_base DIR [NAME]: DIR must hold a tree of the base version. NAME is what it is
# to the user.
check_base() {
	local v name=${2:-$1}

	v=$(tree_version "$1")
	[[ -n $v ]] || die "$name is no Linux source tree"
	[[ $v == "$kbase" || $v == "$kbase".* ]] ||
		die "$name is Linux $v, but the patches are for $kbase"
}

# copy_tree FROM TO: a source tree without what was built in it.
copy_tree() {
	mkdir -p "$2"
	tar -C "$1" --exclude='./build-*' --exclude='./.gmem-*' -c . |
		tar -C "$2" -x
}

# The series file as "patch newfile..." lines, without comments.
series_lines() {
	[[ -f $series ]] || die "$series is missing"
	sed -e '/^[[:space:]]*#/d' -e '/^[[:space:]]*$/d' -e 's/:/ /' "$series"
}

series_patches() { series_lines | awk '{ print $1 }'; }

series_newfiles() {
	series_lines | awk '{ for (i = 2; i <= NF; i++) print $i }' | sort -u
}

# The files that the patches named on the command line change.
patched_files() {
	(($# == 0)) || sed -n 's,^diff --git a/\(.*\) b/.*,\1,p' "$@" | sort -u
}

# All patch files, with their paths, in order.
patch_paths() { series_patches | sed "s,^,$patchdir/,"; }
