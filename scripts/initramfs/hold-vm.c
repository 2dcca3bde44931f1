// SPDX-License-Identifier: GPL-2.0
/*
 * Creates a VM that stays until the machine stops.
 *
 * KVM patches its static keys for the first VM, and again after the last one. QEMU
 * translates code again when it is written to, but a CPU that does so at the very
 * moment may go on with what was there before, and IC IVAU does not change that. When
 * such keys were patched for each VM, beside CPUs that run the scheduler, preempt
 * notifiers were not called any more once in some thousand VMs: a vCPU stayed loaded at
 * EL2, others could not be loaded, KVM_RUN failed with -EINVAL, and the teardown of a
 * protected VM gave a warning. So it is done once, while nothing else runs.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("hold-vm");
		return 1;
	}
	/* In the background, once it is there. */
	if (!fork())
		for (;;)
			pause();
	return 0;
}
