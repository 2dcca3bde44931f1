// SPDX-License-Identifier: GPL-2.0
/*
 * A software model of the TDX module; see tdx_model.h for the sources of its
 * rules.
 *
 * Not for concurrent use.  vCPUs that are in the guest get to do something with
 * every SEAMCALL, which makes up for it.
 */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/mm.h>

#include "tdx_model.h"

#define TDX_MODEL_WORDS		(PAGE_SIZE / sizeof(u64))

static struct tdx_model *tdx_model;

static u64 tdx_model_err(u64 status, u64 operand)
{
	return status | operand;
}

/* Pages and what is in them */

kvm_pfn_t tdx_model_pfn(struct tdx_model_page *page)
{
	return page_to_pfn(page->page);
}

struct tdx_model_page *tdx_model_find_page(struct tdx_model *model,
					   kvm_pfn_t pfn)
{
	int i;

	for (i = 0; i < TDX_MODEL_PAGES; i++) {
		if (tdx_model_pfn(&model->pages[i]) == pfn)
			return &model->pages[i];
	}

	return NULL;
}

static u16 tdx_model_hkid(struct tdx_model_td *td)
{
	return td->kvm_tdx->hkid;
}

/* As memory encryption does it: the same content differs in each page frame. */
static u64 tdx_model_key(u16 hkid, struct tdx_model_page *page, unsigned int i)
{
	return hash_64(((u64)hkid << 48) ^ (tdx_model_pfn(page) << 12) ^ i, 64);
}

static void tdx_model_fill(struct tdx_model_page *page, u16 hkid, u64 content)
{
	u64 *words = page_address(page->page);
	unsigned int i;

	for (i = 0; i < TDX_MODEL_WORDS; i++)
		words[i] = (content + i) ^ tdx_model_key(hkid, page, i);
}

static bool tdx_model_filled(struct tdx_model_page *page, u16 hkid, u64 content)
{
	u64 *words = page_address(page->page);
	unsigned int i;

	for (i = 0; i < TDX_MODEL_WORDS; i++) {
		if ((words[i] ^ tdx_model_key(hkid, page, i)) != content + i)
			return false;
	}

	return true;
}

/* Every store under a private HKID leaves its mark. */
static void tdx_model_store(struct tdx_model_td *td,
			    struct tdx_model_page *page, u64 content)
{
	tdx_model_fill(page, tdx_model_hkid(td), content);
	page->lines = tdx_model_hkid(td);
	page->private = true;
}

static void tdx_model_copy(struct tdx_model_td *td, struct tdx_model_page *dst,
			   struct tdx_model_page *src)
{
	u64 *from = page_address(src->page), *to = page_address(dst->page);
	u16 hkid = tdx_model_hkid(td);
	unsigned int i;

	for (i = 0; i < TDX_MODEL_WORDS; i++)
		to[i] = from[i] ^ tdx_model_key(hkid, src, i) ^
			tdx_model_key(hkid, dst, i);
	dst->lines = hkid;
	dst->private = true;
}

void tdx_model_host_write(struct tdx_model_page *page, u64 content)
{
	u64 *words = page_address(page->page);
	unsigned int i;

	if (!tdx_model_host_may_use(page))
		tdx_model->violation = "the host wrote to a page of a TD";

	for (i = 0; i < TDX_MODEL_WORDS; i++)
		words[i] = content + i;
}

/* vCPUs */

static bool tdx_model_kept_out(struct tdx_model_td *td)
{
	return READ_ONCE(td->kvm_tdx->wait_for_sept_zap);
}

/*
 * [EPOCH] A vCPU that enters in another epoch than before flushes its TLB, and
 * is counted as running in this one.
 */
bool tdx_model_enter(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu)
{
	/* [OPSTATE] Not before TDH.MR.FINALIZE. */
	if (!td->runnable || vcpu->in_guest || tdx_model_kept_out(td))
		return false;

	if (vcpu->epoch != td->epoch) {
		memset(vcpu->tlb, 0, sizeof(vcpu->tlb));
		vcpu->epoch = td->epoch;
	}
	td->refs[td->epoch & 1]++;
	vcpu->in_guest = true;

	return true;
}

