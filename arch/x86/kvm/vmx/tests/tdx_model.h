/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A software model of the TDX module, as far as the migration of guest_memfd
 * folios depends on it.
 *
 * It keeps what the hardware keeps: who owns a page frame (PAMT), the state of
 * each S-EPT entry, the epoch of a TD and which vCPUs run in which, what vCPUs
 * have in their TLBs, under which key a page was written and whose cache lines
 * may be dirty.  It refuses what the TDX module refuses, with the same status.
 * Pages are real, their content is "encrypted" with a key that depends on the
 * TD and the page frame: a copy by the host is garbage to the TD.
 *
 * The sources of its rules are, below, in short:
 *
 *   [BLOCK]	tdh_mem_range_block.c of the TDX module's source, version 1.5.01,
 *		and "TDH.MEM.RANGE.BLOCK Leaf" of Intel's TDX Module ABI
 *		Specification.  Likewise [UNBLOCK], [TRACK], [RELOCATE],
 *		[REMOVE], [ADD], [AUG], [ACCEPT] and [WBINVD].
 *   [SEPT]	sept_state_lookup.c (which leaf is allowed in which state), and
 *		"Secure EPT Entry State" of the Base Architecture Specification.
 *   [OPSTATE]	op_state_lookup.c (likewise for the state of the TD).
 *   [EPOCH]	helpers.h, is_tlb_tracked(), helpers.c,
 *		adjust_tlb_tracking_state(), and "TLB Tracking" of the Base
 *		Architecture Specification.
 *   [PAMT]	helpers.c, check_and_lock_explicit_private_hpa(), and "Physical
 *		Memory Management" of the Base Architecture Specification.
 *
 * It knows 4K mappings only, no L2 VMs, no export and no import.  Locks are
 * simpler than those of the TDX module, which has one for each entry, page and
 * epoch: what is busy is all of a TD, as long as one of its vCPUs is in it.
 */
#ifndef __KVM_X86_VMX_TESTS_TDX_MODEL_H
#define __KVM_X86_VMX_TESTS_TDX_MODEL_H

#include <linux/kvm_host.h>
#include <linux/mm_types.h>

#include "../tdx.h"
#include "../gmem_migrate_tdx.h"

#define TDX_MODEL_TDS		2
#define TDX_MODEL_VCPUS		3
/* The gfns that have an S-EPT page, i.e. to which a walk does not fail. */
#define TDX_MODEL_BASE_GFN	0x40200
#define TDX_MODEL_GFNS		8
#define TDX_MODEL_PAGES		(TDX_MODEL_TDS * TDX_MODEL_GFNS + 8)

/* Types of a page in the PAMT, those which data pages can have. */
enum tdx_model_pt {
	TDX_MODEL_PT_NDA,
	TDX_MODEL_PT_REG,
};

enum tdx_model_leaf {
	TDX_MODEL_ADD,
	TDX_MODEL_AUG,
	TDX_MODEL_ACCEPT,
	TDX_MODEL_BLOCK,
	TDX_MODEL_TRACK,
	TDX_MODEL_RELOCATE,
	TDX_MODEL_UNBLOCK,
	TDX_MODEL_REMOVE,
	TDX_MODEL_WBINVD,
	TDX_MODEL_NR_LEAVES,
};

/**
 * struct tdx_model_page - a page frame, its PAMT entry and its state
 * @page: The page frame.
 * @pt: Its type, i.e. whether it is a TD's.
 * @owner: Whose, if it is.
 * @bepoch: When its S-EPT entry was blocked.
 * @lines: The HKID under which it may be in caches, 0 for the host's.
 * @private: Last written under a private HKID, and not reset since: what
 *	happens to a host that reads it is undefined.
 */
struct tdx_model_page {
	struct page *page;
	enum tdx_model_pt pt;
	struct tdx_model_td *owner;
	u64 bepoch;
	u16 lines;
	bool private;
};

struct tdx_model_sept {
	enum tdx_sept_entry_state state;
	struct tdx_model_page *page;
};

