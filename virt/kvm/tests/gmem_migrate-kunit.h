/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit tests of guest_memfd migration
 *
 * The page cache, the folios and the locks are real, and so are the functions
 * of mm. The VMs are not: they are just as much of struct kvm as migration
 * looks at, and their backend and their MMU are stubs.
 */

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST

#ifndef _GMEM_MIGRATE_KUNIT_H
#define _GMEM_MIGRATE_KUNIT_H

#include <kunit/test.h>
#include <linux/backing-dev.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/page-isolation.h>

#define GMEM_TEST_VMS		2
/* Bindings do not start at 0, neither in the file nor in the guest. */
#define GMEM_TEST_PGOFF		3
#define GMEM_TEST_NPAGES	8
#define GMEM_TEST_BASE_GFN	0x1000
#define GMEM_TEST_INDEX		5
/* Within the file, but no memslot's. */
#define GMEM_TEST_UNBOUND	40

#define GMEM_TEST_SRC_BYTE	0x5a
#define GMEM_TEST_DST_BYTE	0xc3

struct gmem_test_vm {
	struct kvm *kvm;
	struct gmem_file file;
	struct kvm_memory_slot *slot;
	enum kvm_gmem_backend backend;
	unsigned int unmapped;
	gfn_t unmapped_gfn;
};

/* What must be the same after a migration that failed. */
struct gmem_test_state {
	unsigned long flags;
	int refs;
	bool charged;
	unsigned long nrpages;
};

struct gmem_test_trace {
	unsigned int nr;
	enum kvm_gmem_backend backend;
	pgoff_t index;
	gfn_t gfn;
	kvm_pfn_t dst;
	unsigned int order;
	enum migrate_mode mode;
	int ret;
};

struct gmem_test {
	struct super_block *sb;
	struct gmem_inode *gi;
	struct address_space *mapping;
	struct gmem_test_vm vms[GMEM_TEST_VMS];
	struct folio *src;
	struct folio *dst;
	struct gmem_test_state before;

	/* What the backend does; the hook comes first, and may sleep. */
	int ret;
	void (*in_backend)(struct kunit *test);
	/* With mmu_lock held. */
	void (*in_unmap)(struct kunit *test);

	/* Whether a page that no memslot binds is a guest's all the same. */
	bool guest_owned;
	/* Whether the architecture replaces a page by its copy in one step. */
	bool in_place;

	/* What the backend was asked, and how often. */
	struct kvm_gmem_migration asked;
	unsigned int calls;

	bool traced;
	struct gmem_test_trace trace;

	/* Somebody who looks for the folio while it moves. */
	struct folio *held;
	struct folio *found;
	struct completion found_it;
};

static const struct address_space_operations gmem_test_aops = {
	.dirty_folio	= noop_dirty_folio,
	.migrate_folio	= kvm_gmem_migrate_folio,
};

static struct gmem_test_vm *gmem_test_find_vm(struct gmem_test *t,
					      struct kvm *kvm)
{
	int i;

	for (i = 0; i < GMEM_TEST_VMS; i++) {
		if (t->vms[i].kvm == kvm)
			return &t->vms[i];
	}

	return NULL;
}

static bool gmem_test_filled(struct folio *folio, int byte)
{
	return !memchr_inv(folio_address(folio), byte, folio_size(folio));
}

static void gmem_test_fill(struct folio *folio, int byte)
{
	memset(folio_address(folio), byte, folio_size(folio));
}

/* Stubs */

static enum kvm_gmem_backend gmem_test_backend(struct kvm *kvm)
{
	struct gmem_test *t = kunit_get_current_test()->priv;

	return gmem_test_find_vm(t, kvm)->backend;
}

static bool gmem_test_guest_owned(kvm_pfn_t pfn)
{
	struct kunit *test = kunit_get_current_test();
	struct gmem_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, pfn, folio_pfn(t->src));

	return t->guest_owned;
}

static bool gmem_test_in_place(void)
{
	struct gmem_test *t = kunit_get_current_test()->priv;

	return t->in_place;
}

static bool gmem_test_unmap(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct kunit *test = kunit_get_current_test();
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = gmem_test_find_vm(t, kvm);

	KUNIT_EXPECT_EQ(test, kvm->mmu_invalidate_in_progress, 1L);
	KUNIT_EXPECT_PTR_EQ(test, range->slot, vm->slot);
	KUNIT_EXPECT_EQ(test, range->end - range->start, 1ULL);
	/* What is still in the page cache is what a fault would find. */
	KUNIT_EXPECT_PTR_EQ(test, t->src->mapping, t->mapping);
	kvm_mmu_invalidate_range_add(kvm, range->start, range->end);

	vm->unmapped++;
	vm->unmapped_gfn = range->start;

	if (t->in_unmap)
		t->in_unmap(test);

	return false;
}

/* Checks what backends rely on, and moves the content as they would. */
static int gmem_test_relocate(struct kvm_gmem_migration *m)
{
	struct kunit *test = kunit_get_current_test();
	struct gmem_test *t = test->priv;

	t->asked = *m;
	t->calls++;

	KUNIT_EXPECT_TRUE(test, folio_test_locked(t->src));
	KUNIT_EXPECT_TRUE(test, folio_test_locked(t->dst));
	KUNIT_EXPECT_TRUE(test, rwsem_is_locked(&t->mapping->invalidate_lock));
	KUNIT_EXPECT_EQ(test, m->kvm->mmu_invalidate_in_progress, 1L);
	KUNIT_EXPECT_EQ(test, m->kvm->mmu_invalidate_range_start, m->gfn);
	KUNIT_EXPECT_EQ(test, m->kvm->mmu_invalidate_range_end, m->gfn + 1);
	/* No way back after the backend: the new folio is in place already. */
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&t->mapping->i_pages, t->src->index),
			    (void *)t->dst);
	KUNIT_EXPECT_FALSE(test, folio_test_uptodate(t->dst));

	if (t->in_backend)
		t->in_backend(test);

	if (!t->ret) {
		folio_copy(t->dst, t->src);
		gmem_test_fill(t->src, 0);
	}

	return t->ret;
}