void tdx_model_leave(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu)
{
	if (!vcpu->in_guest)
		return;

	td->refs[vcpu->epoch & 1]--;
	vcpu->in_guest = false;
}

static void tdx_model_leave_all(struct tdx_model_td *td)
{
	int i;

	for (i = 0; i < TDX_MODEL_VCPUS; i++)
		tdx_model_leave(td, &td->vcpus[i]);
}

static bool tdx_model_any_in_guest(struct tdx_model_td *td)
{
	int i;

	for (i = 0; i < TDX_MODEL_VCPUS; i++) {
		if (td->vcpus[i].in_guest)
			return true;
	}

	return false;
}

/*
 * A translation in the TLB is used whatever has become of the S-EPT entry.
 * False if the vCPU has to exit with an EPT violation.
 */
bool tdx_model_write(struct tdx_model_td *td, struct tdx_model_vcpu *vcpu,
		     unsigned int index)
{
	if (!vcpu->in_guest)
		return false;

	if (!vcpu->tlb[index]) {
		if (td->sept[index].state != TDX_SEPT_PRESENT) {
			tdx_model_leave(td, vcpu);
			return false;
		}
		vcpu->tlb[index] = td->sept[index].page;
	}

	if (vcpu->tlb[index]->owner != td)
		td->model->violation = "a TD wrote to a page that is not its own";

	td->content[index] = ((u64)(td->kvm_tdx->hkid) << 32) + ++td->writes;
	tdx_model_store(td, vcpu->tlb[index], td->content[index]);

	return true;
}

/* The vCPUs that are in the guest do not wait for a SEAMCALL to return. */
static void tdx_model_run(struct tdx_model_td *td)
{
	int i;

	for (i = 0; i < TDX_MODEL_VCPUS; i++) {
		if (td->vcpus[i].in_guest)
			tdx_model_write(td, &td->vcpus[i],
					td->accesses++ % TDX_MODEL_GFNS);
	}
}

/* What all leaf functions begin with */

static struct tdx_model_td *tdx_model_find_td(struct tdx_td *tdx_td)
{
	int i;

	for (i = 0; i < TDX_MODEL_TDS; i++) {
		struct tdx_model_td *td = &tdx_model->tds[i];

		if (td->kvm_tdx && &td->kvm_tdx->td == tdx_td)
			return td;
	}

	return NULL;
}

static u64 tdx_model_call(enum tdx_model_leaf leaf)
{
	struct tdx_model_failure *f = &tdx_model->failures[leaf];

	tdx_model->calls[leaf]++;

	if (!f->nr)
		return TDX_SUCCESS;
	if (f->skip) {
		f->skip--;
		return TDX_SUCCESS;
	}
	f->nr--;

	return f->err;
}

/*
 * KVM keeps vCPUs out of the guest while it repeats what was busy, i.e. has
 * kicked them.
 */
static u64 tdx_model_begin(struct tdx_model_td *td, enum tdx_model_leaf leaf,
			   u64 busy_operand)
{
	u64 err;

	if (tdx_model_kept_out(td))
		tdx_model_leave_all(td);
	tdx_model_run(td);

	err = tdx_model_call(leaf);
	if (err)
		return err;

	if (td->contended && tdx_model_any_in_guest(td))
		return tdx_model_err(TDX_OPERAND_BUSY, busy_operand);

	return TDX_SUCCESS;
}

/* The S-EPT entry of @gpa, with what there is to say about it on errors. */
static u64 tdx_model_walk(struct tdx_model_td *td, u64 gpa,
			  enum pg_level level, struct tdx_model_sept **sept)
{
	gfn_t index = gpa_to_gfn(gpa) - TDX_MODEL_BASE_GFN;