struct tdx_model_vcpu {
	bool in_guest;
	u64 epoch;
	struct tdx_model_page *tlb[TDX_MODEL_GFNS];
};

/**
 * struct tdx_model_td - a TD
 * @model: What it is part of.
 * @kvm_tdx: What it is to KVM.
 * @runnable: Past TDH.MR.FINALIZE.
 * @epoch: TD_EPOCH.
 * @refs: How many vCPUs run in even epochs, and in odd ones.
 * @sept: The S-EPT entries.
 * @vcpus: The vCPUs.
 * @content: What the guest has written to each page last.
 * @writes: How many writes of its vCPUs there were.
 * @accesses: Likewise, of those that are in the guest during a SEAMCALL, including
 *	those that end in an EPT violation.
 * @contended: Its vCPUs hold locks of the TDX module as long as they are in the
 *	guest (TDCALLs, zero-step mitigation).
 * @eager: Its vCPUs enter again as soon as they were kicked.
 */
struct tdx_model_td {
	struct tdx_model *model;
	struct kvm_tdx *kvm_tdx;
	bool runnable;
	u64 epoch;
	unsigned int refs[2];
	struct tdx_model_sept sept[TDX_MODEL_GFNS];
	struct tdx_model_vcpu vcpus[TDX_MODEL_VCPUS];
	u64 content[TDX_MODEL_GFNS];
	u64 writes;
	u64 accesses;
	bool contended;
	bool eager;
};

/**
 * struct tdx_model_failure - the failure of a leaf function on demand
 * @err: What it returns, having done nothing.
 * @skip: After so many calls that are not affected.
 * @nr: So many times.
 */
struct tdx_model_failure {
	u64 err;
	unsigned int skip;
	unsigned int nr;
};

struct tdx_model {
	struct tdx_model_page pages[TDX_MODEL_PAGES];
	struct tdx_model_td tds[TDX_MODEL_TDS];
	struct tdx_model_failure failures[TDX_MODEL_NR_LEAVES];
	unsigned int calls[TDX_MODEL_NR_LEAVES];
	unsigned int kicks;
	/* What neither the host nor a TD may do, but happened. */
	const char *violation;
};

int tdx_model_init(struct tdx_model *model);
void tdx_model_exit(struct tdx_model *model);
void tdx_model_set(struct tdx_model *model);
extern const struct tdx_gmem_ops tdx_model_ops;

void tdx_model_add_td(struct tdx_model_td *td, struct kvm_tdx *kvm_tdx);
void tdx_model_finalize(struct tdx_model_td *td);
struct tdx_model_page *tdx_model_find_page(struct tdx_model *model,
					   kvm_pfn_t pfn);
kvm_pfn_t tdx_model_pfn(struct tdx_model_page *page);
void tdx_model_fail(struct tdx_model *model, enum tdx_model_leaf leaf, u64 err,
		    unsigned int skip, unsigned int nr);

/* What the host does besides migration. */
u64 tdx_model_page_add(struct tdx_model_td *td, u64 gpa, kvm_pfn_t pfn,
		       u64 content);
u64 tdx_model_page_aug(struct tdx_model_td *td, u64 gpa, kvm_pfn_t pfn);
u64 tdx_model_page_remove(struct tdx_model_td *td, u64 gpa);
void tdx_model_host_write(struct tdx_model_page *page, u64 content);

/* What vCPUs do. */
bool tdx_model_enter(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu);
void tdx_model_leave(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu);
u64 tdx_model_accept(struct tdx_model_td *td, u64 gpa);
bool tdx_model_write(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu,
		     unsigned int index);

/* What must always be true. */
bool tdx_model_content_ok(struct tdx_model_td *td, unsigned int index);
bool tdx_model_host_may_use(struct tdx_model_page *page);
const char *tdx_model_check(struct tdx_model *model);

#endif /* __KVM_X86_VMX_TESTS_TDX_MODEL_H */
