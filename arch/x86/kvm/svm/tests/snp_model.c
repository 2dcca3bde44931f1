// SPDX-License-Identifier: GPL-2.0-only
/*
 * A model of the RMP and of the commands of the SEV-SNP firmware that migration
 * uses, for tests
 *
 * It refuses what hardware and firmware refuse, with their error codes, and
 * notes what they would not survive. It can be told to fail any operation. It
 * does not encrypt: a page that becomes the host's is overwritten instead.
 *
 * Each rule names where it is from:
 *
 * [ABI]   SEV Secure Nested Paging Firmware ABI Specification, AMD document
 *         56860, chapter 5 for the states of pages, chapter 8 for commands.
 * [APM2]  AMD64 Architecture Programmer's Manual, volume 2, AMD document 24593,
 *         section 15.36.
 * [APM3]  AMD64 Architecture Programmer's Manual, volume 3, AMD document 24594,
 *         the instruction that the function is named after.
 * [ASPFW] The firmware that AMD has published (AMD-ASPFW, 2023), directory
 *         fw/psp_bl_uapps/sev_uapp/src; file and function are given.
 */
#include <kunit/static_stub.h>
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "snp_model.h"

/* [APM3] RMPUPDATE and PSMASH. */
#define SNP_MODEL_FAIL_INPUT		1
#define SNP_MODEL_FAIL_PERMISSION	2
#define SNP_MODEL_FAIL_OVERLAP		4
#define SNP_MODEL_FAIL_BADADDR		5

/* VMPL0 may do everything, and the others nothing: [APM2] 15.36.7. */
#define SNP_MODEL_PERMS_DEFAULT		0x0f

/* [ABI] Only bits 51 to 12 of an address may be set. */
#define SNP_MODEL_PADDR_MASK		GENMASK_ULL(51, 12)

#define SNP_MODEL_PAGES_2M		PTRS_PER_PMD

/* The one that VMs are subject to, if any. */
struct snp_model *snp_model_live;

struct snp_model *snp_model_get(void)
{
	KUNIT_STATIC_STUB_REDIRECT(snp_model_get);

	return snp_model_live;
}

/* What the model is not asked to survive; a test that counts one has failed. */
void snp_model_violation(struct snp_model *m, u64 pfn, const char *what)
{
	m->nr_violations++;
	pr_err("snp_model: PFN 0x%llx: %s\n", pfn, what);
}

struct snp_model_rmp *snp_model_rmp(struct snp_model *m, u64 pfn)
{
	if (pfn < m->base || pfn - m->base >= m->nr)
		return NULL;

	return &m->rmp[pfn - m->base];
}

/* The entry that counts: [APM2] 15.36.5, one for 2M covers all within. */
static struct snp_model_rmp *snp_model_covering(struct snp_model *m, u64 pfn)
{
	struct snp_model_rmp *e;

	e = snp_model_rmp(m, ALIGN_DOWN(pfn, SNP_MODEL_PAGES_2M));
	if (e && e->assigned && e->size_2m)
		return e;

	return snp_model_rmp(m, pfn);
}

/* [ABI] chapter 5; [ASPFW] sev_rmp.c, rmp_entry_get_state(). */
enum snp_model_state snp_model_state(const struct snp_model_rmp *e)
{
	if (!e->assigned) {
		if (e->validated || e->asid)
			return SNP_MODEL_INVALID;
		return e->immutable ? SNP_MODEL_HV_FIXED : SNP_MODEL_HYPERVISOR;
	}

	if (e->asid) {
		if (e->immutable)
			return e->validated ? SNP_MODEL_PRE_SWAP :
					      SNP_MODEL_PRE_GUEST;
		return e->validated ? SNP_MODEL_GUEST_VALID :
				      SNP_MODEL_GUEST_INVALID;
	}

	if (e->validated)
		return SNP_MODEL_INVALID;
	if (!e->immutable)
		return SNP_MODEL_RECLAIM;
	/* The GPA is the address of the context of the guest that it is for. */
	if (e->gpa)
		return SNP_MODEL_METADATA;
	return e->vmsa ? SNP_MODEL_CONTEXT : SNP_MODEL_FIRMWARE;
}

/* Whether @op is to fail, on a page whose entry is @e. */
static bool snp_model_fails(struct snp_model *m, enum snp_model_op op,
			    const struct snp_model_rmp *e)
{
	struct snp_model_fault *f = &m->faults[op];

	snp_model_arm(m, op, e);
	if (f->fired >= f->count)
		return false;

	if (f->skip) {
		f->skip--;
		return false;
	}

	f->fired++;
	return true;
}