static void gmem_test_probe(void *data, enum kvm_gmem_backend backend,
			    pgoff_t index, gfn_t gfn, kvm_pfn_t src,
			    kvm_pfn_t dst, unsigned int order,
			    enum migrate_mode mode, int ret, u64 duration_ns)
{
	struct gmem_test *t = data;

	/* Others may migrate at the same time. */
	if (!t->src || src != folio_pfn(t->src))
		return;

	t->trace.nr++;
	t->trace.backend = backend;
	t->trace.index = index;
	t->trace.gfn = gfn;
	t->trace.dst = dst;
	t->trace.order = order;
	t->trace.mode = mode;
	t->trace.ret = ret;
}

/* Setting up */

static void gmem_test_bind(struct gmem_test *t, struct gmem_test_vm *vm,
			   enum kvm_gmem_backend backend)
{
	int i;

	vm->backend = backend;
	for (i = 0; i < GMEM_TEST_NPAGES; i++)
		xa_store(&vm->file.bindings, GMEM_TEST_PGOFF + i, vm->slot,
			 GFP_KERNEL);
	list_add_tail(&vm->file.entry, &t->gi->gmem_file_list);
}

static gfn_t gmem_test_gfn(struct gmem_test_vm *vm)
{
	return vm->slot->base_gfn + GMEM_TEST_INDEX - GMEM_TEST_PGOFF;
}

static void gmem_test_init_vm(struct kunit *test, struct gmem_test_vm *vm,
			      gfn_t base_gfn)
{
	vm->kvm = kunit_kzalloc(test, sizeof(*vm->kvm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm->kvm);
	KVM_MMU_LOCK_INIT(vm->kvm);

	vm->slot = kunit_kzalloc(test, sizeof(*vm->slot), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm->slot);
	vm->slot->base_gfn = base_gfn;
	vm->slot->npages = GMEM_TEST_NPAGES;
	vm->slot->gmem.pgoff = GMEM_TEST_PGOFF;

	xa_init(&vm->file.bindings);
	vm->file.kvm = vm->kvm;
}

static void gmem_test_init_inode(struct kunit *test, struct gmem_test *t)
{
	struct inode *inode;

	t->sb = kunit_kzalloc(test, sizeof(*t->sb), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->sb);
	t->sb->s_bdi = &noop_backing_dev_info;

	t->gi = kunit_kzalloc(test, sizeof(*t->gi), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->gi);
	INIT_LIST_HEAD(&t->gi->gmem_file_list);
	t->gi->flags = GUEST_MEMFD_FLAG_MIGRATABLE;

	inode = &t->gi->vfs_inode;
	inode_init_once(inode);
	spin_lock_init(&inode->i_lock);
	/* In use, so that it is on no list of inodes that can be freed. */
	atomic_set(&inode->i_count, 1);
	inode->i_sb = t->sb;
	inode->i_mapping = &inode->i_data;

	t->mapping = inode->i_mapping;
	t->mapping->host = inode;
	t->mapping->a_ops = &gmem_test_aops;
	init_rwsem(&t->mapping->invalidate_lock);
	mapping_set_inaccessible(t->mapping);
	kvm_gmem_init_migration(NULL, inode);
}

static struct folio *gmem_test_alloc_folio(struct kunit *test, int nid)
{
	gfp_t gfp = GFP_KERNEL;
	struct folio *folio;

	if (nid == NUMA_NO_NODE)
		folio = folio_alloc(gfp, 0);
	else
		folio = __folio_alloc_node(gfp | __GFP_THISNODE, 0, nid);
	KUNIT_ASSERT_NOT_NULL(test, folio);

	return folio;
}

/*
 * As migration would see it: locked, off the LRU lists, with one reference for
 * the isolation and one for the page cache.
 */
static void gmem_test_add_source(struct kunit *test, struct folio *folio,
				 pgoff_t index)
{
	struct gmem_test *t = test->priv;
	int ret;

	gmem_test_fill(folio, GMEM_TEST_SRC_BYTE);
	KUNIT_ASSERT_EQ(test, mem_cgroup_charge(folio, NULL, GFP_KERNEL), 0);
	__folio_set_locked(folio);
	ret = __filemap_add_folio(t->mapping, folio, index, GFP_KERNEL, NULL);
	KUNIT_ASSERT_EQ(test, ret, 0);
	folio_mark_uptodate(folio);
	folio_set_unevictable(folio);
}

static void gmem_test_add_folios_at(struct kunit *test, pgoff_t index,
				    int src_nid, int dst_nid)
{
	struct gmem_test *t = test->priv;

	t->src = gmem_test_alloc_folio(test, src_nid);
	gmem_test_add_source(test, t->src, index);

	t->dst = gmem_test_alloc_folio(test, dst_nid);
	gmem_test_fill(t->dst, GMEM_TEST_DST_BYTE);
	__folio_set_locked(t->dst);
}

static void gmem_test_add_folios(struct kunit *test)
{
	gmem_test_add_folios_at(test, GMEM_TEST_INDEX, NUMA_NO_NODE,
				NUMA_NO_NODE);
}

static int gmem_test_init(struct kunit *test)
{
	struct gmem_test *t;
	int i;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;

	init_completion(&t->found_it);
	gmem_test_init_inode(test, t);
	for (i = 0; i < GMEM_TEST_VMS; i++)
		gmem_test_init_vm(test, &t->vms[i],
				  GMEM_TEST_BASE_GFN * (i + 1));

	kunit_activate_static_stub(test, kvm_gmem_backend, gmem_test_backend);
	kunit_activate_static_stub(test, kvm_gmem_arch_migrate,
				   gmem_test_relocate);
	kunit_activate_static_stub(test, kvm_gmem_copies_in_place,
				   gmem_test_in_place);
	kunit_activate_static_stub(test, kvm_gmem_arch_copy,
				   gmem_test_relocate);
	kunit_activate_static_stub(test, kvm_gmem_guest_owned,
				   gmem_test_guest_owned);
	kunit_activate_static_stub(test, kvm_gmem_unmap_range, gmem_test_unmap);

	t->traced = !register_trace_kvm_gmem_migrate_folio(gmem_test_probe, t);

	return 0;
}

static void gmem_test_put(struct folio *folio)
{
	if (!folio)
		return;

	if (folio_test_locked(folio))
		folio_unlock(folio);
	/* It was never on a list of unevictable folios. */
	folio_clear_unevictable(folio);
	folio_put(folio);
}

static void gmem_test_exit(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	int i;

	if (!t)
		return;

	if (t->traced) {
		unregister_trace_kvm_gmem_migrate_folio(gmem_test_probe, t);
		tracepoint_synchronize_unregister();
	}

	/* Without the locks, which truncation is going to take. */
	if (t->src && folio_test_locked(t->src))
		folio_unlock(t->src);
	if (t->dst && folio_test_locked(t->dst))
		folio_unlock(t->dst);
	if (t->mapping)
		truncate_inode_pages(t->mapping, 0);
	gmem_test_put(t->src);
	gmem_test_put(t->dst);

	for (i = 0; i < GMEM_TEST_VMS; i++)
		xa_destroy(&t->vms[i].file.bindings);
}

/* Migrating, and what to expect of it */

static int gmem_test_migrate(struct kunit *test, enum migrate_mode mode)
{
	struct gmem_test *t = test->priv;
	unsigned int nr = t->trace.nr;
	int ret;

	t->before.flags = t->src->flags.f;
	t->before.refs = folio_ref_count(t->src);
	t->before.charged = folio_memcg_charged(t->src);
	t->before.nrpages = t->mapping->nrpages;

	ret = kvm_gmem_migrate_folio(t->mapping, t->dst, t->src, mode);

	if (t->traced) {
		KUNIT_EXPECT_EQ(test, t->trace.nr, nr + 1);
		KUNIT_EXPECT_EQ(test, t->trace.ret, ret);
		KUNIT_EXPECT_EQ(test, t->trace.mode, mode);
		KUNIT_EXPECT_EQ(test, t->trace.index, t->src->index);
		KUNIT_EXPECT_EQ(test, t->trace.dst, folio_pfn(t->dst));
		KUNIT_EXPECT_EQ(test, t->trace.order, folio_order(t->src));
	}

	/* The caller of ->migrate_folio does this. */
	if (!ret)
		t->src->mapping = NULL;

	return ret;
}

static void gmem_test_expect_vm(struct kunit *test, struct gmem_test_vm *vm,
				unsigned long seq, u64 migrated, u64 failed)
{
	struct kvm_vm_stat_generic *stat = &vm->kvm->stat.generic;

	KUNIT_EXPECT_EQ(test, vm->kvm->mmu_invalidate_in_progress, 0L);
	KUNIT_EXPECT_EQ(test, vm->kvm->mmu_invalidate_seq, seq);
	KUNIT_EXPECT_EQ(test, stat->gmem_migrated, migrated);
	KUNIT_EXPECT_EQ(test, stat->gmem_migrate_failed, failed);
}

/*
 * The guest did not lose a fault for a migration that could not succeed. It is
 * counted as @failed, or not at all, by every VM that uses the page.
 */
static void gmem_test_expect_undisturbed(struct kunit *test, u64 failed)
{
	struct gmem_test *t = test->priv;
	int i;

	KUNIT_EXPECT_EQ(test, t->calls, 0U);
	for (i = 0; i < GMEM_TEST_VMS; i++) {
		struct gmem_test_vm *vm = &t->vms[i];
		bool bound = !xa_empty(&vm->file.bindings);

		KUNIT_EXPECT_EQ(test, vm->unmapped, 0U);
		gmem_test_expect_vm(test, vm, 0, 0, bound ? failed : 0);
	}
}

/* @dst_refs: 1, and what others hold. */
static void gmem_test_expect_source(struct kunit *test, int dst_refs)
{
	struct gmem_test *t = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, xa_load(&t->mapping->i_pages, t->src->index),
			    (void *)t->src);
	KUNIT_EXPECT_EQ(test, t->mapping->nrpages, t->before.nrpages);
	KUNIT_EXPECT_PTR_EQ(test, t->src->mapping, t->mapping);
	KUNIT_EXPECT_EQ(test, t->src->flags.f, t->before.flags);
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->src), t->before.refs);
	KUNIT_EXPECT_EQ(test, folio_memcg_charged(t->src), t->before.charged);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->src, GMEM_TEST_SRC_BYTE));

	KUNIT_EXPECT_NULL(test, t->dst->mapping);
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->dst), dst_refs);
	KUNIT_EXPECT_FALSE(test, folio_test_uptodate(t->dst));
	KUNIT_EXPECT_FALSE(test, folio_test_unevictable(t->dst));
	KUNIT_EXPECT_FALSE(test, folio_memcg_charged(t->dst));
	/* Nothing of the guest's content is left in it. */
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_DST_BYTE));
}

