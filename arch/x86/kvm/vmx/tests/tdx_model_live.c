// SPDX-License-Identifier: GPL-2.0
/*
 * Software-protected VMs whose pages are subject to a model of the TDX module,
 * so that the TDX backend moves pages of VMs that run.  For test kernels only.
 *
 * kvm_amd runs these VMs, as nothing emulates TDX, nor VMX in the way that
 * nested paging of SVM is.  Their page table is both the mirror page table and
 * the S-EPT: a leaf that KVM takes for present but the CPU does not is blocked.
 * There has to be one that maps a page, i.e. no SMM, no L2, and no second root
 * while the pages are moved.
 *
 * A page becomes the TD's when KVM maps it, and is taken as accepted then.  KVM
 * zaps pages of these VMs when it would not for a TD, and they keep their
 * content then; so that a page becomes the host's without the rites of
 * TDH.MEM.PAGE.REMOVE.  In between, what moves it is the backend.
 *
 * The rules, and what [BLOCK] and so on refer to, are those of tdx_model.h.
 * Other than there vCPUs are real: they enter with the epoch of the TD, flush
 * if it has changed, and write to where their TLBs say.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": TDX model: " fmt

#include <linux/debugfs.h>
#include <linux/highmem.h>
#include <linux/init.h>
#include <linux/kvm_host.h>
#include <linux/memblock.h>
#include <linux/moduleparam.h>
#include <linux/vmalloc.h>

#include "mmu.h"
#include "mmu/spte.h"
#include "x86.h"
#include "../tdx.h"
#include "../gmem_migrate_tdx.h"
#include "tdx_model_live.h"

/* What a page holds that was relocated, until it is reset. */
#define TDX_LIVE_POISON		0xa5

enum tdx_live_leaf {
	TDX_LIVE_BLOCK,
	TDX_LIVE_TRACK,
	TDX_LIVE_RELOCATE,
	TDX_LIVE_UNBLOCK,
	TDX_LIVE_WBINVD,
	TDX_LIVE_NR_LEAVES,
};

/*
 * Every so many calls of a leaf function one is refused, in this order.  If it
 * is TDH.MEM.RANGE.UNBLOCK that is the end of the VM, and so it is if
 * TDH.MEM.TRACK fails twice in a row.
 */
static unsigned int gmem_model_fail[TDX_LIVE_NR_LEAVES];
module_param_array(gmem_model_fail, uint, NULL, 0644);

/*
 * Every so many times that a vCPU enters, it holds what the TDX module locks
 * until it exits, as with TDCALLs and for the mitigation of zero-stepping.  That
 * this is everything is simpler than with the TDX module; see tdx_model.h.
 */
static unsigned int gmem_model_contend = 8;
module_param(gmem_model_contend, uint, 0644);

/**
 * struct tdx_live_page - the PAMT entry of a page frame, and its state
 * @owner: The TD whose page it is.  Without one it is free, PT_NDA.
 * @gfn: Where it is in @owner.
 * @nr_leaves: How many leaves map it.
 * @bepoch: When its S-EPT entry was blocked.
 * @lines: The HKID under which it may be in caches, 0 for the host's.
 * @private: Last written under a private HKID, and not reset since.
 * @leaked: Something was refused on purpose without which it cannot be used.
 */
struct tdx_live_page {
	struct tdx_live_td *owner;
	gfn_t gfn;
	unsigned int nr_leaves;
	u64 bepoch;
	u16 lines;
	bool private;
	bool leaked;
};

struct tdx_live_vcpu {
	u64 epoch;
	unsigned int entries;
	bool in_guest;
	bool holds;
};

/**
 * struct tdx_live_td - a TD
 * @kvm_tdx: What to_kvm_tdx() gives for @kvm.  Its struct kvm is not used.
 * @kvm: The VM.
 * @epoch_lock: Protects @epoch and @refs.
 * @epoch: TD_EPOCH.
 * @refs: How many vCPUs run in even epochs, and in odd ones.
 * @holders: How many vCPUs hold locks of the TDX module.
 * @nr_pages: How many pages it owns.
 * @track_refused: The last TDH.MEM.TRACK was refused on purpose.
 * @given_up: A refusal on purpose has made the VM unusable.
 * @vcpus: The vCPUs, by their index.
 */
