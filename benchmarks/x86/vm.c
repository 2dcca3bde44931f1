// SPDX-License-Identifier: GPL-2.0
/* No guest for x86 yet: its program serves for the reports. */
#include "../vm.h"

unsigned long arch_vm_type(const struct vm_config *config)
{
	(void)config;
	return 0;
}

int arch_vcpu_setup(struct vm *vm)
{
	return vm_fail(vm, "no guests for this architecture yet");
}