	*sept = NULL;
	if (level != PG_LEVEL_4K || !PAGE_ALIGNED(gpa))
		return tdx_model_err(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
	if (index >= TDX_MODEL_GFNS)
		return tdx_model_err(TDX_EPT_WALK_FAILED, TDX_OPERAND_ID_RCX);

	*sept = &td->sept[index];
	return TDX_SUCCESS;
}

static u64 tdx_model_begin_gpa(struct tdx_model_td *td,
			       enum tdx_model_leaf leaf, u64 gpa,
			       enum pg_level level,
			       struct tdx_model_sept **sept)
{
	u64 err = tdx_model_begin(td, leaf, TDX_OPERAND_ID_SEPT);

	return err ?: tdx_model_walk(td, gpa, level, sept);
}

static u64 tdx_model_sept_err(u64 status, struct tdx_model_sept *sept,
			      u64 *ext_err1, u64 *ext_err2)
{
	if (sept) {
		*ext_err1 = sept->page ? PFN_PHYS(tdx_model_pfn(sept->page)) : 0;
		*ext_err2 = (u64)sept->state << TDX_SEPT_STATE_SHIFT;
	}

	return tdx_model_err(status, TDX_OPERAND_ID_RCX);
}

static bool tdx_model_is_blocked(struct tdx_model_sept *sept)
{
	return sept->state == TDX_SEPT_BLOCKED ||
	       sept->state == TDX_SEPT_PENDING_BLOCKED;
}

static bool tdx_model_is_pending(struct tdx_model_sept *sept)
{
	return sept->state == TDX_SEPT_PENDING ||
	       sept->state == TDX_SEPT_PENDING_BLOCKED;
}

static void tdx_model_unblock_entry(struct tdx_model_sept *sept)
{
	sept->state = tdx_model_is_pending(sept) ? TDX_SEPT_PENDING :
						   TDX_SEPT_PRESENT;
}

/*
 * [EPOCH] Tracking is done if no vCPU can be running that has entered before
 * the entry was blocked: two epochs later, or one with none in the former.
 * [OPSTATE] Before TDH.MR.FINALIZE there is nothing to track.
 */
static bool tdx_model_is_tracked(struct tdx_model_td *td,
				 struct tdx_model_page *page)
{
	if (!td->runnable)
		return true;
	if (page->bepoch + 1 == td->epoch)
		return !td->refs[page->bepoch & 1];

	return page->bepoch + 1 < td->epoch;
}

/* [PAMT] A page that is to be a TD's is in a TDMR, and nobody's. */
static u64 tdx_model_take(kvm_pfn_t pfn, u64 operand,
			  struct tdx_model_page **page)
{
	*page = tdx_model_find_page(tdx_model, pfn);
	if (!*page)
		return tdx_model_err(TDX_OPERAND_ADDR_RANGE_ERROR, operand);
	if ((*page)->pt != TDX_MODEL_PT_NDA)
		return tdx_model_err(TDX_PAGE_METADATA_INCORRECT, operand);