static void gmem_test_expect_target(struct kunit *test, pgoff_t index)
{
	struct gmem_test *t = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, xa_load(&t->mapping->i_pages, index),
			    (void *)t->dst);
	KUNIT_EXPECT_EQ(test, t->mapping->nrpages, t->before.nrpages);
	KUNIT_EXPECT_PTR_EQ(test, t->dst->mapping, t->mapping);
	KUNIT_EXPECT_EQ(test, t->dst->index, index);
	KUNIT_EXPECT_TRUE(test, folio_test_unevictable(t->dst));
	KUNIT_EXPECT_EQ(test, folio_memcg_charged(t->dst), t->before.charged);
	/* The page cache's and the one of whoever allocated it. */
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->dst), 2);

	/* The page cache's reference is gone. */
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->src), t->before.refs - 1);
	KUNIT_EXPECT_FALSE(test, folio_test_unevictable(t->src));
	KUNIT_EXPECT_FALSE(test, folio_memcg_charged(t->src));
}

/* Tests: success */

static const enum migrate_mode gmem_test_modes[] = {
	MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC,
};

static void gmem_test_mode_desc(const enum migrate_mode *mode, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s",
		 *mode == MIGRATE_ASYNC ? "async" :
		 *mode == MIGRATE_SYNC ? "sync" : "sync_light");
}

KUNIT_ARRAY_PARAM(gmem_test_mode, gmem_test_modes, gmem_test_mode_desc);

