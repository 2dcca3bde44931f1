// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios on x86.
 */
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_mmu.h"
#include "vmx/tests/tdx_model_live.h"
#include "x86.h"

#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
/* Whose model the memory of software-protected VMs is subject to, if any. */
static char *gmem_model;
module_param(gmem_model, charp, 0444);

bool kvm_gmem_model_is(const char *name)
{
	return gmem_model && !strcmp(gmem_model, name);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_model_is);
#endif

static enum kvm_gmem_backend kvm_sw_protected_backend(struct kvm *kvm)
{
	enum kvm_gmem_backend backend = KVM_GMEM_BACKEND_NONE;

	if (tdx_live_governs(kvm))
		return KVM_GMEM_BACKEND_TDX;

	if (IS_ENABLED(CONFIG_KVM_GMEM_MIGRATION_MODEL))
		backend = kvm_x86_call(gmem_backend)(kvm);

	return backend ?: KVM_GMEM_BACKEND_COPY;
}

/*
 * The private memory of software-protected VMs is private by convention only.
 * Where it is encrypted, the vendor module knows what can move it, if anything.
 */
enum kvm_gmem_backend kvm_arch_gmem_backend(struct kvm *kvm)
{
	switch (kvm->arch.vm_type) {
	case KVM_X86_DEFAULT_VM:
		/* SEV disables it for those that it makes its guests. */
		return KVM_GMEM_BACKEND_COPY;
	case KVM_X86_SW_PROTECTED_VM:
		return kvm_sw_protected_backend(kvm);
	default:
		return kvm_x86_call(gmem_backend)(kvm);
	}
}

/* Only for a backend that the vendor module has chosen. */
void kvm_arch_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	if (tdx_live_governs(m->kvm))
		tdx_live_migrate(m, nr);
	else
		kvm_x86_call(gmem_migrate)(m, nr);
}

bool kvm_arch_gmem_guest_owned(kvm_pfn_t pfn)
{
	return kvm_x86_call(gmem_guest_owned)(pfn);
}

int kvm_arch_gmem_copy(struct kvm_gmem_migration *m)
{
	struct kvm *kvm = m->kvm;
	int ret = KVM_GMEM_MIGRATE_COPY;
	bool have_rmaps;

	write_lock(&kvm->mmu_lock);
	have_rmaps = kvm_memslots_have_rmaps(kvm);
	if (!have_rmaps)
		ret = kvm_tdp_mmu_copy_gfn(kvm, m->gfn, m->src, m->dst);
	write_unlock(&kvm->mmu_lock);

	/*
	 * The shadow MMU may have write-protected the page for its own ends. It is not
	 * asked for the bound memslot: one that is being deleted gets no rmaps any more.
	 */
	if (have_rmaps)
		kvm_zap_gfn_range(kvm, m->gfn, m->gfn + 1);

	return ret;
}