struct tdx_live_td {
	struct kvm_tdx kvm_tdx;
	struct kvm *kvm;
	raw_spinlock_t epoch_lock;
	u64 epoch;
	unsigned int refs[2];
	atomic_t holders;
	unsigned long nr_pages;
	bool track_refused;
	bool given_up;
	struct tdx_live_vcpu vcpus[KVM_MAX_VCPUS];
};

static struct {
	spinlock_t lock;		/* protects what is in @pamt, and up to @refused */
	struct tdx_live_page *pamt;	/* by pfn; NULL if there is no model */
	unsigned long nr;
	atomic_t next_hkid;
	unsigned int every[TDX_LIVE_NR_LEAVES];
	unsigned int calls[TDX_LIVE_NR_LEAVES];
	u32 refused[TDX_LIVE_NR_LEAVES];
	atomic_t moved;
	atomic_t kicks;
	atomic_t tracks;
	atomic_t busy;
	atomic_t violations;
} tdx_live = {
	.lock = __SPIN_LOCK_UNLOCKED(tdx_live.lock),
};

/* What neither the host nor a TD may do, but happened. */
static void tdx_live_violation(kvm_pfn_t pfn, const char *what)
{
	atomic_inc(&tdx_live.violations);
	pr_err("PFN 0x%llx: %s\n", pfn, what);
	WARN_ON_ONCE(1);
}

bool tdx_live_is_on(void)
{
	return tdx_live.pamt;
}

static struct tdx_live_td *tdx_live_td(struct kvm *kvm)
{
	return container_of(kvm->arch.tdx_live, struct tdx_live_td, kvm_tdx);
}

static struct tdx_live_td *tdx_live_find_td(struct tdx_td *td)
{
	return container_of(td, struct tdx_live_td, kvm_tdx.td);
}

static struct tdx_live_page *tdx_live_page(kvm_pfn_t pfn)
{
	return pfn < tdx_live.nr ? &tdx_live.pamt[pfn] : NULL;
}

/* The PAMT */

static void tdx_live_assign(struct tdx_live_td *td, struct tdx_live_page *page,
			    gfn_t gfn)
{
	kvm_pfn_t pfn = page - tdx_live.pamt;

	if (page->leaked)
		tdx_live_violation(pfn, "is used again, but cannot be");
	else if (page->private || page->lines)
		tdx_live_violation(pfn, "is used again without a reset");

	page->owner = td;
	page->gfn = gfn;
	page->nr_leaves = 1;
	page->bepoch = 0;
	page->lines = td->kvm_tdx.hkid;
	page->private = true;
	td->nr_pages++;
}

static void tdx_live_release(struct tdx_live_page *page)
{
	page->owner->nr_pages--;
	page->owner = NULL;
	page->nr_leaves = 0;
}

/*
 * KVM has made a leaf present: TDH.MEM.PAGE.AUG, and TDG.MEM.PAGE.ACCEPT by the
 * guest.  mmu_lock is held, hence attributes are stable.
 */
void tdx_live_map(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn, int level)
{
	struct tdx_live_page *page = tdx_live_page(pfn);
	struct tdx_live_td *td = tdx_live_td(kvm);

	if (!page || !kvm_mem_is_private(kvm, gfn))
		return;

	guard(spinlock)(&tdx_live.lock);

	if (level != PG_LEVEL_4K)
		tdx_live_violation(pfn, "is part of a large page");
	else if (!page->owner)
		tdx_live_assign(td, page, gfn);
	else if (page->owner == td && page->gfn == gfn)
		page->nr_leaves++;
	else
		tdx_live_violation(pfn, "is mapped, but another TD's, or twice");
}

/* KVM has zapped a leaf.  See above for what is different with a TD. */
void tdx_live_zap(struct kvm *kvm, kvm_pfn_t pfn)
{
	struct tdx_live_page *page = tdx_live_page(pfn);

	if (!page)
		return;

	guard(spinlock)(&tdx_live.lock);

	/* Others are shared. */
	if (page->owner != tdx_live_td(kvm) || --page->nr_leaves)
		return;

	tdx_live_release(page);
	page->lines = 0;
	page->private = false;
}