static void gmem_test_success(struct kunit *test)
{
	const enum migrate_mode *mode = test->param_value;
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, *mode), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 1U);
	KUNIT_EXPECT_PTR_EQ(test, t->asked.kvm, vm->kvm);
	KUNIT_EXPECT_EQ(test, t->asked.gfn, gmem_test_gfn(vm));
	KUNIT_EXPECT_EQ(test, t->asked.src, folio_pfn(t->src));
	KUNIT_EXPECT_EQ(test, t->asked.dst, folio_pfn(t->dst));
	KUNIT_EXPECT_EQ(test, t->asked.mode, *mode);
	/* It is the backend that knows whether the guest loses the page. */
	KUNIT_EXPECT_EQ(test, vm->unmapped, 0U);

	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(t->dst));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	/* As the backend left it: wiped. */
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->src, 0));
	gmem_test_expect_vm(test, vm, 1, 1, 0);
	if (t->traced) {
		KUNIT_EXPECT_EQ(test, t->trace.backend, KVM_GMEM_BACKEND_PKVM);
		KUNIT_EXPECT_EQ(test, t->trace.gfn, gmem_test_gfn(vm));
	}
}

/* For a page that is the host's at the moment, says the backend. */
static void gmem_test_backend_says_copy(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	t->ret = KVM_GMEM_MIGRATE_COPY;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 1U);
	/* It may be mapped all the same, as shared. */
	KUNIT_EXPECT_EQ(test, t->vms[0].unmapped, 1U);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(t->dst));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	gmem_test_expect_vm(test, &t->vms[0], 1, 1, 0);
}

static void gmem_test_copy(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 0U);
	KUNIT_EXPECT_EQ(test, vm->unmapped, 1U);
	KUNIT_EXPECT_EQ(test, vm->unmapped_gfn, gmem_test_gfn(vm));
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(t->dst));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	gmem_test_expect_vm(test, vm, 1, 1, 0);
}

static void gmem_test_copy_in_place(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);
	t->in_place = true;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 1U);
	KUNIT_EXPECT_PTR_EQ(test, t->asked.kvm, vm->kvm);
	KUNIT_EXPECT_EQ(test, t->asked.gfn, gmem_test_gfn(vm));
	KUNIT_EXPECT_EQ(test, vm->unmapped, 0U);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, folio_test_uptodate(t->dst));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	/* The stub copied it, and nobody a second time. */
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->src, 0));
	gmem_test_expect_vm(test, vm, 1, 1, 0);
}

/* The architecture has only unmapped the page. */
static void gmem_test_copy_in_place_says_copy(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);
	t->in_place = true;
	t->ret = KVM_GMEM_MIGRATE_COPY;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 1U);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	gmem_test_expect_vm(test, &t->vms[0], 1, 1, 0);
}

static void gmem_test_copy_in_place_fails(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);
	t->in_place = true;
	t->ret = -EHWPOISON;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC),
			-EHWPOISON);

	gmem_test_expect_source(test, 1);
	gmem_test_expect_vm(test, &t->vms[0], 1, 0, 1);
}

/* Every VM loses the page before it is copied, even where one would not. */
static void gmem_test_copy_two_vms(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	int i;

	t->in_place = true;
	for (i = 0; i < GMEM_TEST_VMS; i++)
		gmem_test_bind(t, &t->vms[i], KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	for (i = 0; i < GMEM_TEST_VMS; i++) {
		struct gmem_test_vm *vm = &t->vms[i];

		KUNIT_EXPECT_EQ(test, vm->unmapped, 1U);
		KUNIT_EXPECT_EQ(test, vm->unmapped_gfn, gmem_test_gfn(vm));
		gmem_test_expect_vm(test, vm, 1, 1, 0);
	}
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
}

/* No content that somebody would have to move. */
static void gmem_test_not_uptodate(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	folio_clear_uptodate(t->src);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->calls, 0U);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_FALSE(test, folio_test_uptodate(t->dst));
	gmem_test_expect_vm(test, &t->vms[0], 1, 1, 0);
}

/* In the file of a VM, but in no memslot: written through mmap, say. */
static void gmem_test_unbound(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios_at(test, GMEM_TEST_UNBOUND, NUMA_NO_NODE,
				NUMA_NO_NODE);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	gmem_test_expect_undisturbed(test, 0);
	gmem_test_expect_target(test, GMEM_TEST_UNBOUND);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	if (t->traced) {
		KUNIT_EXPECT_EQ(test, t->trace.backend, KVM_GMEM_BACKEND_COPY);
		KUNIT_EXPECT_EQ(test, t->trace.gfn, (gfn_t)INVALID_GPA);
	}
}

/* Every page goes to the gfn of its own memslot. */
static void gmem_test_two_slots(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];
	struct kvm_memory_slot *other = t->vms[1].slot;

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_PKVM);
	other->gmem.pgoff = GMEM_TEST_UNBOUND - 1;
	xa_store(&vm->file.bindings, GMEM_TEST_UNBOUND, other, GFP_KERNEL);
	gmem_test_add_folios_at(test, GMEM_TEST_UNBOUND, NUMA_NO_NODE,
				NUMA_NO_NODE);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);

	KUNIT_EXPECT_EQ(test, t->asked.gfn, other->base_gfn + 1);
	gmem_test_expect_target(test, GMEM_TEST_UNBOUND);
	gmem_test_expect_vm(test, vm, 1, 1, 0);
}

/* Several folios of one file can be on the move at the same time. */
static void gmem_test_invalidate_lock_shared(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	int ret;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	/* Not down_read(): it is taken once more by the same task. */
	KUNIT_ASSERT_TRUE(test, filemap_invalidate_trylock_shared(t->mapping));
	ret = gmem_test_migrate(test, MIGRATE_SYNC);
	filemap_invalidate_unlock_shared(t->mapping);

	KUNIT_EXPECT_EQ(test, ret, 0);
}

/* Tests: refusals */

static void gmem_test_source_referenced(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	folio_get(t->src);
	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EAGAIN);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
	folio_put(t->src);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);
}