	return TDX_SUCCESS;
}

static void tdx_model_assign(struct tdx_model_td *td,
			     struct tdx_model_page *page)
{
	page->pt = TDX_MODEL_PT_REG;
	page->owner = td;
	page->bepoch = 0;
}

/* TDH.MEM.RANGE.BLOCK */
static u64 tdx_model_range_block(struct tdx_td *tdx_td, u64 gpa,
				 enum pg_level level, u64 *ext_err1,
				 u64 *ext_err2)
{
	struct tdx_model_td *td = tdx_model_find_td(tdx_td);
	struct tdx_model_sept *sept;
	u64 err;

	*ext_err1 = *ext_err2 = 0;
	err = tdx_model_begin_gpa(td, TDX_MODEL_BLOCK, gpa, level, &sept);
	if (err)
		return err;

	/* [BLOCK] Blocked twice has a status of its own. */
	if (tdx_model_is_blocked(sept))
		return tdx_model_sept_err(TDX_GPA_RANGE_ALREADY_BLOCKED, sept,
					  ext_err1, ext_err2);
	/* [SEPT] What is mapped or pending can be blocked. */
	if (sept->state == TDX_SEPT_FREE)
		return tdx_model_sept_err(TDX_EPT_ENTRY_STATE_INCORRECT, sept,
					  ext_err1, ext_err2);

	/* [BLOCK] The epoch is sampled after the entry has changed. */
	sept->state = sept->state == TDX_SEPT_PENDING ?
		      TDX_SEPT_PENDING_BLOCKED : TDX_SEPT_BLOCKED;
	sept->page->bepoch = td->epoch;

	return TDX_SUCCESS;
}

/* TDH.MEM.TRACK */
static u64 tdx_model_mem_track(struct tdx_td *tdx_td)
{
	struct tdx_model_td *td = tdx_model_find_td(tdx_td);
	u64 err;

	err = tdx_model_begin(td, TDX_MODEL_TRACK, TDX_OPERAND_ID_TD_EPOCH);
	if (err)
		return err;

	/* [TRACK] There are two counters: the former epoch has to be over. */
	if (td->refs[(td->epoch & 1) ^ 1])
		return TDX_PREVIOUS_TLB_EPOCH_BUSY;
	td->epoch++;

	return TDX_SUCCESS;
}

/* TDH.MEM.RANGE.UNBLOCK */
static u64 tdx_model_range_unblock(struct tdx_td *tdx_td, u64 gpa,
				   enum pg_level level, u64 *ext_err1,
				   u64 *ext_err2)
{
	struct tdx_model_td *td = tdx_model_find_td(tdx_td);
	struct tdx_model_sept *sept;
	u64 err;

	*ext_err1 = *ext_err2 = 0;
	err = tdx_model_begin_gpa(td, TDX_MODEL_UNBLOCK, gpa, level, &sept);
	if (err)
		return err;

	/* [SEPT] Only what is blocked can be unblocked. */
	if (!tdx_model_is_blocked(sept))
		return tdx_model_sept_err(TDX_EPT_ENTRY_STATE_INCORRECT, sept,
					  ext_err1, ext_err2);
	/* [UNBLOCK] And only once it is tracked. */
	if (!tdx_model_is_tracked(td, sept->page))
		return tdx_model_err(TDX_TLB_TRACKING_NOT_DONE,
				     TDX_OPERAND_ID_RCX);

	tdx_model_unblock_entry(sept);

	return TDX_SUCCESS;
}

/* TDH.MEM.PAGE.RELOCATE */
static u64 tdx_model_page_relocate(struct tdx_td *tdx_td, u64 gpa,
				   kvm_pfn_t pfn, u64 *ext_err1, u64 *ext_err2)
{
	struct tdx_model_td *td = tdx_model_find_td(tdx_td);
	struct tdx_model_page *src, *dst;
	struct tdx_model_sept *sept;
	u64 err;

	*ext_err1 = *ext_err2 = 0;
	err = tdx_model_begin_gpa(td, TDX_MODEL_RELOCATE, gpa, PG_LEVEL_4K,
				  &sept);
	if (err)
		return err;

	/* [SEPT] Allowed for every leaf. */
	if (sept->state == TDX_SEPT_FREE)
		return tdx_model_sept_err(TDX_EPT_ENTRY_STATE_INCORRECT, sept,
					  ext_err1, ext_err2);
	src = sept->page;
	if (tdx_model_pfn(src) == pfn)
		return tdx_model_err(TDX_OPERAND_INVALID, TDX_OPERAND_ID_R8);

	/* [RELOCATE] But of a TD that may run it must be blocked and tracked. */
	if (td->runnable && !tdx_model_is_blocked(sept))
		return tdx_model_sept_err(TDX_GPA_RANGE_NOT_BLOCKED, sept,
					  ext_err1, ext_err2);
	if (!tdx_model_is_tracked(td, src))
		return tdx_model_err(TDX_TLB_TRACKING_NOT_DONE,
				     TDX_OPERAND_ID_RCX);

	err = tdx_model_take(pfn, TDX_OPERAND_ID_R8, &dst);
	if (err)
		return err;

	/* [RELOCATE] What is pending has no content yet. */
	if (!tdx_model_is_pending(sept))
		tdx_model_copy(td, dst, src);

	/* [RELOCATE] One page comes, one goes, and the entry is unblocked. */
	tdx_model_assign(td, dst);
	src->pt = TDX_MODEL_PT_NDA;
	src->owner = NULL;
	sept->page = dst;
	tdx_model_unblock_entry(sept);

	*ext_err1 = PFN_PHYS(tdx_model_pfn(src));

	return TDX_SUCCESS;
}

/* TDH.PHYMEM.PAGE.WBINVD */
static u64 tdx_model_page_wbinvd(u64 hkid, kvm_pfn_t pfn)
{
	struct tdx_model_page *page;
	u64 err;

	err = tdx_model_call(TDX_MODEL_WBINVD);
	if (err)
		return err;

	/* [WBINVD] For pages that have been given back. */
	err = tdx_model_take(pfn, TDX_OPERAND_ID_RCX, &page);
	if (err)
		return err;

	/* Lines of another HKID are other lines. */
	if (page->lines == hkid)
		page->lines = 0;

	return TDX_SUCCESS;
}

/* Not the TDX module's: MOVDIR64B, as by tdx_quirk_reset_paddr(). */
static void tdx_model_reset(unsigned long base, unsigned long size)
{
	struct tdx_model_page *page;

	page = tdx_model_find_page(tdx_model, PHYS_PFN(base));
	if (!page || size != PAGE_SIZE)
		tdx_model->violation = "reset of who knows what";
	else if (page->pt != TDX_MODEL_PT_NDA)
		tdx_model->violation = "reset of a page of a TD";
	else if (page->lines)
		tdx_model->violation = "reset of a page with dirty lines";
	else
		page->private = false;

	if (page)
		memset(page_address(page->page), 0, PAGE_SIZE);
}

/* Not the TDX module's, either: what KVM_REQ_OUTSIDE_GUEST_MODE brings about. */
static void tdx_model_kick(struct kvm *kvm)
{
	struct tdx_model_td *td = tdx_model_find_td(&to_kvm_tdx(kvm)->td);
	int i;

	tdx_model->kicks++;
	tdx_model_leave_all(td);
	for (i = 0; td->eager && i < TDX_MODEL_VCPUS; i++)
		tdx_model_enter(td, &td->vcpus[i]);
}

const struct tdx_gmem_ops tdx_model_ops = {
	.block		= tdx_model_range_block,
	.track		= tdx_model_mem_track,
	.kick		= tdx_model_kick,
	.relocate	= tdx_model_page_relocate,
	.unblock	= tdx_model_range_unblock,
	.wbinvd		= tdx_model_page_wbinvd,
	.reset		= tdx_model_reset,
};

/* TDH.MEM.PAGE.ADD: with content, and only until TDH.MR.FINALIZE [OPSTATE] */
u64 tdx_model_page_add(struct tdx_model_td *td, u64 gpa, kvm_pfn_t pfn,
		       u64 content)
{
	struct tdx_model_sept *sept;
	struct tdx_model_page *page;
	u64 err;

	err = tdx_model_begin(td, TDX_MODEL_ADD, TDX_OPERAND_ID_SEPT);
	if (err)
		return err;
	if (td->runnable)
		return TDX_OP_STATE_INCORRECT;
	err = tdx_model_walk(td, gpa, PG_LEVEL_4K, &sept);
	if (err)
		return err;
	/* [SEPT] */
	if (sept->state != TDX_SEPT_FREE)
		return tdx_model_err(TDX_EPT_ENTRY_STATE_INCORRECT,
				     TDX_OPERAND_ID_RCX);
	err = tdx_model_take(pfn, TDX_OPERAND_ID_R8, &page);
	if (err)
		return err;

	tdx_model_assign(td, page);
	sept->state = TDX_SEPT_PRESENT;
	sept->page = page;
	td->content[sept - td->sept] = content;
	tdx_model_store(td, page, content);

	return TDX_SUCCESS;
}

/* TDH.MEM.PAGE.AUG: without content, and the guest has to accept it */
u64 tdx_model_page_aug(struct tdx_model_td *td, u64 gpa, kvm_pfn_t pfn)
{
	struct tdx_model_sept *sept;
	struct tdx_model_page *page;
	u64 err;

	err = tdx_model_begin_gpa(td, TDX_MODEL_AUG, gpa, PG_LEVEL_4K, &sept);
	if (err)
		return err;
	/* [SEPT] */
	if (sept->state != TDX_SEPT_FREE)
		return tdx_model_err(TDX_EPT_ENTRY_STATE_INCORRECT,
				     TDX_OPERAND_ID_RCX);
	err = tdx_model_take(pfn, TDX_OPERAND_ID_R8, &page);
	if (err)
		return err;

	tdx_model_assign(td, page);
	sept->state = TDX_SEPT_PENDING;
	sept->page = page;

	return TDX_SUCCESS;
}

/* TDG.MEM.PAGE.ACCEPT, by the guest: from here on it has a content */
u64 tdx_model_accept(struct tdx_model_td *td, u64 gpa)
{
	struct tdx_model_sept *sept;
	u64 err;

	err = tdx_model_call(TDX_MODEL_ACCEPT);
	if (err)
		return err;
	err = tdx_model_walk(td, gpa, PG_LEVEL_4K, &sept);
	if (err)
		return err;
	/* [SEPT] */
	if (sept->state != TDX_SEPT_PENDING)
		return tdx_model_err(TDX_EPT_ENTRY_STATE_INCORRECT,
				     TDX_OPERAND_ID_RCX);

	sept->state = TDX_SEPT_PRESENT;
	td->content[sept - td->sept] = 0;
	tdx_model_store(td, sept->page, 0);

	return TDX_SUCCESS;
}

/* TDH.MEM.PAGE.REMOVE */
u64 tdx_model_page_remove(struct tdx_model_td *td, u64 gpa)
{
	struct tdx_model_sept *sept;
	u64 err;

	err = tdx_model_begin_gpa(td, TDX_MODEL_REMOVE, gpa, PG_LEVEL_4K,
				  &sept);
	if (err)
		return err;
	/* [SEPT] */
	if (sept->state == TDX_SEPT_FREE)
		return tdx_model_err(TDX_EPT_ENTRY_STATE_INCORRECT,
				     TDX_OPERAND_ID_RCX);
	/* [REMOVE] As for a relocation. */
	if (td->runnable && !tdx_model_is_blocked(sept))
		return tdx_model_err(TDX_GPA_RANGE_NOT_BLOCKED,
				     TDX_OPERAND_ID_RCX);
	if (!tdx_model_is_tracked(td, sept->page))
		return tdx_model_err(TDX_TLB_TRACKING_NOT_DONE,
				     TDX_OPERAND_ID_RCX);

	sept->page->pt = TDX_MODEL_PT_NDA;
	sept->page->owner = NULL;
	sept->page = NULL;
	sept->state = TDX_SEPT_FREE;

	return TDX_SUCCESS;
}

/* Setting up */

void tdx_model_fail(struct tdx_model *model, enum tdx_model_leaf leaf, u64 err,
		    unsigned int skip, unsigned int nr)
{
	model->failures[leaf] = (struct tdx_model_failure) {
		.err = err,
		.skip = skip,
		.nr = nr,
	};
}

void tdx_model_add_td(struct tdx_model_td *td, struct kvm_tdx *kvm_tdx)
{
	td->kvm_tdx = kvm_tdx;
	td->epoch = 1;
}

/* TDH.MR.FINALIZE */
void tdx_model_finalize(struct tdx_model_td *td)
{
	td->runnable = true;
}

/* The one model that there is at a time; NULL for none. */
void tdx_model_set(struct tdx_model *model)
{
	tdx_model = model;
}

int tdx_model_init(struct tdx_model *model)
{
	int i;

	for (i = 0; i < TDX_MODEL_PAGES; i++) {
		model->pages[i].page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!model->pages[i].page) {
			tdx_model_exit(model);
			return -ENOMEM;
		}
	}
	for (i = 0; i < TDX_MODEL_TDS; i++)
		model->tds[i].model = model;

