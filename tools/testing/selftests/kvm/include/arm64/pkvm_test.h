/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of protected VMs on guest_memfd have in common.
 */
#ifndef SELFTEST_KVM_PKVM_TEST_H
#define SELFTEST_KVM_PKVM_TEST_H

#include <sys/ioctl.h>

#include "gmem_migration.h"
#include "kvm_syscalls.h"

static inline bool pkvm_available(void)
{
	int kvm = open_kvm_dev_path_or_exit();
	int vm = ioctl(kvm, KVM_CREATE_VM, KVM_VM_TYPE_ARM_PROTECTED);

	close(kvm);
	if (vm < 0)
		return false;
	close(vm);
	return true;
}

static inline u64 pkvm_gmem_flags(void)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_VM_TYPE_ARM_PROTECTED);
	u64 flags = 0;

	if (vm_check_cap(vm, KVM_CAP_GUEST_MEMFD) == 1)
		flags = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	kvm_vm_free(vm);
	return flags;
}

/*
 * Kernels that cannot run protected VMs on guest_memfd list the flags of shared
 * memory for them as well; only the one for migration tells.
 */
static inline void require_pkvm_gmem(void)
{
	__TEST_REQUIRE(pkvm_gmem_flags() & GUEST_MEMFD_FLAG_MIGRATABLE,
		       "Protected VMs do not have migratable guest_memfd");
}

/* A protected VM, by the members of struct gmem_vm_opts that matter. */
#define pkvm_create(...)						\
	gmem_vm_create(&(struct gmem_vm_opts) {				\
		.type = KVM_VM_TYPE_ARM_PROTECTED,			\
		__VA_ARGS__						\
	})

/*
 * What stock gives a host that reads a page which the guest keeps private, and one
 * that has a system call read it.
 */
static inline void pkvm_assert_private(struct gmem_vm *gvm, u64 page)
{
	int code, sig, fds[2];
	ssize_t n;
	u64 v = 0;

	sig = gmem_read_signal(gvm->mem + page * PAGE_WORDS, &v, &code);
	TEST_ASSERT(sig == SIGSEGV && code == SEGV_ACCERR,
		    "Host read of private page %lu: signal %d code %d value %lx, not SIGSEGV/SEGV_ACCERR",
		    page, sig, code, v);

	TEST_ASSERT(!pipe(fds), "pipe() failed");
	n = write(fds[1], gvm->mem + page * PAGE_WORDS, sizeof(v));
	TEST_ASSERT(n == -1 && errno == EFAULT,
		    "write() of private page %lu: %zd, errno %d, not -1, EFAULT",
		    page, n, errno);
	close(fds[0]);
	close(fds[1]);
}

#endif /* SELFTEST_KVM_PKVM_TEST_H */