static void gmem_test_invalidate_lock_held(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	int ret;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	filemap_invalidate_lock(t->mapping);
	ret = gmem_test_migrate(test, MIGRATE_SYNC);
	filemap_invalidate_unlock(t->mapping);

	KUNIT_EXPECT_EQ(test, ret, -EAGAIN);
	gmem_test_expect_source(test, 1);
	/* Without the lock there is no telling whose it is. */
	gmem_test_expect_undisturbed(test, 0);
	KUNIT_EXPECT_FALSE(test, rwsem_is_locked(&t->mapping->invalidate_lock));
}

static void gmem_test_hwpoison(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	int ret;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "no memory failures");

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	SetPageHWPoison(&t->src->page);
	ret = gmem_test_migrate(test, MIGRATE_SYNC);
	KUNIT_EXPECT_EQ(test, ret, -EHWPOISON);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
	ClearPageHWPoison(&t->src->page);
}

static void gmem_test_large(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct folio *large;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);

	large = folio_alloc(GFP_KERNEL | __GFP_COMP, 2);
	KUNIT_ASSERT_NOT_NULL(test, large);
	t->src = large;
	t->dst = gmem_test_alloc_folio(test, NUMA_NO_NODE);
	__folio_set_locked(t->src);
	__folio_set_locked(t->dst);
	/* Refused before anything looks for it in the page cache. */
	large->mapping = t->mapping;
	large->index = GMEM_TEST_INDEX;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC),
			-EOPNOTSUPP);
	gmem_test_expect_undisturbed(test, 1);
	large->mapping = NULL;
}

/* The VM type cannot move its memory. */
static void gmem_test_no_backend(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_NONE);
	gmem_test_add_folios(test);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC),
			-EOPNOTSUPP);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
}

/* What the backend left behind when it gave up on the VM is unknown. */
static void gmem_test_bugged(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	t->vms[0].kvm->vm_bugged = true;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EIO);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
}

/* Nor is it known of a page that no memslot binds any more. */
static void gmem_test_unbound_bugged(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios_at(test, GMEM_TEST_UNBOUND, NUMA_NO_NODE,
				NUMA_NO_NODE);
	t->vms[0].kvm->vm_bugged = true;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EIO);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 0);
}

/* No memslot binds it, but that does not make it the host's. */
static void gmem_test_unbound_guest_owned(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios_at(test, GMEM_TEST_UNBOUND, NUMA_NO_NODE,
				NUMA_NO_NODE);
	t->guest_owned = true;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EBUSY);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 0);
}

static const enum kvm_gmem_backend gmem_test_pairs[][GMEM_TEST_VMS] = {
	{ KVM_GMEM_BACKEND_PKVM, KVM_GMEM_BACKEND_PKVM },
	{ KVM_GMEM_BACKEND_PKVM, KVM_GMEM_BACKEND_COPY },
	{ KVM_GMEM_BACKEND_COPY, KVM_GMEM_BACKEND_PKVM },
	{ KVM_GMEM_BACKEND_COPY, KVM_GMEM_BACKEND_NONE },
	{ KVM_GMEM_BACKEND_NONE, KVM_GMEM_BACKEND_COPY },
};

static void gmem_test_pair_desc(const enum kvm_gmem_backend (*pair)[2],
				char *desc)
{
	static const char * const names[] = { "none", "copy", "backend" };

	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s and %s", names[(*pair)[0]],
		 names[(*pair)[1]]);
}

KUNIT_ARRAY_PARAM(gmem_test_pair, gmem_test_pairs, gmem_test_pair_desc);

/* There is no copy where one of the VMs cannot have one. */
static void gmem_test_two_vms(struct kunit *test)
{
	const enum kvm_gmem_backend *pair = test->param_value;
	struct gmem_test *t = test->priv;
	int i;

	for (i = 0; i < GMEM_TEST_VMS; i++)
		gmem_test_bind(t, &t->vms[i], pair[i]);
	gmem_test_add_folios(test);

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EBUSY);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
}

/* Tests: failures on the way */

static const int gmem_test_errors[] = { -EIO, -EAGAIN, -EBUSY };

static void gmem_test_error_desc(const int *error, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "error %d", *error);
}

KUNIT_ARRAY_PARAM(gmem_test_error, gmem_test_errors, gmem_test_error_desc);

static void gmem_test_backend_fails(struct kunit *test)
{
	const int *error = test->param_value;
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	t->ret = *error;
	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), *error);
	KUNIT_EXPECT_EQ(test, t->calls, 1U);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_vm(test, &t->vms[0], 1, 0, 1);

	/* And as often as one likes. */
	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_ASYNC), *error);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_vm(test, &t->vms[0], 2, 0, 2);

	/* Nothing was left behind that would keep it from moving. */
	t->ret = 0;
	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(t->dst, GMEM_TEST_SRC_BYTE));
	gmem_test_expect_vm(test, &t->vms[0], 3, 1, 2);
}

static void gmem_test_hold_target(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	t->held = filemap_get_folio(t->mapping, GMEM_TEST_INDEX);
	KUNIT_EXPECT_PTR_EQ(test, t->held, t->dst);
}

/* A lookup that came in between keeps a reference to the wrong folio. */
static void gmem_test_backend_fails_target_referenced(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	t->in_backend = gmem_test_hold_target;
	t->ret = -EIO;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EIO);
	gmem_test_expect_source(test, 2);
	gmem_test_expect_vm(test, &t->vms[0], 1, 0, 1);
	if (!IS_ERR_OR_NULL(t->held))
		folio_put(t->held);
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->dst), 1);
}

static void gmem_test_hold_source(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	t->held = t->src;
	folio_get(t->held);
}

/* The page is gone from the guest already, which then has to fault it in. */
static void gmem_test_switch_fails(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_COPY);
	gmem_test_add_folios(test);
	t->in_unmap = gmem_test_hold_source;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EAGAIN);
	KUNIT_EXPECT_EQ(test, vm->unmapped, 1U);
	KUNIT_ASSERT_PTR_EQ(test, t->held, t->src);
	folio_put(t->held);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_vm(test, vm, 1, 0, 1);
}

/* Tests: lookups while the folio moves */

static int gmem_test_lookup(void *data)
{
	struct gmem_test *t = data;

	t->found = filemap_lock_folio(t->mapping, GMEM_TEST_INDEX);
	complete(&t->found_it);

	return 0;
}

