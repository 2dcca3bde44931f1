// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs on guest_memfd.
 *
 * The VMM fills the memory through mmap, a fault of the guest donates the page,
 * and from then on EL2 is the authority on who may touch it, as with anonymous
 * memory. Unlike that, the page is not pinned: it stays where it is because the
 * page cache holds it, and guest_memfd tells before it goes or moves.
 */
#include <linux/error-injection.h>
#include <linux/kvm_gmem_migration.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>
#include <asm/kvm_pkvm.h>

/* Under mmu_lock, with the folio locked and unmapped from user space. */
static int pkvm_gmem_donate(struct kvm_vcpu *vcpu, gpa_t ipa, kvm_pfn_t pfn)
{
	struct kvm_pgtable *pgt = vcpu->arch.hw_mmu->pgt;
	gfn_t gfn = gpa_to_gfn(ipa);
	int ret;

	ret = pkvm_pgtable_stage2_map(pgt, ipa, PAGE_SIZE, __pfn_to_phys(pfn),
				      KVM_PGTABLE_PROT_RWX,
				      &vcpu->arch.pkvm_memcache, 0);
	if (!ret)
		pkvm_mapping_find(pgt, gfn, gfn + 1)->gmem = true;

	return ret;
}

static int pkvm_gmem_map_folio(struct kvm_vcpu *vcpu,
			       struct kvm_memory_slot *slot, gpa_t ipa,
			       struct folio *folio)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long mmu_seq;
	int ret = -EAGAIN;

	/*
	 * Nobody can map, truncate or migrate a locked folio. A mapping that
	 * the VMM made before is of no use to it any more; its next access
	 * makes another one, and EL2 decides whether it may.
	 */
	folio_lock(folio);
	if (!folio->mapping)
		goto out_unlock;

	/* The lock is held around memory failure's invalidation, too. */
	if (folio_test_hwpoison(folio)) {
		ret = -EHWPOISON;
		goto out_unlock;
	}

	if (folio_mapped(folio))
		unmap_mapping_pages(folio->mapping, folio->index, 1, false);

	mmu_seq = kvm->mmu_invalidate_seq;
	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();

	/*
	 * The close of the file does not lock folios. It clears the slot's file
	 * first and invalidates then: it is seen here, or raises mmu_seq, or
	 * finds the page donated.
	 */
	if (!READ_ONCE(slot->gmem.file)) {
		ret = -EFAULT;
		goto out_unlock;
	}

	write_lock(&kvm->mmu_lock);
	if (!mmu_invalidate_retry_gfn(kvm, mmu_seq, gpa_to_gfn(ipa)))
		ret = pkvm_gmem_donate(vcpu, ipa, folio_pfn(folio));
	write_unlock(&kvm->mmu_lock);

	/* Soft offlining would drop a clean folio from the page cache. */
	if (!ret)
		folio_mark_dirty(folio);

out_unlock:
	folio_unlock(folio);
	return ret;
}

/**
 * pkvm_gmem_abort() - Handle a fault of a protected guest on guest_memfd.
 * @vcpu: The vCPU that faulted.
 * @slot: The memslot, bound to a guest_memfd.
 * @fault_ipa: Where it faulted.
 *
 * Context: Called with kvm->srcu held. May sleep.
 * Return: 0 for the guest to try again, or an error for user space, with
 * -EFAULT and -EHWPOISON explained by a KVM_EXIT_MEMORY_FAULT.
 */
int pkvm_gmem_abort(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		    phys_addr_t fault_ipa)
{
	gfn_t gfn = fault_ipa >> PAGE_SHIFT;
	struct kvm *kvm = vcpu->kvm;
	struct page *page;
	kvm_pfn_t pfn;
	int ret;

	ret = topup_hyp_memcache(&vcpu->arch.pkvm_memcache,
				 kvm_mmu_cache_min_pages(vcpu->arch.hw_mmu));
	if (ret)
		return -ENOMEM;

	ret = kvm_gmem_get_pfn(kvm, slot, gfn, &pfn, &page, NULL);
	if (ret)
		goto out_fault;

	ret = pkvm_gmem_map_folio(vcpu, slot, gfn_to_gpa(gfn), page_folio(page));
	put_page(page);

	if (ret == -EAGAIN)
		return 0;

	/* The page that was here before has been reclaimed from the guest. */
	if (ret == -EPERM)
		ret = -EFAULT;
out_fault:
	if (ret == -EFAULT || ret == -EHWPOISON)
		kvm_prepare_memory_fault_exit(vcpu, gfn_to_gpa(gfn), PAGE_SIZE,
					      kvm_is_write_fault(vcpu),
					      kvm_vcpu_trap_is_exec_fault(vcpu),
					      true);
	return ret;
}