/* Instructions of the host */

/* [APM3] RMPREAD. */
static int snp_model_lookup(u64 pfn, struct snp_rmp_page *page)
{
	struct snp_model *m = snp_model_get();
	struct snp_model_rmp *e;

	if (!m)
		return -ENODEV;

	guard(spinlock)(&m->lock);

	e = snp_model_covering(m, pfn);
	if (snp_model_fails(m, SNP_MODEL_LOOKUP, e))
		return m->faults[SNP_MODEL_LOOKUP].ret;

	if (!e)
		return -EFAULT;

	page->assigned = e->assigned;
	page->immutable = e->immutable;
	page->level = e->size_2m ? PG_LEVEL_2M : PG_LEVEL_4K;
	page->asid = e->asid;
	page->gpa = e->gpa;

	return 0;
}

static unsigned long snp_model_range(struct snp_model *m, u64 pfn)
{
	return pfn / SNP_MODEL_PAGES_2M - m->base / SNP_MODEL_PAGES_2M;
}

/* Whether the range of the page was split for it; nothing joins it again. */
static bool snp_model_note_split(struct snp_model *m, u64 pfn)
{
	if (__test_and_set_bit(snp_model_range(m, pfn), m->split))
		return false;

	m->nr_split++;

	return true;
}

/* [APM3] A 4K page in a 2M one, or a 2M page with any 4K one in it. */
static bool snp_model_overlaps(struct snp_model *m, u64 pfn,
			       const struct snp_model_rmp *new)
{
	struct snp_model_rmp *covering = snp_model_covering(m, pfn);
	u64 i;

	if (!new->size_2m)
		return covering->assigned && covering->size_2m;

	for (i = 1; i < SNP_MODEL_PAGES_2M; i++) {
		struct snp_model_rmp *e = snp_model_rmp(m, pfn + i);

		if (!e || (e->assigned && !snp_model_rmp(m, pfn)->size_2m))
			return true;
	}

	return false;
}

static int __snp_model_rmpupdate(struct snp_model *m, u64 pfn,
				 const struct snp_model_rmp *new)
{
	struct snp_model_rmp *e = snp_model_rmp(m, pfn);
	u64 i;

	if (!e || (new->size_2m && !IS_ALIGNED(pfn, SNP_MODEL_PAGES_2M)))
		return SNP_MODEL_FAIL_INPUT;

	if (snp_model_overlaps(m, pfn, new))
		return SNP_MODEL_FAIL_OVERLAP;

	if (e->immutable)
		return SNP_MODEL_FAIL_PERMISSION;

	/* What the guest has accepted and permitted is kept for this page. */
	if (new->assigned && e->assigned && new->asid == e->asid &&
	    new->gpa == e->gpa && new->size_2m == e->size_2m) {
		e->immutable = new->immutable;
		return 0;
	}

	if (e->validated)
		m->nr_revoked++;
	e->stale |= e->assigned && !new->assigned;
	for (i = 1; (e->size_2m || new->size_2m) && i < SNP_MODEL_PAGES_2M; i++)
		snp_model_rmp(m, pfn + i)->assigned = new->size_2m &&
						      new->assigned;

	e->assigned = new->assigned;
	e->immutable = new->immutable;
	e->size_2m = new->size_2m && new->assigned;
	e->asid = new->asid;
	e->gpa = new->gpa;
	e->validated = false;
	e->vmsa = false;
	e->perms = new->assigned ? SNP_MODEL_PERMS_DEFAULT : 0;

	return 0;
}

static int snp_model_rmpupdate(enum snp_model_op op, u64 pfn,
			       const struct snp_model_rmp *new)
{
	struct snp_model *m = snp_model_get();
	struct snp_model_rmp *e;
	int ret;

	if (!new->size_2m && snp_model_adjust_direct_map(m, pfn))
		return -EFAULT;

	guard(spinlock)(&m->lock);

	e = snp_model_rmp(m, pfn);
	if (e && e->leaked)
		snp_model_violation(m, pfn, "a leaked page is used again");

	/* What is written back later would be the former guest's. */
	if (e && e->stale && new->assigned)
		snp_model_violation(m, pfn, "not flushed since it was a guest's");

	if (e && !new->size_2m && snp_model_note_split(m, pfn) &&
	    mutex_is_locked(&m->mailbox) && new->immutable)
		snp_model_violation(m, pfn, "RMPUPDATE has to split the direct map");

	/* A page that guest_memfd allocates is none that moves. */
	if ((new->immutable || !new->assigned) && snp_model_fails(m, op, e))
		return m->faults[op].ret;

	ret = __snp_model_rmpupdate(m, pfn, new);
	/* rmpupdate() tries again, for others may be updating a neighbour. */
	if (ret == SNP_MODEL_FAIL_OVERLAP)
		snp_model_violation(m, pfn, "RMPUPDATE never ends: overlap");

	return ret ? -EFAULT : 0;
}