bool tdx_live_owns(struct kvm *kvm, kvm_pfn_t pfn)
{
	struct tdx_live_page *page = tdx_live_page(pfn);

	return page && READ_ONCE(page->owner) == tdx_live_td(kvm);
}

/* guest_memfd is about to free pages. */
void tdx_live_free(kvm_pfn_t pfn, kvm_pfn_t nr_pages)
{
	kvm_pfn_t end = pfn + nr_pages;

	for (; tdx_live.pamt && pfn < end; pfn++) {
		struct tdx_live_page *page = tdx_live_page(pfn);

		if (page && READ_ONCE(page->owner))
			tdx_live_violation(pfn, "is freed, but a TD's");
	}
}

/* vCPUs */

/*
 * [EPOCH] A vCPU that enters in another epoch than before flushes its TLB, and
 * is counted as running in this one.
 *
 * Context: Interrupts are off, and the vCPU is in guest mode as far as requests
 * are concerned.
 * Return: False if it has to stay out, as in tdx_vcpu_run().
 */
bool tdx_live_vcpu_enter(struct kvm_vcpu *vcpu)
{
	unsigned int every = READ_ONCE(gmem_model_contend);
	struct tdx_live_vcpu *v;
	struct tdx_live_td *td;
	u64 epoch;

	if (!tdx_live_governs(vcpu->kvm))
		return true;

	td = tdx_live_td(vcpu->kvm);
	v = &td->vcpus[vcpu->vcpu_idx];
	if (READ_ONCE(td->kvm_tdx.wait_for_sept_zap))
		return false;

	scoped_guard(raw_spinlock, &td->epoch_lock) {
		epoch = td->epoch;
		td->refs[epoch & 1]++;
	}

	if (v->epoch != epoch) {
		kvm_x86_call(flush_tlb_current)(vcpu);
		v->epoch = epoch;
	}

	v->in_guest = true;
	v->holds = every && ++v->entries % every == 0;
	if (v->holds)
		atomic_inc(&td->holders);

	return true;
}

void tdx_live_vcpu_exit(struct kvm_vcpu *vcpu)
{
	struct tdx_live_vcpu *v;
	struct tdx_live_td *td;

	if (!tdx_live_governs(vcpu->kvm))
		return;

	td = tdx_live_td(vcpu->kvm);
	v = &td->vcpus[vcpu->vcpu_idx];
	WARN_ON_ONCE(!v->in_guest);

	if (v->holds)
		atomic_dec(&td->holders);
	v->in_guest = false;

	guard(raw_spinlock)(&td->epoch_lock);
	td->refs[v->epoch & 1]--;
}

/* What all leaf functions begin with */

static const u64 tdx_live_refusals[TDX_LIVE_NR_LEAVES] = {
	[TDX_LIVE_BLOCK]	= TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX,
	[TDX_LIVE_TRACK]	= TDX_PREVIOUS_TLB_EPOCH_BUSY,
	[TDX_LIVE_RELOCATE]	= TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8,
	[TDX_LIVE_UNBLOCK]	= TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX,
	[TDX_LIVE_WBINVD]	= TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX,
};

static bool tdx_live_refuse(enum tdx_live_leaf leaf)
{
	unsigned int every = READ_ONCE(gmem_model_fail[leaf]);

	guard(spinlock)(&tdx_live.lock);

	/* Count from when it was last changed. */
	if (every != tdx_live.every[leaf])
		tdx_live.calls[leaf] = 0;
	tdx_live.every[leaf] = every;

	if (!every || ++tdx_live.calls[leaf] % every)
		return false;

	tdx_live.refused[leaf]++;
	return true;
}

static u64 tdx_live_busy(struct tdx_live_td *td, u64 operand)
{
	atomic_inc(&tdx_live.busy);
	if (READ_ONCE(td->kvm_tdx.wait_for_sept_zap))
		tdx_live_violation(KVM_PFN_NOSLOT, "busy, with vCPUs kept out");

	return TDX_OPERAND_BUSY | operand;
}

