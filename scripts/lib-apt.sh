# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Variables go to and come from the scripts that source this.
# shellcheck disable=SC2034,SC2154
#
# Debian packages that are unpacked and never installed: the kernel source, a
# busybox for the guest's architecture, a newer QEMU.  apt runs on a state of
# its own below the cache, so that neither the machine's sources nor its package
# lists change and no root is needed.  Sourced after lib.sh.

# The machine's own Debian release, mirror and keyring.
apt_machine() {
	[[ -z ${apt_suite:-} ]] || return 0
	if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
		die "packages are Debian's, and this machine has no apt-get or no dpkg-deb"
	fi
	# shellcheck source=/dev/null
	apt_suite=$(. /etc/os-release; echo "${VERSION_CODENAME:-}")
	[[ -n $apt_suite ]] || die "/etc/os-release names no Debian release"

	local entry entries suite
	# $( ) is apt's own syntax for a field here.
	# shellcheck disable=SC2016
	entries=$(apt-get indextargets --no-release-info --format \
		'$(CREATED_BY)|$(REPO_URI)|$(BASE_URI)|$(SOURCESENTRY)')
	# Some sources.list do not say the name of the release.
	for suite in "$apt_suite" stable oldstable; do
		entry=$(grep -m 1 "^Packages|.*|[^|]*/dists/$suite/|" <<< "$entries") &&
			break
	done
	[[ -n $entry ]] ||
		die "apt on this machine has no source for Debian $apt_suite"
	IFS='|' read -r _ apt_uri _ entry <<< "$entry"
	apt_key=$(sed -n -e 's/^[Ss]igned-[Bb]y: *\(\/[^ ]*\).*/\1/p' \
		-e 's/^deb .*signed-by=\(\/[^] ,]*\).*/\1/p' "${entry%:*}" |
		head -n 1)
	[[ -n $apt_key || ! -f /usr/share/keyrings/debian-archive-keyring.gpg ]] ||
		apt_key=/usr/share/keyrings/debian-archive-keyring.gpg
}

# apt_root NAME SUITE...: make the private state NAME; fetch its lists unless
# they are less than a day old.
apt_root() {
	local root=$cache/apt/$1 suite
	shift

	apt_machine
	mkdir -p "$root"/{lists/partial,archives/partial,etc}
	export APT_CONFIG=$root/apt.conf
	# The state starts with nothing installed: what is downloaded is asked
	# for by name.
	[[ -f $root/status ]] || : > "$root/status"
	cat > "$root/apt.conf" <<-CONF
		Dir::State "$root";
		Dir::State::lists "$root/lists";
		Dir::State::status "${apt_status:-$root/status}";
		Dir::Cache "$root";
		Dir::Cache::archives "$root/archives";
		Dir::Etc::sourcelist "$root/etc/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Architectures { "amd64"; "arm64"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		APT::Update::Error-Mode "any";
	CONF
	for suite; do
		echo "deb ${apt_key:+[signed-by=$apt_key] }$apt_uri $suite main"
	done > "$root/etc/new"
	if ! cmp -s "$root/etc/new" "$root/etc/sources.list" ||
	   [[ -z $(find "$root/stamp" -mtime -1 2> /dev/null) ]]; then
		mv "$root/etc/new" "$root/etc/sources.list"
		apt-get -qq update || {
			rm -f "$root/stamp"
			die "cannot fetch Debian's package lists: is there a network?"
		}
		touch "$root/stamp"
	fi
}

# What the kernel source and the guests' user space come from.
apt_new() {
	apt_machine
	local suites=(trixie trixie-backports)

	[[ $apt_suite == trixie ]] || suites+=("$apt_suite-backports")
	apt_root new "${suites[@]}"
}

# apt_fetch PACKAGE...: download into the cache, print the files' paths.
apt_fetch() {
	local dir=$cache/dl pkg out

	mkdir -p "$dir/partial"
	for pkg; do
		# From elsewhere: apt does not print what is there already.
		out=$(cd / && apt-get download --print-uris "$pkg" 2> /dev/null |
			awk '{ print $2 }') || true
		[[ -n $out ]] || die "Debian has no package $pkg (any more)$([[ $pkg != linux-source-* ]] || echo ": name another source with KSRC=")"
		if [[ ! -f $dir/$out ]]; then
			note "downloading $pkg"
			# Another try goes on with what there is of it.
			(cd "$dir/partial" && apt-get -qq download "$pkg" >&2) ||
				die "cannot download $pkg"
			mv "$dir/partial/$out" "$dir/$out"
		fi
		echo "$dir/$out"
	done
}
