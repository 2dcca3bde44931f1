/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit tests of the migration of guest_memfd folios of TDX guests, and of the
 * model of the TDX module that they rest on.
 *
 * The backend, the mirror page table, the pages and mmu_lock are real.  The TDX
 * module is a model (tdx_model.h), and the VMs are as much of struct kvm_tdx as
 * the backend looks at.  They need no CPU with VMX, nor does kvm_intel have to
 * be in use.
 */

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST

#ifndef _GMEM_MIGRATE_TDX_KUNIT_H
#define _GMEM_MIGRATE_TDX_KUNIT_H

#include <kunit/test.h>
#include <linux/prandom.h>

#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "x86.h"
#include "tdx_model.h"

#define TDX_TEST_LEVELS		4
#define TDX_TEST_HKID		33
/* What the host leaves in a page that is to be a target. */
#define TDX_TEST_GARBAGE	0xdeadbeefULL
/* Not a page frame that the model knows. */
#define TDX_TEST_NO_PFN		0x1ULL
#define TDX_TEST_STEPS		3000

struct tdx_test_vm {
	struct kvm_tdx *kvm_tdx;
	struct kvm *kvm;
	struct tdx_model_td *td;
	struct kvm_mmu_page *sps[TDX_TEST_LEVELS];
};

struct tdx_test {
	struct tdx_model model;
	struct tdx_test_vm vms[TDX_MODEL_TDS];
	struct rnd_state rnd;
};

static const struct tdx_gmem_ops *tdx_test_ops(void)
{
	return &tdx_model_ops;
}

static gfn_t tdx_test_gfn(unsigned int index)
{
	return TDX_MODEL_BASE_GFN + index;
}

static u64 tdx_test_gpa(unsigned int index)
{
	return gfn_to_gpa(tdx_test_gfn(index));
}

/* The mirror page table */

static u64 *tdx_test_sptep(struct tdx_test_vm *vm, unsigned int index,
			   int level)
{
	return &vm->sps[level - 1]->spt[SPTE_INDEX(tdx_test_gpa(index), level)];
}

static void tdx_test_map(struct tdx_test_vm *vm, unsigned int index,
			 kvm_pfn_t pfn)
{
	*tdx_test_sptep(vm, index, PG_LEVEL_4K) =
		PFN_PHYS(pfn) | SPTE_MMU_PRESENT_MASK | VMX_EPT_RWX_MASK;
}

static void tdx_test_unmap(struct tdx_test_vm *vm, unsigned int index)
{
	*tdx_test_sptep(vm, index, PG_LEVEL_4K) = SHADOW_NONPRESENT_VALUE;
}

static kvm_pfn_t tdx_test_mirror(struct tdx_test_vm *vm, unsigned int index)
{
	u64 spte = *tdx_test_sptep(vm, index, PG_LEVEL_4K);

	/* Permissions and all that go with the page. */
	if (!is_shadow_present_pte(spte) ||
	    (spte & VMX_EPT_RWX_MASK) != VMX_EPT_RWX_MASK)
		return KVM_PFN_NOSLOT;

	return spte_to_pfn(spte);
}

static void tdx_test_init_mirror(struct kunit *test, struct tdx_test_vm *vm)
{
	struct kvm_mmu_page *sp;
	int level, i;

	for (level = PG_LEVEL_4K; level <= TDX_TEST_LEVELS; level++) {
		sp = kunit_kzalloc(test, sizeof(*sp), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, sp);
		/* Page aligned, as it is as large as a page. */
		sp->spt = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, sp->spt);
		KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED((unsigned long)sp->spt));
		for (i = 0; i < SPTE_ENT_PER_PAGE; i++)
			sp->spt[i] = SHADOW_NONPRESENT_VALUE;

		sp->tdp_mmu_page = true;
		sp->role.level = level;
		sp->role.direct = true;
		sp->role.is_mirror = true;
		vm->sps[level - 1] = sp;
		if (level > PG_LEVEL_4K)
			*tdx_test_sptep(vm, 0, level) =
				__pa(vm->sps[level - 2]->spt) |
				SPTE_MMU_PRESENT_MASK | VMX_EPT_RWX_MASK;
	}

	refcount_set(&sp->tdp_mmu_root_count, 1);
	INIT_LIST_HEAD(&vm->kvm->arch.tdp_mmu_roots);
	list_add(&sp->link, &vm->kvm->arch.tdp_mmu_roots);
}

/* Setting up */

static void tdx_test_init_vm(struct kunit *test, struct tdx_test_vm *vm, int id)
{
	struct tdx_test *t = test->priv;

	vm->kvm_tdx = kunit_kzalloc(test, sizeof(*vm->kvm_tdx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm->kvm_tdx);
	vm->kvm = &vm->kvm_tdx->kvm;
	vm->kvm->arch.vm_type = KVM_X86_TDX_VM;
	rwlock_init(&vm->kvm->mmu_lock);
	vm->kvm_tdx->hkid = TDX_TEST_HKID + id;
	vm->kvm_tdx->state = TD_STATE_RUNNABLE;
	tdx_test_init_mirror(test, vm);

	vm->td = &t->model.tds[id];
	tdx_model_add_td(vm->td, vm->kvm_tdx);
	tdx_model_finalize(vm->td);
}

static int tdx_test_init(struct kunit *test)
{
	struct tdx_test *t;
	int i;

	/* kvm_make_all_cpus_request() needs what kvm_init() allocates. */
	if (IS_ENABLED(CONFIG_CPUMASK_OFFSTACK) && !kvm_caps.supported_vm_types)
		kunit_skip(test, "KVM is not initialized");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;

	KUNIT_ASSERT_EQ(test, tdx_model_init(&t->model), 0);
	tdx_model_set(&t->model);
	tdx_relocate_missing = false;
	for (i = 0; i < TDX_MODEL_TDS; i++)
		tdx_test_init_vm(test, &t->vms[i], i);

	kunit_activate_static_stub(test, tdx_gmem_ops, tdx_test_ops);

	return 0;
}

static void tdx_test_exit(struct kunit *test)
{
	struct tdx_test *t = test->priv;

	if (!t)
		return;

	tdx_model_set(NULL);
	tdx_model_exit(&t->model);
	tdx_relocate_missing = false;
}

static bool tdx_test_leaked(struct tdx_model_page *page)
{
	return page_count(page->page) == 2;
}

/* A page of the host's, with something in it. */
static struct tdx_model_page *tdx_test_alloc(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	int i;

	for (i = 0; i < TDX_MODEL_PAGES; i++) {
		struct tdx_model_page *page = &t->model.pages[i];

		if (tdx_model_host_may_use(page) && !tdx_test_leaked(page)) {
			tdx_model_host_write(page, TDX_TEST_GARBAGE);
			return page;
		}
	}

	KUNIT_FAIL_AND_ABORT(test, "out of pages");
	return NULL;
}

/* The pages of the test's targets must differ: take them out of the pool. */
static struct tdx_model_page *tdx_test_reserve(struct kunit *test)
{
	struct tdx_model_page *page = tdx_test_alloc(test);

	page->private = true;
	return page;
}

static void tdx_test_unreserve(struct tdx_model_page *page)
{
	if (page->pt == TDX_MODEL_PT_NDA && !page->lines)
		page->private = false;
}

/* Let a TD have a page, in @state. */
static struct tdx_model_page *tdx_test_give(struct kunit *test,
					    struct tdx_test_vm *vm,
					    unsigned int index,
					    enum tdx_sept_entry_state state)
{
	struct tdx_model_page *page = tdx_test_alloc(test);
	u64 gpa = tdx_test_gpa(index), e1, e2;

	KUNIT_ASSERT_EQ(test, tdx_model_page_aug(vm->td, gpa,
						 tdx_model_pfn(page)), 0ULL);
	tdx_test_map(vm, index, tdx_model_pfn(page));

	if (state == TDX_SEPT_PRESENT || state == TDX_SEPT_BLOCKED)
		KUNIT_ASSERT_EQ(test, tdx_model_accept(vm->td, gpa), 0ULL);
	if (state == TDX_SEPT_BLOCKED || state == TDX_SEPT_PENDING_BLOCKED)
		KUNIT_ASSERT_EQ(test,
				tdx_model_ops.block(&vm->kvm_tdx->td, gpa,
						    PG_LEVEL_4K, &e1, &e2),
				0ULL);

	KUNIT_ASSERT_EQ(test, vm->td->sept[index].state, state);
	return page;
}

static int tdx_test_move(struct tdx_test_vm *vm, unsigned int index,
			 struct tdx_model_page *src, kvm_pfn_t dst)
{
	struct kvm_gmem_migration m = {
		.kvm	= vm->kvm,
		.gfn	= tdx_test_gfn(index),
		.src	= tdx_model_pfn(src),
		.dst	= dst,
		.mode	= MIGRATE_ASYNC,
	};

	tdx_gmem_migrate(&m, 1);

	return m.ret;
}

static void tdx_test_reset_calls(struct tdx_test *t)
{
	memset(t->model.calls, 0, sizeof(t->model.calls));
	memset(t->model.failures, 0, sizeof(t->model.failures));
	t->model.kicks = 0;
}

/* What to expect */

static void tdx_test_expect_sane(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	const char *wrong = tdx_model_check(&t->model);
	int i, index;

	KUNIT_EXPECT_NULL_MSG(test, wrong, "%s", wrong);

	for (i = 0; i < TDX_MODEL_TDS; i++) {
		struct tdx_test_vm *vm = &t->vms[i];

		KUNIT_EXPECT_FALSE(test, vm->kvm_tdx->wait_for_sept_zap);
		KUNIT_ASSERT_TRUE(test, write_trylock(&vm->kvm->mmu_lock));
		write_unlock(&vm->kvm->mmu_lock);
		for (index = 0; index < TDX_MODEL_GFNS; index++) {
			struct tdx_model_page *page = vm->td->sept[index].page;

			KUNIT_EXPECT_EQ(test, tdx_test_mirror(vm, index),
					page ? tdx_model_pfn(page) :
					       KVM_PFN_NOSLOT);
		}
	}
}

static void tdx_test_expect_at(struct kunit *test, struct tdx_test_vm *vm,
			       unsigned int index,
			       struct tdx_model_page *page,
			       enum tdx_sept_entry_state state)
{
	KUNIT_EXPECT_PTR_EQ(test, vm->td->sept[index].page, page);
	KUNIT_EXPECT_EQ(test, vm->td->sept[index].state, state);
	KUNIT_EXPECT_EQ(test, tdx_test_mirror(vm, index), tdx_model_pfn(page));
	KUNIT_EXPECT_TRUE(test, tdx_model_content_ok(vm->td, index));
	tdx_test_expect_sane(test);
}

static bool tdx_test_holds(struct tdx_model_page *page, u64 content)
{
	u64 *words = page_address(page->page);
	unsigned int i;

	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++) {
		if (words[i] != (content ? content + i : 0))
			return false;
	}

	return true;
}