/* Goes on as soon as the other thread waits for the new folio's lock. */
static void gmem_test_start_lookup(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct task_struct *task;
	int ms;

	task = kthread_run(gmem_test_lookup, t, "gmem_test_lookup");
	KUNIT_EXPECT_FALSE(test, IS_ERR(task));
	if (IS_ERR(task))
		return;

	for (ms = 0; ms < 10000 && !folio_test_waiters(t->dst); ms += 20)
		msleep(20);
	KUNIT_EXPECT_TRUE(test, folio_test_waiters(t->dst));
}

/* What the fault under way finds once both folios are unlocked. */
static struct folio *gmem_test_finish_lookup(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct folio *found;

	KUNIT_EXPECT_FALSE(test, completion_done(&t->found_it));
	folio_unlock(t->dst);
	folio_unlock(t->src);
	wait_for_completion(&t->found_it);

	found = t->found;
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(found));
	KUNIT_EXPECT_TRUE(test, folio_test_locked(found));
	folio_unlock(found);
	folio_put(found);

	return found;
}

static void gmem_test_lookup_success(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	t->in_backend = gmem_test_start_lookup;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), 0);
	KUNIT_EXPECT_PTR_EQ(test, gmem_test_finish_lookup(test), t->dst);
	gmem_test_expect_target(test, GMEM_TEST_INDEX);
}

static void gmem_test_lookup_failure(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_bind(t, &t->vms[0], KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);
	t->in_backend = gmem_test_start_lookup;
	t->ret = -EIO;

	KUNIT_ASSERT_EQ(test, gmem_test_migrate(test, MIGRATE_SYNC), -EIO);
	/* The other thread's reference is to a folio that has left the file. */
	gmem_test_expect_source(test, 2);
	KUNIT_EXPECT_PTR_EQ(test, gmem_test_finish_lookup(test), t->src);

	KUNIT_EXPECT_EQ(test, folio_ref_count(t->dst), 1);
	KUNIT_EXPECT_EQ(test, folio_ref_count(t->src), t->before.refs);
}

/* Tests: which guest_memfd is migratable */

static void gmem_test_flags(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];
	struct kvm_create_guest_memfd args = {
		.size = PAGE_SIZE,
		.flags = GUEST_MEMFD_FLAG_MIGRATABLE,
	};

	vm->backend = KVM_GMEM_BACKEND_NONE;
	KUNIT_EXPECT_EQ(test, kvm_gmem_migration_flags(vm->kvm), 0ULL);
	KUNIT_EXPECT_EQ(test, kvm_gmem_migration_flags(NULL), 0ULL);
	KUNIT_EXPECT_EQ(test, kvm_gmem_create(vm->kvm, &args), -EINVAL);

	vm->backend = KVM_GMEM_BACKEND_PKVM;
	KUNIT_EXPECT_EQ(test, kvm_gmem_migration_flags(vm->kvm),
			GUEST_MEMFD_FLAG_MIGRATABLE);

	/* Whatever the backend is. */
	vm->kvm->gmem_migration_disabled = true;
	KUNIT_EXPECT_EQ(test, kvm_gmem_migration_flags(vm->kvm), 0ULL);
	KUNIT_EXPECT_EQ(test, kvm_gmem_create(vm->kvm, &args), -EINVAL);
}

static void gmem_test_expect_movable_of(struct kunit *test,
					struct gmem_test_vm *vm, u64 flags,
					bool param, bool movable)
{
	struct gmem_test *t = test->priv;
	bool saved = READ_ONCE(gmem_migratable);

	/* As it is when kvm_gmem_init_migration() gets it. */
	t->mapping->flags = 0;
	mapping_set_gfp_mask(t->mapping, GFP_HIGHUSER);
	mapping_set_inaccessible(t->mapping);
	t->gi->flags = flags;

	WRITE_ONCE(gmem_migratable, param);
	kvm_gmem_init_migration(vm->kvm, &t->gi->vfs_inode);
	WRITE_ONCE(gmem_migratable, saved);

	KUNIT_EXPECT_EQ(test, mapping_unmovable(t->mapping), !movable);
	KUNIT_EXPECT_EQ(test, !!(mapping_gfp_mask(t->mapping) & __GFP_MOVABLE),
			movable);
	KUNIT_EXPECT_EQ(test, !!(t->gi->flags & GUEST_MEMFD_FLAG_MIGRATABLE),
			movable);
	KUNIT_EXPECT_TRUE(test, mapping_inaccessible(t->mapping));
	KUNIT_EXPECT_TRUE(test, mapping_unevictable(t->mapping));
}

static void gmem_test_expect_movable(struct kunit *test, u64 flags,
				     bool param, bool movable)
{
	struct gmem_test *t = test->priv;

	gmem_test_expect_movable_of(test, &t->vms[0], flags, param, movable);
}

static void gmem_test_init_migration(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	t->vms[0].backend = KVM_GMEM_BACKEND_PKVM;
	gmem_test_expect_movable(test, 0, false, false);
	gmem_test_expect_movable(test, GUEST_MEMFD_FLAG_MIGRATABLE, false,
				 true);
	gmem_test_expect_movable(test, 0, true, true);

	/* The parameter is for those that can. */
	t->vms[0].backend = KVM_GMEM_BACKEND_NONE;
	gmem_test_expect_movable(test, 0, true, false);
}

/* The VM lost its backend after the guest_memfd was created. */
static void gmem_test_bind_migration(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];
	int ret;

	gmem_test_bind(t, vm, KVM_GMEM_BACKEND_PKVM);
	gmem_test_add_folios(test);

	filemap_invalidate_lock(t->mapping);
	kvm_gmem_bind_migration(vm->kvm, &t->gi->vfs_inode);
	filemap_invalidate_unlock(t->mapping);
	KUNIT_EXPECT_FALSE(test, mapping_unmovable(t->mapping));

	vm->backend = KVM_GMEM_BACKEND_NONE;
	filemap_invalidate_lock(t->mapping);
	kvm_gmem_bind_migration(vm->kvm, &t->gi->vfs_inode);
	filemap_invalidate_unlock(t->mapping);
	KUNIT_EXPECT_TRUE(test, mapping_unmovable(t->mapping));
	KUNIT_EXPECT_FALSE(test, mapping_gfp_mask(t->mapping) & __GFP_MOVABLE);

	/* Whoever looked at the mapping before comes too late. */
	vm->backend = KVM_GMEM_BACKEND_PKVM;
	ret = gmem_test_migrate(test, MIGRATE_SYNC);
	KUNIT_EXPECT_EQ(test, ret, -EOPNOTSUPP);
	gmem_test_expect_source(test, 1);
	gmem_test_expect_undisturbed(test, 1);
}

