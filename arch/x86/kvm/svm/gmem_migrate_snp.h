/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Migration of guest_memfd folios of SEV-SNP guests: what the RMP and the
 * firmware have to do for it.
 */
#ifndef __SVM_GMEM_MIGRATE_SNP_H
#define __SVM_GMEM_MIGRATE_SNP_H

#include <linux/kvm_types.h>
#include <linux/psp-sev.h>
#include <linux/types.h>

#include <asm/sev.h>

/**
 * struct snp_page_ops - the RMP and the firmware
 * @lookup: Read the RMP entry of a page. 0, -ENODEV where there is no RMP, or
 *	any other value for a page that it does not cover.
 * @make_private: RMPUPDATE: assign a page to a guest, 0 or -EFAULT. For a page
 *	that is assigned already, with that ASID, GPA and level, this only
 *	changes whether it is immutable.
 * @make_shared: RMPUPDATE: make it the host's, 0 or -EFAULT.
 * @psmash: PSMASH of a 2M page, 0 or PSMASH_FAIL_INUSE, or any other value for
 *	a page that cannot be split.
 * @split_direct_map: See that a page is mapped by a 4K entry in the direct map: 0,
 *	-EBUSY if it is not and the second argument does not allow a split, or another
 *	negative error code.
 * @begin: Reserve the mailbox, or fail: -EBUSY if it is in use, -ENODEV if there
 *	is none. Must not sleep.
 * @end: Give the mailbox back.
 * @page_move: SNP_PAGE_MOVE. 0, -EIO with the error code of the firmware,
 *	-ETIMEDOUT if it is not known what became of the page, or another error
 *	if the firmware was not asked.
 * @page_reclaim: SNP_PAGE_RECLAIM, likewise.
 * @flush: Remove a page from all caches.
 * @leak: See to it that a page is never used again, and say so. The caller has
 *	a reference to it, as do others.
 *
 * The host's own functions by default; tests have a model instead.
 */
struct snp_page_ops {
	int (*lookup)(u64 pfn, struct snp_rmp_page *page);
	int (*make_private)(u64 pfn, u64 gpa, enum pg_level level, u32 asid,
			    bool immutable);
	int (*make_shared)(u64 pfn, enum pg_level level);
	int (*psmash)(u64 pfn);
	int (*split_direct_map)(u64 pfn, bool split);
	int (*begin)(void);
	void (*end)(void);
	int (*page_move)(struct sev_data_snp_page_move *data, int *error);
	int (*page_reclaim)(struct sev_data_snp_page_reclaim *data, int *error);
	void (*flush)(u64 pfn);
	void (*leak)(u64 pfn);
};

/* Test kernels only: software-protected VMs take part. See tests/. */
#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
extern const struct snp_page_ops snp_model_ops;
bool snp_model_is_live(void);
bool snp_model_governs(struct kvm *kvm);
void snp_model_vm_init(struct kvm *kvm);
void snp_model_vm_destroy(struct kvm *kvm);
int snp_model_make_page_private(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn);
void snp_model_make_pages_shared(kvm_pfn_t pfn, kvm_pfn_t nr_pages);
#else
static inline bool snp_model_governs(struct kvm *kvm) { return false; }
static inline bool snp_model_is_live(void) { return false; }
static inline void snp_model_vm_init(struct kvm *kvm) {}
static inline void snp_model_vm_destroy(struct kvm *kvm) {}
static inline int snp_model_make_page_private(struct kvm *kvm, gfn_t gfn,
					      kvm_pfn_t pfn)
{
	return 0;
}

static inline void snp_model_make_pages_shared(kvm_pfn_t pfn,
					       kvm_pfn_t nr_pages) {}
#endif

#endif /* __SVM_GMEM_MIGRATE_SNP_H */