/* The page has moved, and what is left behind is the host's, and empty. */
static void tdx_test_expect_moved(struct kunit *test, struct tdx_test_vm *vm,
				  unsigned int index,
				  struct tdx_model_page *src,
				  struct tdx_model_page *dst,
				  enum tdx_sept_entry_state state)
{
	tdx_test_expect_at(test, vm, index, dst, state);
	KUNIT_EXPECT_TRUE(test, tdx_model_host_may_use(src));
	KUNIT_EXPECT_FALSE(test, tdx_test_leaked(src));
	KUNIT_EXPECT_TRUE(test, tdx_test_holds(src, 0));
}

/* Nothing has changed hands nor content. */
static void tdx_test_expect_stayed(struct kunit *test, struct tdx_test_vm *vm,
				   unsigned int index,
				   struct tdx_model_page *src,
				   struct tdx_model_page *dst,
				   enum tdx_sept_entry_state state)
{
	tdx_test_expect_at(test, vm, index, src, state);
	KUNIT_EXPECT_TRUE(test, tdx_model_host_may_use(dst));
	KUNIT_EXPECT_TRUE(test, tdx_test_holds(dst, TDX_TEST_GARBAGE));
	KUNIT_EXPECT_FALSE(test, tdx_test_leaked(src));
	KUNIT_EXPECT_FALSE(test, tdx_test_leaked(dst));
	KUNIT_EXPECT_FALSE(test, vm->kvm->vm_bugged);
}

static void tdx_test_expect_no_calls(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	int leaf;

	for (leaf = 0; leaf < TDX_MODEL_NR_LEAVES; leaf++)
		KUNIT_EXPECT_EQ(test, t->model.calls[leaf], 0U);
	KUNIT_EXPECT_EQ(test, t->model.kicks, 0U);
}

/* The states in which a TD has a page, and migration finds it. */
static const enum tdx_sept_entry_state tdx_test_states[] = {
	TDX_SEPT_PRESENT, TDX_SEPT_PENDING,
};

static const char * const tdx_test_state_names[] = {
	[TDX_SEPT_FREE]			= "free",
	[TDX_SEPT_BLOCKED]		= "blocked",
	[TDX_SEPT_PENDING]		= "pending",
	[TDX_SEPT_PENDING_BLOCKED]	= "pending, blocked",
	[TDX_SEPT_PRESENT]		= "present",
};

static void tdx_test_state_desc(const enum tdx_sept_entry_state *state,
				char *desc)
{
	strscpy(desc, tdx_test_state_names[*state], KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(tdx_test_state, tdx_test_states, tdx_test_state_desc);

/* Tests: a page moves */

static void tdx_test_moves(struct kunit *test)
{
	const enum tdx_sept_entry_state *state = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *left, *src, *right, *dst;

	left = tdx_test_give(test, vm, 2, TDX_SEPT_PRESENT);
	src = tdx_test_give(test, vm, 3, *state);
	right = tdx_test_give(test, vm, 4, TDX_SEPT_PENDING);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);

	KUNIT_ASSERT_EQ(test, tdx_test_move(vm, 3, src, tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, 3, src, dst, *state);
	tdx_test_expect_at(test, vm, 2, left, TDX_SEPT_PRESENT);
	tdx_test_expect_at(test, vm, 4, right, TDX_SEPT_PENDING);

	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_BLOCK], 1U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], 1U);
	KUNIT_EXPECT_EQ(test, t->model.kicks, 1U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_RELOCATE], 1U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], 0U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_WBINVD], 1U);

	/* And back, and a pending page can still be accepted. */
	tdx_model_host_write(src, TDX_TEST_GARBAGE);
	KUNIT_ASSERT_EQ(test, tdx_test_move(vm, 3, dst, tdx_model_pfn(src)), 0);
	tdx_test_expect_moved(test, vm, 3, dst, src, *state);
	if (*state == TDX_SEPT_PENDING) {
		KUNIT_EXPECT_EQ(test, tdx_model_accept(vm->td, tdx_test_gpa(3)),
				0ULL);
		tdx_test_expect_at(test, vm, 3, src, TDX_SEPT_PRESENT);
	}
}

/*
 * vCPUs use the page, through their TLBs, until they are kicked, and whatever
 * they write is in the target, be they back in the guest at once or not.
 */
static void tdx_test_vcpus_write(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;
	int i, eager;
	u64 writes;

	for (i = 0; i < TDX_MODEL_GFNS; i++)
		src = tdx_test_give(test, vm, i, TDX_SEPT_PRESENT);

	for (eager = 0; eager < 2; eager++) {
		for (i = 0; i < TDX_MODEL_VCPUS; i++) {
			struct tdx_model_vcpu *vcpu = &vm->td->vcpus[i];

			tdx_model_leave(vm->td, vcpu);
			KUNIT_ASSERT_TRUE(test, tdx_model_enter(vm->td, vcpu));
			KUNIT_ASSERT_TRUE(test, tdx_model_write(vm->td, vcpu,
								7));
		}

		vm->td->eager = eager;
		/* The next access of a vCPU is to the page that moves. */
		vm->td->accesses = 7;
		writes = vm->td->writes;
		dst = tdx_test_alloc(test);
		KUNIT_ASSERT_EQ(test, tdx_test_move(vm, 7, src,
						    tdx_model_pfn(dst)), 0);
		tdx_test_expect_moved(test, vm, 7, src, dst, TDX_SEPT_PRESENT);
		KUNIT_EXPECT_GT(test, vm->td->writes, writes);
		KUNIT_EXPECT_EQ(test, vm->td->vcpus[0].in_guest, !!eager);
		src = dst;
	}
}

/* A vCPU has what a SEAMCALL needs, each time: it is kept out, once more. */
static void tdx_test_contended(struct kunit *test)
{
	const enum tdx_sept_entry_state *state = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;
	int i;

	src = tdx_test_give(test, vm, 0, *state);
	for (i = 1; i < TDX_MODEL_GFNS; i++)
		tdx_test_give(test, vm, i, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);

	for (i = 0; i < TDX_MODEL_VCPUS; i++)
		tdx_model_enter(vm->td, &vm->td->vcpus[i]);
	/* They write to other pages, or an EPT violation makes them leave. */
	vm->td->accesses = 1;
	vm->td->contended = true;
	vm->td->eager = true;

	KUNIT_ASSERT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, 0, src, dst, *state);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_BLOCK], 2U);
	/* They left for the block, and entered again after the track only. */
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], 1U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_RELOCATE], 2U);
}

/* Tests: nothing to relocate, or not now */