static void pkvm_gmem_reclaim(struct kvm *kvm, struct pkvm_mapping *mapping)
{
	int ret;

	ret = kvm_call_hyp_nvhe(__pkvm_force_reclaim_guest_gfn,
				kvm->arch.pkvm.handle, mapping->gfn);
	/*
	 * -EHWPOISON: an access of the host has done it already. With any other
	 * error the page is the guest's for good: leak it, whoever got it next
	 * would die from touching it.
	 */
	if (WARN_ONCE(ret && ret != -EHWPOISON,
		      "gfn 0x%llx is lost to the guest: %d\n", mapping->gfn, ret))
		get_page(pfn_to_page(mapping->pfn));

	pkvm_mapping_forget(kvm->arch.mmu.pgt, mapping);
}

/*
 * Take the pages of guest_memfd in a range back from the guest, wiped. It finds
 * its entries poisoned: memory never changes behind its back unnoticed.
 */
static void pkvm_gmem_reclaim_range(struct kvm *kvm, gfn_t gfn, gfn_t end)
{
	struct pkvm_mapping *mapping;

	lockdep_assert_held_write(&kvm->mmu_lock);

	/* The page table may go away whenever mmu_lock is dropped. */
	while (kvm->arch.mmu.pgt && gfn < end) {
		mapping = pkvm_mapping_find(kvm->arch.mmu.pgt, gfn, end);
		if (!mapping)
			break;

		gfn = mapping->gfn + 1;
		if (mapping->gmem)
			pkvm_gmem_reclaim(kvm, mapping);

		cond_resched_rwlock_write(&kvm->mmu_lock);
	}
}

/**
 * kvm_arch_gmem_invalidate_range() - guest_memfd is about to free memory.
 * @kvm: The VM.
 * @range: The guest frames that it is bound to.
 *
 * Context: mmu_lock is held for writing, and dropped now and then; no TLB
 * flush of the caller is pending, as there is none to do for protected VMs. An
 * MMU invalidation is in progress, so that no page is donated again meanwhile.
 */
void kvm_arch_gmem_invalidate_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	if (kvm_vm_is_protected(kvm))
		pkvm_gmem_reclaim_range(kvm, range->start, range->end);
}

/**
 * pkvm_gmem_reclaim_all() - Take all pages of guest_memfd back from a VM.
 * @kvm: The VM, that no vCPU of runs any more.
 *
 * The page tables of a VM die with the mm of its VMM, before the files are
 * closed. Pages of guest_memfd have to be the host's by then, as nothing but
 * the page tables says whose they are.
 */
void pkvm_gmem_reclaim_all(struct kvm *kvm)
{
	if (!kvm_vm_is_protected(kvm))
		return;

	write_lock(&kvm->mmu_lock);
	pkvm_gmem_reclaim_range(kvm, 0, kvm_phys_size(&kvm->arch.mmu) >> PAGE_SHIFT);
	write_unlock(&kvm->mmu_lock);
}

/**
 * pkvm_gmem_migrate() - Have EL2 relocate a page of a protected guest.
 * @m: The page, and where to.
 *
 * Context: As kvm_arch_gmem_migrate().
 * Return: What m->ret is to be.
 */
int pkvm_gmem_migrate(struct kvm_gmem_migration *m)
{
	int ret = KVM_GMEM_MIGRATE_COPY;
	struct kvm *kvm = m->kvm;
	struct pkvm_mapping *mapping;

	guard(write_lock)(&kvm->mmu_lock);

	/* Without page tables or a mapping the page has not been donated. */
	if (!kvm->arch.mmu.pgt)
		return ret;

	mapping = pkvm_mapping_find(kvm->arch.mmu.pgt, m->gfn, m->gfn + 1);
	if (!mapping)
		return ret;

	if (WARN_ON_ONCE(!mapping->gmem || mapping->pfn != m->src))
		return -EIO;

	ret = kvm_call_hyp_nvhe(__pkvm_host_migrate_guest, m->src, m->dst,
				kvm->arch.pkvm.handle, m->gfn);
	if (!ret) {
		mapping->pfn = m->dst;
	} else if (ret == -EHWPOISON) {
		/* An access of the host took it: the guest has lost it. */
		pkvm_mapping_forget(kvm->arch.mmu.pgt, mapping);
		ret = KVM_GMEM_MIGRATE_COPY;
	}

	return ret;
}
ALLOW_ERROR_INJECTION(pkvm_gmem_migrate, ERRNO);
