// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios on x86.
 */
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>

#include "x86.h"

/*
 * The private memory of software-protected VMs is private by convention only.
 * Nothing moves the memory of SEV, SNP and TDX guests yet.
 */
enum kvm_gmem_backend kvm_arch_gmem_backend(struct kvm *kvm)
{
	switch (kvm->arch.vm_type) {
	case KVM_X86_DEFAULT_VM:
		/* KVM_SEV_INIT makes an encrypted guest of a default VM. */
		if (test_bit(APICV_INHIBIT_REASON_SEV,
			     &kvm->arch.apicv_inhibit_reasons))
			return KVM_GMEM_BACKEND_NONE;
		fallthrough;
	case KVM_X86_SW_PROTECTED_VM:
		return KVM_GMEM_BACKEND_COPY;
	default:
		return KVM_GMEM_BACKEND_NONE;
	}
}