static void tdx_test_not_mapped(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src = tdx_test_reserve(test);
	struct tdx_model_page *dst = tdx_test_alloc(test);
	struct list_head *roots = &vm->kvm->arch.tdp_mmu_roots;
	LIST_HEAD(none);

	/* No leaf, no page table for it, and no vCPU that ever had a root. */
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 4096, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);
	list_replace_init(roots, &none);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);
	list_splice(&none, roots);

	/* Nor before the TD is finalized. */
	vm->kvm_tdx->state = TD_STATE_INITIALIZED;
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);
	vm->kvm_tdx->state = TD_STATE_UNINITIALIZED;
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);

	tdx_test_expect_no_calls(test);
	tdx_test_expect_sane(test);
}

/* The VMM has given it its content, and is not done with others. */
static void tdx_test_not_finalized(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	vm->td->runnable = false;
	vm->kvm_tdx->state = TD_STATE_INITIALIZED;
	src = tdx_test_alloc(test);
	KUNIT_ASSERT_EQ(test, tdx_model_page_add(vm->td, tdx_test_gpa(0),
						 tdx_model_pfn(src), 4711),
			0ULL);
	tdx_test_map(vm, 0, tdx_model_pfn(src));
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);

	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EBUSY);
	tdx_test_expect_no_calls(test);
	tdx_test_expect_stayed(test, vm, 0, src, dst, TDX_SEPT_PRESENT);

	tdx_model_finalize(vm->td);
	vm->kvm_tdx->state = TD_STATE_RUNNABLE;
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, 0, src, dst, TDX_SEPT_PRESENT);
}

static void tdx_test_vm_dead(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);
	vm->kvm->vm_dead = true;

	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EIO);
	/* A copy is not the answer for what looks unmapped, either. */
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, dst, tdx_model_pfn(dst)),
			-EIO);
	tdx_test_expect_no_calls(test);
	tdx_test_expect_stayed(test, vm, 0, src, dst, TDX_SEPT_PRESENT);
}

/* The page cache and the mirror page table disagree. */
static void tdx_test_wrong_source(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst, *other;
	int ret = 0;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	other = tdx_test_reserve(test);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);

	kunit_warning_suppress(test) {
		ret = tdx_test_move(vm, 0, other, tdx_model_pfn(dst));
	}
	KUNIT_EXPECT_EQ(test, ret, -EIO);
	tdx_test_expect_no_calls(test);
	tdx_test_expect_stayed(test, vm, 0, src, dst, TDX_SEPT_PRESENT);
}

/* Tests: the target is none */

static void tdx_test_bad_targets(struct kunit *test)
{
	const enum tdx_sept_entry_state *state = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *own, *foreign, *dst;

	src = tdx_test_give(test, vm, 0, *state);
	own = tdx_test_give(test, vm, 1, TDX_SEPT_PRESENT);
	foreign = tdx_test_give(test, &t->vms[1], 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);

	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(src)),
			-EINVAL);
	tdx_test_expect_stayed(test, vm, 0, src, dst, *state);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, TDX_TEST_NO_PFN),
			-EINVAL);
	tdx_test_expect_stayed(test, vm, 0, src, dst, *state);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(own)),
			-EPERM);
	tdx_test_expect_stayed(test, vm, 0, src, dst, *state);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(foreign)),
			-EPERM);
	tdx_test_expect_stayed(test, vm, 0, src, dst, *state);
	tdx_test_expect_at(test, vm, 1, own, TDX_SEPT_PRESENT);
	tdx_test_expect_at(test, &t->vms[1], 0, foreign, TDX_SEPT_PRESENT);

	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, 0, src, dst, *state);
}

/* Tests: failures of each step */

struct tdx_test_failure {
	const char *desc;
	enum tdx_model_leaf leaf;
	u64 err;
	unsigned int nr;
	int ret;
	/* How often tracking is asked for, including what it takes to unwind. */
	unsigned int tracks;
	unsigned int unblocks;
};

#define TDX_TEST_BUSY	(TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT)

static const struct tdx_test_failure tdx_test_failures[] = {
	{ "block: busy",
	  TDX_MODEL_BLOCK, TDX_TEST_BUSY, 1, 0, 1, 0 },
	{ "block: busy again",
	  TDX_MODEL_BLOCK, TDX_TEST_BUSY, 2, -EAGAIN, 0, 0 },
	{ "block: entry state",
	  TDX_MODEL_BLOCK, TDX_EPT_ENTRY_STATE_INCORRECT, 1, -EIO, 0, 0 },
	{ "block: blocked already",
	  TDX_MODEL_BLOCK, TDX_GPA_RANGE_ALREADY_BLOCKED, 1, -EIO, 0, 0 },
	{ "block: walk",
	  TDX_MODEL_BLOCK, TDX_EPT_WALK_FAILED, 1, -EIO, 0, 0 },
	{ "block: operand",
	  TDX_MODEL_BLOCK, TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX, 1,
	  -EINVAL, 0, 0 },
	{ "block: address range",
	  TDX_MODEL_BLOCK, TDX_OPERAND_ADDR_RANGE_ERROR, 1, -EINVAL, 0, 0 },
	{ "block: page metadata",
	  TDX_MODEL_BLOCK, TDX_PAGE_METADATA_INCORRECT, 1, -EPERM, 0, 0 },
	{ "block: previous epoch",
	  TDX_MODEL_BLOCK, TDX_PREVIOUS_TLB_EPOCH_BUSY, 1, -EAGAIN, 0, 0 },
	{ "block: not tracked",
	  TDX_MODEL_BLOCK, TDX_TLB_TRACKING_NOT_DONE, 1, -EAGAIN, 0, 0 },
	{ "block: no TDX module",
	  TDX_MODEL_BLOCK, TDX_SEAMCALL_VMFAILINVALID, 1, -EIO, 0, 0 },
	{ "track: busy",
	  TDX_MODEL_TRACK, TDX_OPERAND_BUSY, 1, 0, 2, 0 },
	{ "track: busy again",
	  TDX_MODEL_TRACK, TDX_OPERAND_BUSY, 2, -EAGAIN, 3, 2 },
	{ "track: previous epoch",
	  TDX_MODEL_TRACK, TDX_PREVIOUS_TLB_EPOCH_BUSY, 1, -EAGAIN, 2, 2 },
	{ "track: not tracked",
	  TDX_MODEL_TRACK, TDX_TLB_TRACKING_NOT_DONE, 1, -EAGAIN, 2, 2 },
	{ "track: operand",
	  TDX_MODEL_TRACK, TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX, 1,
	  -EINVAL, 2, 2 },
	{ "track: address range",
	  TDX_MODEL_TRACK, TDX_OPERAND_ADDR_RANGE_ERROR, 1, -EINVAL, 2, 2 },
	{ "track: page metadata",
	  TDX_MODEL_TRACK, TDX_PAGE_METADATA_INCORRECT, 1, -EPERM, 2, 2 },
	{ "track: TD state",
	  TDX_MODEL_TRACK, TDX_OP_STATE_INCORRECT, 1, -EIO, 2, 2 },
	{ "relocate: busy",
	  TDX_MODEL_RELOCATE, TDX_TEST_BUSY, 1, 0, 1, 0 },
	{ "relocate: busy again",
	  TDX_MODEL_RELOCATE, TDX_TEST_BUSY, 2, -EAGAIN, 1, 1 },
	{ "relocate: not tracked",
	  TDX_MODEL_RELOCATE, TDX_TLB_TRACKING_NOT_DONE, 1, -EAGAIN, 1, 1 },
	{ "relocate: not blocked",
	  TDX_MODEL_RELOCATE, TDX_GPA_RANGE_NOT_BLOCKED, 1, -EIO, 1, 1 },
	{ "relocate: entry state",
	  TDX_MODEL_RELOCATE, TDX_EPT_ENTRY_STATE_INCORRECT, 1, -EIO, 1, 1 },
	{ "relocate: walk",
	  TDX_MODEL_RELOCATE, TDX_EPT_WALK_FAILED, 1, -EIO, 1, 1 },
	{ "relocate: page metadata",
	  TDX_MODEL_RELOCATE, TDX_PAGE_METADATA_INCORRECT, 1, -EPERM, 1, 1 },
	{ "relocate: operand",
	  TDX_MODEL_RELOCATE, TDX_OPERAND_INVALID | TDX_OPERAND_ID_R8, 1,
	  -EINVAL, 1, 1 },
	{ "relocate: address range",
	  TDX_MODEL_RELOCATE, TDX_OPERAND_ADDR_RANGE_ERROR, 1, -EINVAL, 1, 1 },
};