static int snp_model_make_private(u64 pfn, u64 gpa, enum pg_level level,
				  u32 asid, bool immutable)
{
	struct snp_model_rmp new = {
		.assigned	= true,
		.immutable	= immutable,
		.asid		= asid,
		.gpa		= gpa,
		.size_2m	= level == PG_LEVEL_2M,
	};

	return snp_model_rmpupdate(SNP_MODEL_MAKE_PRIVATE, pfn, &new);
}

static int snp_model_make_shared(u64 pfn, enum pg_level level)
{
	struct snp_model_rmp new = {
		.size_2m	= level == PG_LEVEL_2M,
	};

	return snp_model_rmpupdate(SNP_MODEL_MAKE_SHARED, pfn, &new);
}

/* [APM3] Each 4K page gets its part of the GPA, and all else from the 2M page. */
static int snp_model_psmash(u64 pfn)
{
	struct snp_model *m = snp_model_get();
	struct snp_model_rmp *e, *sub;
	int ret = 0;
	u64 i;

	guard(spinlock)(&m->lock);

	e = snp_model_rmp(m, pfn);
	if (snp_model_fails(m, SNP_MODEL_PSMASH, e)) {
		ret = m->faults[SNP_MODEL_PSMASH].ret;
		if (!m->faults[SNP_MODEL_PSMASH].half)
			return ret;
	}

	if (!e || !IS_ALIGNED(pfn, SNP_MODEL_PAGES_2M))
		return SNP_MODEL_FAIL_INPUT;
	if (!e->assigned || !e->size_2m)
		return SNP_MODEL_FAIL_BADADDR;
	if (e->immutable)
		return SNP_MODEL_FAIL_PERMISSION;

	e->size_2m = false;
	for (i = 1; i < SNP_MODEL_PAGES_2M; i++) {
		sub = snp_model_rmp(m, pfn + i);
		*sub = *e;
		sub->gpa += i << PAGE_SHIFT;
	}

	return ret;
}

static int snp_model_split(u64 pfn, bool split)
{
	struct snp_model *m = snp_model_get();
	struct snp_model_rmp *e;
	int ret;

	scoped_guard(spinlock, &m->lock) {
		e = snp_model_rmp(m, pfn);
		if (!e || test_bit(snp_model_range(m, pfn), m->split))
			return 0;
		if (!split)
			return -EBUSY;
		if (snp_model_fails(m, SNP_MODEL_SPLIT, e))
			return m->faults[SNP_MODEL_SPLIT].ret;
	}

	ret = snp_model_adjust_direct_map(m, pfn);
	if (ret)
		return ret;

	guard(spinlock)(&m->lock);

	if (snp_model_note_split(m, pfn))
		m->nr_split_by_targets += !e->assigned;

	return 0;
}

static void snp_model_flush(u64 pfn)
{
	struct snp_model *m = snp_model_get();
	struct snp_model_rmp *e;

	guard(spinlock)(&m->lock);

	e = snp_model_rmp(m, pfn);
	/* As long as it is the guest's, it can be cached again at once. */
	if (!e->assigned)
		e->stale = false;
}

static void snp_model_leak(u64 pfn)
{
	struct snp_model *m = snp_model_get();

	guard(spinlock)(&m->lock);

	get_page(pfn_to_page(pfn));
	snp_model_rmp(m, pfn)->leaked = true;
	m->nr_leaked++;
}

/* The mailbox and the firmware */

static int snp_model_begin(void)
{
	struct snp_model *m = snp_model_get();
	int ret = 0;

	if (!mutex_trylock(&m->mailbox))
		return -EBUSY;

	scoped_guard(spinlock, &m->lock) {
		if (m->dead)
			ret = -ENODEV;
		else if (snp_model_fails(m, SNP_MODEL_BEGIN, NULL))
			ret = m->faults[SNP_MODEL_BEGIN].ret;
	}

	if (ret)
		mutex_unlock(&m->mailbox);

	return ret;
}

