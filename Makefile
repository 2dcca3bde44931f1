# SPDX-License-Identifier: GPL-2.0
#
# Thin: the work is done by the scripts, which can be run by hand as well.

ARCH ?= arm64
KIND ?= feature
# Kernel developers may have one of the kernel's in their environment.
arch = $(if $(filter arm64 x86,$(ARCH)),$(ARCH),$(error ARCH is "$(ARCH)", and can be arm64 or x86))
S := scripts
export GMEM_CACHE KSRC
# The last line of some targets is what they made.
MAKEFLAGS += --no-print-directory

# Each target's help is the comment after its two hashes.
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16
	@echo
	@echo "GMEM_CACHE=dir  where sources and builds go (default: build)"
	@echo "KSRC=dir|tar    Linux 7.3 source to use instead of Debian's package"

setup: ## install the Debian packages that the other targets need
	@$(S)/setup

source: ## fetch the Linux 7.3 source; make the stock and the feature tree
	@$(S)/source

image: ## build a kernel: ARCH=arm64|x86 KIND=stock|feature|debug|bpf
	@$(S)/image $(arch) $(KIND)

selftests: ## build the KVM selftests for ARCH=arm64|x86
	@$(S)/build-selftests $(arch)

demo: ## show compaction with protected VMs, stock and feature: ARCH=arm64|x86
	@$(S)/demo $(arch)

bench: ## all benchmarks, within an hour: ARCH=arm64|x86 (resumes)
	@ARCH=$(arch) $(S)/bench full

bench-quick: ## five of them on a smaller scale, within ten minutes
	@ARCH=$(arch) $(S)/bench quick

check: ## everything that CI checks; CHECK=glob or ARCH= for a part of it
	@$(S)/check "$(CHECK)" $(if $(filter command%,$(origin ARCH)),$(arch))

lint: ## checkpatch, sparse, W=1 and shellcheck
	@$(S)/lint

edit: ## make a git tree to change kernel files in (EDIT=dir)
	@$(S)/series edit

patches: ## write that tree's commits back to patches/ and the new files
	@$(S)/series export

series: ## write the complete series for git am to build/series
	@$(S)/series make

check-series: ## build after each patch of the series (slow): FROM=n, ARCH=, OBJECTS=1
	@$(S)/series check

apply: ## put the feature into the Linux 7.3 tree at KDIR=dir
	@$(S)/apply apply "$(KDIR)"

unapply: ## take the feature out of the tree at KDIR=dir
	@$(S)/apply unapply "$(KDIR)"

clean: ## remove logs and results
	@$(S)/clean

distclean: ## remove the whole cache: sources and builds, whoever shares it
	@$(S)/clean all

.PHONY: help setup source image selftests demo bench bench-quick check lint \
	edit patches series check-series apply unapply clean distclean