static void tdx_test_failure_desc(const struct tdx_test_failure *f, char *desc)
{
	strscpy(desc, f->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(tdx_test_failure, tdx_test_failures, tdx_test_failure_desc);

static void tdx_test_fails_at(struct kunit *test, struct tdx_test_vm *vm,
			      unsigned int index,
			      enum tdx_sept_entry_state state)
{
	const struct tdx_test_failure *f = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, index, state);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);
	tdx_model_fail(&t->model, f->leaf, f->err, 0, f->nr);

	KUNIT_ASSERT_EQ(test, tdx_test_move(vm, index, src,
					    tdx_model_pfn(dst)), f->ret);
	KUNIT_EXPECT_EQ(test, t->model.failures[f->leaf].nr, 0U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], f->tracks);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], f->unblocks);
	if (!f->ret) {
		tdx_test_expect_moved(test, vm, index, src, dst, state);
		return;
	}
	tdx_test_expect_stayed(test, vm, index, src, dst, state);

	/* Nothing was left behind that would keep it from moving. */
	KUNIT_ASSERT_EQ(test, tdx_test_move(vm, index, src,
					    tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, index, src, dst, state);
}

/* With all vCPUs outside, with all of them inside, and back in at once. */
static void tdx_test_step_fails(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	unsigned int index = 0;
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < TDX_MODEL_VCPUS; i++) {
			if (round)
				tdx_model_enter(vm->td, &vm->td->vcpus[i]);
		}
		vm->td->eager = round == 2;

		tdx_test_fails_at(test, vm, index++, TDX_SEPT_PRESENT);
		tdx_test_fails_at(test, vm, index++, TDX_SEPT_PENDING);
	}
}

/* A TDX module without the leaf: vCPUs are kicked for that once, and never again. */
static void tdx_test_no_relocation(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);
	tdx_test_reset_calls(t);

	KUNIT_EXPECT_EQ(test, tdx_gmem_backend(vm->kvm), KVM_GMEM_BACKEND_TDX);
	tdx_model_fail(&t->model, TDX_MODEL_RELOCATE,
		       TDX_OPERAND_INVALID | TDX_OPERAND_ID_RAX, 0, 1);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, tdx_gmem_backend(vm->kvm), KVM_GMEM_BACKEND_NONE);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], 1U);
	tdx_test_expect_stayed(test, vm, 0, src, dst, TDX_SEPT_PRESENT);

	tdx_test_reset_calls(t);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EOPNOTSUPP);
	tdx_test_expect_no_calls(test);
	/* What the TD does not have is no matter of the TDX module's. */
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 1, src, tdx_model_pfn(dst)),
			KVM_GMEM_MIGRATE_COPY);
	tdx_test_expect_stayed(test, vm, 0, src, dst, TDX_SEPT_PRESENT);
}

/* The unwinding is disturbed, too. */
static void tdx_test_unblock_busy(struct kunit *test)
{
	const enum tdx_sept_entry_state *state = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, *state);
	dst = tdx_test_alloc(test);

	tdx_model_fail(&t->model, TDX_MODEL_RELOCATE,
		       TDX_PAGE_METADATA_INCORRECT, 0, 1);
	tdx_model_fail(&t->model, TDX_MODEL_UNBLOCK, TDX_TEST_BUSY, 0, 1);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EPERM);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], 2U);
	tdx_test_expect_stayed(test, vm, 0, src, dst, *state);
}

/* The end of a TD: its page is neither accessible nor the host's. */
static void tdx_test_expect_bugged(struct kunit *test, struct tdx_test_vm *vm,
				   struct tdx_model_page *src,
				   struct tdx_model_page *dst, long leaked)
{
	struct tdx_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, vm->kvm->vm_bugged);
	KUNIT_EXPECT_TRUE(test, vm->kvm->vm_dead);
	KUNIT_EXPECT_TRUE(test, tdx_test_leaked(src));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&tdx_gmem_nr_leaked),
			leaked + 1);
	KUNIT_EXPECT_TRUE(test, tdx_model_host_may_use(dst));
	KUNIT_EXPECT_TRUE(test, tdx_test_holds(dst, TDX_TEST_GARBAGE));
	tdx_test_expect_at(test, vm, 0, src, TDX_SEPT_BLOCKED);

	/* The other VM is not affected, and this one is left alone. */
	KUNIT_EXPECT_FALSE(test, t->vms[1].kvm->vm_dead);
	tdx_test_reset_calls(t);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EIO);
	tdx_test_expect_no_calls(test);
}

static void tdx_test_no_way_back(struct kunit *test, u64 err, unsigned int nr)
{
	long leaked = atomic_long_read(&tdx_gmem_nr_leaked);
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);

	tdx_model_fail(&t->model, TDX_MODEL_RELOCATE,
		       TDX_PAGE_METADATA_INCORRECT, 0, 1);
	tdx_model_fail(&t->model, TDX_MODEL_UNBLOCK, err, 0, nr);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EPERM);
	tdx_test_expect_bugged(test, vm, src, dst, leaked);
}

static void tdx_test_unblock_fails(struct kunit *test)
{
	tdx_test_no_way_back(test, TDX_EPT_ENTRY_STATE_INCORRECT, 1);
}

/* With no vCPU in the TD there is nobody to be busy with it. */
static void tdx_test_unblock_stays_busy(struct kunit *test)
{
	tdx_test_no_way_back(test, TDX_TEST_BUSY, 2);
}

/* Neither does a second attempt at tracking help. */
static void tdx_test_track_keeps_failing(struct kunit *test)
{
	long leaked = atomic_long_read(&tdx_gmem_nr_leaked);
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);

	tdx_model_fail(&t->model, TDX_MODEL_TRACK, TDX_PREVIOUS_TLB_EPOCH_BUSY,
		       0, 2);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], 2U);
	tdx_test_expect_bugged(test, vm, src, dst, leaked);
}

/* The page has moved for good, but its old place cannot be used. */
static void tdx_test_wbinvd_fails(struct kunit *test)
{
	const enum tdx_sept_entry_state *state = test->param_value;
	long leaked = atomic_long_read(&tdx_gmem_nr_leaked);
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src, *dst;

	src = tdx_test_give(test, vm, 0, *state);
	dst = tdx_test_alloc(test);

	/* Not if it is busy for a moment, but if it is for good. */
	tdx_model_fail(&t->model, TDX_MODEL_WBINVD, TDX_OPERAND_BUSY, 0, 2);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)), 0);
	tdx_test_expect_moved(test, vm, 0, src, dst, *state);

	src = dst;
	dst = tdx_test_alloc(test);
	tdx_model_fail(&t->model, TDX_MODEL_WBINVD, TDX_OPERAND_BUSY, 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, src, tdx_model_pfn(dst)), 0);
	tdx_model_fail(&t->model, TDX_MODEL_WBINVD, 0, 0, 0);
	tdx_test_expect_at(test, vm, 0, dst, *state);
	KUNIT_EXPECT_TRUE(test, tdx_test_leaked(src));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&tdx_gmem_nr_leaked),
			leaked + 1);
	KUNIT_EXPECT_FALSE(test, vm->kvm->vm_dead);

	/* The VM goes on, and so does its migration. */
	src = tdx_test_alloc(test);
	KUNIT_EXPECT_EQ(test, tdx_test_move(vm, 0, dst, tdx_model_pfn(src)), 0);
	tdx_test_expect_moved(test, vm, 0, dst, src, *state);
}

/* Tests: several pages at once */

static struct kvm_gmem_migration tdx_test_page(struct tdx_test_vm *vm,
					       unsigned int index,
					       struct tdx_model_page *src,
					       struct tdx_model_page *dst)
{
	return (struct kvm_gmem_migration) {
		.kvm	= vm->kvm,
		.gfn	= tdx_test_gfn(index),
		.src	= tdx_model_pfn(src),
		.dst	= tdx_model_pfn(dst),
	};
}

/* One for all: vCPUs are kicked once, and each page has its own result. */
static void tdx_test_batch(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src[5], *dst[5], *foreign;
	struct kvm_gmem_migration pages[5];
	int i;

	src[0] = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	src[1] = tdx_test_give(test, vm, 1, TDX_SEPT_PENDING);
	src[2] = tdx_test_reserve(test);
	src[3] = tdx_test_give(test, vm, 3, TDX_SEPT_PRESENT);
	src[4] = tdx_test_give(test, vm, 4, TDX_SEPT_PRESENT);
	foreign = tdx_test_give(test, &t->vms[1], 0, TDX_SEPT_PRESENT);
	for (i = 0; i < 5; i++) {
		dst[i] = i == 3 ? foreign : tdx_test_reserve(test);
		pages[i] = tdx_test_page(vm, i, src[i], dst[i]);
	}
	for (i = 0; i < TDX_MODEL_VCPUS; i++)
		tdx_model_enter(vm->td, &vm->td->vcpus[i]);
	vm->td->eager = true;
	tdx_test_reset_calls(t);

	tdx_gmem_migrate(pages, 5);

	KUNIT_EXPECT_EQ(test, pages[0].ret, 0);
	tdx_test_expect_moved(test, vm, 0, src[0], dst[0], TDX_SEPT_PRESENT);
	KUNIT_EXPECT_EQ(test, pages[1].ret, 0);
	tdx_test_expect_moved(test, vm, 1, src[1], dst[1], TDX_SEPT_PENDING);
	KUNIT_EXPECT_EQ(test, pages[2].ret, KVM_GMEM_MIGRATE_COPY);
	KUNIT_EXPECT_TRUE(test, tdx_test_holds(dst[2], TDX_TEST_GARBAGE));
	KUNIT_EXPECT_EQ(test, pages[3].ret, -EPERM);
	tdx_test_expect_at(test, vm, 3, src[3], TDX_SEPT_PRESENT);
	tdx_test_expect_at(test, &t->vms[1], 0, foreign, TDX_SEPT_PRESENT);
	KUNIT_EXPECT_EQ(test, pages[4].ret, 0);
	tdx_test_expect_moved(test, vm, 4, src[4], dst[4], TDX_SEPT_PRESENT);

	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_BLOCK], 4U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], 1U);
	KUNIT_EXPECT_EQ(test, t->model.kicks, 1U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_RELOCATE], 4U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], 1U);
}

