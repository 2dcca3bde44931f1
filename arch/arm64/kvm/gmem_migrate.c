// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios on arm64.
 */
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>

#include <asm/kvm_pkvm.h>

enum kvm_gmem_backend kvm_arch_gmem_backend(struct kvm *kvm)
{
	if (!kvm_vm_is_protected(kvm))
		return KVM_GMEM_BACKEND_COPY;

	if (IS_ENABLED(CONFIG_KVM_GMEM_MIGRATION_PKVM))
		return KVM_GMEM_BACKEND_PKVM;

	return KVM_GMEM_BACKEND_NONE;
}

void kvm_arch_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	for (; nr; m++, nr--)
		m->ret = pkvm_gmem_migrate(m);
}