	return 0;
}

/* Pages that were leaked have references that nobody else puts. */
void tdx_model_exit(struct tdx_model *model)
{
	int i;

	for (i = 0; i < TDX_MODEL_PAGES; i++) {
		struct page *page = model->pages[i].page;

		if (!page)
			continue;
		while (page_count(page) > 1)
			put_page(page);
		__free_page(page);
	}
}

/* What must always be true */

/* The guest finds what it wrote last.  Pending pages have nothing to find. */
bool tdx_model_content_ok(struct tdx_model_td *td, unsigned int index)
{
	struct tdx_model_sept *sept = &td->sept[index];

	if (sept->state != TDX_SEPT_PRESENT && sept->state != TDX_SEPT_BLOCKED)
		return true;

	return tdx_model_filled(sept->page, tdx_model_hkid(td),
				td->content[index]);
}

bool tdx_model_host_may_use(struct tdx_model_page *page)
{
	return page->pt == TDX_MODEL_PT_NDA && !page->lines && !page->private;
}

static const char *tdx_model_check_td(struct tdx_model_td *td)
{
	unsigned int refs[2] = {};
	int i;

	for (i = 0; i < TDX_MODEL_VCPUS; i++) {
		if (td->vcpus[i].in_guest)
			refs[td->vcpus[i].epoch & 1]++;
	}
	if (refs[0] != td->refs[0] || refs[1] != td->refs[1])
		return "vCPUs miscounted";

	for (i = 0; i < TDX_MODEL_GFNS; i++) {
		struct tdx_model_sept *sept = &td->sept[i];

		if (sept->state == TDX_SEPT_FREE) {
			if (sept->page)
				return "free, but with a page";
			continue;
		}
		if (!sept->page)
			return "not free, but without a page";
		if (sept->page->pt != TDX_MODEL_PT_REG ||
		    sept->page->owner != td)
			return "mapped, but not owned";
		if (!tdx_model_content_ok(td, i))
			return "not what the guest wrote";
	}

	return NULL;
}

/* How many S-EPT entries map @page. */
static unsigned int tdx_model_mapped(struct tdx_model *model,
				     struct tdx_model_page *page)
{
	unsigned int nr = 0;
	int t, i;

	for (t = 0; t < TDX_MODEL_TDS; t++) {
		for (i = 0; i < TDX_MODEL_GFNS; i++)
			nr += model->tds[t].sept[i].page == page;
	}

	return nr;
}

/**
 * tdx_model_check() - Look for what must not be.
 * @model: The model.
 *
 * No page is owned twice and none is lost, every TD finds in its pages what it
 * has written to them, and nobody has touched what is not his.
 *
 * Return: NULL, or what is wrong.
 */
const char *tdx_model_check(struct tdx_model *model)
{
	const char *wrong;
	int i;

	if (model->violation)
		return model->violation;

	for (i = 0; i < TDX_MODEL_TDS; i++) {
		if (!model->tds[i].kvm_tdx)
			continue;
		wrong = tdx_model_check_td(&model->tds[i]);
		if (wrong)
			return wrong;
	}

	for (i = 0; i < TDX_MODEL_PAGES; i++) {
		struct tdx_model_page *page = &model->pages[i];
		unsigned int mapped = tdx_model_mapped(model, page);

		if (mapped > 1)
			return "mapped twice";
		if (!mapped && page->pt == TDX_MODEL_PT_REG)
			return "owned, but not mapped";
	}

	return NULL;
}