/* All that were blocked come back, and tracking is repeated once for all. */
static void tdx_test_batch_track_fails(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *src[3], *dst[3];
	struct kvm_gmem_migration pages[3];
	int i;

	for (i = 0; i < 3; i++) {
		src[i] = tdx_test_give(test, vm, i, tdx_test_states[i & 1]);
		dst[i] = tdx_test_reserve(test);
		pages[i] = tdx_test_page(vm, i, src[i], dst[i]);
	}
	tdx_test_reset_calls(t);
	tdx_model_fail(&t->model, TDX_MODEL_TRACK, TDX_PREVIOUS_TLB_EPOCH_BUSY,
		       0, 1);

	tdx_gmem_migrate(pages, 3);

	for (i = 0; i < 3; i++) {
		tdx_test_unreserve(dst[i]);
		KUNIT_EXPECT_EQ(test, pages[i].ret, -EAGAIN);
		tdx_test_expect_stayed(test, vm, i, src[i], dst[i],
				       tdx_test_states[i & 1]);
	}
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_TRACK], 2U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_RELOCATE], 0U);
	KUNIT_EXPECT_EQ(test, t->model.calls[TDX_MODEL_UNBLOCK], 4U);
}

/* Tests: random sequences */

static u32 tdx_test_random(struct tdx_test *t, u32 below)
{
	return prandom_u32_state(&t->rnd) % below;
}

/* As tdx_sept_remove_leaf_spte(). */
static void tdx_test_zap(struct kunit *test, struct tdx_test_vm *vm,
			 unsigned int index)
{
	struct tdx_model_page *page = vm->td->sept[index].page;
	u64 gpa = tdx_test_gpa(index), err, e1, e2;

	if (!page)
		return;

	write_lock(&vm->kvm->mmu_lock);
	err = tdh_do_no_vcpus(tdx_model_ops.block, vm->kvm, &vm->kvm_tdx->td,
			      gpa, PG_LEVEL_4K, &e1, &e2);
	KUNIT_EXPECT_EQ(test, err, 0ULL);
	err = tdh_do_no_vcpus(tdx_model_ops.track, vm->kvm, &vm->kvm_tdx->td);
	KUNIT_EXPECT_EQ(test, err, 0ULL);
	tdx_model_ops.kick(vm->kvm);
	err = tdh_do_no_vcpus(tdx_model_page_remove, vm->kvm, vm->td, gpa);
	KUNIT_EXPECT_EQ(test, err, 0ULL);
	tdx_test_unmap(vm, index);
	write_unlock(&vm->kvm->mmu_lock);

	err = tdx_model_ops.wbinvd(vm->kvm_tdx->hkid, tdx_model_pfn(page));
	KUNIT_EXPECT_EQ(test, err, 0ULL);
	tdx_model_ops.reset(PFN_PHYS(tdx_model_pfn(page)), PAGE_SIZE);
}

static void tdx_test_fault(struct kunit *test, struct tdx_test_vm *vm,
			   unsigned int index)
{
	struct tdx_model_page *page;

	if (vm->td->sept[index].page)
		return;

	page = tdx_test_alloc(test);
	/* May be busy. The guest would fault again. */
	if (tdx_model_page_aug(vm->td, tdx_test_gpa(index),
			       tdx_model_pfn(page)))
		return;
	tdx_test_map(vm, index, tdx_model_pfn(page));

	/* At once, as most guests do, or a while later. */
	if (tdx_test_random(test->priv, 2))
		KUNIT_EXPECT_EQ(test, tdx_model_accept(vm->td,
						       tdx_test_gpa(index)),
				0ULL);
}

/* Whatever can fail and be undone. */
static void tdx_test_random_failure(struct tdx_test *t)
{
	static const struct {
		enum tdx_model_leaf leaf;
		u64 err;
		unsigned int max;
	} failures[] = {
		{ TDX_MODEL_BLOCK, TDX_TEST_BUSY, 3 },
		{ TDX_MODEL_BLOCK, TDX_EPT_ENTRY_STATE_INCORRECT, 2 },
		{ TDX_MODEL_TRACK, TDX_OPERAND_BUSY, 3 },
		{ TDX_MODEL_TRACK, TDX_PREVIOUS_TLB_EPOCH_BUSY, 1 },
		{ TDX_MODEL_RELOCATE, TDX_TEST_BUSY, 3 },
		{ TDX_MODEL_RELOCATE, TDX_PAGE_METADATA_INCORRECT, 2 },
		{ TDX_MODEL_RELOCATE, TDX_TLB_TRACKING_NOT_DONE, 2 },
		{ TDX_MODEL_UNBLOCK, TDX_TEST_BUSY, 1 },
		{ TDX_MODEL_WBINVD, TDX_OPERAND_BUSY, 3 },
		{ TDX_MODEL_WBINVD, TDX_OPERAND_INVALID, 2 },
	};
	int i = tdx_test_random(t, ARRAY_SIZE(failures));

	tdx_model_fail(&t->model, failures[i].leaf, failures[i].err,
		       tdx_test_random(t, 3),
		       1 + tdx_test_random(t, failures[i].max));
}

/* Returns whether the source was leaked. */
static bool tdx_test_random_result(struct kunit *test, struct tdx_test_vm *vm,
				   struct kvm_gmem_migration *page,
				   enum tdx_sept_entry_state before)
{
	unsigned int index = page->gfn - TDX_MODEL_BASE_GFN;
	struct tdx_test *t = test->priv;
	struct tdx_model_sept *sept = &vm->td->sept[index];
	struct tdx_model_page *src;

	KUNIT_EXPECT_EQ(test, page->ret == KVM_GMEM_MIGRATE_COPY,
			before == TDX_SEPT_FREE);
	KUNIT_EXPECT_EQ(test, sept->state, before);
	if (before == TDX_SEPT_FREE)
		return false;

	KUNIT_EXPECT_EQ(test, tdx_model_pfn(sept->page),
			page->ret ? page->src : page->dst);
	src = tdx_model_find_page(&t->model, page->src);
	if (!tdx_test_leaked(src)) {
		KUNIT_EXPECT_EQ(test, tdx_model_host_may_use(src), !page->ret);
		return false;
	}

	KUNIT_EXPECT_EQ(test, page->ret, 0);
	/* There are not that many pages, so pretend that there are. */
	put_page(src->page);
	src->lines = 0;
	src->private = false;
	return true;
}

static void tdx_test_random_move(struct kunit *test, struct tdx_test_vm *vm,
				 unsigned int index)
{
	enum tdx_sept_entry_state before[3];
	struct tdx_test *t = test->priv;
	struct tdx_model_page *dst[3];
	struct kvm_gmem_migration pages[3];
	int i, leaks, nr = 1 + tdx_test_random(t, 3);

	for (i = 0; i < nr; i++) {
		unsigned int at = (index + i) % TDX_MODEL_GFNS;
		struct tdx_model_page *src = vm->td->sept[at].page;

		dst[i] = tdx_test_reserve(test);
		before[i] = vm->td->sept[at].state;
		pages[i] = tdx_test_page(vm, at, src ?: dst[i], dst[i]);
	}
	/* One of them that is a TD's already. */
	if (!tdx_test_random(t, 4) && t->vms[1].td->sept[0].page)
		pages[0].dst = tdx_model_pfn(t->vms[1].td->sept[0].page);
	if (tdx_test_random(t, 2))
		tdx_test_random_failure(t);

	leaks = t->model.failures[TDX_MODEL_WBINVD].nr;
	tdx_gmem_migrate(pages, nr);
	leaks -= t->model.failures[TDX_MODEL_WBINVD].nr;
	if (tdx_operand_busy(t->model.failures[TDX_MODEL_WBINVD].err))
		leaks = 0;
	memset(t->model.failures, 0, sizeof(t->model.failures));

	for (i = 0; i < nr; i++) {
		tdx_test_unreserve(dst[i]);
		leaks -= tdx_test_random_result(test, vm, &pages[i], before[i]);
	}
	KUNIT_EXPECT_EQ(test, leaks, 0);
	KUNIT_EXPECT_FALSE(test, vm->kvm->vm_dead);
}