static u64 tdx_live_begin(struct tdx_live_td *td, enum tdx_live_leaf leaf,
			  u64 operand)
{
	lockdep_assert_held_write(&td->kvm->mmu_lock);

	if (tdx_live_refuse(leaf))
		return tdx_live_refusals[leaf];

	if (atomic_read(&td->holders))
		return tdx_live_busy(td, operand);

	return TDX_SUCCESS;
}

static bool tdx_live_is_blocked(u64 *sptep)
{
	return !(READ_ONCE(*sptep) & PT_PRESENT_MASK);
}

/* The S-EPT entry of @gpa, with what there is to say about it on errors. */
static u64 tdx_live_walk(struct tdx_live_td *td, u64 gpa, enum pg_level level,
			 u64 **sptep, u64 *ext_err1, u64 *ext_err2)
{
	enum tdx_sept_entry_state state = TDX_SEPT_PRESENT;
	kvm_pfn_t pfn;

	if (level != PG_LEVEL_4K || !PAGE_ALIGNED(gpa))
		return TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX;

	*sptep = kvm_tdp_mmu_mirror_sptep(td->kvm, gpa_to_gfn(gpa));
	/* [SEPT] No leaf function that there is here takes a free entry. */
	if (!*sptep)
		return TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OPERAND_ID_RCX;

	pfn = spte_to_pfn(READ_ONCE(**sptep));
	if (tdx_live_is_blocked(*sptep))
		state = TDX_SEPT_BLOCKED;
	*ext_err1 = PFN_PHYS(pfn);
	*ext_err2 = (u64)state << TDX_SEPT_STATE_SHIFT;

	return TDX_SUCCESS;
}

/*
 * [EPOCH] Tracking is done if no vCPU can be running that has entered before
 * the entry was blocked: two epochs later, or one with none in the former.
 */
static bool tdx_live_is_tracked(struct tdx_live_td *td,
				struct tdx_live_page *page)
{
	guard(raw_spinlock)(&td->epoch_lock);

	if (page->bepoch + 1 == td->epoch)
		return !td->refs[page->bepoch & 1];

	return page->bepoch + 1 < td->epoch;
}

/* TDH.MEM.RANGE.BLOCK */
static u64 tdx_live_range_block(struct tdx_td *tdx_td, u64 gpa,
				enum pg_level level, u64 *ext_err1,
				u64 *ext_err2)
{
	struct tdx_live_td *td = tdx_live_find_td(tdx_td);
	struct tdx_live_page *page;
	u64 err, *sptep;

	*ext_err1 = *ext_err2 = 0;
	err = tdx_live_begin(td, TDX_LIVE_BLOCK, TDX_OPERAND_ID_SEPT);
	if (err)
		return err;
	err = tdx_live_walk(td, gpa, level, &sptep, ext_err1, ext_err2);
	if (err)
		return err;

	/* Not a rule: the S-EPT would have no other entry for it; see above. */
	page = tdx_live_page(spte_to_pfn(READ_ONCE(*sptep)));
	if (page->nr_leaves > 1 || kvm_shadow_root_allocated(td->kvm))
		return TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX;

	/* [BLOCK] Blocked twice has a status of its own. */
	if (tdx_live_is_blocked(sptep))
		return TDX_GPA_RANGE_ALREADY_BLOCKED | TDX_OPERAND_ID_RCX;

	/* Atomic, as the CPU may set bits at the same time. */
	clear_bit(ilog2(PT_PRESENT_MASK), (unsigned long *)sptep);
	/* [BLOCK] The epoch is sampled after the entry has changed. */
	smp_mb__after_atomic();
	page->bepoch = READ_ONCE(td->epoch);

	return TDX_SUCCESS;
}

