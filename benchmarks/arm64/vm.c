// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <sys/ioctl.h>

#include "../guest/protocol.h"
#include "../uapi.h"
#include "../vm.h"

#define CORE_REG(r) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 KVM_REG_ARM_CORE_REG(regs.r))

unsigned long arch_vm_type(const struct vm_config *config)
{
	return config->protected ? KVM_VM_TYPE_ARM_PROTECTED : 0;
}

uint64_t arch_gmem_flags(const struct vm_config *config)
{
	(void)config;
	return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
}

static int set_reg(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = id,
		.addr = (uintptr_t)&value,
	};

	if (ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg))
		return vm_fail(vcpu->vm, "KVM_SET_ONE_REG 0x%llx: %m",
			       (unsigned long long)id);
	return 0;
}

int arch_vm_setup(struct vm *vm)
{
	(void)vm;
	return 0;
}

int arch_vcpu_setup(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct kvm_vcpu_init init;

	memset(&init, 0, sizeof(init));
	if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init))
		return vm_fail(vm, "KVM_ARM_PREFERRED_TARGET: %m");
	init.features[0] = 1U << KVM_ARM_VCPU_PSCI_0_2;
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init))
		return vm_fail(vm, "KVM_ARM_VCPU_INIT: %m");

	if (set_reg(vcpu, CORE_REG(pc), GUEST_BASE) ||
	    set_reg(vcpu, CORE_REG(regs[0]), vm->config.nr_pages) ||
	    set_reg(vcpu, CORE_REG(regs[1]), vm->config.seed) ||
	    set_reg(vcpu, CORE_REG(regs[2]), vm->config.step) ||
	    set_reg(vcpu, CORE_REG(regs[3]), vcpu->nr) ||
	    set_reg(vcpu, CORE_REG(regs[4]), vm->config.vcpus))
		return -1;
	return 0;
}