/* Memslots of a VM: one of @file, and one of no guest_memfd. */
static void gmem_test_add_slots(struct kunit *test, struct gmem_test_vm *vm,
				struct file *file)
{
	struct kvm_memory_slot *other;
	int i;

	mutex_init(&vm->kvm->slots_lock);
	for (i = 0; i < KVM_MAX_NR_ADDRESS_SPACES; i++) {
		struct kvm_memslots *slots;

		slots = kunit_kzalloc(test, sizeof(*slots), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, slots);
		hash_init(slots->id_hash);
		rcu_assign_pointer(vm->kvm->memslots[i], slots);
	}

	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	other->id = 1;
	other->npages = 1;
	vm->slot->gmem.file = file;
	hash_add(__kvm_memslots(vm->kvm, 0)->id_hash, &vm->slot->id_node[0], 0);
	hash_add(__kvm_memslots(vm->kvm, 0)->id_hash, &other->id_node[0], 1);
}

/* A VM turns out to be unmovable; @bound says when it binds the guest_memfd. */
static void gmem_test_disable(struct kunit *test, bool bound)
{
	struct gmem_test *t = test->priv;
	struct gmem_test_vm *vm = &t->vms[0];
	struct file *file;

	file = kunit_kzalloc(test, sizeof(*file), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, file);
	file_ref_init(&file->f_ref, 1);
	file->f_inode = &t->gi->vfs_inode;
	file->f_mapping = t->mapping;

	vm->backend = KVM_GMEM_BACKEND_SNP;
	gmem_test_add_slots(test, vm, bound ? file : NULL);
	KUNIT_ASSERT_EQ(test, kvm_gmem_migration_flags(vm->kvm),
			GUEST_MEMFD_FLAG_MIGRATABLE);

	kvm_gmem_disable_migration(vm->kvm);

	KUNIT_EXPECT_EQ(test, kvm_gmem_migration_flags(vm->kvm), 0ULL);
	KUNIT_EXPECT_EQ(test, mapping_unmovable(t->mapping), bound);
	KUNIT_EXPECT_EQ(test, !!(mapping_gfp_mask(t->mapping) & __GFP_MOVABLE),
			!bound);
	KUNIT_EXPECT_EQ(test, file_count(file), 1L);
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&vm->kvm->slots_lock));

	/* This takes the lock, which was given back. */
	filemap_invalidate_lock(t->mapping);
	kvm_gmem_bind_migration(vm->kvm, &t->gi->vfs_inode);
	filemap_invalidate_unlock(t->mapping);
	KUNIT_EXPECT_TRUE(test, mapping_unmovable(t->mapping));
	KUNIT_EXPECT_FALSE(test, mapping_gfp_mask(t->mapping) & __GFP_MOVABLE);

	/* Others are as they were. */
	t->vms[1].backend = KVM_GMEM_BACKEND_SNP;
	gmem_test_expect_movable_of(test, &t->vms[1], 0, true, true);
	/* And those that are created from then on are unmovable. */
	gmem_test_expect_movable_of(test, vm, 0, true, false);
}

static void gmem_test_disable_bound(struct kunit *test)
{
	gmem_test_disable(test, true);
}

static void gmem_test_disable_unbound(struct kunit *test)
{
	gmem_test_disable(test, false);
}

static bool gmem_test_isolates(struct folio *folio)
{
	struct page *page = folio_page(folio, 0);
	unsigned long step = 1;

	return !page_is_unmovable(page_zone(page), page,
				  PB_ISOLATE_MODE_MEM_OFFLINE, &step);
}

/*
 * A block with an unmovable mapping's folio is not isolated in vain. A folio that can
 * be evicted is not asked for its mapping.
 */
static void gmem_test_isolation(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_add_folios(test);
	folio_set_lru(t->src);
	KUNIT_EXPECT_TRUE(test, gmem_test_isolates(t->src));

	mapping_set_unmovable(t->mapping);
	KUNIT_EXPECT_FALSE(test, gmem_test_isolates(t->src));
	folio_clear_unevictable(t->src);
	KUNIT_EXPECT_TRUE(test, gmem_test_isolates(t->src));

	folio_clear_lru(t->src);
	folio_set_unevictable(t->src);
}

static struct kunit_case gmem_migrate_test_cases[] = {
	KUNIT_CASE_PARAM(gmem_test_success, gmem_test_mode_gen_params),
	KUNIT_CASE(gmem_test_backend_says_copy),
	KUNIT_CASE(gmem_test_copy),
	KUNIT_CASE(gmem_test_copy_in_place),
	KUNIT_CASE(gmem_test_copy_in_place_says_copy),
	KUNIT_CASE(gmem_test_copy_in_place_fails),
	KUNIT_CASE(gmem_test_copy_two_vms),
	KUNIT_CASE(gmem_test_not_uptodate),
	KUNIT_CASE(gmem_test_unbound),
	KUNIT_CASE(gmem_test_two_slots),
	KUNIT_CASE(gmem_test_invalidate_lock_shared),
	KUNIT_CASE(gmem_test_source_referenced),
	KUNIT_CASE(gmem_test_invalidate_lock_held),
	KUNIT_CASE(gmem_test_hwpoison),
	KUNIT_CASE(gmem_test_large),
	KUNIT_CASE(gmem_test_no_backend),
	KUNIT_CASE(gmem_test_bugged),
	KUNIT_CASE(gmem_test_unbound_bugged),
	KUNIT_CASE(gmem_test_unbound_guest_owned),
	KUNIT_CASE_PARAM(gmem_test_two_vms, gmem_test_pair_gen_params),
	KUNIT_CASE_PARAM(gmem_test_backend_fails, gmem_test_error_gen_params),
	KUNIT_CASE(gmem_test_backend_fails_target_referenced),
	KUNIT_CASE(gmem_test_switch_fails),
	KUNIT_CASE(gmem_test_lookup_success),
	KUNIT_CASE(gmem_test_lookup_failure),
	KUNIT_CASE(gmem_test_flags),
	KUNIT_CASE(gmem_test_init_migration),
	KUNIT_CASE(gmem_test_bind_migration),
	KUNIT_CASE(gmem_test_disable_bound),
	KUNIT_CASE(gmem_test_disable_unbound),
	KUNIT_CASE(gmem_test_isolation),
	{},
};

