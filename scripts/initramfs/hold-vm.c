// SPDX-License-Identifier: GPL-2.0
/*
 * Creates a VM that stays until the machine stops, and starts init again, which keeps it
 * open.
 *
 * KVM patches its static keys for the first VM, and again after the last one. QEMU
 * translates code again when it is written to, but a CPU that does so at the very
 * moment may go on with what was there before, and IC IVAU does not change that. When
 * such keys were patched for each VM, beside CPUs that run the scheduler, it looked once
 * in some thousand VMs as if preempt notifiers were not called: a vCPU stayed loaded at
 * EL2, others could not be loaded, KVM_RUN failed with -EINVAL, and the teardown of a
 * protected VM gave a warning. So it is done once, while nothing else runs.
 *
 * Without a library: in small machines there is no room for one beside CMA.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/syscall.h>

#ifdef __x86_64__
static long call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}
#else
static long call(long nr, long a, long b, long c)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2)
			 : "memory");
	return x0;
}
#endif

void _start(void)
{
	static const char *const argv[] = { "/init", 0 };
	static const char *const env[] = { "GMEM_VM=1", 0 };
	long kvm = call(SYS_openat, AT_FDCWD, (long)"/dev/kvm", O_RDWR);

	/* The copy is not closed by execve(). If there is none, init goes on, too. */
	call(SYS_dup, call(SYS_ioctl, kvm, KVM_CREATE_VM, 0), 0, 0);
	call(SYS_execve, (long)argv[0], (long)argv, (long)env);
	call(SYS_exit, 1, 0, 0);
}
