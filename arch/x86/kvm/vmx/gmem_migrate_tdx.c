// SPDX-License-Identifier: GPL-2.0
/*
 * Migration of guest_memfd folios of TDX guests.
 *
 * The TDX module relocates a page in one step, TDH.MEM.PAGE.RELOCATE: it copies
 * the content under the key of the TD, changes the S-EPT entry, takes the
 * target away from the host and gives the source back.  For that the entry has
 * to be blocked before, and no vCPU may have a translation from before that:
 * TDH.MEM.TRACK begins a new epoch, and a vCPU that is kicked out of the guest
 * flushes when it enters in the new one.
 *
 * The sequence follows Intel's TDX Module Base Architecture Specification, on
 * TLB tracking and page relocation, and tdx_sept_remove_leaf_spte().  What the
 * TDX module checks in which order is from its source, version 1.5.01.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <kunit/static_stub.h>
#include <linux/mm.h>

#include "mmu.h"
#include "tdx.h"
#include "gmem_migrate_tdx.h"
#include "tests/tdx_model_live.h"

/* The TDX module does not know the leaf. */
static bool tdx_relocate_missing;

/* Pages that nobody may use again, see tdx_gmem_leak(). */
atomic_long_t tdx_gmem_nr_leaked;

static void tdx_gmem_kick(struct kvm *kvm)
{
	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
}

static const struct tdx_gmem_ops tdx_gmem_seamcalls = {
	.block		= tdh_mem_range_block,
	.track		= tdh_mem_track,
	.kick		= tdx_gmem_kick,
	.relocate	= tdh_mem_page_relocate,
	.unblock	= tdh_mem_range_unblock,
	.wbinvd		= tdh_phymem_page_wbinvd_hkid,
	.reset		= tdx_quirk_reset_paddr,
};

/* Tests put a model of the TDX module here. */
static const struct tdx_gmem_ops *tdx_gmem_ops(void)
{
	KUNIT_STATIC_STUB_REDIRECT(tdx_gmem_ops);

#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
	if (tdx_live_is_on())
		return &tdx_live_ops;
#endif

	return &tdx_gmem_seamcalls;
}

/* What it means to migration, and whether it is worth trying again. */
static int tdx_gmem_errno(u64 err)
{
	switch (err & TDX_SEAMCALL_STATUS_MASK) {
	case TDX_SUCCESS:
		return 0;
	case TDX_OPERAND_BUSY:
	case TDX_PREVIOUS_TLB_EPOCH_BUSY:
	case TDX_TLB_TRACKING_NOT_DONE:
		return -EAGAIN;
	case TDX_OPERAND_INVALID:
	case TDX_OPERAND_ADDR_RANGE_ERROR:
		/* Not memory that the TDX module manages, for one. */
		return -EINVAL;
	case TDX_PAGE_METADATA_INCORRECT:
		/* The target is not the host's. */
		return -EPERM;
	default:
		return -EIO;
	}
}

/* That something is busy is no news, and the caller tries again. */
static void tdx_gmem_report(const char *fn, u64 err, u64 entry, u64 level_state)
{
	if (err && !tdx_operand_busy(err))
		pr_err_ratelimited("SEAMCALL %s failed: 0x%llx, entry 0x%llx, level_state 0x%llx\n",
				   fn, err, entry, level_state);
}

/*
 * A page that is not safely the host's again stays allocated for ever: whoever
 * got it next would use memory of the TD, or lose what is written to it to a
 * cache line that is still dirty under the TD's key.
 */
static void tdx_gmem_leak(kvm_pfn_t pfn, const char *why)
{
	long nr = atomic_long_inc_return(&tdx_gmem_nr_leaked);

	get_page(pfn_to_page(pfn));
	pr_err("Leaking page frame 0x%llx, which %s; %ld so far\n", pfn, why, nr);
}

/*
 * Begin a new epoch and force all vCPUs into it.  They are kicked after a
 * failure, too: it means that one is in the epoch before this one, and once it
 * has left, the next attempt works.  See tdx_track().
 */