/* TDH.MEM.TRACK */
static u64 tdx_live_mem_track(struct tdx_td *tdx_td)
{
	struct tdx_live_td *td = tdx_live_find_td(tdx_td);
	u64 err;

	err = tdx_live_begin(td, TDX_LIVE_TRACK, TDX_OPERAND_ID_TD_EPOCH);
	if (err && !tdx_operand_busy(err)) {
		/* Twice in a row: the page cannot be unblocked. */
		td->given_up |= td->track_refused;
		td->track_refused = true;
		return err;
	}
	td->track_refused = false;
	if (err)
		return err;

	/* [TRACK] vCPUs that enter have a lock on the epoch. */
	if (!raw_spin_trylock(&td->epoch_lock))
		return tdx_live_busy(td, TDX_OPERAND_ID_TD_EPOCH);

	/* [TRACK] There are two counters: the former epoch has to be over. */
	if (td->refs[(td->epoch & 1) ^ 1])
		err = TDX_PREVIOUS_TLB_EPOCH_BUSY;
	else
		td->epoch++;
	raw_spin_unlock(&td->epoch_lock);

	if (!err)
		atomic_inc(&tdx_live.tracks);

	return err;
}

/* TDH.MEM.RANGE.UNBLOCK */
static u64 tdx_live_range_unblock(struct tdx_td *tdx_td, u64 gpa,
				  enum pg_level level, u64 *ext_err1,
				  u64 *ext_err2)
{
	struct tdx_live_td *td = tdx_live_find_td(tdx_td);
	struct tdx_live_page *page;
	u64 err, refusal, *sptep;

	*ext_err1 = *ext_err2 = 0;
	refusal = tdx_live_begin(td, TDX_LIVE_UNBLOCK, TDX_OPERAND_ID_SEPT);
	if (tdx_operand_busy(refusal))
		return refusal;
	err = tdx_live_walk(td, gpa, level, &sptep, ext_err1, ext_err2);
	if (err)
		return err;

	page = tdx_live_page(spte_to_pfn(*sptep));
	if (refusal) {
		page->leaked = true;
		td->given_up = true;
		return refusal;
	}

	/* [SEPT] Only what is blocked can be unblocked. */
	if (!tdx_live_is_blocked(sptep))
		return TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OPERAND_ID_RCX;
	/* [UNBLOCK] And only once it is tracked. */
	if (!tdx_live_is_tracked(td, page))
		return TDX_TLB_TRACKING_NOT_DONE | TDX_OPERAND_ID_RCX;

	set_bit(ilog2(PT_PRESENT_MASK), (unsigned long *)sptep);

	return TDX_SUCCESS;
}

/* TDH.MEM.PAGE.RELOCATE */
static u64 tdx_live_page_relocate(struct tdx_td *tdx_td, u64 gpa, kvm_pfn_t pfn,
				  u64 *ext_err1, u64 *ext_err2)
{
	struct tdx_live_page *src, *dst = tdx_live_page(pfn);
	struct tdx_live_td *td = tdx_live_find_td(tdx_td);
	u64 err, spte, *sptep;
	kvm_pfn_t src_pfn;

	*ext_err1 = *ext_err2 = 0;
	err = tdx_live_begin(td, TDX_LIVE_RELOCATE, TDX_OPERAND_ID_SEPT);
	if (err)
		return err;
	err = tdx_live_walk(td, gpa, PG_LEVEL_4K, &sptep, ext_err1, ext_err2);
	if (err)
		return err;

	spte = READ_ONCE(*sptep);
	src_pfn = spte_to_pfn(spte);
	src = tdx_live_page(src_pfn);
	if (src_pfn == pfn)
		return TDX_OPERAND_INVALID | TDX_OPERAND_ID_R8;

	/* [RELOCATE] It must be blocked and tracked. */
	if (!tdx_live_is_blocked(sptep)) {
		tdx_live_violation(src_pfn, "is not blocked, but relocated");
		return TDX_GPA_RANGE_NOT_BLOCKED | TDX_OPERAND_ID_RCX;
	}
	if (!tdx_live_is_tracked(td, src)) {
		tdx_live_violation(src_pfn, "is not tracked, but relocated");
		return TDX_TLB_TRACKING_NOT_DONE | TDX_OPERAND_ID_RCX;
	}

	guard(spinlock)(&tdx_live.lock);

	/* [PAMT] A page that is to be a TD's is in a TDMR, and nobody's. */
	if (!dst)
		return TDX_OPERAND_ADDR_RANGE_ERROR | TDX_OPERAND_ID_R8;
	if (dst->owner) {
		tdx_live_violation(pfn, "is a TD's, but a target");
		return TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8;
	}

	/* [RELOCATE] One page comes, one goes, and the entry is unblocked. */
	copy_highpage(pfn_to_page(pfn), pfn_to_page(src_pfn));
	memset(page_address(pfn_to_page(src_pfn)), TDX_LIVE_POISON, PAGE_SIZE);
	tdx_live_assign(td, dst, src->gfn);
	tdx_live_release(src);
	WRITE_ONCE(*sptep, (spte & ~SPTE_BASE_ADDR_MASK) | PFN_PHYS(pfn) |
			   PT_PRESENT_MASK);

	atomic_inc(&tdx_live.moved);
	*ext_err1 = PFN_PHYS(src_pfn);

	return TDX_SUCCESS;
}

