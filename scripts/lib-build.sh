# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Variables go to and come from the scripts that source this.
# shellcheck disable=SC2034,SC2154
#
# What all builds in a kernel tree share.  Sourced after lib.sh.

# The compiler for $1; sets karch (the kernel's name of the architecture),
# image (the path below the build directory), and make_args.
build_tools() {
	local cross=

	case $1 in
	arm64)
		karch=arm64 image=arch/arm64/boot/Image
		[[ $(uname -m) == aarch64 ]] || cross=aarch64-linux-gnu-
		;;
	x86)
		karch=x86 image=arch/x86/boot/bzImage
		[[ $(uname -m) == x86_64 ]] || cross=x86_64-linux-gnu-
		;;
	*)
		die "no such architecture: $1 (arm64 or x86)"
		;;
	esac
	setup build
	need make "${cross}gcc" "${cross}ld" flex bison bc
	cross_compile=$cross
	# All is built with gcc, whatever the environment has for other kernels.
	unset LLVM LLVM_IAS
	make_args=("ARCH=$karch" "CROSS_COMPILE=$cross")
	if command -v ccache > /dev/null; then
		make_args+=("CC=ccache ${cross}gcc" "HOSTCC=ccache gcc")
		export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
		export CCACHE_BASEDIR=$cache CCACHE_NOHASHDIR=1
		export CCACHE_COMPILERCHECK=content
		# Without preprocessing each file once more, which takes a third
		# as long as all else. What it would find, begin_with() does.
		export CCACHE_DEPEND=1
	fi
	# The same objects and images from the same files, anywhere and any day.
	export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
	export KBUILD_BUILD_USER=gmem KBUILD_BUILD_HOST=gmem
	export KBUILD_BUILD_VERSION=1
}

# Sets tree and out for the architecture $1 and the kind $2, and locks out.
build_tree() {
	local from=feature name=$1-$2

	[[ $2 != stock ]] || from=stock
	tree=${KTREE:-}
	if [[ -z $tree ]]; then
		tree=$("$repo/scripts/source" "$from" | tail -n 1)
	fi
	lock "build-$name${KTREE:+-in-${KTREE##*/}}"
	# A direct child of the tree: kbuild then uses relative paths only, and
	# ccache finds for one tree what was compiled for the other.
	tree=$(realpath "$tree")
	out=$tree/build-$name
	mkdir -p "$out" "$cache/out"
	if [[ -z ${KTREE:-} ]]; then
		ln -s -f -n "$out" "$cache/out/$name"
		out=$cache/out/$name
	fi
}

# begin_with KIND: where nothing has been built yet, begin with what has been for KIND
# of the same architecture, $arch. kbuild makes what depends on the configuration;
# what was made of a file that differs between the trees is not taken.
begin_with() {
	local from=$cache/out/$arch-$1 other fd

	[[ ! -f $out/.config && -f $from/.gmem-built ]] || return 0
	from=$(realpath "$from") other=${from%/*}
	[[ ${other%-*} == "${tree%-*}" ]] || return 0
	# Of other files than there are now, or being built: not worth the wait.
	[[ $(cat "$from/.gmem-built") == "$(tree_changed "$other")" ]] || return 0
	exec {fd}> "$cache/lock/build-$arch-$1"
	if flock -n "$fd"; then
		note "beginning with what was built for $1"
		copy_build "$from" "$(realpath "$out")" ||
			note "cannot copy it: is there room below $cache?"
	fi
	exec {fd}>&-
}

copy_build() {
	local new=$2.new

	rm -rf "$new"
	cp -a "$1" "$new" || return
	if [[ $other != "$tree" ]]; then
		# The commands name what they depend on, from the tree as ../ or in
		# detours: ../arch/x86/kvm/../../../virt/kvm/kvm_mm.h.
		find "$new" -name '.*.cmd' -exec awk '
			NR == FNR { differ["../" $0]; next }
			FILENAME == found { next }
			{
				for (i = 1; i <= NF; i++) {
					while (sub("[A-Za-z0-9_-]+/[.][.]/", "", $i)) ;
					if ($i in differ) { print found = FILENAME; next }
				}
			}' "${tree%-*}-feature/.gmem-files" {} + |
			sed 's,/\.\([^/]*\)\.cmd$,/\1,' | xargs -r rm -f || return
	fi
	rm -rf "$new"/.gmem-{built,config} "$2"
	mv "$new" "$2"
}

# What stands for the content of the tree $1, which changes while others work in it.
tree_changed() { cat "$1/.gmem-changed" 2> /dev/null || echo never; }

kmake() {
	# Without O= a build would soil the tree for all the others.
	[[ -d $out ]] || die "no build directory: $out"
	# A make around this may have options of its own: -j, or not to print.
	env -u MAKEFLAGS -u MFLAGS make -C "$tree" -j "$(nproc)" O="$(realpath "$out")" LOCALVERSION= \
		"${make_args[@]}" "$@"
}

# objects ARCH LIST...: what is made of the C files in these lists.
objects() {
	local arch=$1 f
	shift

	grep -h '\.c$' "$@" | while read -r f; do
		case $f in
		tools/* | scripts/* | Documentation/*) ;;
		# In kernels with NVHE_EL2_TRACING only.
		arch/arm64/kvm/hyp_trace.c) [[ $arch != arm64 || ${kind:-} != debug ]] || echo "${f%.c}.o" ;;
		arch/"$arch"/kvm/hyp/nvhe/*) echo "${f%.c}.nvhe.o" ;;
		arch/"$arch"/*) echo "${f%.c}.o" ;;
		arch/*) ;;
		# AMD's PSP; other files of its driver are for arm64, too.
		drivers/crypto/ccp/sev-dev.c) [[ $arch != x86 ]] || echo "${f%.c}.o" ;;
		virt/kvm/*) echo "arch/$arch/kvm/../../../${f%.c}.o" ;;
		*) echo "${f%.c}.o" ;;
		esac
	done
}