static u64 tdx_gmem_track(struct kvm *kvm)
{
	const struct tdx_gmem_ops *ops = tdx_gmem_ops();
	u64 err;

	err = tdh_do_no_vcpus(ops->track, kvm, &to_kvm_tdx(kvm)->td);
	tdx_gmem_report("TDH_MEM_TRACK", err, 0, 0);
	ops->kick(kvm);

	return err;
}

/*
 * Let the TD have the source back.  The TDX module demands that tracking is
 * done for this, too (tdh_mem_range_unblock.c), which it is not if it was
 * tracking that failed.
 *
 * If that does not help either, the TD can never access the page again, and
 * the VM is as dead as when a page cannot be removed.
 */
static void tdx_gmem_unblock(struct kvm *kvm, struct kvm_gmem_migration *page)
{
	const struct tdx_gmem_ops *ops = tdx_gmem_ops();
	struct tdx_td *td = &to_kvm_tdx(kvm)->td;
	gpa_t gpa = gfn_to_gpa(page->gfn);
	u64 err, entry, level_state;

	err = tdh_do_no_vcpus(ops->unblock, kvm, td, gpa, PG_LEVEL_4K, &entry,
			      &level_state);
	if ((err & TDX_SEAMCALL_STATUS_MASK) == TDX_TLB_TRACKING_NOT_DONE &&
	    !tdx_gmem_track(kvm))
		err = tdh_do_no_vcpus(ops->unblock, kvm, td, gpa, PG_LEVEL_4K,
				      &entry, &level_state);
	if (!err)
		return;

	tdx_gmem_report("TDH_MEM_RANGE_UNBLOCK", err, entry, level_state);
	tdx_gmem_leak(page->src, "its TD can neither access nor give back");
	kvm_vm_bugged(kvm);
}

/* Whether there is a page of the TD to relocate: 0, or the answer. */
static int tdx_gmem_check(struct kvm *kvm, struct kvm_gmem_migration *page)
{
	kvm_pfn_t pfn;
	int level;

	/*
	 * What the mirror page table says is not to be relied on: it may be
	 * that a page could not be removed which is not there any more.
	 */
	if (kvm->vm_dead)
		return -EIO;

	pfn = kvm_tdp_mmu_get_mirror_pfn(kvm, page->gfn, &level);
	if (pfn == KVM_PFN_NOSLOT)
		return KVM_GMEM_MIGRATE_COPY;

	if (WARN_ON_ONCE(pfn != page->src || level != PG_LEVEL_4K))
		return -EIO;

	if (READ_ONCE(tdx_relocate_missing))
		return -EOPNOTSUPP;

	/*
	 * TDH.MEM.PAGE.ADD put it there, and TDH.MR.FINALIZE is still to come.
	 * It must not fail because it meets a SEAMCALL from here, nor can it
	 * begin to demand tracking halfway.  It does not take long, either.
	 */
	if (to_kvm_tdx(kvm)->state != TD_STATE_RUNNABLE)
		return -EBUSY;

	return 0;
}

static int tdx_gmem_block(struct kvm *kvm, struct kvm_gmem_migration *page)
{
	const struct tdx_gmem_ops *ops = tdx_gmem_ops();
	u64 err, entry, level_state;
	int ret;

	ret = tdx_gmem_check(kvm, page);
	if (ret)
		return ret;

	err = tdh_do_no_vcpus(ops->block, kvm, &to_kvm_tdx(kvm)->td,
			      gfn_to_gpa(page->gfn), PG_LEVEL_4K, &entry,
			      &level_state);
	tdx_gmem_report("TDH_MEM_RANGE_BLOCK", err, entry, level_state);

	return tdx_gmem_errno(err);
}

static int tdx_gmem_relocate(struct kvm *kvm, struct kvm_gmem_migration *page)
{
	const struct tdx_gmem_ops *ops = tdx_gmem_ops();
	u64 err, entry, level_state;

	err = tdh_do_no_vcpus(ops->relocate, kvm, &to_kvm_tdx(kvm)->td,
			      gfn_to_gpa(page->gfn), page->dst, &entry,
			      &level_state);
	if (!err) {
		/* The point of no return. The entry is not blocked any more. */
		kvm_tdp_mmu_set_mirror_pfn(kvm, page->gfn, page->dst);
		return 0;
	}

	tdx_gmem_report("TDH_MEM_PAGE_RELOCATE", err, entry, level_state);
	tdx_gmem_unblock(kvm, page);

	/* Do not kick vCPUs again and again for nothing. RAX has the leaf. */
	if (err == (TDX_OPERAND_INVALID | TDX_OPERAND_ID_RAX)) {
		WRITE_ONCE(tdx_relocate_missing, true);
		return -EOPNOTSUPP;
	}

	return tdx_gmem_errno(err);
}

/* As others who use what it needs take no longer than a SEAMCALL each. */
#define TDX_GMEM_WBINVD_TRIES	64

/* The source is the host's, but for what the caches hold of it. */
static void tdx_gmem_release(struct kvm *kvm, struct kvm_gmem_migration *page)
{
	const struct tdx_gmem_ops *ops = tdx_gmem_ops();
	int tries = TDX_GMEM_WBINVD_TRIES;
	u64 err;

	do {
		err = ops->wbinvd((u16)to_kvm_tdx(kvm)->hkid, page->src);
	} while (tdx_operand_busy(err) && --tries);

	if (err) {
		tdx_gmem_report("TDH_PHYMEM_PAGE_WBINVD", err, 0, 0);
		tdx_gmem_leak(page->src, "may still be in caches");
		return;
	}

	ops->reset(PFN_PHYS(page->src), PAGE_SIZE);
}

/**
 * tdx_gmem_backend() - kvm_arch_gmem_backend() of TDs.
 * @kvm: The VM, a TD.
 *
 * None any more once the TDX module has turned out not to know
 * TDH.MEM.PAGE.RELOCATE: memory that cannot move is not to be allocated where it
 * should.
 */
enum kvm_gmem_backend tdx_gmem_backend(struct kvm *kvm)
{
	return READ_ONCE(tdx_relocate_missing) ? KVM_GMEM_BACKEND_NONE :
						 KVM_GMEM_BACKEND_TDX;
}

/**
 * tdx_gmem_migrate() - Relocate pages underneath a running TD.
 * @m: The pages, and where to. The result of one is 0, KVM_GMEM_MIGRATE_COPY if
 *	the TD has no page there, -EAGAIN for what is busy, -EBUSY for a TD that
 *	is not finalized, -EINVAL and -EPERM for a target that the TDX module
 *	does not take, -EOPNOTSUPP if it cannot relocate pages at all, -EIO for
 *	all others.
 * @nr: How many. Tracking is what is expensive, as it kicks every vCPU, and it is
 *	for all pages that are blocked by then.
 *
 * See kvm_arch_gmem_migrate() for what is held and what is promised, with one
 * exception: if the TDX module does not let go of a page, the VM is bugged.
 * A source that the host cannot safely use is leaked.
 *
 * Context: Does not sleep, whatever @m->mode is, but takes mmu_lock for write
 * and waits for all vCPUs to leave the guest.
 */
void tdx_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	struct kvm *kvm = m->kvm;
	unsigned int i, blocked = 0;
	u64 err;

	write_lock(&kvm->mmu_lock);

	for (i = 0; i < nr; i++) {
		m[i].ret = tdx_gmem_block(kvm, &m[i]);
		blocked += !m[i].ret;
	}

	err = blocked ? tdx_gmem_track(kvm) : 0;

	for (i = 0; i < nr; i++) {
		if (m[i].ret)
			continue;

		if (!err) {
			m[i].ret = tdx_gmem_relocate(kvm, &m[i]);
		} else {
			m[i].ret = tdx_gmem_errno(err);
			tdx_gmem_unblock(kvm, &m[i]);
		}
	}

	write_unlock(&kvm->mmu_lock);

	for (i = 0; i < nr; i++) {
		if (!m[i].ret)
			tdx_gmem_release(kvm, &m[i]);
	}
}

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST
#include "tests/gmem_migrate_tdx-kunit.h"
#endif