static void tdx_test_random_step(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[tdx_test_random(t, TDX_MODEL_TDS)];
	unsigned int index = tdx_test_random(t, TDX_MODEL_GFNS);
	struct tdx_model_vcpu *vcpu;

	vcpu = &vm->td->vcpus[tdx_test_random(t, TDX_MODEL_VCPUS)];
	switch (tdx_test_random(t, 16)) {
	case 0 ... 2:
		tdx_model_enter(vm->td, vcpu);
		break;
	case 3:
		tdx_model_leave(vm->td, vcpu);
		break;
	case 4:
		tdx_model_write(vm->td, vcpu, index);
		break;
	case 5 ... 6:
		tdx_test_fault(test, vm, index);
		break;
	case 7:
		tdx_model_accept(vm->td, tdx_test_gpa(index));
		break;
	case 8:
		tdx_test_zap(test, vm, index);
		break;
	case 9:
		vm->td->contended = tdx_test_random(t, 4) == 0;
		vm->td->eager = tdx_test_random(t, 2);
		break;
	default:
		tdx_test_random_move(test, vm, index);
	}
}

static void tdx_test_random_sequence(struct kunit *test)
{
	const int *seed = test->param_value;
	struct tdx_test *t = test->priv;
	int step, i;

	prandom_seed_state(&t->rnd, *seed);

	for (step = 0; step < TDX_TEST_STEPS; step++) {
		tdx_test_random_step(test);

		for (i = 0; i < TDX_MODEL_PAGES; i++) {
			struct tdx_model_page *page = &t->model.pages[i];

			KUNIT_ASSERT_EQ(test, page->pt == TDX_MODEL_PT_NDA,
					tdx_model_host_may_use(page));
		}
		tdx_test_expect_sane(test);
		/* The first failure is the one of interest. */
		if (READ_ONCE(test->status) == KUNIT_FAILURE) {
			kunit_err(test, "seed %d, step %d", *seed, step);
			return;
		}
	}

	/* It is no use if what it is about happens seldom. */
	KUNIT_EXPECT_GT(test, t->model.calls[TDX_MODEL_WBINVD],
			TDX_TEST_STEPS / 10U);
	KUNIT_EXPECT_GT(test, t->model.calls[TDX_MODEL_UNBLOCK],
			TDX_TEST_STEPS / 50U);
	KUNIT_EXPECT_GT(test, t->vms[0].td->writes, TDX_TEST_STEPS / 10ULL);
}

static const int tdx_test_seeds[] = { 1, 2, 3 };

static void tdx_test_seed_desc(const int *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %d", *seed);
}

KUNIT_ARRAY_PARAM(tdx_test_seed, tdx_test_seeds, tdx_test_seed_desc);

static struct kunit_case tdx_gmem_test_cases[] = {
	KUNIT_CASE_PARAM(tdx_test_moves, tdx_test_state_gen_params),
	KUNIT_CASE(tdx_test_vcpus_write),
	KUNIT_CASE_PARAM(tdx_test_contended, tdx_test_state_gen_params),
	KUNIT_CASE(tdx_test_not_mapped),
	KUNIT_CASE(tdx_test_not_finalized),
	KUNIT_CASE(tdx_test_vm_dead),
	KUNIT_CASE(tdx_test_wrong_source),
	KUNIT_CASE_PARAM(tdx_test_bad_targets, tdx_test_state_gen_params),
	KUNIT_CASE_PARAM(tdx_test_step_fails, tdx_test_failure_gen_params),
	KUNIT_CASE(tdx_test_no_relocation),
	KUNIT_CASE_PARAM(tdx_test_unblock_busy, tdx_test_state_gen_params),
	KUNIT_CASE(tdx_test_unblock_fails),
	KUNIT_CASE(tdx_test_unblock_stays_busy),
	KUNIT_CASE(tdx_test_track_keeps_failing),
	KUNIT_CASE_PARAM(tdx_test_wbinvd_fails, tdx_test_state_gen_params),
	KUNIT_CASE(tdx_test_batch),
	KUNIT_CASE(tdx_test_batch_track_fails),
	KUNIT_CASE_PARAM(tdx_test_random_sequence, tdx_test_seed_gen_params),
	{},
};

static struct kunit_suite tdx_gmem_test_suite = {
	.name = "kvm_gmem_migrate_tdx",
	.init = tdx_test_init,
	.exit = tdx_test_exit,
	.test_cases = tdx_gmem_test_cases,
};

/* Tests of the model itself: what it allows, and what it refuses */

#define TDX_TEST_SEPT_ERR(status)	((status) | TDX_OPERAND_ID_RCX)

/*
 * Each leaf function in each state of the entry, of a TD that is running and
 * has done its tracking: the status, and the state after it.
 */
struct tdx_test_transition {
	enum tdx_sept_entry_state from;
	enum tdx_model_leaf leaf;
	u64 err;
	enum tdx_sept_entry_state to;
};

static const struct tdx_test_transition tdx_test_transitions[] = {
	{ TDX_SEPT_FREE, TDX_MODEL_ADD, TDX_OP_STATE_INCORRECT, TDX_SEPT_FREE },
	{ TDX_SEPT_FREE, TDX_MODEL_AUG, 0, TDX_SEPT_PENDING },
	{ TDX_SEPT_FREE, TDX_MODEL_ACCEPT,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_FREE },
	{ TDX_SEPT_FREE, TDX_MODEL_BLOCK,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_FREE },
	{ TDX_SEPT_FREE, TDX_MODEL_UNBLOCK,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_FREE },
	{ TDX_SEPT_FREE, TDX_MODEL_RELOCATE,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_FREE },
	{ TDX_SEPT_FREE, TDX_MODEL_REMOVE,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_FREE },

	{ TDX_SEPT_PENDING, TDX_MODEL_ADD, TDX_OP_STATE_INCORRECT,
	  TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING, TDX_MODEL_AUG,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING, TDX_MODEL_ACCEPT, 0, TDX_SEPT_PRESENT },
	{ TDX_SEPT_PENDING, TDX_MODEL_BLOCK, 0, TDX_SEPT_PENDING_BLOCKED },
	{ TDX_SEPT_PENDING, TDX_MODEL_UNBLOCK,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING, TDX_MODEL_RELOCATE,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_NOT_BLOCKED), TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING, TDX_MODEL_REMOVE,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_NOT_BLOCKED), TDX_SEPT_PENDING },

	{ TDX_SEPT_PRESENT, TDX_MODEL_ADD, TDX_OP_STATE_INCORRECT,
	  TDX_SEPT_PRESENT },
	{ TDX_SEPT_PRESENT, TDX_MODEL_AUG,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_PRESENT },
	{ TDX_SEPT_PRESENT, TDX_MODEL_ACCEPT,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_PRESENT },
	{ TDX_SEPT_PRESENT, TDX_MODEL_BLOCK, 0, TDX_SEPT_BLOCKED },
	{ TDX_SEPT_PRESENT, TDX_MODEL_UNBLOCK,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_PRESENT },
	{ TDX_SEPT_PRESENT, TDX_MODEL_RELOCATE,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_NOT_BLOCKED), TDX_SEPT_PRESENT },
	{ TDX_SEPT_PRESENT, TDX_MODEL_REMOVE,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_NOT_BLOCKED), TDX_SEPT_PRESENT },

	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_ADD, TDX_OP_STATE_INCORRECT,
	  TDX_SEPT_PENDING_BLOCKED },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_AUG,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT),
	  TDX_SEPT_PENDING_BLOCKED },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_ACCEPT,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT),
	  TDX_SEPT_PENDING_BLOCKED },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_BLOCK,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_ALREADY_BLOCKED),
	  TDX_SEPT_PENDING_BLOCKED },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_UNBLOCK, 0, TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_RELOCATE, 0, TDX_SEPT_PENDING },
	{ TDX_SEPT_PENDING_BLOCKED, TDX_MODEL_REMOVE, 0, TDX_SEPT_FREE },

	{ TDX_SEPT_BLOCKED, TDX_MODEL_ADD, TDX_OP_STATE_INCORRECT,
	  TDX_SEPT_BLOCKED },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_AUG,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_BLOCKED },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_ACCEPT,
	  TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT), TDX_SEPT_BLOCKED },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_BLOCK,
	  TDX_TEST_SEPT_ERR(TDX_GPA_RANGE_ALREADY_BLOCKED), TDX_SEPT_BLOCKED },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_UNBLOCK, 0, TDX_SEPT_PRESENT },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_RELOCATE, 0, TDX_SEPT_PRESENT },
	{ TDX_SEPT_BLOCKED, TDX_MODEL_REMOVE, 0, TDX_SEPT_FREE },
};

