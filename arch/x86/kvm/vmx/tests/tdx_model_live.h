/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Software-protected VMs whose pages are subject to a model of the TDX module.
 * For test kernels only; see tdx_model_live.c.
 */
#ifndef __KVM_X86_VMX_TESTS_TDX_MODEL_LIVE_H
#define __KVM_X86_VMX_TESTS_TDX_MODEL_LIVE_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
extern const struct tdx_gmem_ops tdx_live_ops;

bool tdx_live_is_on(void);

static inline bool tdx_live_governs(struct kvm *kvm)
{
	return unlikely(kvm->arch.tdx_live);
}

int tdx_live_vm_init(struct kvm *kvm);
void tdx_live_vm_destroy(struct kvm *kvm);
bool tdx_live_vcpu_enter(struct kvm_vcpu *vcpu);
void tdx_live_vcpu_exit(struct kvm_vcpu *vcpu);
void tdx_live_map(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn, int level);
void tdx_live_zap(struct kvm *kvm, kvm_pfn_t pfn);
bool tdx_live_owns(struct kvm *kvm, kvm_pfn_t pfn);
void tdx_live_free(kvm_pfn_t pfn, kvm_pfn_t nr_pages);
void tdx_live_migrate(struct kvm_gmem_migration *m, unsigned int nr);
#else
static inline bool tdx_live_governs(struct kvm *kvm) { return false; }
static inline int tdx_live_vm_init(struct kvm *kvm) { return 0; }
static inline void tdx_live_vm_destroy(struct kvm *kvm) {}
static inline bool tdx_live_vcpu_enter(struct kvm_vcpu *vcpu) { return true; }
static inline void tdx_live_vcpu_exit(struct kvm_vcpu *vcpu) {}
static inline void tdx_live_map(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
				int level) {}
static inline void tdx_live_zap(struct kvm *kvm, kvm_pfn_t pfn) {}
static inline bool tdx_live_owns(struct kvm *kvm, kvm_pfn_t pfn) { return false; }
static inline void tdx_live_free(kvm_pfn_t pfn, kvm_pfn_t nr_pages) {}
static inline void tdx_live_migrate(struct kvm_gmem_migration *m,
				    unsigned int nr) {}
#endif

#endif /* __KVM_X86_VMX_TESTS_TDX_MODEL_LIVE_H */