static void snp_model_end(void)
{
	mutex_unlock(&snp_model_get()->mailbox);
}

static void snp_model_wait(struct snp_model *m)
{
	lockdep_assert_held(&m->mailbox);
	might_sleep();

	if (m->latency_us)
		usleep_range(m->latency_us, 2 * m->latency_us);
}

static struct snp_model_guest *snp_model_guest(struct snp_model *m, u64 gctx_pfn)
{
	int i;

	for (i = 0; i < SNP_MODEL_GUESTS; i++) {
		if (m->guests[i].asid && m->guests[i].gctx_pfn == gctx_pfn)
			return &m->guests[i];
	}

	return NULL;
}

/* Checks of SNP_PAGE_MOVE, in the firmware's order. */
static int snp_model_check_move(struct snp_model *m,
				struct sev_data_snp_page_move *data)
{
	struct snp_model_rmp *gctx, *src, *dst;
	enum snp_model_state src_state;
	struct snp_model_guest *g;

	/* [ASPFW] sev_mcmd.c, snp_mcmd_page_move(), up to the policy. */
	if (((data->gctx_paddr | data->src_paddr | data->dst_paddr) &
	     ~SNP_MODEL_PADDR_MASK) || data->rsvd || data->rsvd2)
		return SEV_RET_INVALID_PARAM;

	if (m->uninitialized)
		return SEV_RET_INVALID_PLATFORM_STATE;

	gctx = snp_model_rmp(m, PHYS_PFN(data->gctx_paddr));
	src = snp_model_rmp(m, PHYS_PFN(data->src_paddr));
	dst = snp_model_rmp(m, PHYS_PFN(data->dst_paddr));

	if (!gctx || snp_model_state(gctx) != SNP_MODEL_CONTEXT)
		return SEV_RET_INVALID_GUEST;

	if ((src && src->size_2m != data->page_size) ||
	    (dst && dst->size_2m != data->page_size))
		return SEV_RET_INVALID_PAGE_SIZE;

	g = snp_model_guest(m, PHYS_PFN(data->gctx_paddr));
	if (!g)
		return SEV_RET_INVALID_GUEST;
	if (g->state != SNP_MODEL_GUEST_LAUNCH &&
	    g->state != SNP_MODEL_GUEST_RUNNING)
		return SEV_RET_INVALID_GUEST_STATE;
	if (!g->active)
		return SEV_RET_INACTIVE;

	/* [ABI] 1.58, guest policy. Where in the order is not published. */
	if (g->policy & SNP_POLICY_MASK_PAGE_SWAP_DISABLE)
		return SEV_RET_POLICY_FAILURE;

	/* Pages beyond the RMP have a state of their own, which is none of these. */
	if (!src || !dst)
		return SEV_RET_INVALID_PAGE_STATE;

	/* The metadata pages that the command can move as well are not modelled. */
	src_state = snp_model_state(src);
	if ((src_state != SNP_MODEL_PRE_SWAP &&
	     src_state != SNP_MODEL_PRE_GUEST) ||
	    snp_model_state(dst) != SNP_MODEL_PRE_GUEST)
		return SEV_RET_INVALID_PAGE_STATE;

	if (src->asid != g->asid || dst->asid != g->asid)
		return SEV_RET_INVALID_PAGE_OWNER;

	/* 2M is not modelled: the backend moves none. */
	return data->page_size ? SEV_RET_UNSUPPORTED : SEV_RET_SUCCESS;
}

/* [ABI] SNP_PAGE_MOVE; [ASPFW] sev_mcmd.c, snp_mcmd_page_move(). */
static void snp_model_do_move(struct snp_model *m, u64 src_pfn, u64 dst_pfn,
			      bool half)
{
	struct snp_model_rmp *src = snp_model_rmp(m, src_pfn);
	struct snp_model_rmp *dst = snp_model_rmp(m, dst_pfn);
	struct snp_model_rmp old = *src;

	if (src_pfn != dst_pfn) {
		memcpy(pfn_to_kaddr(dst_pfn), pfn_to_kaddr(src_pfn), PAGE_SIZE);
		memset(pfn_to_kaddr(src_pfn), SNP_MODEL_CIPHERTEXT, PAGE_SIZE);
	}

	/* It writes the source's entry first. */
	src->validated = false;
	src->immutable = false;
	if (half)
		return;

	dst->gpa = old.gpa;
	dst->vmsa = old.vmsa;
	dst->perms = old.perms;
	dst->validated = old.validated;
	dst->immutable = false;
	m->nr_move++;
}

