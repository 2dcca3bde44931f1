// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios.
 *
 * A folio is replaced in the page cache first and its content relocated after,
 * as relocation by firmware or a hypervisor cannot be taken back, whereas the
 * replacement fails whenever somebody else holds a reference. In between the
 * new folio is locked: a fault that looks the page up waits for it.
 */
#include <kunit/static_stub.h>
#include <linux/error-injection.h>
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>
#include <linux/ktime.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>

#include "kvm_mm.h"
#include "guest_memfd.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_gmem.h>

/*
 * For hosts whose VMM does not know GUEST_MEMFD_FLAG_MIGRATABLE. Applies to
 * instances that are created from then on.
 */
static bool gmem_migratable;
module_param(gmem_migratable, bool, 0644);

/* Who uses a folio. @kvm and @gfn are those of the VM whose backend counts. */
struct gmem_binding {
	struct kvm *kvm;
	struct kvm_memory_slot *slot;
	gfn_t gfn;
	enum kvm_gmem_backend backend;
	unsigned int nr;
	bool bugged;		/* a VM that has a file, whether bound or not */
};

enum kvm_gmem_backend __weak kvm_arch_gmem_backend(struct kvm *kvm)
{
	return KVM_GMEM_BACKEND_NONE;
}

void __weak kvm_arch_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr)
{
	while (nr--)
		m[nr].ret = -EOPNOTSUPP;
}

int __weak kvm_arch_gmem_copy(struct kvm_gmem_migration *m)
{
	return -EOPNOTSUPP;
}

bool __weak kvm_arch_gmem_guest_owned(kvm_pfn_t pfn)
{
	return false;
}

/*
 * Where this file depends on a VM that works: tests put something else here.
 * Without KUnit these are what they call.
 */
static enum kvm_gmem_backend kvm_gmem_backend(struct kvm *kvm)
{
	if (READ_ONCE(kvm->gmem_migration_disabled))
		return KVM_GMEM_BACKEND_NONE;

	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_backend, kvm);

	return kvm_arch_gmem_backend(kvm);
}

static int kvm_gmem_arch_migrate(struct kvm_gmem_migration *m)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_arch_migrate, m);

	/* Core mm asks for one folio at a time. */
	kvm_arch_gmem_migrate(m, 1);

	return m->ret;
}

static bool kvm_gmem_guest_owned(kvm_pfn_t pfn)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_guest_owned, pfn);

	return kvm_arch_gmem_guest_owned(pfn);
}

static bool kvm_gmem_copies_in_place(void)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_copies_in_place);

	return IS_ENABLED(CONFIG_HAVE_KVM_ARCH_GMEM_COPY);
}

static int kvm_gmem_arch_copy(struct kvm_gmem_migration *m)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_arch_copy, m);

	return kvm_arch_gmem_copy(m);
}

static bool kvm_gmem_unmap_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	KUNIT_STATIC_STUB_REDIRECT(kvm_gmem_unmap_range, kvm, range);

	return kvm_mmu_unmap_gfn_range(kvm, range);
}

/**
 * kvm_gmem_migration_flags() - The guest_memfd flags that migration adds.
 * @kvm: The VM, or NULL for what holds for any VM.
 */
u64 kvm_gmem_migration_flags(struct kvm *kvm)
{
	if (!kvm || kvm_gmem_backend(kvm) == KVM_GMEM_BACKEND_NONE)
		return 0;

	return GUEST_MEMFD_FLAG_MIGRATABLE;
}

/**
 * kvm_gmem_init_migration() - Make a new guest_memfd movable, or unmovable.
 * @kvm: The VM that it is created for.
 * @inode: Its inode, with its flags, and not in use yet.
 *
 * Movable memory is as inaccessible and unevictable as unmovable memory, but
 * it is allocated from where movable memory belongs.
 */