static const char * const tdx_test_leaf_names[] = {
	[TDX_MODEL_ADD]		= "add",
	[TDX_MODEL_AUG]		= "aug",
	[TDX_MODEL_ACCEPT]	= "accept",
	[TDX_MODEL_BLOCK]	= "block",
	[TDX_MODEL_TRACK]	= "track",
	[TDX_MODEL_RELOCATE]	= "relocate",
	[TDX_MODEL_UNBLOCK]	= "unblock",
	[TDX_MODEL_REMOVE]	= "remove",
	[TDX_MODEL_WBINVD]	= "wbinvd",
};

static void tdx_test_transition_desc(const struct tdx_test_transition *tr,
				     char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s: %s",
		 tdx_test_state_names[tr->from], tdx_test_leaf_names[tr->leaf]);
}

KUNIT_ARRAY_PARAM(tdx_test_transition, tdx_test_transitions,
		  tdx_test_transition_desc);

static u64 tdx_test_call(struct tdx_test_vm *vm, enum tdx_model_leaf leaf,
			 u64 gpa, kvm_pfn_t pfn)
{
	struct tdx_td *td = &vm->kvm_tdx->td;
	u64 e1, e2;

	switch (leaf) {
	case TDX_MODEL_ADD:
		return tdx_model_page_add(vm->td, gpa, pfn, 1);
	case TDX_MODEL_AUG:
		return tdx_model_page_aug(vm->td, gpa, pfn);
	case TDX_MODEL_ACCEPT:
		return tdx_model_accept(vm->td, gpa);
	case TDX_MODEL_BLOCK:
		return tdx_model_ops.block(td, gpa, PG_LEVEL_4K, &e1, &e2);
	case TDX_MODEL_TRACK:
		return tdx_model_ops.track(td);
	case TDX_MODEL_RELOCATE:
		return tdx_model_ops.relocate(td, gpa, pfn, &e1, &e2);
	case TDX_MODEL_UNBLOCK:
		return tdx_model_ops.unblock(td, gpa, PG_LEVEL_4K, &e1, &e2);
	case TDX_MODEL_REMOVE:
		return tdx_model_page_remove(vm->td, gpa);
	case TDX_MODEL_WBINVD:
		return tdx_model_ops.wbinvd(vm->kvm_tdx->hkid, pfn);
	default:
		return ~0ULL;
	}
}

static void tdx_model_test_transition(struct kunit *test)
{
	const struct tdx_test_transition *tr = test->param_value;
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *page, *dst;
	const char *wrong;
	u64 err;

	if (tr->from != TDX_SEPT_FREE)
		tdx_test_give(test, vm, 0, tr->from);
	page = vm->td->sept[0].page;
	dst = tdx_test_alloc(test);
	KUNIT_ASSERT_EQ(test, tdx_model_ops.track(&vm->kvm_tdx->td), 0ULL);

	err = tdx_test_call(vm, tr->leaf, tdx_test_gpa(0), tdx_model_pfn(dst));
	KUNIT_EXPECT_EQ(test, err, tr->err);
	KUNIT_EXPECT_EQ(test, vm->td->sept[0].state, tr->to);
	wrong = tdx_model_check(&t->model);
	KUNIT_EXPECT_NULL_MSG(test, wrong, "%s", wrong);

	if (err) {
		KUNIT_EXPECT_PTR_EQ(test, vm->td->sept[0].page, page);
		KUNIT_EXPECT_TRUE(test, tdx_model_host_may_use(dst));
	} else if (tr->leaf == TDX_MODEL_RELOCATE) {
		KUNIT_EXPECT_PTR_EQ(test, vm->td->sept[0].page, dst);
		KUNIT_EXPECT_EQ(test, page->pt, TDX_MODEL_PT_NDA);
	}

	/* Any of them on demand, and then nothing happens. */
	tdx_model_fail(&t->model, tr->leaf, TDX_SYS_BUSY, 0, 1);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, tr->leaf, tdx_test_gpa(0),
					    tdx_model_pfn(dst)), TDX_SYS_BUSY);
	KUNIT_EXPECT_EQ(test, vm->td->sept[0].state, tr->to);
}

/* What the guest wrote is what it finds, in another page frame. */
static void tdx_model_test_relocate(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_td *td = &vm->kvm_tdx->td;
	struct tdx_model_page *src, *dst;
	u64 gpa = tdx_test_gpa(0), e1, e2;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	dst = tdx_test_alloc(test);
	tdx_model_enter(vm->td, &vm->td->vcpus[0]);
	KUNIT_ASSERT_TRUE(test, tdx_model_write(vm->td, &vm->td->vcpus[0], 0));
	tdx_model_leave(vm->td, &vm->td->vcpus[0]);
	KUNIT_ASSERT_TRUE(test, tdx_model_content_ok(vm->td, 0));

	KUNIT_ASSERT_EQ(test, tdx_model_ops.block(td, gpa, PG_LEVEL_4K, &e1,
						  &e2), 0ULL);
	KUNIT_ASSERT_EQ(test, tdx_model_ops.track(td), 0ULL);
	KUNIT_ASSERT_EQ(test, tdx_model_ops.relocate(td, gpa,
						     tdx_model_pfn(dst), &e1,
						     &e2), 0ULL);
	KUNIT_EXPECT_EQ(test, e1, PFN_PHYS(tdx_model_pfn(src)));
	KUNIT_EXPECT_TRUE(test, tdx_model_content_ok(vm->td, 0));
	KUNIT_EXPECT_EQ(test, dst->bepoch, 0ULL);

	/* Whereas a copy of what is in memory is nothing to the guest. */
	memcpy(page_address(dst->page), page_address(src->page), PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, tdx_model_content_ok(vm->td, 0));
	KUNIT_EXPECT_STREQ(test, tdx_model_check(&t->model),
			   "not what the guest wrote");
}

static void tdx_model_test_targets(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_td *td = &vm->kvm_tdx->td;
	struct tdx_model_page *src, *foreign;
	u64 gpa = tdx_test_gpa(0), e1, e2;

	src = tdx_test_give(test, vm, 0, TDX_SEPT_BLOCKED);
	foreign = tdx_test_give(test, &t->vms[1], 0, TDX_SEPT_PENDING);
	KUNIT_ASSERT_EQ(test, tdx_model_ops.track(td), 0ULL);

	KUNIT_EXPECT_EQ(test, tdx_model_ops.relocate(td, gpa,
						     tdx_model_pfn(src), &e1,
						     &e2),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_R8);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.relocate(td, gpa,
						     tdx_model_pfn(foreign),
						     &e1, &e2),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.relocate(td, gpa, TDX_TEST_NO_PFN,
						     &e1, &e2),
			TDX_OPERAND_ADDR_RANGE_ERROR | TDX_OPERAND_ID_R8);
	KUNIT_EXPECT_EQ(test, tdx_model_page_aug(vm->td, tdx_test_gpa(1),
						 tdx_model_pfn(foreign)),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8);
	KUNIT_EXPECT_PTR_EQ(test, vm->td->sept[0].page, src);
	KUNIT_EXPECT_EQ(test, vm->td->sept[0].state, TDX_SEPT_BLOCKED);
}

/* A gfn without S-EPT page, levels that are not modelled, and unaligned. */
static void tdx_model_test_walk(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_td *td = &t->vms[0].kvm_tdx->td;
	u64 gpa = tdx_test_gpa(TDX_MODEL_GFNS), e1, e2;

	KUNIT_EXPECT_EQ(test, tdx_model_ops.block(td, gpa, PG_LEVEL_4K, &e1,
						  &e2),
			TDX_TEST_SEPT_ERR(TDX_EPT_WALK_FAILED));
	KUNIT_EXPECT_EQ(test, tdx_model_ops.unblock(td, gpa, PG_LEVEL_4K, &e1,
						    &e2),
			TDX_TEST_SEPT_ERR(TDX_EPT_WALK_FAILED));
	KUNIT_EXPECT_EQ(test, tdx_model_ops.relocate(td, gpa, 0, &e1, &e2),
			TDX_TEST_SEPT_ERR(TDX_EPT_WALK_FAILED));

	gpa = tdx_test_gpa(0);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.block(td, gpa, PG_LEVEL_2M, &e1,
						  &e2),
			TDX_TEST_SEPT_ERR(TDX_OPERAND_INVALID));
	KUNIT_EXPECT_EQ(test, tdx_model_ops.relocate(td, gpa + 1, 0, &e1, &e2),
			TDX_TEST_SEPT_ERR(TDX_OPERAND_INVALID));
}

/*
 * A vCPU is in the guest since before the block: neither relocation nor
 * unblocking nor removal, until it has left; and no next epoch, either.
 */
