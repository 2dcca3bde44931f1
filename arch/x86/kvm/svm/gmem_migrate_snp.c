// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios of SEV-SNP guests
 *
 * Only the firmware can move a page of such a guest: it decrypts and encrypts
 * the content, which is tied to the physical address, and carries over what the
 * RMP says of the page. The host takes the page out of the NPT before, makes
 * the RMP entries of both pages immutable by RMPUPDATE, and has the old page
 * back after.
 *
 * The states of a page and who may change them are defined in the SEV-SNP
 * Firmware ABI Specification (AMD document 56860), chapter 5, the command
 * SNP_PAGE_MOVE in chapter 8, and the instructions RMPUPDATE and PSMASH in the
 * AMD64 Architecture Programmer's Manual, volume 3 (AMD document 24594).
 *
 * See Documentation/virt/kvm/guest-memfd-migration.rst for every step and what
 * becomes of the page if it fails.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": SEV: " fmt

#include <kunit/static_stub.h>
#include <linux/cacheflush.h>
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>
#include <linux/psp.h>
#include <linux/psp-sev.h>
#include <linux/sched/mm.h>

#include <asm/sev.h>

#include "mmu.h"
#include "svm.h"
#include "gmem_migrate_snp.h"

/* A page that is on its way. */
struct snp_move {
	const struct snp_page_ops *ops;
	struct kvm *kvm;
	u64 gctx_paddr;
	u32 asid;
	kvm_pfn_t src;
	kvm_pfn_t dst;
	/* The entry of @src as it was, and is to be after a failure. */
	struct snp_rmp_page page;
};

/* The firmware does not know the command. */
static bool snp_page_move_missing;

static void snp_flush(u64 pfn)
{
	clflush_cache_range(__va(pfn_to_hpa(pfn)), PAGE_SIZE);
}

static const struct snp_page_ops snp_host_ops = {
	.lookup		= snp_lookup_rmp_page,
	.make_private	= rmp_make_private,
	.make_shared	= rmp_make_shared,
	.psmash		= psmash,
	.split_direct_map = snp_split_direct_map,
	.begin		= sev_cmd_trylock,
	.end		= sev_cmd_unlock,
	.page_move	= snp_page_move_locked,
	.page_reclaim	= snp_page_reclaim_locked,
	.flush		= snp_flush,
	.leak		= snp_leak_page_in_use,
};

static const struct snp_page_ops *snp_ops(void)
{
	KUNIT_STATIC_STUB_REDIRECT(snp_ops);

#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
	if (snp_model_is_live())
		return &snp_model_ops;
#endif

	return &snp_host_ops;
}

/*
 * The content stays, as opposed to TDX: on its next access to the page the
 * guest faults, and sev_gmem_make_private() finds that it has the page already.
 */
static void snp_zap(struct kvm *kvm, gfn_t gfn)
{
	KUNIT_STATIC_STUB_REDIRECT(snp_zap, kvm, gfn);

	kvm_zap_gfn_range(kvm, gfn, gfn + 1);
}

static void snp_bug_vm(struct kvm *kvm)
{
	KUNIT_STATIC_STUB_REDIRECT(snp_bug_vm, kvm);

	kvm_vm_bugged(kvm);
}

/* What the firmware's answer means for who wants to move the page. */
static int snp_page_move_errno(int ret, int error)
{
	if (ret != -EIO)
		return ret;

	switch (error) {
	case SEV_RET_INVALID_COMMAND:
	case SEV_RET_UNSUPPORTED:
		return -EOPNOTSUPP;
	case SEV_RET_POLICY_FAILURE:
	case SEV_RET_INVALID_PAGE_OWNER:
		return -EPERM;
	case SEV_RET_INVALID_GUEST_STATE:
	case SEV_RET_INACTIVE:
	case SEV_RET_RESOURCE_LIMIT:
	case SEV_RET_IN_USE:
		return -EBUSY;
	case SEV_RET_INVALID_GUEST:
		return -ENXIO;
	case SEV_RET_INVALID_PLATFORM_STATE:
		return -ENODEV;
	case SEV_RET_INVALID_PARAM:
	case SEV_RET_INVALID_ADDRESS:
	case SEV_RET_INVALID_PAGE_SIZE:
	case SEV_RET_INVALID_PAGE_STATE:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int snp_reclaim(struct snp_move *mv, kvm_pfn_t pfn)
{
	struct sev_data_snp_page_reclaim data = {
		.paddr = __sme_set(pfn_to_hpa(pfn)),
	};
	int error = 0, ret;

	ret = mv->ops->page_reclaim(&data, &error);
	if (ret)
		pr_err("failed to reclaim PFN 0x%llx, ret %d, firmware error %#x\n",
		       pfn, ret, error);

	return ret;
}

/* Guest-Invalid to Hypervisor; the page is not mutable, or not the host's. */
static void snp_give_back(struct snp_move *mv, kvm_pfn_t pfn)
{
	/* Whoever got such a page next would bring the host down. */
	if (mv->ops->make_shared(pfn, PG_LEVEL_4K)) {
		pr_err("failed to make PFN 0x%llx shared\n", pfn);
		mv->ops->leak(pfn);
		return;
	}

	mv->ops->flush(pfn);
}

static void snp_undo_dst(struct snp_move *mv)
{
	/* RMPUPDATE does not do it: the entry is immutable. */
	if (snp_reclaim(mv, mv->dst)) {
		mv->ops->leak(mv->dst);
		return;
	}

	snp_give_back(mv, mv->dst);
}

/*
 * Make the source what it was: Guest-Valid or Guest-Invalid. The firmware
 * checks everything before it changes anything, and makes the entry mutable
 * with the first change. If that has happened, or it does not answer, then
 * there is no telling where the content is, nor a way to go on for the guest.
 */
static int snp_undo_src(struct snp_move *mv)
{
	struct snp_rmp_page page;

	if (!mv->ops->lookup(mv->src, &page) && page.immutable &&
	    !snp_reclaim(mv, mv->src))
		return 0;

	pr_err("lost the page at GPA 0x%llx, PFN 0x%llx or 0x%llx\n",
	       mv->page.gpa, mv->src, mv->dst);
	snp_bug_vm(mv->kvm);
	mv->ops->leak(mv->src);

	return -EIO;
}

static int snp_firmware_move(struct snp_move *mv)
{
	struct sev_data_snp_page_move data = {
		.gctx_paddr = mv->gctx_paddr,
		.page_size = PG_LEVEL_TO_RMP(PG_LEVEL_4K),
		.src_paddr = __sme_set(pfn_to_hpa(mv->src)),
		.dst_paddr = __sme_set(pfn_to_hpa(mv->dst)),
	};
	int error = 0, ret;

	ret = mv->ops->page_move(&data, &error);
	if (!ret)
		return 0;

	pr_warn_ratelimited("SNP_PAGE_MOVE of PFN 0x%llx failed, ret %d, firmware error %#x\n",
			    mv->src, ret, error);
	ret = snp_page_move_errno(ret, error);
	/* Do not take pages from guests again and again for nothing. */
	if (ret == -EOPNOTSUPP)
		WRITE_ONCE(snp_page_move_missing, true);

	return ret;
}

/*
 * PSMASH of the 2M page around the source. A failure to migrate does not take
 * it back: it is as good as 2M, and what RMP faults of a guest do, too.
 */
static int snp_split(struct snp_move *mv)
{
	int ret;

	do {
		ret = mv->ops->psmash(ALIGN_DOWN(mv->src, PTRS_PER_PMD));
	} while (ret == PSMASH_FAIL_INUSE);

	/* It fails if an RMP fault of the guest was first; the entry tells. */
	if (mv->ops->lookup(mv->src, &mv->page) ||
	    mv->page.level != PG_LEVEL_4K) {
		pr_warn_ratelimited("failed to split the 2M page of PFN 0x%llx, ret %d\n",
				    mv->src, ret);
		return -EIO;
	}

	return 0;
}

/* With the mailbox reserved, as only the firmware can undo what this does. */
static int snp_move_page(struct snp_move *mv)
{
	const struct snp_page_ops *ops = mv->ops;
	int ret;

	if (mv->page.level != PG_LEVEL_4K) {
		ret = snp_split(mv);
		if (ret)
			return ret;
	}

	/* Hypervisor to Pre-Guest. The firmware sets the GPA. */
	if (ops->make_private(mv->dst, 0, PG_LEVEL_4K, mv->asid, true))
		return -EIO;

	/*
	 * Guest-Valid to Pre-Swap, or Guest-Invalid to Pre-Guest: nothing but
	 * the immutable bit may change, or the guest loses the page.
	 */
	if (ops->make_private(mv->src, mv->page.gpa, PG_LEVEL_4K, mv->asid,
			      true)) {
		snp_undo_dst(mv);
		return -EIO;
	}

	ret = snp_firmware_move(mv);
	if (ret) {
		if (snp_undo_src(mv))
			ret = -EIO;
		snp_undo_dst(mv);
		return ret;
	}

	/* The guest has its page, whatever becomes of this one. */
	snp_give_back(mv, mv->src);

	return 0;
}

/*
 * A VMSA is used by its physical address, without the NPT. A vCPU that is about
 * to use one retries, as the gfn is being invalidated, and finds the new page.
 * See __sev_snp_reload_vmsa().
 */
static bool snp_vmsa_in_use(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!____sev_snp_guest(kvm))
		return false;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		gpa_t gpa = READ_ONCE(to_svm(vcpu)->sev_es.snp_guest_vmsa_gpa);

		if (VALID_PAGE(gpa) && gpa_to_gfn(gpa) == gfn)
			return true;
	}

	return false;
}

/*
 * Both pages by 4K entries in the direct map, or RMPUPDATE would have to see to it.
 * That takes the mmap_lock of init_mm, which others hold while they allocate, and may
 * wait for a workqueue: nothing for direct compaction, nor for who has the mailbox.
 */
static int snp_prepare_direct_map(struct snp_move *mv)
{
	bool split = !(current->flags & PF_MEMALLOC);
	unsigned int noio;
	int ret;

	/* Folios of others may be locked, too. */
	noio = memalloc_noio_save();
	ret = mv->ops->split_direct_map(mv->src, split);
	if (!ret)
		ret = mv->ops->split_direct_map(mv->dst, split);
	memalloc_noio_restore(noio);

	return ret;
}

/* One page: what its result is to be. */
static int snp_migrate_page(struct kvm_gmem_migration *m)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(m->kvm);
	struct snp_move mv = {
		.ops	= snp_ops(),
		.kvm	= m->kvm,
		.src	= m->src,
		.dst	= m->dst,
	};
	int ret;

	if (mv.ops->lookup(mv.src, &mv.page))
		return -EIO;

	/* The guest has not touched it since it was allocated. */
	if (!mv.page.assigned)
		return KVM_GMEM_MIGRATE_COPY;

	if (READ_ONCE(snp_page_move_missing))
		return -EOPNOTSUPP;

	if (m->mode == MIGRATE_ASYNC || !sev->snp_context ||
	    snp_vmsa_in_use(m->kvm, m->gfn))
		return -EBUSY;

	mv.gctx_paddr = __psp_pa(sev->snp_context);
	mv.asid = sev->asid;

	/* Left over from something that has gone wrong before. */
	if (mv.page.asid != mv.asid || mv.page.immutable)
		return -EPERM;

	ret = snp_prepare_direct_map(&mv);
	if (ret)
		return ret;

	ret = mv.ops->begin();
	if (ret)
		return ret == -EBUSY ? -EAGAIN : ret;

	snp_zap(m->kvm, m->gfn);
	ret = snp_move_page(&mv);
	mv.ops->end();

	return ret;
}

/**
 * sev_gmem_migrate() - kvm_arch_gmem_migrate() of SEV-SNP guests.
 * @m: The pages, and where to. The result of one is -EBUSY for a VMSA that is in
 *	use, for MIGRATE_ASYNC, and in direct compaction for a target for which the
 *	direct map has to be split; -EAGAIN if others use the mailbox, -EPERM for
 *	a page that is not the guest's, -ENOMEM if there is no page table for the
 *	direct map, or what snp_page_move_errno() makes of the firmware's error.
 * @nr: How many. The firmware moves one at a time.
 *
 * Context: As kvm_arch_gmem_migrate(), but for the direct map: where that has to be
 * split, other than in direct compaction, a page table is allocated without I/O, and
 * the mmap_lock of init_mm is taken. Sleeps until the firmware has answered, hence
 * MIGRATE_ASYNC moves nothing but what the guest does not have yet. Does not wait for
 * others who use the mailbox.
 */
void sev_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	for (; nr; m++, nr--)
		m->ret = snp_migrate_page(m);
}

/**
 * sev_gmem_guest_owned() - kvm_arch_gmem_guest_owned() on AMD.
 * @pfn: A page that no memslot binds.
 */
bool sev_gmem_guest_owned(kvm_pfn_t pfn)
{
	struct snp_rmp_page page;
	int ret;

	ret = snp_ops()->lookup(pfn, &page);
	if (ret == -ENODEV)
		return false;

	return ret || page.assigned;
}

/**
 * sev_gmem_backend() - kvm_arch_gmem_backend() of encrypted guests on AMD.
 * @kvm: The VM. Its policy is not known before SNP_LAUNCH_START, and neither
 *	does it have any private page then.
 *
 * None any more once the firmware has turned out not to know SNP_PAGE_MOVE: memory
 * that cannot move is not to be allocated where it should.
 */
enum kvm_gmem_backend sev_gmem_backend(struct kvm *kvm)
{
	if (snp_model_governs(kvm))
		return KVM_GMEM_BACKEND_SNP;

	if (kvm->arch.vm_type != KVM_X86_SNP_VM ||
	    READ_ONCE(snp_page_move_missing))
		return KVM_GMEM_BACKEND_NONE;

	if (READ_ONCE(to_kvm_sev_info(kvm)->policy) &
	    SNP_POLICY_MASK_PAGE_SWAP_DISABLE)
		return KVM_GMEM_BACKEND_NONE;

	return KVM_GMEM_BACKEND_SNP;
}

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST
#include "tests/gmem_migrate_snp-kunit.h"
#endif