void kvm_gmem_init_migration(struct kvm *kvm, struct inode *inode)
{
	if (READ_ONCE(gmem_migratable))
		GMEM_I(inode)->flags |= kvm_gmem_migration_flags(kvm);

	if (GMEM_I(inode)->flags & GUEST_MEMFD_FLAG_MIGRATABLE)
		mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER_MOVABLE);
	else
		mapping_set_unmovable(inode->i_mapping);
}

/**
 * kvm_gmem_bind_migration() - Make a guest_memfd unmovable that turns out to be.
 * @kvm: The VM that is about to use it.
 * @inode: Its inode.
 *
 * A VM may have lost its backend since the guest_memfd was created. Hardly any
 * memory has been allocated by then, and no more will be from where movable
 * memory belongs.
 *
 * Context: The invalidate lock is held, so that no migration is under way.
 */
void kvm_gmem_bind_migration(struct kvm *kvm, struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;

	lockdep_assert_held_write(&mapping->invalidate_lock);

	if (mapping_unmovable(mapping) ||
	    kvm_gmem_backend(kvm) != KVM_GMEM_BACKEND_NONE)
		return;

	mapping_set_gfp_mask(mapping, GFP_HIGHUSER);
	mapping_set_unmovable(mapping);
}

/**
 * kvm_gmem_disable_migration() - Make the memory of a VM unmovable.
 * @kvm: The VM, which has not run yet.
 *
 * For VMs of which it is known only after their guest_memfds were created
 * that nothing may move their memory. Whatever kvm_arch_gmem_backend() says,
 * they have no backend from then on.
 *
 * Context: Takes slots_lock, and the invalidate lock of each guest_memfd.
 */
void kvm_gmem_disable_migration(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int bkt, i;

	guard(mutex)(&kvm->slots_lock);

	WRITE_ONCE(kvm->gmem_migration_disabled, true);

	for (i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, i)) {
			struct file *file = get_file_active(&slot->gmem.file);

			if (!file)
				continue;

			filemap_invalidate_lock(file->f_mapping);
			kvm_gmem_bind_migration(kvm, file_inode(file));
			filemap_invalidate_unlock(file->f_mapping);
			fput(file);
		}
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_disable_migration);

static struct kvm_memory_slot *kvm_gmem_bound_slot(struct gmem_file *f,
						   pgoff_t index)
{
	return xa_load(&f->bindings, index);
}

static gfn_t kvm_gmem_gfn(struct kvm_memory_slot *slot, pgoff_t index)
{
	return slot->base_gfn + index - slot->gmem.pgoff;
}

/*
 * The VMs that @index is bound to. Memslots and files are stable under the
 * invalidate lock, and each file holds a reference to its VM.
 */
static struct gmem_binding kvm_gmem_find_binding(struct inode *inode,
						 pgoff_t index)
{
	struct gmem_binding b = {
		.gfn = INVALID_GPA,
		.backend = KVM_GMEM_BACKEND_COPY,
	};
	struct kvm_memory_slot *slot;
	struct gmem_file *f;

	kvm_gmem_for_each_file(f, inode) {
		enum kvm_gmem_backend backend = kvm_gmem_backend(f->kvm);

		b.bugged |= READ_ONCE(f->kvm->vm_bugged);

		slot = kvm_gmem_bound_slot(f, index);
		if (!slot)
			continue;

		/* Only if all of them can have a copy, it is a copy. */
		if (b.nr++ && backend == KVM_GMEM_BACKEND_COPY)
			continue;

		b.kvm = f->kvm;
		b.slot = slot;
		b.gfn = kvm_gmem_gfn(slot, index);
		b.backend = backend;
	}

	return b;
}

static void __kvm_gmem_migrate_start(struct kvm *kvm,
				     struct kvm_memory_slot *slot,
				     pgoff_t index, struct inode *inode,
				     bool unmap)
{
	struct kvm_gfn_range range = {
		.start = kvm_gmem_gfn(slot, index),
		.end = kvm_gmem_gfn(slot, index) + 1,
		.slot = slot,
		.may_block = true,
		.attr_filter = kvm_gmem_get_invalidate_filter(inode),
	};

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_start(kvm);
	if (!unmap)
		kvm_mmu_invalidate_range_add(kvm, range.start, range.end);
	else if (kvm_gmem_unmap_range(kvm, &range))
		kvm_flush_remote_tlbs(kvm);
	KVM_MMU_UNLOCK(kvm);
}

/*
 * Make faults that are under way retry, and where the kernel is going to copy
 * the page take it from the guest, so that no write to the old page is lost.
 */
static void kvm_gmem_migrate_start(struct inode *inode, pgoff_t index,
				   bool unmap)
{
	struct kvm_memory_slot *slot;
	struct gmem_file *f;

	kvm_gmem_for_each_file(f, inode) {
		slot = kvm_gmem_bound_slot(f, index);
		if (slot)
			__kvm_gmem_migrate_start(f->kvm, slot, index, inode,
						 unmap);
	}
}

static void kvm_gmem_migrate_end(struct inode *inode, pgoff_t index,
				 bool started, int ret)
{
	struct gmem_file *f;

	kvm_gmem_for_each_file(f, inode) {
		struct kvm *kvm = f->kvm;

		if (!kvm_gmem_bound_slot(f, index))
			continue;

		KVM_MMU_LOCK(kvm);
		if (started)
			kvm_mmu_invalidate_end(kvm);
		if (ret)
			kvm->stat.generic.gmem_migrate_failed++;
		else
			kvm->stat.generic.gmem_migrated++;
		KVM_MMU_UNLOCK(kvm);
	}
}

/* Whether the page is taken from the guests before anything else happens. */
static bool kvm_gmem_unmap_first(struct gmem_binding *b)
{
	return b->backend == KVM_GMEM_BACKEND_COPY &&
	       (b->nr != 1 || !kvm_gmem_copies_in_place());
}

/* The page-cache step; fails, and changes nothing, for foreign references. */
static noinline int kvm_gmem_migrate_switch(struct address_space *mapping,
					    struct folio *dst,
					    struct folio *src)
{
	return folio_migrate_mapping(mapping, dst, src, 0);
}
ALLOW_ERROR_INJECTION(kvm_gmem_migrate_switch, ERRNO);

/*
 * A page that is not the guest's private memory may still be mapped as shared:
 * where the file can be mapped, it is the guest's shared memory as well. That
 * was not unmapped at the start, but it has to be before the page is copied.
 * Only one VM uses it: no backend is asked for a page of several.
 */
static void kvm_gmem_migrate_unmap_shared(struct gmem_binding *b)
{
	struct kvm_gfn_range range = {
		.start = b->gfn,
		.end = b->gfn + 1,
		.slot = b->slot,
		.may_block = true,
		.attr_filter = KVM_FILTER_SHARED,
	};

	KVM_MMU_LOCK(b->kvm);
	if (kvm_gmem_unmap_range(b->kvm, &range))
		kvm_flush_remote_tlbs(b->kvm);
	KVM_MMU_UNLOCK(b->kvm);
}

/* The backend's step: all or nothing, see kvm_arch_gmem_migrate(). */
static noinline int kvm_gmem_migrate_relocate(struct gmem_binding *b,
					      struct folio *dst,
					      struct folio *src,
					      enum migrate_mode mode)
{
	int ret = KVM_GMEM_MIGRATE_COPY;

	/* Allocated but never used: no content, and nobody else's. */
	if (!folio_test_uptodate(src))
		return 0;

	if (!kvm_gmem_unmap_first(b)) {
		struct kvm_gmem_migration m = {
			.kvm	= b->kvm,
			.gfn	= b->gfn,
			.src	= folio_pfn(src),
			.dst	= folio_pfn(dst),
			.mode	= mode,
		};

		if (b->backend == KVM_GMEM_BACKEND_COPY) {
			ret = kvm_gmem_arch_copy(&m);
		} else {
			ret = kvm_gmem_arch_migrate(&m);
			if (ret == KVM_GMEM_MIGRATE_COPY)
				kvm_gmem_migrate_unmap_shared(b);
		}
	}

	return ret == KVM_GMEM_MIGRATE_COPY ? folio_mc_copy(dst, src) : ret;
}
ALLOW_ERROR_INJECTION(kvm_gmem_migrate_relocate, ERRNO);

static int kvm_gmem_migrate_check(struct gmem_binding *b, struct folio *src)
{
	/* It may have become so since the caller has looked. */
	if (mapping_unmovable(src->mapping))
		return -EOPNOTSUPP;

	/* guest_memfd does not have large folios yet. */
	if (folio_test_large(src))
		return -EOPNOTSUPP;

	if (folio_test_hwpoison(src))
		return -EHWPOISON;

	/*
	 * A folio that several VMs use can be unmapped from all of them and
	 * copied, but there is no telling which of them a backend is to ask.
	 */
	if (b->nr > 1 && b->backend != KVM_GMEM_BACKEND_COPY)
		return -EBUSY;

	if (b->backend == KVM_GMEM_BACKEND_NONE)
		return -EOPNOTSUPP;

	/* Then nothing is certain about its pages, those that it let go of included. */
	if (b->bugged)
		return -EIO;

	if (!b->nr && kvm_gmem_guest_owned(folio_pfn(src)))
		return -EBUSY;

	/* Spare the guest a fault where the switch is bound to fail. */
	if (folio_ref_count(src) != folio_expected_ref_count(src) + 1)
		return -EAGAIN;

	return 0;
}

static int __kvm_gmem_migrate_folio(struct address_space *mapping,
				    struct gmem_binding *b, struct folio *dst,
				    struct folio *src, enum migrate_mode mode)
{
	bool started;
	int ret;

	ret = kvm_gmem_migrate_check(b, src);
	started = !ret;
	if (ret)
		goto out;

	kvm_gmem_migrate_start(mapping->host, src->index,
			       kvm_gmem_unmap_first(b));

	ret = kvm_gmem_migrate_switch(mapping, dst, src);
	if (ret)
		goto out;

	ret = kvm_gmem_migrate_relocate(b, dst, src, mode);
	if (ret)
		folio_migrate_mapping_undo(mapping, dst, src);
	else
		folio_migrate_flags(dst, src);

out:
	kvm_gmem_migrate_end(mapping->host, src->index, started, ret);
	return ret;
}

/**
 * kvm_gmem_migrate_folio() - ->migrate_folio of guest_memfd.
 * @mapping: The address_space of the guest_memfd.
 * @dst: The folio to move to.
 * @src: The folio to move, not mapped by user space.
 * @mode: What may be waited for.
 *
 * Context: Both folios are locked. The invalidate lock comes before the folio
 * lock, hence it is only tried.
 * Return: 0, or a negative error code and @src as it was.
 */
int kvm_gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			   struct folio *src, enum migrate_mode mode)
{
	struct gmem_binding b = { .gfn = INVALID_GPA };
	pgoff_t index = src->index;
	u64 start = ktime_get_ns();
	int ret = -EAGAIN;

	if (filemap_invalidate_trylock_shared(mapping)) {
		b = kvm_gmem_find_binding(mapping->host, index);
		ret = __kvm_gmem_migrate_folio(mapping, &b, dst, src, mode);
		filemap_invalidate_unlock_shared(mapping);
	}

	trace_kvm_gmem_migrate_folio(b.backend, index, b.gfn, folio_pfn(src),
				     folio_pfn(dst), folio_order(src), mode,
				     ret, ktime_get_ns() - start);
	return ret;
}

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST
#include "tests/gmem_migrate-kunit.h"
#endif