static struct kunit_suite gmem_migrate_test_suite = {
	.name = "kvm_gmem_migrate",
	.init = gmem_test_init,
	.exit = gmem_test_exit,
	.test_cases = gmem_migrate_test_cases,
};

/* Tests of folio_migrate_mapping_undo() itself */

static void gmem_undo_test_switch(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	t->before.flags = t->src->flags.f;
	t->before.refs = folio_ref_count(t->src);
	t->before.charged = folio_memcg_charged(t->src);
	t->before.nrpages = t->mapping->nrpages;
	KUNIT_ASSERT_EQ(test, folio_migrate_mapping(t->mapping, t->dst,
						    t->src, 0), 0);
}

/* The neighbours in the page cache are who they were. */
static void gmem_undo_test_neighbours(struct kunit *test)
{
	struct gmem_test *t = test->priv;
	struct folio *left = gmem_test_alloc_folio(test, NUMA_NO_NODE);
	struct folio *right = gmem_test_alloc_folio(test, NUMA_NO_NODE);

	gmem_test_add_source(test, left, GMEM_TEST_INDEX - 1);
	gmem_test_add_source(test, right, GMEM_TEST_INDEX + 1);
	gmem_test_add_folios(test);

	gmem_undo_test_switch(test);
	folio_migrate_mapping_undo(t->mapping, t->dst, t->src);

	gmem_test_expect_source(test, 1);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&t->mapping->i_pages,
					  GMEM_TEST_INDEX - 1), (void *)left);
	KUNIT_EXPECT_PTR_EQ(test, xa_load(&t->mapping->i_pages,
					  GMEM_TEST_INDEX + 1), (void *)right);
	KUNIT_EXPECT_EQ(test, t->mapping->nrpages, 3UL);
	gmem_test_put(left);
	gmem_test_put(right);
}

/* The dirty flag went along and comes back, alone. */
static void gmem_undo_test_dirty(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_add_folios(test);
	folio_set_dirty(t->src);

	gmem_undo_test_switch(test);
	KUNIT_EXPECT_TRUE(test, folio_test_dirty(t->dst));
	folio_migrate_mapping_undo(t->mapping, t->dst, t->src);

	KUNIT_EXPECT_TRUE(test, folio_test_dirty(t->src));
	KUNIT_EXPECT_FALSE(test, folio_test_dirty(t->dst));
	gmem_test_expect_source(test, 1);
}

/* Somebody looked up the source just before, and has it still. */
static void gmem_undo_test_source_referenced(struct kunit *test)
{
	struct gmem_test *t = test->priv;

	gmem_test_add_folios(test);

	gmem_undo_test_switch(test);
	folio_get(t->src);
	folio_migrate_mapping_undo(t->mapping, t->dst, t->src);

	KUNIT_EXPECT_EQ(test, folio_ref_count(t->src), t->before.refs + 1);
	folio_put(t->src);
	gmem_test_expect_source(test, 1);
}

/* Including what the CPUs have not added to the node's counter yet. */
static long gmem_undo_test_file_pages(int nid)
{
	struct pglist_data *pgdat = NODE_DATA(nid);
	long pages = atomic_long_read(&pgdat->vm_stat[NR_FILE_PAGES]);
	int cpu;

	for_each_online_cpu(cpu) {
		struct per_cpu_nodestat *stat;

		stat = per_cpu_ptr(pgdat->per_cpu_nodestats, cpu);
		pages += stat->vm_node_stat_diff[NR_FILE_PAGES];
	}

	return pages;
}

/*
 * The page is counted for the node that it is on. Others may use the page
 * cache meanwhile, so make a mistake as large as many pages.
 */
static void gmem_undo_test_nodes(struct kunit *test)
{
	const int rounds = 4096;
	struct gmem_test *t = test->priv;
	int src_nid = first_memory_node;
	int dst_nid = next_memory_node(src_nid);
	long src_pages, dst_pages;
	int i;

	if (dst_nid >= MAX_NUMNODES)
		kunit_skip(test, "only one node has memory");

	gmem_test_add_folios_at(test, GMEM_TEST_INDEX, src_nid, dst_nid);
	src_pages = gmem_undo_test_file_pages(src_nid);
	dst_pages = gmem_undo_test_file_pages(dst_nid);

	for (i = 0; i < rounds; i++) {
		gmem_undo_test_switch(test);
		folio_migrate_mapping_undo(t->mapping, t->dst, t->src);
	}

	src_pages -= gmem_undo_test_file_pages(src_nid);
	dst_pages -= gmem_undo_test_file_pages(dst_nid);
	KUNIT_EXPECT_LT(test, abs(src_pages), rounds / 2);
	KUNIT_EXPECT_LT(test, abs(dst_pages), rounds / 2);
	gmem_test_expect_source(test, 1);
}

static struct kunit_case gmem_undo_test_cases[] = {
	KUNIT_CASE(gmem_undo_test_neighbours),
	KUNIT_CASE(gmem_undo_test_dirty),
	KUNIT_CASE(gmem_undo_test_source_referenced),
	KUNIT_CASE(gmem_undo_test_nodes),
	{},
};

static struct kunit_suite gmem_undo_test_suite = {
	.name = "folio_migrate_mapping_undo",
	.init = gmem_test_init,
	.exit = gmem_test_exit,
	.test_cases = gmem_undo_test_cases,
};

kunit_test_suites(&gmem_migrate_test_suite, &gmem_undo_test_suite);

#endif /* _GMEM_MIGRATE_KUNIT_H */

#endif /* CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST */
