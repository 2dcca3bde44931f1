/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Migration of guest_memfd folios: the interface between guest_memfd and the
 * backends that relocate a page underneath a running guest.
 *
 * See Documentation/virt/kvm/guest-memfd-migration.rst for the contract.
 */
#ifndef __LINUX_KVM_GMEM_MIGRATION_H
#define __LINUX_KVM_GMEM_MIGRATION_H

#include <linux/kvm_types.h>
#include <linux/migrate_mode.h>

/**
 * enum kvm_gmem_backend - how the guest_memfd pages of a VM are relocated
 * @KVM_GMEM_BACKEND_NONE: Not at all, the memory is unmovable.
 * @KVM_GMEM_BACKEND_COPY: Copied by the kernel, and unless it can be copied in place
 *	unmapped from the guest before and faulted in again. For memory that the
 *	host may read.
 * @KVM_GMEM_BACKEND_PKVM: By the pKVM hypervisor at EL2.
 * @KVM_GMEM_BACKEND_SNP: By the SEV-SNP firmware.
 * @KVM_GMEM_BACKEND_TDX: By the TDX module.
 */
enum kvm_gmem_backend {
	KVM_GMEM_BACKEND_NONE,
	KVM_GMEM_BACKEND_COPY,
	KVM_GMEM_BACKEND_PKVM,
	KVM_GMEM_BACKEND_SNP,
	KVM_GMEM_BACKEND_TDX,
};

/**
 * struct kvm_gmem_migration - one page that a backend is to relocate
 * @kvm: The VM that the page belongs to.
 * @gfn: Where it is in the address space of the guest.
 * @src: The page frame that holds the content.
 * @dst: The page frame to move it to, ordinary memory of the host.
 * @mode: What migration may wait for, see enum migrate_mode.
 * @ret: What became of it, see kvm_arch_gmem_migrate().
 */
struct kvm_gmem_migration {
	struct kvm *kvm;
	gfn_t gfn;
	kvm_pfn_t src;
	kvm_pfn_t dst;
	enum migrate_mode mode;
	int ret;
};

/*
 * The result of kvm_arch_gmem_migrate() for a page that is the host's at that
 * moment, e.g. since the guest has not touched it yet: nothing was done, and
 * a plain copy is both allowed and enough.
 */
#define KVM_GMEM_MIGRATE_COPY	1

#ifdef CONFIG_KVM_GMEM_MIGRATION
/**
 * kvm_arch_gmem_backend() - Which backend relocates the pages of a VM.
 * @kvm: The VM.
 *
 * The answer never changes, but to KVM_GMEM_BACKEND_NONE where firmware turns out
 * not to know how: nothing moves from then on, and new guest_memfds are as without
 * migration. A VM that turns out to have no backend before it has
 * run is one for kvm_gmem_disable_migration().
 */
enum kvm_gmem_backend kvm_arch_gmem_backend(struct kvm *kvm);

/**
 * kvm_arch_gmem_migrate() - Relocate pages underneath a running guest.
 * @m: The pages, all of one VM, and where to. Each gets its own @m->ret: 0,
 *	KVM_GMEM_MIGRATE_COPY, -EAGAIN to be tried again soon, -EBUSY or another
 *	error to give up on the page for now.
 * @nr: How many. A backend that has to stop the VM does it once for all.
 *
 * All or nothing for each page: on success the guest has its content at @m->dst,
 * and @m->src is memory of the host that holds nothing of the guest's; on failure
 * neither page has changed hands nor content. Not called for
 * KVM_GMEM_BACKEND_COPY.
 *
 * Context: Both folios of each page and the invalidate lock of the guest_memfd
 * (shared) are held, so that bindings are stable and no fault can find either
 * folio. An MMU invalidation of the gfn is in progress. mmu_lock is not held. May
 * sleep only as @m->mode allows, which is the same for all; must not allocate
 * memory nor take a lock that is held around allocations, other than by trylock.
 */
void kvm_arch_gmem_migrate(struct kvm_gmem_migration *m, unsigned int nr);

/**
 * kvm_arch_gmem_guest_owned() - Whether a page that no memslot binds is a guest's.
 * @pfn: A page of a guest_memfd.
 *
 * Where neither the end of a memslot nor the last close of the file takes pages
 * from the guest, but only freeing them does. Nobody can relocate such a page,
 * and a copy would be of nothing that the host can read.
 *
 * Context: As kvm_arch_gmem_migrate().
 */
bool kvm_arch_gmem_guest_owned(kvm_pfn_t pfn);

/**
 * kvm_arch_gmem_copy() - Copy one page underneath a running guest.
 * @m: The page, and where to.
 *
 * For KVM_GMEM_BACKEND_COPY and a page that is bound to one memslot, where the
 * architecture can map the copy in the place of the page, which spares the
 * guest a fault. All or nothing. Elsewhere the page is unmapped before it is
 * copied.
 *
 * Context: As kvm_arch_gmem_migrate().
 * Return: 0, KVM_GMEM_MIGRATE_COPY if the page has been unmapped and the caller
 * is to copy it, or -EHWPOISON.
 */
int kvm_arch_gmem_copy(struct kvm_gmem_migration *m);

u64 kvm_gmem_migration_flags(struct kvm *kvm);
void kvm_gmem_disable_migration(struct kvm *kvm);
#else
static inline u64 kvm_gmem_migration_flags(struct kvm *kvm)
{
	return 0;
}

static inline void kvm_gmem_disable_migration(struct kvm *kvm)
{
}
#endif /* CONFIG_KVM_GMEM_MIGRATION */

#endif /* __LINUX_KVM_GMEM_MIGRATION_H */