/* 0, or what the driver returns for a command that is to fail. */
static int snp_model_command(struct snp_model *m, enum snp_model_op op,
			     u64 paddr, int *error)
{
	struct snp_model_fault *f = &m->faults[op];

	*error = 0;
	if (m->dead)
		return -EBUSY;

	if (!snp_model_fails(m, op, snp_model_rmp(m, PHYS_PFN(paddr))))
		return 0;

	if (f->ret == -ETIMEDOUT)
		m->dead = true;
	*error = f->error;
	return f->ret;
}

static int snp_model_page_move(struct sev_data_snp_page_move *data, int *error)
{
	struct snp_model *m = snp_model_get();
	u64 src = PHYS_PFN(data->src_paddr);
	u64 dst = PHYS_PFN(data->dst_paddr);
	int ret;

	snp_model_wait(m);

	guard(spinlock)(&m->lock);

	ret = snp_model_command(m, SNP_MODEL_PAGE_MOVE, data->src_paddr, error);
	if (ret) {
		if (m->faults[SNP_MODEL_PAGE_MOVE].half &&
		    !snp_model_check_move(m, data))
			snp_model_do_move(m, src, dst, true);
		return ret;
	}

	*error = snp_model_check_move(m, data);
	if (*error)
		return -EIO;

	snp_model_do_move(m, src, dst, false);
	return 0;
}

/* [ABI] SNP_PAGE_RECLAIM; [ASPFW] sev_mcmd.c, snp_mcmd_page_reclaim(). */
static int snp_model_do_reclaim(struct snp_model *m, u64 paddr)
{
	bool size_2m = paddr & 1;
	struct snp_model_rmp *e;

	paddr &= ~1ULL;
	if (paddr & ~SNP_MODEL_PADDR_MASK)
		return SEV_RET_INVALID_PARAM;

	if (m->uninitialized)
		return SEV_RET_INVALID_PLATFORM_STATE;

	e = snp_model_rmp(m, PHYS_PFN(paddr));
	if (!e)
		return SEV_RET_INVALID_ADDRESS;
	if (e->size_2m != size_2m)
		return SEV_RET_INVALID_PAGE_SIZE;
	if (size_2m && !IS_ALIGNED(paddr, PMD_SIZE))
		return SEV_RET_INVALID_ADDRESS;

	/* Nothing to do is no error. */
	if (!e->immutable)
		return SEV_RET_SUCCESS;

	switch (snp_model_state(e)) {
	case SNP_MODEL_METADATA:
	case SNP_MODEL_FIRMWARE:
	case SNP_MODEL_PRE_GUEST:
	case SNP_MODEL_PRE_SWAP:
		e->immutable = false;
		return SEV_RET_SUCCESS;
	default:
		return SEV_RET_INVALID_PAGE_STATE;
	}
}

static int snp_model_page_reclaim(struct sev_data_snp_page_reclaim *data,
				  int *error)
{
	struct snp_model *m = snp_model_get();
	int ret;

	snp_model_wait(m);

	guard(spinlock)(&m->lock);

	ret = snp_model_command(m, SNP_MODEL_PAGE_RECLAIM, data->paddr, error);
	if (ret)
		return ret;

	*error = snp_model_do_reclaim(m, data->paddr);
	return *error ? -EIO : 0;
}

const struct snp_page_ops snp_model_ops = {
	.lookup		= snp_model_lookup,
	.make_private	= snp_model_make_private,
	.make_shared	= snp_model_make_shared,
	.psmash		= snp_model_psmash,
	.split_direct_map = snp_model_split,
	.begin		= snp_model_begin,
	.end		= snp_model_end,
	.page_move	= snp_model_page_move,
	.page_reclaim	= snp_model_page_reclaim,
	.flush		= snp_model_flush,
	.leak		= snp_model_leak,
};

/* The guest */

/*
 * [APM3] PVALIDATE, which validates a page or rescinds that. What the RMP does
 * not have as a mutable page of the guest at that GPA is a nested page fault.
 */
int snp_model_pvalidate(struct snp_model *m, u64 pfn, u32 asid, u64 gpa,
			bool validate)
{
	struct snp_model_rmp *e;

	guard(spinlock)(&m->lock);

	e = snp_model_rmp(m, pfn);
	if (!e || !e->assigned || e->immutable || e->asid != asid ||
	    e->gpa != gpa || e->size_2m)
		return -EFAULT;

	e->validated = validate;
	return 0;
}

/* [APM2] 15.36.10: what an access to private memory by VMPL0 needs. */
bool snp_model_guest_access(struct snp_model *m, u64 pfn, u32 asid, u64 gpa)
{
	struct snp_model_rmp *e;

	guard(spinlock)(&m->lock);

	e = snp_model_covering(m, pfn);
	if (e && e->size_2m)
		gpa -= (pfn % SNP_MODEL_PAGES_2M) << PAGE_SHIFT;
	return e && e->assigned && e->validated && e->asid == asid &&
	       e->gpa == gpa;
}

/* Setting up, and looking after it */

/* [ABI] SNP_GCTX_CREATE, and what follows until the guest runs. */
struct snp_model_guest *snp_model_add_guest(struct snp_model *m, u64 gctx_pfn)
{
	struct snp_model_rmp *e = snp_model_rmp(m, gctx_pfn);
	int i;

	guard(spinlock)(&m->lock);

	if (!e || snp_model_state(e) != SNP_MODEL_HYPERVISOR)
		return NULL;

	for (i = 0; i < SNP_MODEL_GUESTS; i++) {
		struct snp_model_guest *g = &m->guests[i];

		if (g->asid)
			continue;

		e->assigned = true;
		e->immutable = true;
		e->vmsa = true;
		*g = (struct snp_model_guest) {
			.gctx_pfn	= gctx_pfn,
			.asid		= ++m->next_asid,
			.policy		= SNP_POLICY_MASK_RSVD_MBO,
			.state		= SNP_MODEL_GUEST_RUNNING,
			.active		= true,
		};
		return g;
	}

	return NULL;
}

/* [ABI] SNP_DECOMMISSION, and SNP_PAGE_RECLAIM of the context. */
void snp_model_del_guest(struct snp_model *m, u64 gctx_pfn)
{
	struct snp_model_guest *g;

	guard(spinlock)(&m->lock);

	g = snp_model_guest(m, gctx_pfn);
	if (g)
		g->asid = 0;
	memset(snp_model_rmp(m, gctx_pfn), 0, sizeof(*m->rmp));
}

int snp_model_init(struct snp_model *m, u64 base, u64 nr)
{
	memset(m, 0, sizeof(*m));
	spin_lock_init(&m->lock);
	mutex_init(&m->mailbox);
	m->base = base;
	m->nr = nr;
	m->rmp = vzalloc(array_size(nr, sizeof(*m->rmp)));
	m->split = bitmap_zalloc(nr / SNP_MODEL_PAGES_2M + 2, GFP_KERNEL);
	if (!m->rmp || !m->split) {
		snp_model_destroy(m);
		return -ENOMEM;
	}

	return 0;
}

void snp_model_destroy(struct snp_model *m)
{
	vfree(m->rmp);
	bitmap_free(m->split);
}

/**
 * snp_model_check() - Look for what must never be between two operations.
 * @m: The model, with nothing under way.
 *
 * Return: NULL, or what is wrong.
 */
const char *snp_model_check(struct snp_model *m)
{
	const char *wrong = NULL;
	struct xarray owned;
	u64 i;

	xa_init(&owned);

	for (i = 0; i < m->nr && !wrong; i++) {
		struct snp_model_rmp *e = &m->rmp[i];
		unsigned long key = (e->gpa >> PAGE_SHIFT) << 16 | e->asid;

		switch (snp_model_state(e)) {
		case SNP_MODEL_HYPERVISOR:
			if (e->stale && !e->leaked)
				wrong = "given back without a flush";
			break;
		case SNP_MODEL_GUEST_VALID:
			if (xa_insert(&owned, key, xa_mk_value(1), GFP_KERNEL))
				wrong = "two pages at one GPA of a guest";
			break;
		case SNP_MODEL_PRE_GUEST:
		case SNP_MODEL_PRE_SWAP:
			if (!e->leaked)
				wrong = "immutable for ever";
			break;
		case SNP_MODEL_INVALID:
			wrong = "no such state";
			break;
		default:
			break;
		}
	}

	if (!wrong && mutex_is_locked(&m->mailbox))
		wrong = "the mailbox was not given back";
	if (!wrong && m->nr_violations)
		wrong = "see above";

	xa_destroy(&owned);
	return wrong;
}