/* TDH.PHYMEM.PAGE.WBINVD */
static u64 tdx_live_page_wbinvd(u64 hkid, kvm_pfn_t pfn)
{
	struct tdx_live_page *page = tdx_live_page(pfn);
	bool refuse = tdx_live_refuse(TDX_LIVE_WBINVD);

	if (!page)
		return TDX_OPERAND_ADDR_RANGE_ERROR | TDX_OPERAND_ID_RCX;

	guard(spinlock)(&tdx_live.lock);

	if (refuse) {
		page->leaked = true;
		return tdx_live_refusals[TDX_LIVE_WBINVD];
	}

	/* [WBINVD] For pages that have been given back. */
	if (page->owner) {
		tdx_live_violation(pfn, "is a TD's, but flushed");
		return TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX;
	}

	/* Lines of another HKID are other lines. */
	if (page->lines == hkid)
		page->lines = 0;

	return TDX_SUCCESS;
}

/* Not the TDX module's: MOVDIR64B, as by tdx_quirk_reset_paddr(). */
static void tdx_live_reset(unsigned long base, unsigned long size)
{
	kvm_pfn_t pfn = PHYS_PFN(base);
	struct tdx_live_page *page = tdx_live_page(pfn);

	guard(spinlock)(&tdx_live.lock);

	if (!page || size != PAGE_SIZE || page->owner || page->lines) {
		tdx_live_violation(pfn, "is reset, but a TD's, or in caches");
		return;
	}

	memset(page_address(pfn_to_page(pfn)), 0, PAGE_SIZE);
	page->private = false;
}

/* The real one. */
static void tdx_live_kick(struct kvm *kvm)
{
	atomic_inc(&tdx_live.kicks);
	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
}

const struct tdx_gmem_ops tdx_live_ops = {
	.block		= tdx_live_range_block,
	.track		= tdx_live_mem_track,
	.kick		= tdx_live_kick,
	.relocate	= tdx_live_page_relocate,
	.unblock	= tdx_live_range_unblock,
	.wbinvd		= tdx_live_page_wbinvd,
	.reset		= tdx_live_reset,
};

/* What must be true of both pages, whatever the backend has met. */
static void tdx_live_check(struct kvm_gmem_migration *m, int ret)
{
	struct tdx_live_page *src = tdx_live_page(m->src);
	struct tdx_live_page *dst = tdx_live_page(m->dst);
	struct tdx_live_td *td = tdx_live_td(m->kvm);
	u64 *sptep;

	scoped_guard(spinlock, &tdx_live.lock) {
		if (ret >= 0 && src->owner)
			tdx_live_violation(m->src, "has moved, but is a TD's");
		if (ret >= 0 && !src->leaked && (src->private || src->lines))
			tdx_live_violation(m->src, "has moved, but is not reset");
		if (ret && (dst->owner || dst->private || dst->lines))
			tdx_live_violation(m->dst, "is a TD's without a move");
	}

	guard(write_lock)(&m->kvm->mmu_lock);

	sptep = kvm_tdp_mmu_mirror_sptep(m->kvm, m->gfn);
	if (!td->given_up &&
	    (m->kvm->vm_bugged || (sptep && tdx_live_is_blocked(sptep))))
		tdx_live_violation(m->src, "is still blocked, or its VM bugged");
}

