// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <sys/ioctl.h>

#include "../guest/pattern.h"
#include "../guest/protocol.h"
#include "../uapi.h"
#include "../vm.h"

#define CR0_PE		(1UL << 0)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define EFER_LME	(1UL << 8)
#define EFER_LMA	(1UL << 10)

/* More than KVM has. */
#define MAX_CPUID	256

unsigned long arch_vm_type(const struct vm_config *config)
{
	return config->protected ? KVM_X86_SW_PROTECTED_VM : 0;
}

uint64_t arch_gmem_flags(const struct vm_config *config)
{
	/* What is private cannot be mapped as well, see arch_vm_setup(). */
	return config->protected ? 0 :
	       GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
}

/*
 * All that the guest checks is private: in guest_memfd, and nowhere else. Its
 * program is shared, because KVM has to read the instructions it emulates.
 */
int arch_vm_setup(struct vm *vm)
{
	struct kvm_memory_attributes attr = {
		.address = GUEST_BASE + GUEST_IMAGE,
		.size = vm->mem_size - GUEST_IMAGE,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};

	if (!vm->config.protected || vm->config.memory == VM_MEM_ANON)
		return 0;
	if (ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attr))
		return vm_fail(vm, "KVM_SET_MEMORY_ATTRIBUTES: %m");
	return 0;
}

/* Without it KVM takes long mode and its page tables for unknown. */
static int set_cpuid(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct kvm_cpuid2 *cpuid;
	int ret = 0;

	cpuid = xcalloc(1, sizeof(*cpuid) +
			MAX_CPUID * sizeof(cpuid->entries[0]));
	cpuid->nent = MAX_CPUID;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		ret = vm_fail(vm, "KVM_GET_SUPPORTED_CPUID: %m");
	else if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		ret = vm_fail(vm, "KVM_SET_CPUID2: %m");
	free(cpuid);
	return ret;
}

int arch_vcpu_setup(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	/* The page tables are in front of the code, see guest-entry.S. */
	struct kvm_regs regs = {
		.rip = GUEST_BASE + 2 * PATTERN_PAGE,
		.rflags = 2,	/* always set */
		.rdi = vm->config.nr_pages,
		.rsi = vm->config.seed,
		.rdx = vm->config.step,
		.rcx = vcpu->nr,
		.r8 = vm->config.vcpus,
		.rsp = GUEST_BASE + GUEST_IMAGE - (vcpu->nr << GUEST_STACK_SHIFT),
	};
	struct kvm_sregs sregs;

	if (set_cpuid(vcpu))
		return -1;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return vm_fail(vm, "KVM_GET_SREGS: %m");
	/* Straight to 64-bit mode. Other segments do not matter there. */
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr3 = GUEST_BASE;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	sregs.cs.base = 0;
	sregs.cs.l = 1;
	/* A guest that takes an exception shuts down, and vm_run() says so. */
	sregs.idt.limit = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return vm_fail(vm, "KVM_SET_SREGS: %m");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return vm_fail(vm, "KVM_SET_REGS: %m");
	return 0;
}
