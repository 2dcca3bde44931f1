// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software-protected VMs whose pages are subject to the model of the RMP, so
 * that the SEV-SNP backend moves pages of VMs that run. For test kernels only.
 *
 * A page becomes the guest's when it is first faulted in, as those of SEV-SNP
 * guests do, and is taken as accepted then, which an SEV-SNP guest would do
 * itself. It becomes the host's when guest_memfd frees it. In between, what
 * moves it is the backend, with the model instead of RMP and firmware.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": SNP model: " fmt

#include <linux/cc_platform.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kvm_host.h>
#include <linux/memblock.h>
#include <linux/moduleparam.h>
#include <linux/vmalloc.h>

#include <asm/sev.h>

#include "../svm.h"
#include "snp_model.h"

/* The steps of a move that can be made to fail; 2M pages there are none. */
enum snp_live_step {
	SNP_LIVE_LOOKUP,
	SNP_LIVE_BEGIN,
	SNP_LIVE_TARGET,
	SNP_LIVE_SOURCE,
	SNP_LIVE_MOVE,
	SNP_LIVE_SHARE,
	SNP_LIVE_RECLAIM_TARGET,
	SNP_LIVE_RECLAIM_SOURCE,
	SNP_LIVE_NR_STEPS,
};

/*
 * Every so many times such a step fails, in this order.  If the source cannot be
 * reclaimed, which is only tried after SNP_PAGE_MOVE has failed, that is the end
 * of the VM.
 */
static unsigned int gmem_model_fail[SNP_LIVE_NR_STEPS];
module_param_array(gmem_model_fail, uint, NULL, 0644);

/* By step: how often it was done since that was last changed, and has failed. */
static unsigned int snp_live_every[SNP_LIVE_NR_STEPS];
static unsigned int snp_live_calls[SNP_LIVE_NR_STEPS];
static u32 snp_live_refused[SNP_LIVE_NR_STEPS];

/* What a command takes at least, in microseconds: others find the mailbox in use. */
static unsigned int gmem_model_latency = 10;
module_param(gmem_model_latency, uint, 0444);

static bool snp_model_vm(struct kvm *kvm)
{
	return snp_model_live &&
	       kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM &&
	       to_kvm_sev_info(kvm)->snp_context;
}

bool snp_model_governs(struct kvm *kvm)
{
	return snp_model_vm(kvm);
}

bool snp_model_is_live(void)
{
	return snp_model_live;
}

/*
 * Which step @op on the page of @e is. None if guest_memfd frees the page, which
 * is always validated then.
 */
static int snp_live_step(enum snp_model_op op, const struct snp_model_rmp *e)
{
	if (op == SNP_MODEL_BEGIN)
		return SNP_LIVE_BEGIN;
	if (!e)
		return -1;

	switch (op) {
	case SNP_MODEL_LOOKUP:
		/* The undo has a look, too. */
		return e->immutable ? -1 : SNP_LIVE_LOOKUP;
	case SNP_MODEL_MAKE_PRIVATE:
		return e->assigned ? SNP_LIVE_SOURCE : SNP_LIVE_TARGET;
	case SNP_MODEL_PAGE_MOVE:
		return SNP_LIVE_MOVE;
	case SNP_MODEL_MAKE_SHARED:
		return e->validated ? -1 : SNP_LIVE_SHARE;
	case SNP_MODEL_PAGE_RECLAIM:
		return e->validated ? SNP_LIVE_RECLAIM_SOURCE :
				      SNP_LIVE_RECLAIM_TARGET;
	default:
		return -1;
	}
}

/*
 * What adjust_direct_map() does before RMPUPDATE, for real: the locks, the page
 * table and the flush of all TLBs that it takes are where they would be.
 */
int snp_model_adjust_direct_map(struct snp_model *m, u64 pfn)
{
	return m == snp_model_live ? snp_split_direct_map(pfn, true) : 0;
}

/* Before each operation, with the lock of the model held. */
void snp_model_arm(struct snp_model *m, enum snp_model_op op,
		   const struct snp_model_rmp *e)
{
	struct snp_model_fault *f = &m->faults[op];
	unsigned int every;
	int step;

	if (m != snp_model_live)
		return;

	memset(f, 0, sizeof(*f));
	step = snp_live_step(op, e);
	if (step < 0)
		return;

	every = READ_ONCE(gmem_model_fail[step]);
	if (every != snp_live_every[step])
		snp_live_calls[step] = 0;
	snp_live_every[step] = every;
	*f = (struct snp_model_fault) {
		.count	= every && !(++snp_live_calls[step] % every),
		.ret	= -EFAULT,
	};
	snp_live_refused[step] += f->count;

	if (op == SNP_MODEL_BEGIN)
		f->ret = -EBUSY;
	if (op == SNP_MODEL_PAGE_MOVE || op == SNP_MODEL_PAGE_RECLAIM) {
		f->ret = -EIO;
		f->error = SEV_RET_RESOURCE_LIMIT;
	}
}

void snp_model_vm_init(struct kvm *kvm)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);
	struct snp_model_guest *guest;
	unsigned long gctx;

	if (!snp_model_live)
		return;

	/* Who tests is to know that this VM is an ordinary one. */
	gctx = get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!gctx) {
		pr_warn("no memory for the context of a guest\n");
		return;
	}

	guest = snp_model_add_guest(snp_model_live, PHYS_PFN(__pa(gctx)));
	if (!guest) {
		pr_warn("more than %u guests\n", SNP_MODEL_GUESTS);
		free_page(gctx);
		return;
	}

	sev->asid = guest->asid;
	sev->snp_context = (void *)gctx;
}

void snp_model_vm_destroy(struct kvm *kvm)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);

	if (!snp_model_vm(kvm))
		return;

	snp_model_del_guest(snp_model_live,
			    PHYS_PFN(__pa(sev->snp_context)));
	free_page((unsigned long)sev->snp_context);
	sev->snp_context = NULL;
}

/* What sev_gmem_make_private() does, and the guest then. */
int snp_model_make_page_private(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);
	struct snp_model_rmp *e = snp_model_rmp(snp_model_live, pfn);
	int ret;

	/*
	 * A vCPU may have waited for the folio while the VM was given up and the
	 * page leaked, in this order.
	 */
	if (e && READ_ONCE(e->leaked) && READ_ONCE(kvm->vm_bugged))
		return -EIO;

	/* Whoever owned it before has it still, or left something behind. */
	if (WARN_ON_ONCE(!e || e->leaked))
		return -EIO;

	if (READ_ONCE(e->assigned)) {
		/* The guest would fault on it for ever. */
		if (!snp_model_guest_access(snp_model_live, pfn, sev->asid,
					    gfn_to_gpa(gfn))) {
			guard(spinlock)(&snp_model_live->lock);
			snp_model_violation(snp_model_live, pfn,
					    "mapped, and the guest cannot use it");
		}
		return 0;
	}

	ret = snp_model_ops.make_private(pfn, gfn_to_gpa(gfn), PG_LEVEL_4K,
					 sev->asid, false);
	if (WARN_ON_ONCE(ret))
		return -EINVAL;

	return snp_model_pvalidate(snp_model_live, pfn, sev->asid,
				   gfn_to_gpa(gfn), true);
}

/* What sev_gmem_make_shared() does. */
void snp_model_make_pages_shared(kvm_pfn_t pfn, kvm_pfn_t nr_pages)
{
	kvm_pfn_t end = pfn + nr_pages;

	for (; pfn < end; pfn++) {
		struct snp_model_rmp *e = snp_model_rmp(snp_model_live, pfn);

		/* SEV-SNP would try, in vain, and warn if the page is leaked. */
		if (!e || !READ_ONCE(e->assigned) || e->leaked)
			continue;

		if (!WARN_ON_ONCE(snp_model_ops.make_shared(pfn, PG_LEVEL_4K)))
			snp_model_ops.flush(pfn);
	}
}

/* Pages that are a guest's, and not leaked: none when all of them are gone. */
static int snp_model_assigned_get(void *data, u64 *value)
{
	struct snp_model *m = data;
	u64 i;

	guard(spinlock)(&m->lock);

	*value = 0;
	for (i = 0; i < m->nr; i++)
		*value += m->rmp[i].assigned && m->rmp[i].asid &&
			  !m->rmp[i].leaked;

	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(snp_model_assigned_fops, snp_model_assigned_get, NULL,
			 "%llu\n");

/* Ranges of 2M that have such pages, for which the direct map has to be split. */
static int snp_model_ranges_get(void *data, u64 *value)
{
	struct snp_model *m = data;
	u64 i, last = U64_MAX;

	guard(spinlock)(&m->lock);

	*value = 0;
	for (i = 0; i < m->nr; i++) {
		if (!m->rmp[i].assigned || !m->rmp[i].asid)
			continue;
		if (last != i / PTRS_PER_PMD)
			++*value;
		last = i / PTRS_PER_PMD;
	}

	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(snp_model_ranges_fops, snp_model_ranges_get, NULL,
			 "%llu\n");

static struct debugfs_u32_array snp_live_refused_array = {
	.array		= snp_live_refused,
	.n_elements	= SNP_LIVE_NR_STEPS,
};

static void __init snp_model_debugfs(struct snp_model *m)
{
	struct dentry *dir = debugfs_create_dir("snp_model", NULL);

	debugfs_create_ulong("moved", 0444, dir, &m->nr_move);
	debugfs_create_ulong("split", 0444, dir, &m->nr_split);
	debugfs_create_ulong("split_by_targets", 0444, dir,
			     &m->nr_split_by_targets);
	debugfs_create_ulong("violations", 0444, dir, &m->nr_violations);
	debugfs_create_ulong("leaked", 0444, dir, &m->nr_leaked);
	debugfs_create_u32_array("refused", 0444, dir, &snp_live_refused_array);
	debugfs_create_file_unsafe("assigned", 0444, dir, m,
				   &snp_model_assigned_fops);
	debugfs_create_file_unsafe("ranges", 0444, dir, m,
				   &snp_model_ranges_fops);
}

static int __init snp_model_live_init(void)
{
	struct snp_model *m;

	if (!kvm_gmem_model_is("snp"))
		return 0;
	/* Its guests would be taken for the model's. */
	if (cc_platform_has(CC_ATTR_HOST_SEV_SNP)) {
		pr_err("not on a machine that has SEV-SNP itself\n");
		return -EBUSY;
	}

	m = vzalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	if (snp_model_init(m, 0, max_pfn)) {
		vfree(m);
		return -ENOMEM;
	}
	m->latency_us = gmem_model_latency;
	snp_model_live = m;
	snp_model_debugfs(m);

	pr_warn("**** software-protected VMs are subject to a model of SEV-SNP ****\n");
	pr_warn("**** this kernel is for tests only                            ****\n");
	add_taint(TAINT_TEST, LOCKDEP_STILL_OK);

	return 0;
}
fs_initcall(snp_model_live_init);