void tdx_live_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	tdx_gmem_migrate(m, nr);

	for (; nr; m++, nr--)
		tdx_live_check(m, m->ret);
}

/* Setting up */

/* Without the TDP MMU there is nothing that could play the S-EPT. */
int tdx_live_vm_init(struct kvm *kvm)
{
	struct tdx_live_td *td;

	if (!tdx_live_is_on() || !tdp_mmu_enabled ||
	    kvm->arch.vm_type != KVM_X86_SW_PROTECTED_VM)
		return 0;

	td = kvzalloc_obj(*td, GFP_KERNEL_ACCOUNT);
	if (!td)
		return -ENOMEM;

	td->kvm = kvm;
	raw_spin_lock_init(&td->epoch_lock);
	td->epoch = 1;
	td->kvm_tdx.hkid = 1 + (u16)atomic_inc_return(&tdx_live.next_hkid) % 63;
	td->kvm_tdx.state = TD_STATE_RUNNABLE;
	kvm->arch.tdx_live = &td->kvm_tdx;

	return 0;
}

void tdx_live_vm_destroy(struct kvm *kvm)
{
	struct tdx_live_td *td;

	if (!tdx_live_governs(kvm))
		return;

	td = tdx_live_td(kvm);
	if (td->nr_pages)
		tdx_live_violation(KVM_PFN_NOSLOT, "a TD died that has pages");

	kvm->arch.tdx_live = NULL;
	kvfree(td);
}

/* Pages that are TDs': none when all of them are gone. */
static int tdx_live_assigned_get(void *data, u64 *value)
{
	unsigned long i;

	guard(spinlock)(&tdx_live.lock);

	*value = 0;
	for (i = 0; i < tdx_live.nr; i++)
		*value += !!tdx_live.pamt[i].owner;

	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(tdx_live_assigned_fops, tdx_live_assigned_get, NULL,
			 "%llu\n");

static int tdx_live_leaked_get(void *data, u64 *value)
{
	*value = atomic_long_read(&tdx_gmem_nr_leaked);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(tdx_live_leaked_fops, tdx_live_leaked_get, NULL,
			 "%llu\n");

static struct debugfs_u32_array tdx_live_refused_array = {
	.array		= tdx_live.refused,
	.n_elements	= TDX_LIVE_NR_LEAVES,
};

static void __init tdx_live_debugfs(void)
{
	struct dentry *dir = debugfs_create_dir("tdx_model", NULL);

	debugfs_create_atomic_t("moved", 0444, dir, &tdx_live.moved);
	debugfs_create_atomic_t("kicks", 0444, dir, &tdx_live.kicks);
	debugfs_create_atomic_t("tracks", 0444, dir, &tdx_live.tracks);
	debugfs_create_atomic_t("busy", 0444, dir, &tdx_live.busy);
	debugfs_create_u32_array("refused", 0444, dir, &tdx_live_refused_array);
	debugfs_create_file_unsafe("assigned", 0444, dir, NULL,
				   &tdx_live_assigned_fops);
	debugfs_create_file_unsafe("leaked", 0444, dir, NULL,
				   &tdx_live_leaked_fops);
	debugfs_create_atomic_t("violations", 0444, dir, &tdx_live.violations);
}

static int __init tdx_live_init(void)
{
	if (!kvm_gmem_model_is("tdx"))
		return 0;

	/* It would take TDs of a real TDX module for its own. */
	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("needs a CPU with SVM\n");
		return 0;
	}

	tdx_live.nr = max_pfn;
	tdx_live.pamt = vcalloc(tdx_live.nr, sizeof(*tdx_live.pamt));
	if (!tdx_live.pamt)
		return -ENOMEM;
	tdx_live_debugfs();

	pr_warn("**** software-protected VMs are subject to a model of TDX ****\n");
	pr_warn("**** this kernel is for tests only                        ****\n");
	add_taint(TAINT_TEST, LOCKDEP_STILL_OK);

	return 0;
}
fs_initcall(tdx_live_init);