static void tdx_model_test_epochs(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_td *td = &vm->kvm_tdx->td;
	struct tdx_model_vcpu *vcpu = vm->td->vcpus;
	u64 not_done = TDX_TEST_SEPT_ERR(TDX_TLB_TRACKING_NOT_DONE);
	u64 gpa = tdx_test_gpa(0), writes;
	struct tdx_model_page *src, *dst;
	kvm_pfn_t pfn;
	int i;

	/* Something to do for a vCPU that is not to leave. */
	for (i = 0; i < TDX_MODEL_GFNS; i++)
		tdx_test_give(test, vm, i, TDX_SEPT_PRESENT);
	src = vm->td->sept[0].page;
	dst = tdx_test_alloc(test);
	pfn = tdx_model_pfn(dst);
	KUNIT_ASSERT_TRUE(test, tdx_model_enter(vm->td, &vcpu[0]));
	KUNIT_ASSERT_TRUE(test, tdx_model_write(vm->td, &vcpu[0], 0));
	KUNIT_ASSERT_EQ(test, tdx_test_call(vm, TDX_MODEL_BLOCK, gpa, 0), 0ULL);

	/* The same epoch. The vCPU does not care for the block. */
	writes = vm->td->writes;
	KUNIT_EXPECT_TRUE(test, tdx_model_write(vm->td, &vcpu[0], 0));
	KUNIT_EXPECT_EQ(test, vm->td->writes, writes + 1);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_RELOCATE, gpa, pfn),
			not_done);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_UNBLOCK, gpa, 0),
			not_done);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_REMOVE, gpa, 0),
			not_done);

	/* One later, with a vCPU that is still in the former. */
	KUNIT_EXPECT_EQ(test, tdx_model_ops.track(td), 0ULL);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_RELOCATE, gpa, pfn),
			not_done);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_UNBLOCK, gpa, 0),
			not_done);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.track(td),
			TDX_PREVIOUS_TLB_EPOCH_BUSY);

	/* Another that enters now does not matter, and cannot get there. */
	KUNIT_ASSERT_TRUE(test, tdx_model_enter(vm->td, &vcpu[1]));
	KUNIT_EXPECT_FALSE(test, tdx_model_write(vm->td, &vcpu[1], 0));
	KUNIT_ASSERT_TRUE(test, tdx_model_enter(vm->td, &vcpu[1]));
	KUNIT_EXPECT_PTR_EQ(test, vm->td->sept[0].page, src);

	tdx_model_leave(vm->td, &vcpu[0]);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_RELOCATE, gpa, pfn),
			0ULL);
	KUNIT_EXPECT_TRUE(test, tdx_model_content_ok(vm->td, 0));

	/* Its translation is gone when it comes back. */
	KUNIT_ASSERT_TRUE(test, tdx_model_enter(vm->td, &vcpu[0]));
	KUNIT_EXPECT_TRUE(test, tdx_model_write(vm->td, &vcpu[0], 0));
	KUNIT_EXPECT_PTR_EQ(test, vcpu[0].tlb[0], dst);
	KUNIT_EXPECT_NULL(test, t->model.violation);

	/* What it would have done otherwise does not go unnoticed. */
	vcpu[0].tlb[0] = src;
	tdx_model_write(vm->td, &vcpu[0], 0);
	KUNIT_EXPECT_NOT_NULL(test, t->model.violation);
}

/* Before it is finalized, a TD needs no tracking, and no block either. */
static void tdx_model_test_not_runnable(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	u64 gpa = tdx_test_gpa(0);
	struct tdx_model_page *dst;

	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_ADD, gpa,
					    tdx_model_pfn(tdx_test_alloc(test))),
			TDX_OP_STATE_INCORRECT);

	vm->td->runnable = false;
	KUNIT_EXPECT_FALSE(test, tdx_model_enter(vm->td, &vm->td->vcpus[0]));
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_ADD, gpa,
					    tdx_model_pfn(tdx_test_alloc(test))),
			0ULL);
	dst = tdx_test_alloc(test);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_ADD, gpa,
					    tdx_model_pfn(dst)),
			TDX_TEST_SEPT_ERR(TDX_EPT_ENTRY_STATE_INCORRECT));
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_RELOCATE, gpa,
					    tdx_model_pfn(dst)), 0ULL);
	KUNIT_EXPECT_TRUE(test, tdx_model_content_ok(vm->td, 0));
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_BLOCK, gpa, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, tdx_test_call(vm, TDX_MODEL_UNBLOCK, gpa, 0),
			0ULL);
	KUNIT_EXPECT_EQ(test, vm->td->sept[0].state, TDX_SEPT_PRESENT);
}

/* What becomes of a page on its way back to the host. */
static void tdx_model_test_give_back(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *page;
	u64 hkid = vm->kvm_tdx->hkid;
	kvm_pfn_t pfn;

	page = tdx_test_give(test, vm, 0, TDX_SEPT_BLOCKED);
	pfn = tdx_model_pfn(page);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.wbinvd(hkid, pfn),
			TDX_TEST_SEPT_ERR(TDX_PAGE_METADATA_INCORRECT));
	KUNIT_EXPECT_EQ(test, tdx_model_ops.wbinvd(hkid, TDX_TEST_NO_PFN),
			TDX_TEST_SEPT_ERR(TDX_OPERAND_ADDR_RANGE_ERROR));

	KUNIT_ASSERT_EQ(test, tdx_model_ops.track(&vm->kvm_tdx->td), 0ULL);
	KUNIT_ASSERT_EQ(test, tdx_test_call(vm, TDX_MODEL_REMOVE,
					    tdx_test_gpa(0), 0), 0ULL);
	KUNIT_EXPECT_FALSE(test, tdx_model_host_may_use(page));

	/* Not the lines of another TD. */
	KUNIT_EXPECT_EQ(test, tdx_model_ops.wbinvd(hkid + 1, pfn), 0ULL);
	KUNIT_EXPECT_EQ(test, page->lines, (u16)hkid);
	KUNIT_EXPECT_EQ(test, tdx_model_ops.wbinvd(hkid, pfn), 0ULL);
	KUNIT_EXPECT_FALSE(test, tdx_model_host_may_use(page));
	tdx_model_ops.reset(PFN_PHYS(pfn), PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, tdx_model_host_may_use(page));
	KUNIT_EXPECT_NULL(test, t->model.violation);
}

/* The host is watched as well. */
static void tdx_model_test_violations(struct kunit *test)
{
	struct tdx_test *t = test->priv;
	struct tdx_test_vm *vm = &t->vms[0];
	struct tdx_model_page *page;
	kvm_pfn_t pfn;

	page = tdx_test_give(test, vm, 0, TDX_SEPT_PRESENT);
	pfn = tdx_model_pfn(page);

	tdx_model_ops.reset(PFN_PHYS(pfn), PAGE_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, t->model.violation);
	t->model.violation = NULL;
	tdx_model_host_write(page, 1);
	KUNIT_EXPECT_NOT_NULL(test, t->model.violation);
	t->model.violation = NULL;

	/* Lines that are still dirty, and would be written back. */
	page->pt = TDX_MODEL_PT_NDA;
	page->owner = NULL;
	tdx_model_ops.reset(PFN_PHYS(pfn), PAGE_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, t->model.violation);
	t->model.violation = NULL;

	/* Mapped, but nobody's; and a TD's, but not mapped. */
	KUNIT_EXPECT_NOT_NULL(test, tdx_model_check(&t->model));
	vm->td->sept[0].page = NULL;
	vm->td->sept[0].state = TDX_SEPT_FREE;
	KUNIT_EXPECT_NULL(test, tdx_model_check(&t->model));
	page->pt = TDX_MODEL_PT_REG;
	KUNIT_EXPECT_NOT_NULL(test, tdx_model_check(&t->model));

	/* Twice. */
	page->owner = vm->td;
	vm->td->sept[0] = (struct tdx_model_sept) { TDX_SEPT_PENDING, page };
	KUNIT_EXPECT_NULL(test, tdx_model_check(&t->model));
	vm->td->sept[1] = vm->td->sept[0];
	KUNIT_EXPECT_STREQ(test, tdx_model_check(&t->model), "mapped twice");
}

static struct kunit_case tdx_model_test_cases[] = {
	KUNIT_CASE_PARAM(tdx_model_test_transition,
			 tdx_test_transition_gen_params),
	KUNIT_CASE(tdx_model_test_relocate),
	KUNIT_CASE(tdx_model_test_targets),
	KUNIT_CASE(tdx_model_test_walk),
	KUNIT_CASE(tdx_model_test_epochs),
	KUNIT_CASE(tdx_model_test_not_runnable),
	KUNIT_CASE(tdx_model_test_give_back),
	KUNIT_CASE(tdx_model_test_violations),
	{},
};

static struct kunit_suite tdx_model_test_suite = {
	.name = "kvm_gmem_tdx_model",
	.init = tdx_test_init,
	.exit = tdx_test_exit,
	.test_cases = tdx_model_test_cases,
};

kunit_test_suites(&tdx_gmem_test_suite, &tdx_model_test_suite);

#endif /* _GMEM_MIGRATE_TDX_KUNIT_H */

#endif /* CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST */
