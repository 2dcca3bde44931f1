/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Migration of guest_memfd folios of TDX guests.
 */
#ifndef __KVM_X86_VMX_GMEM_MIGRATE_TDX_H
#define __KVM_X86_VMX_GMEM_MIGRATE_TDX_H

#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>
#include <asm/tdx.h>

/**
 * struct tdx_gmem_ops - what migration asks of the TDX module and the CPUs
 * @block: TDH.MEM.RANGE.BLOCK, tdh_mem_range_block().
 * @track: TDH.MEM.TRACK, tdh_mem_track().
 * @kick: Force all vCPUs of a TD out of guest mode, and wait for it.
 * @relocate: TDH.MEM.PAGE.RELOCATE, tdh_mem_page_relocate().
 * @unblock: TDH.MEM.RANGE.UNBLOCK, tdh_mem_range_unblock().
 * @wbinvd: TDH.PHYMEM.PAGE.WBINVD, tdh_phymem_page_wbinvd_hkid().
 * @reset: Make private memory ordinary again, tdx_quirk_reset_paddr().
 *
 * Nothing else of the backend depends on hardware, so that a model of the TDX
 * module can take its place in tests.
 */
struct tdx_gmem_ops {
	u64 (*block)(struct tdx_td *td, u64 gpa, enum pg_level level,
		     u64 *ext_err1, u64 *ext_err2);
	u64 (*track)(struct tdx_td *td);
	void (*kick)(struct kvm *kvm);
	u64 (*relocate)(struct tdx_td *td, u64 gpa, kvm_pfn_t pfn,
			u64 *ext_err1, u64 *ext_err2);
	u64 (*unblock)(struct tdx_td *td, u64 gpa, enum pg_level level,
		       u64 *ext_err1, u64 *ext_err2);
	u64 (*wbinvd)(u64 hkid, kvm_pfn_t pfn);
	void (*reset)(unsigned long base, unsigned long size);
};

extern atomic_long_t tdx_gmem_nr_leaked;

enum kvm_gmem_backend tdx_gmem_backend(struct kvm *kvm);
void tdx_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr);

#endif /* __KVM_X86_VMX_GMEM_MIGRATE_TDX_H */
