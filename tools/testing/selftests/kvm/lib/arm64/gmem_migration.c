// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs of pKVM for the guest_memfd migration tests.
 *
 * The host builds all of a protected VM's memory before the first run. From
 * then on a page belongs to the guest once the guest has touched it; the host
 * reads only what the guest shares, that is the control page and the first
 * entries of the ucall pool.
 */
#include <linux/arm-smccc.h>

#include "gmem_migration.h"
#include "kvm_syscalls.h"
#include "processor.h"
#include "ucall_common.h"

/* The library's copy of the header ends before these two of pKVM's. */
#ifndef ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID
#define ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID			\
	ARM_SMCCC_CALL_VAL(ARM_SMCCC_FAST_CALL, ARM_SMCCC_SMC_64,	\
			   ARM_SMCCC_OWNER_VENDOR_HYP, 3)
#define ARM_SMCCC_VENDOR_HYP_KVM_MEM_UNSHARE_FUNC_ID			\
	ARM_SMCCC_CALL_VAL(ARM_SMCCC_FAST_CALL, ARM_SMCCC_SMC_64,	\
			   ARM_SMCCC_OWNER_VENDOR_HYP, 4)
#endif

bool gmem_arch_is_protected(unsigned long type)
{
	return type & KVM_VM_TYPE_ARM_PROTECTED;
}

static long guest_mem_call(u32 function, u64 gpa)
{
	struct arm_smccc_res res;

	smccc_hvc(function, gpa, 0, 0, 0, 0, 0, 0, &res);
	return res.a0;
}

/*
 * Fails if the page is shared already, as another vCPU may have been faster,
 * which is as good: there is no ucall yet to report anything else with.
 */
void gmem_arch_guest_share(u64 gpa)
{
	guest_mem_call(ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID, gpa);
}

bool gmem_arch_guest_unshare(u64 gpa)
{
	return !guest_mem_call(ARM_SMCCC_VENDOR_HYP_KVM_MEM_UNSHARE_FUNC_ID,
			       gpa);
}

/* False where another vCPU toggles the same page at the same time. */
bool gmem_arch_guest_toggle_share(u64 gpa)
{
	if (guest_mem_call(ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARE_FUNC_ID, gpa))
		return false;
	return gmem_arch_guest_unshare(gpa);
}

static u64 slot0_pages(const struct gmem_vm_opts *o)
{
	/* Code and data, stacks, page tables (8 bytes a page), ucall pool. */
	return vm_adjust_num_guest_pages(VM_MODE_DEFAULT,
					 512 + o->nr_vcpus * DEFAULT_STACK_PGS +
					 o->nr_pages / 512 + 16 +
					 ucall_nr_pages_required(SZ_4K));
}

static void add_slot0(struct gmem_vm *gvm, u64 nr_pages)
{
	struct userspace_mem_region *region;
	struct kvm_vm *vm = gvm->vm;
	int fd, i;

	for (i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;

	if (!gvm->opts.slot0_gmem) {
		vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, nr_pages, 0, -1, 0);
		return;
	}

	fd = vm_create_guest_memfd(vm, nr_pages * SZ_4K, gvm->opts.flags);
	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, nr_pages,
		   KVM_MEM_GUEST_MEMFD, fd, 0);

	/*
	 * The library writes code and page tables through its own mapping,
	 * which has to be one of the file for them to get there.
	 */
	region = memslot2region(vm, 0);
	TEST_ASSERT(mmap(region->host_mem, nr_pages * SZ_4K,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == region->host_mem,
		    "Cannot map the guest_memfd of slot 0, errno %d", errno);
	close(fd);
}

static struct kvm_vm *create_protected(struct gmem_vm *gvm)
{
	const struct gmem_vm_opts *o = &gvm->opts;
	struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = o->type,
	};
	u64 nr_pages = slot0_pages(o);
	struct kvm_vm *vm;
	u32 i;

	kvm_set_files_rlimit(o->nr_vcpus);
	vm = ____vm_create(shape);
	gvm->vm = vm;
	add_slot0(gvm, nr_pages);
	kvm_vm_elf_load(vm, program_invocation_name);

	/* ucall_init() keeps the pool's address to itself; see it coming. */
	gvm->ucall_gva = vm_unused_gva_gap(vm, ucall_nr_pages_required(SZ_4K) *
					   SZ_4K, KVM_UTIL_MIN_VADDR);
	ucall_init(vm, nr_pages * SZ_4K);

	for (i = 0; i < o->nr_vcpus; i++)
		gvm->vcpus[i] = vm_vcpu_add(vm, i, o->guest_code);
	return vm;
}

struct kvm_vm *gmem_arch_vm_create(struct gmem_vm *gvm)
{
	const struct gmem_vm_opts *o = &gvm->opts;

	if (gmem_arch_is_protected(o->type))
		return create_protected(gvm);

	return __vm_create_with_vcpus(VM_SHAPE_DEFAULT, o->nr_vcpus,
				      o->nr_pages, o->guest_code, gvm->vcpus);
}
