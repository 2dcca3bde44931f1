/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit tests of guest_memfd migration for SEV-SNP guests
 *
 * The backend is real, and so are the pages. The RMP and the firmware are the
 * model, which has tests of its own here, too. The VMs are as much of struct
 * kvm_svm as the backend looks at.
 */

#ifdef CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST

#ifndef _GMEM_MIGRATE_SNP_KUNIT_H
#define _GMEM_MIGRATE_SNP_KUNIT_H

#include <kunit/test.h>
#include <linux/prandom.h>

#include "snp_model.h"

#define SNP_TEST_ORDER	10
#define SNP_TEST_PAGES	1024
#define SNP_TEST_VMS	2

/* Pages of the machine, by their index. 2M pages are at the beginning. */
#define SNP_TEST_SRC	37
#define SNP_TEST_DST	700
#define SNP_TEST_GCTX	(SNP_TEST_PAGES - SNP_TEST_VMS)

#define SNP_TEST_GFN	0x1234
#define SNP_TEST_2M_GFN	(SNP_TEST_GFN - SNP_TEST_SRC)
#define SNP_TEST_BYTE	0x5a

struct snp_test {
	struct snp_model model;
	struct page *pages;
	struct kvm_svm *vms[SNP_TEST_VMS];
	struct vcpu_svm *vcpu;
	kvm_pfn_t src;
	unsigned int zapped;
	unsigned int bugged;
};

static kvm_pfn_t snp_test_pfn(struct snp_test *t, unsigned int index)
{
	return t->model.base + index;
}

static struct snp_model_rmp *snp_test_rmp(struct snp_test *t, kvm_pfn_t pfn)
{
	return snp_model_rmp(&t->model, pfn);
}

static u32 snp_test_asid(struct snp_test *t, int vm)
{
	return t->vms[vm]->sev_info.asid;
}

static void snp_test_fill(kvm_pfn_t pfn, u8 byte)
{
	memset(pfn_to_kaddr(pfn), byte, PAGE_SIZE);
}

static bool snp_test_filled(kvm_pfn_t pfn, u8 byte)
{
	return !memchr_inv(pfn_to_kaddr(pfn), byte, PAGE_SIZE);
}

/* What the guest finds where it has put @byte. */
static bool snp_test_guest_sees(struct snp_test *t, int vm, kvm_pfn_t pfn,
				gfn_t gfn, u8 byte)
{
	return snp_model_guest_access(&t->model, pfn, snp_test_asid(t, vm),
				      gfn_to_gpa(gfn)) &&
	       snp_test_filled(pfn, byte);
}

/* Stubs */

static const struct snp_page_ops *snp_test_ops(void)
{
	return &snp_model_ops;
}

static struct snp_model *snp_test_get_model(void)
{
	struct snp_test *t = kunit_get_current_test()->priv;

	return &t->model;
}

/* Before anything happens to the page, and when nothing can keep it from it. */
static void snp_test_zap(struct kvm *kvm, gfn_t gfn)
{
	struct kunit *test = kunit_get_current_test();
	struct snp_test *t = test->priv;

	t->zapped++;
	KUNIT_EXPECT_FALSE(test, snp_test_rmp(t, t->src)->immutable);
	KUNIT_EXPECT_TRUE(test, mutex_is_locked(&t->model.mailbox));
}

static void snp_test_bug_vm(struct kvm *kvm)
{
	struct snp_test *t = kunit_get_current_test()->priv;

	t->bugged++;
	kvm->vm_bugged = true;
}

/* Setting up */

static void snp_test_init_vm(struct kunit *test, int i)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t gctx = snp_test_pfn(t, SNP_TEST_GCTX + i);
	struct snp_model_guest *guest;
	struct kvm_svm *vm;

	vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm);
	guest = snp_model_add_guest(&t->model, gctx);
	KUNIT_ASSERT_NOT_NULL(test, guest);

	xa_init(&vm->kvm.vcpu_array);
	vm->kvm.arch.vm_type = KVM_X86_SNP_VM;
	vm->sev_info.active = true;
	vm->sev_info.es_active = true;
	vm->sev_info.vmsa_features = SVM_SEV_FEAT_SNP_ACTIVE;
	vm->sev_info.asid = guest->asid;
	vm->sev_info.policy = guest->policy;
	vm->sev_info.snp_context = pfn_to_kaddr(gctx);
	t->vms[i] = vm;
}

static int snp_test_init(struct kunit *test)
{
	struct snp_test *t;
	int i;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);

	t->pages = alloc_pages(GFP_KERNEL | __GFP_NOWARN, SNP_TEST_ORDER);
	if (!t->pages)
		kunit_skip(test, "no contiguous memory");
	split_page(t->pages, SNP_TEST_ORDER);
	test->priv = t;

	i = snp_model_init(&t->model, page_to_pfn(t->pages), SNP_TEST_PAGES);
	KUNIT_ASSERT_EQ(test, i, 0);

	kunit_activate_static_stub(test, snp_ops, snp_test_ops);
	kunit_activate_static_stub(test, snp_model_get, snp_test_get_model);
	kunit_activate_static_stub(test, snp_zap, snp_test_zap);
	kunit_activate_static_stub(test, snp_bug_vm, snp_test_bug_vm);
	snp_page_move_missing = false;

	for (i = 0; i < SNP_TEST_VMS; i++)
		snp_test_init_vm(test, i);

	return 0;
}

static void snp_test_exit(struct kunit *test)
{
	struct snp_test *t = test->priv;
	int i;

	if (!t)
		return;

	for (i = 0; i < SNP_TEST_PAGES; i++) {
		/* Nobody will notice. */
		if (t->model.rmp && t->model.rmp[i].leaked)
			put_page(t->pages + i);
		__free_page(t->pages + i);
	}
	for (i = 0; i < SNP_TEST_VMS; i++) {
		if (t->vms[i])
			xa_destroy(&t->vms[i]->kvm.vcpu_array);
	}
	snp_model_destroy(&t->model);
	snp_page_move_missing = false;
}

/* As sev_gmem_make_private(), and the guest then, would have it. */
static void snp_test_assign(struct kunit *test, int vm, kvm_pfn_t pfn,
			    gfn_t gfn, bool validated, u8 byte)
{
	struct snp_test *t = test->priv;
	int ret;

	ret = snp_model_ops.make_private(pfn, gfn_to_gpa(gfn), PG_LEVEL_4K,
					 snp_test_asid(t, vm), false);
	KUNIT_ASSERT_EQ(test, ret, 0);
	if (validated) {
		ret = snp_model_pvalidate(&t->model, pfn, snp_test_asid(t, vm),
					  gfn_to_gpa(gfn), true);
		KUNIT_ASSERT_EQ(test, ret, 0);
	}
	snp_test_fill(pfn, byte);
}

/* A 2M page at @gfn; at SNP_TEST_2M_GFN the source is in it. */
static void snp_test_assign_2m(struct kunit *test, gfn_t gfn)
{
	struct snp_test *t = test->priv;
	int ret;

	ret = snp_model_ops.make_private(t->model.base, gfn_to_gpa(gfn),
					 PG_LEVEL_2M, snp_test_asid(t, 0),
					 false);
	KUNIT_ASSERT_EQ(test, ret, 0);
	snp_test_rmp(t, t->model.base)->validated = true;
	snp_test_fill(snp_test_pfn(t, SNP_TEST_SRC), SNP_TEST_BYTE);
}

static int snp_test_migrate(struct kunit *test, int vm, kvm_pfn_t src,
			    kvm_pfn_t dst, gfn_t gfn, enum migrate_mode mode)
{
	struct snp_test *t = test->priv;
	struct kvm_gmem_migration m = {
		.kvm	= &t->vms[vm]->kvm,
		.gfn	= gfn,
		.src	= src,
		.dst	= dst,
		.mode	= mode,
	};
	unsigned int flags = current->flags;
	int ret;

	t->src = src;
	sev_gmem_migrate(&m, 1);
	ret = m.ret;
	KUNIT_EXPECT_EQ(test, current->flags & PF_MEMALLOC,
			flags & PF_MEMALLOC);
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&t->model.mailbox));

	return ret;
}

static int snp_test_migrate_one(struct kunit *test)
{
	struct snp_test *t = test->priv;

	return snp_test_migrate(test, 0, snp_test_pfn(t, SNP_TEST_SRC),
				snp_test_pfn(t, SNP_TEST_DST), SNP_TEST_GFN,
				MIGRATE_SYNC);
}

/* What to expect */

static void snp_test_expect_state(struct kunit *test, kvm_pfn_t pfn,
				  enum snp_model_state state)
{
	struct snp_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, snp_model_state(snp_test_rmp(t, pfn)), state);
}

static void snp_test_expect_sound(struct kunit *test)
{
	struct snp_test *t = test->priv;
	const char *wrong = snp_model_check(&t->model);

	KUNIT_EXPECT_NULL_MSG(test, wrong, "%s", wrong);
	KUNIT_EXPECT_EQ(test, t->model.nr_revoked, 0UL);
}

static void snp_test_expect_leaked(struct kunit *test, kvm_pfn_t pfn,
				   bool leaked)
{
	struct snp_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, pfn)->leaked, leaked);
	KUNIT_EXPECT_EQ(test, page_ref_count(pfn_to_page(pfn)), 1 + leaked);
}

/* Nothing has happened, not even to the NPT. */
static void snp_test_expect_untouched(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	KUNIT_EXPECT_EQ(test, t->zapped, 0U);
	KUNIT_EXPECT_TRUE(test, snp_test_filled(src, SNP_TEST_BYTE));
	snp_test_expect_state(test, dst, SNP_MODEL_HYPERVISOR);
	snp_test_expect_leaked(test, src, false);
	snp_test_expect_leaked(test, dst, false);
	snp_test_expect_sound(test);
}

/* Tests of the backend: success */

static void snp_test_valid(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	snp_test_rmp(t, src)->perms = 0x010f;

	KUNIT_ASSERT_EQ(test, snp_test_migrate_one(test), 0);

	KUNIT_EXPECT_EQ(test, t->zapped, 1U);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, dst)->perms, 0x010fU);
	KUNIT_EXPECT_FALSE(test, snp_test_rmp(t, dst)->vmsa);
	snp_test_expect_state(test, src, SNP_MODEL_HYPERVISOR);
	KUNIT_EXPECT_TRUE(test, snp_test_filled(src, SNP_MODEL_CIPHERTEXT));
	snp_test_expect_leaked(test, src, false);
	snp_test_expect_leaked(test, dst, false);
	snp_test_expect_sound(test);
}

/* The guest has been given the page, but has not accepted it. */
static void snp_test_not_validated(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_assign(test, 0, src, SNP_TEST_GFN, false, SNP_TEST_BYTE);

	KUNIT_ASSERT_EQ(test, snp_test_migrate_one(test), 0);

	snp_test_expect_state(test, src, SNP_MODEL_HYPERVISOR);
	snp_test_expect_state(test, dst, SNP_MODEL_GUEST_INVALID);
	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, dst)->gpa,
			gfn_to_gpa(SNP_TEST_GFN));
	snp_test_expect_sound(test);
}

/* A VMSA that no vCPU uses is a page as any other, and stays a VMSA. */
static void snp_test_unused_vmsa(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	snp_test_rmp(t, src)->vmsa = true;

	KUNIT_ASSERT_EQ(test, snp_test_migrate_one(test), 0);

	KUNIT_EXPECT_TRUE(test, snp_test_rmp(t, dst)->vmsa);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	snp_test_expect_sound(test);
}

/* The memslot was moved since the guest got the page: its GPA counts. */
static void snp_test_other_gpa(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_assign(test, 0, src, SNP_TEST_GFN + 1, true, SNP_TEST_BYTE);

	KUNIT_ASSERT_EQ(test, snp_test_migrate_one(test), 0);

	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst, SNP_TEST_GFN + 1,
						    SNP_TEST_BYTE));
	snp_test_expect_sound(test);
}

/* Only the source leaves the 2M page. */
static void snp_test_2m(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_assign_2m(test, SNP_TEST_2M_GFN);
	snp_test_fill(src + 1, SNP_TEST_BYTE + 1);
	t->model.faults[SNP_MODEL_PSMASH].count = 2;
	t->model.faults[SNP_MODEL_PSMASH].ret = PSMASH_FAIL_INUSE;

	KUNIT_ASSERT_EQ(test, snp_test_migrate_one(test), 0);

	KUNIT_EXPECT_EQ(test, t->model.faults[SNP_MODEL_PSMASH].fired, 2U);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, src + 1,
						    SNP_TEST_GFN + 1,
						    SNP_TEST_BYTE + 1));
	snp_test_expect_state(test, src, SNP_MODEL_HYPERVISOR);
	snp_test_expect_sound(test);
}

static void snp_test_sync_light(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	int ret;

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	ret = snp_test_migrate(test, 0, src, dst, SNP_TEST_GFN,
			       MIGRATE_SYNC_LIGHT);
	KUNIT_EXPECT_EQ(test, ret, 0);
	snp_test_expect_sound(test);
}

/* Tests of the backend: refusals */

static void snp_test_not_assigned(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	int ret;

	snp_test_fill(src, SNP_TEST_BYTE);

	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test),
			KVM_GMEM_MIGRATE_COPY);
	snp_test_expect_untouched(test);

	/* For which nobody has to wait. */
	ret = snp_test_migrate(test, 0, src, dst, SNP_TEST_GFN, MIGRATE_ASYNC);
	KUNIT_EXPECT_EQ(test, ret, KVM_GMEM_MIGRATE_COPY);
	snp_test_expect_untouched(test);
}

static void snp_test_async(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	int ret;

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	ret = snp_test_migrate(test, 0, src, dst, SNP_TEST_GFN, MIGRATE_ASYNC);
	KUNIT_EXPECT_EQ(test, ret, -EBUSY);
	snp_test_expect_untouched(test);
}

/* Who allocates may hold what splitting the direct map takes. */
static void snp_test_direct_compaction(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	unsigned int noreclaim;

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	noreclaim = memalloc_noreclaim_save();
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EBUSY);
	snp_test_expect_untouched(test);
	KUNIT_EXPECT_EQ(test, t->model.nr_split, 1UL);

	/* A page of the guest is in the target's range. */
	snp_test_assign(test, 0, dst + 1, SNP_TEST_GFN + 1, true, SNP_TEST_BYTE);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), 0);
	memalloc_noreclaim_restore(noreclaim);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	KUNIT_EXPECT_EQ(test, t->model.nr_split_by_targets, 0UL);
	snp_test_expect_sound(test);
}

static void snp_test_no_context(struct kunit *test)
{
	struct snp_test *t = test->priv;

	snp_test_assign(test, 0, snp_test_pfn(t, SNP_TEST_SRC), SNP_TEST_GFN,
			true, SNP_TEST_BYTE);
	t->vms[0]->sev_info.snp_context = NULL;
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EBUSY);
	snp_test_expect_untouched(test);
}

static void snp_test_vmsa_in_use(struct kunit *test)
{
	struct snp_test *t = test->priv;
	struct kvm *kvm = &t->vms[0]->kvm;

	snp_test_assign(test, 0, snp_test_pfn(t, SNP_TEST_SRC), SNP_TEST_GFN,
			true, SNP_TEST_BYTE);
	t->vcpu = kunit_kzalloc(test, sizeof(*t->vcpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->vcpu);
	xa_store(&kvm->vcpu_array, 0, &t->vcpu->vcpu, GFP_KERNEL);
	atomic_set(&kvm->online_vcpus, 1);

	t->vcpu->sev_es.snp_guest_vmsa_gpa = gfn_to_gpa(SNP_TEST_GFN);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EBUSY);
	snp_test_expect_untouched(test);

	/* It uses another one, and none. */
	t->vcpu->sev_es.snp_guest_vmsa_gpa = gfn_to_gpa(SNP_TEST_GFN + 1);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), 0);
	t->vcpu->sev_es.snp_guest_vmsa_gpa = INVALID_PAGE;
	KUNIT_EXPECT_EQ(test, snp_test_migrate(test, 0,
					       snp_test_pfn(t, SNP_TEST_DST),
					       snp_test_pfn(t, SNP_TEST_SRC),
					       SNP_TEST_GFN, MIGRATE_SYNC), 0);
	snp_test_expect_sound(test);
}

/* A task that uses the mailbox allocates memory, which runs compaction. */
static void snp_test_mailbox_held(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	struct kvm_gmem_migration m = {
		.kvm	= &t->vms[0]->kvm,
		.gfn	= SNP_TEST_GFN,
		.src	= src,
		.dst	= snp_test_pfn(t, SNP_TEST_DST),
		.mode	= MIGRATE_SYNC,
	};

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	t->src = src;
	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);
	sev_gmem_migrate(&m, 1);
	KUNIT_EXPECT_EQ(test, m.ret, -EAGAIN);
	snp_model_ops.end();
	snp_test_expect_untouched(test);
}

/* Of another guest, or the firmware is at it, or was. */
static void snp_test_not_ours(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);

	snp_test_assign(test, 1, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EPERM);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 1, src, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	snp_test_expect_untouched(test);

	snp_test_rmp(t, src)->asid = snp_test_asid(t, 0);
	snp_test_rmp(t, src)->immutable = true;
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EPERM);
	snp_test_expect_state(test, src, SNP_MODEL_PRE_SWAP);
	snp_test_rmp(t, src)->immutable = false;
	snp_test_expect_untouched(test);
}

/* The target is not what it should be: nothing is done to it, or the source. */
static void snp_test_target_assigned(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	struct snp_model_rmp *e = snp_test_rmp(t, dst);

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	/* A page of the firmware, left behind by somebody. */
	e->assigned = true;
	e->immutable = true;

	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EIO);
	snp_test_expect_state(test, dst, SNP_MODEL_FIRMWARE);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, src, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	snp_test_expect_sound(test);
}

static void snp_test_backend(struct kunit *test)
{
	struct snp_test *t = test->priv;
	struct kvm *kvm = &t->vms[0]->kvm;
	struct kvm_sev_info *sev = &t->vms[0]->sev_info;

	KUNIT_EXPECT_EQ(test, sev_gmem_backend(kvm), KVM_GMEM_BACKEND_SNP);
	sev->policy = 0;
	KUNIT_EXPECT_EQ(test, sev_gmem_backend(kvm), KVM_GMEM_BACKEND_SNP);
	sev->policy = SNP_POLICY_MASK_PAGE_SWAP_DISABLE;
	KUNIT_EXPECT_EQ(test, sev_gmem_backend(kvm), KVM_GMEM_BACKEND_NONE);
	sev->policy = 0;
	kvm->arch.vm_type = KVM_X86_SEV_ES_VM;
	KUNIT_EXPECT_EQ(test, sev_gmem_backend(kvm), KVM_GMEM_BACKEND_NONE);
	kvm->arch.vm_type = KVM_X86_SEV_VM;
	KUNIT_EXPECT_EQ(test, sev_gmem_backend(kvm), KVM_GMEM_BACKEND_NONE);
}

static void snp_test_guest_owned(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);

	KUNIT_EXPECT_FALSE(test, sev_gmem_guest_owned(pfn));
	snp_test_assign(test, 0, pfn, SNP_TEST_GFN, true, SNP_TEST_BYTE);
	KUNIT_EXPECT_TRUE(test, sev_gmem_guest_owned(pfn));

	/* Who does not know does not copy, unless there is no RMP. */
	t->model.faults[SNP_MODEL_LOOKUP].count = 2;
	t->model.faults[SNP_MODEL_LOOKUP].ret = -EFAULT;
	KUNIT_EXPECT_TRUE(test, sev_gmem_guest_owned(pfn));
	t->model.faults[SNP_MODEL_LOOKUP].ret = -ENODEV;
	KUNIT_EXPECT_FALSE(test, sev_gmem_guest_owned(pfn));
}

/* Tests of the backend: every step fails */

enum snp_test_where { SNP_TEST_AT_SRC, SNP_TEST_AT_DST, SNP_TEST_LOST };

struct snp_test_step {
	const char *name;
	struct {
		enum snp_model_op op;
		unsigned int count;
		unsigned int skip;
		int ret;
		int error;
		bool half;
	} faults[2];
	bool size_2m;
	int ret;
	enum snp_test_where where;
	bool src_leaked;
	bool dst_leaked;
};

#define SNP_TEST_MOVE_FAILS(e) { SNP_MODEL_PAGE_MOVE, 1, 0, -EIO, e }

static const struct snp_test_step snp_test_steps[] = {
	{
		"lookup",
		{ { SNP_MODEL_LOOKUP, 1, 0, -EFAULT } },
		.ret = -EIO,
	}, {
		"direct map",
		{ { SNP_MODEL_SPLIT, 1, 0, -ENOMEM } },
		.ret = -ENOMEM,
	}, {
		"begin: busy",
		{ { SNP_MODEL_BEGIN, 1, 0, -EBUSY } },
		.ret = -EAGAIN,
	}, {
		"begin: dead",
		{ { SNP_MODEL_BEGIN, 1, 0, -ENODEV } },
		.ret = -ENODEV,
	}, {
		"split",
		{ { SNP_MODEL_PSMASH, 1, 0, 2 } },
		.size_2m = true,
		.ret = -EIO,
	}, {
		"split: another CPU is first",
		{ { SNP_MODEL_PSMASH, 1, 0, 5, .half = true } },
		.size_2m = true, .where = SNP_TEST_AT_DST,
	}, {
		"lookup after split",
		{ { SNP_MODEL_LOOKUP, 1, 1, -EFAULT } },
		.size_2m = true,
		.ret = -EIO,
	}, {
		"target to Pre-Guest",
		{ { SNP_MODEL_MAKE_PRIVATE, 1, 0, -EFAULT } },
		.ret = -EIO,
	}, {
		"source to Pre-Swap",
		{ { SNP_MODEL_MAKE_PRIVATE, 1, 1, -EFAULT } },
		.ret = -EIO,
	}, {
		"source to Pre-Swap, target reclaim",
		{ { SNP_MODEL_MAKE_PRIVATE, 1, 1, -EFAULT },
		  { SNP_MODEL_PAGE_RECLAIM, 1, 0, -EIO, 0x1a } },
		.ret = -EIO, .dst_leaked = true,
	}, {
		"source to Pre-Swap, target to shared",
		{ { SNP_MODEL_MAKE_PRIVATE, 1, 1, -EFAULT },
		  { SNP_MODEL_MAKE_SHARED, 1, 0, -EFAULT } },
		.ret = -EIO, .dst_leaked = true,
	}, {
		"move: the firmware was not asked",
		{ { SNP_MODEL_PAGE_MOVE, 1, 0, -EBUSY } },
		.ret = -EBUSY,
	}, {
		"move, source reclaim",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_PAGE_RECLAIM, 1, 0, -EIO, 0x1a } },
		.ret = -EIO, .where = SNP_TEST_LOST, .src_leaked = true,
	}, {
		"move, source lookup",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_LOOKUP, 1, 1, -EFAULT } },
		.ret = -EIO, .where = SNP_TEST_LOST, .src_leaked = true,
	}, {
		"move, target reclaim",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_PAGE_RECLAIM, 1, 1, -EIO, 0x1a } },
		.ret = -EBUSY, .dst_leaked = true,
	}, {
		"move, both reclaims",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_PAGE_RECLAIM, 2, 0, -EIO, 0x1a } },
		.ret = -EIO, .where = SNP_TEST_LOST,
		.src_leaked = true, .dst_leaked = true,
	}, {
		"move, target to shared",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_MAKE_SHARED, 1, 0, -EFAULT } },
		.ret = -EBUSY, .dst_leaked = true,
	}, {
		"move: half done",
		{ { SNP_MODEL_PAGE_MOVE, 1, 0, -EIO, 0x14, true } },
		.ret = -EIO, .where = SNP_TEST_LOST, .src_leaked = true,
	}, {
		"move: no answer",
		{ { SNP_MODEL_PAGE_MOVE, 1, 0, -ETIMEDOUT } },
		.ret = -EIO, .where = SNP_TEST_LOST,
		.src_leaked = true, .dst_leaked = true,
	}, {
		"reclaim: no answer",
		{ SNP_TEST_MOVE_FAILS(0x02),
		  { SNP_MODEL_PAGE_RECLAIM, 1, 0, -ETIMEDOUT } },
		.ret = -EIO, .where = SNP_TEST_LOST,
		.src_leaked = true, .dst_leaked = true,
	}, {
		"source to shared",
		{ { SNP_MODEL_MAKE_SHARED, 1, 0, -EFAULT } },
		.where = SNP_TEST_AT_DST, .src_leaked = true,
	},
};

static void snp_test_step_desc(const struct snp_test_step *s, char *desc)
{
	strscpy(desc, s->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(snp_test_step, snp_test_steps, snp_test_step_desc);

static void snp_test_arm(struct snp_test *t, const struct snp_test_step *s)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(s->faults); i++) {
		if (!s->faults[i].count)
			continue;

		t->model.faults[s->faults[i].op] = (struct snp_model_fault) {
			.count	= s->faults[i].count,
			.skip	= s->faults[i].skip,
			.ret	= s->faults[i].ret,
			.error	= s->faults[i].error,
			.half	= s->faults[i].half,
		};
	}
}

static void snp_test_step_fails(struct kunit *test)
{
	const struct snp_test_step *s = test->param_value;
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	int i;

	if (s->size_2m)
		snp_test_assign_2m(test, SNP_TEST_2M_GFN);
	else
		snp_test_assign(test, 0, src, SNP_TEST_GFN, true,
				SNP_TEST_BYTE);
	snp_test_fill(dst, 0);
	snp_test_arm(t, s);

	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), s->ret);

	/* It was that which failed. */
	for (i = 0; i < ARRAY_SIZE(s->faults); i++)
		KUNIT_EXPECT_EQ(test, t->model.faults[s->faults[i].op].fired,
				t->model.faults[s->faults[i].op].count);

	snp_test_expect_leaked(test, src, s->src_leaked);
	snp_test_expect_leaked(test, dst, s->dst_leaked);
	KUNIT_EXPECT_EQ(test, t->bugged, s->where == SNP_TEST_LOST);

	switch (s->where) {
	case SNP_TEST_AT_SRC:
		KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, src,
							    SNP_TEST_GFN,
							    SNP_TEST_BYTE));
		break;
	case SNP_TEST_AT_DST:
		KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst,
							    SNP_TEST_GFN,
							    SNP_TEST_BYTE));
		break;
	case SNP_TEST_LOST:
		break;
	}
	if (s->where != SNP_TEST_AT_DST && !s->dst_leaked)
		snp_test_expect_state(test, dst, SNP_MODEL_HYPERVISOR);
	snp_test_expect_sound(test);

	/* Nothing was left behind that keeps it from moving the next time. */
	if (s->where != SNP_TEST_AT_SRC)
		return;
	memset(t->model.faults, 0, sizeof(t->model.faults));
	KUNIT_EXPECT_EQ(test, snp_test_migrate(test, 0, src, dst + 1,
					       SNP_TEST_GFN, MIGRATE_SYNC), 0);
	KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, dst + 1, SNP_TEST_GFN,
						    SNP_TEST_BYTE));
	snp_test_expect_sound(test);
}

/* A page that is not validated is not after a failure either. */
static void snp_test_undo_not_validated(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);

	snp_test_assign(test, 0, src, SNP_TEST_GFN, false, SNP_TEST_BYTE);
	t->model.faults[SNP_MODEL_PAGE_MOVE].count = 1;
	t->model.faults[SNP_MODEL_PAGE_MOVE].ret = -EIO;

	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EIO);
	snp_test_expect_state(test, src, SNP_MODEL_GUEST_INVALID);
	snp_test_expect_state(test, snp_test_pfn(t, SNP_TEST_DST),
			      SNP_MODEL_HYPERVISOR);
	KUNIT_EXPECT_TRUE(test, snp_test_filled(src, SNP_TEST_BYTE));
	snp_test_expect_sound(test);
}

static const struct {
	int error;
	int ret;
} snp_test_errors[] = {
	{ SEV_RET_INVALID_PLATFORM_STATE,	-ENODEV },
	{ SEV_RET_INVALID_GUEST_STATE,		-EBUSY },
	{ SEV_RET_POLICY_FAILURE,		-EPERM },
	{ SEV_RET_INACTIVE,			-EBUSY },
	{ SEV_RET_INVALID_ADDRESS,		-EINVAL },
	{ SEV_RET_INVALID_GUEST,		-ENXIO },
	{ SEV_RET_INVALID_COMMAND,		-EOPNOTSUPP },
	{ SEV_RET_UNSUPPORTED,			-EOPNOTSUPP },
	{ SEV_RET_HWSEV_RET_UNSAFE,		-EIO },
	{ SEV_RET_INVALID_PARAM,		-EINVAL },
	{ SEV_RET_RESOURCE_LIMIT,		-EBUSY },
	{ SEV_RET_INVALID_PAGE_SIZE,		-EINVAL },
	{ SEV_RET_INVALID_PAGE_STATE,		-EINVAL },
	{ SEV_RET_INVALID_PAGE_OWNER,		-EPERM },
	{ SEV_RET_IN_USE,			-EBUSY },
};

/* Each error of the firmware, after each of which the guest goes on. */
static void snp_test_firmware_errors(struct kunit *test)
{
	struct snp_test *t = test->priv;
	struct snp_model_fault *f = &t->model.faults[SNP_MODEL_PAGE_MOVE];
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	int i;

	snp_test_assign(test, 0, src, SNP_TEST_GFN, true, SNP_TEST_BYTE);

	for (i = 0; i < ARRAY_SIZE(snp_test_errors); i++) {
		*f = (struct snp_model_fault) {
			.count	= 1,
			.ret	= -EIO,
			.error	= snp_test_errors[i].error,
		};
		KUNIT_EXPECT_EQ_MSG(test, snp_test_migrate_one(test),
				    snp_test_errors[i].ret, "firmware error %#x",
				    snp_test_errors[i].error);
		KUNIT_EXPECT_EQ(test, f->fired, 1U);
		KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, 0, src,
							    SNP_TEST_GFN,
							    SNP_TEST_BYTE));
		snp_test_expect_sound(test);
		/* A test of its own. */
		snp_page_move_missing = false;
	}
	KUNIT_EXPECT_EQ(test, t->bugged, 0U);
}

/* Old firmware is asked once, and no page is taken from a guest after that. */
static void snp_test_unsupported(struct kunit *test)
{
	struct snp_test *t = test->priv;

	snp_test_assign(test, 0, snp_test_pfn(t, SNP_TEST_SRC), SNP_TEST_GFN,
			true, SNP_TEST_BYTE);
	t->model.faults[SNP_MODEL_PAGE_MOVE].count = 1;
	t->model.faults[SNP_MODEL_PAGE_MOVE].ret = -EIO;
	t->model.faults[SNP_MODEL_PAGE_MOVE].error = SEV_RET_INVALID_COMMAND;

	KUNIT_EXPECT_EQ(test, sev_gmem_backend(&t->vms[0]->kvm),
			KVM_GMEM_BACKEND_SNP);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, t->zapped, 1U);
	KUNIT_EXPECT_EQ(test, snp_test_migrate_one(test), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, t->zapped, 1U);
	KUNIT_EXPECT_EQ(test, sev_gmem_backend(&t->vms[0]->kvm),
			KVM_GMEM_BACKEND_NONE);
	snp_test_expect_sound(test);
}

/* Tests of the backend: random sequences */

#define SNP_TEST_GFNS	48
/* Each is checked in full, which takes KASAN a tenth of a second. */
#define SNP_TEST_STEPS	(IS_ENABLED(CONFIG_KASAN) ? 150 : 1500)

struct snp_test_gpage {
	kvm_pfn_t pfn;
	u8 byte;
	bool assigned;
	bool validated;
};

struct snp_test_random {
	struct rnd_state rnd;
	struct snp_test_gpage gpages[SNP_TEST_VMS][SNP_TEST_GFNS];
	kvm_pfn_t free[SNP_TEST_PAGES];
	unsigned int nr_free;
	/* In a 2M page of the first guest, without those in @gpages. */
	unsigned int nr_2m;
	unsigned int nr_leaked;
	unsigned int nr_moved;
	unsigned int nr_copied;
	unsigned int nr_failed;
	unsigned int nr_lost;
};

static u32 snp_test_rnd(struct snp_test_random *r, u32 ceil)
{
	return prandom_u32_state(&r->rnd) % ceil;
}

/* Any of the free pages, which is then somebody's. */
static kvm_pfn_t snp_test_take(struct snp_test_random *r)
{
	u32 i = snp_test_rnd(r, r->nr_free);
	kvm_pfn_t pfn = r->free[i];

	r->free[i] = r->free[--r->nr_free];
	return pfn;
}

/* The host writes to a page that it has, or thinks that it has. */
static void snp_test_give(struct kunit *test, struct snp_test_random *r,
			  kvm_pfn_t pfn)
{
	struct snp_test *t = test->priv;

	if (snp_test_rmp(t, pfn)->leaked) {
		r->nr_leaked++;
		return;
	}

	snp_test_expect_state(test, pfn, SNP_MODEL_HYPERVISOR);
	snp_test_fill(pfn, 0);
	r->free[r->nr_free++] = pfn;
}

/* The first guest has a 2M page, which is what the free pages begin with. */
static void snp_test_random_2m(struct kunit *test, struct snp_test_random *r)
{
	struct snp_test *t = test->priv;
	unsigned int i;

	snp_test_assign_2m(test, 0);
	for (i = 0; i < SNP_TEST_GFNS; i++) {
		r->gpages[0][i] = (struct snp_test_gpage) {
			.pfn		= snp_test_pfn(t, i),
			.byte		= i,
			.assigned	= true,
			.validated	= true,
		};
		snp_test_fill(r->gpages[0][i].pfn, i);
	}
	r->nr_2m = PTRS_PER_PMD - SNP_TEST_GFNS;
}

/* Others than migration split it. */
static void snp_test_random_split(struct snp_test *t, struct snp_test_gpage *p)
{
	kvm_pfn_t first = ALIGN_DOWN(p->pfn, PTRS_PER_PMD);

	if (snp_test_rmp(t, first)->size_2m)
		snp_model_ops.psmash(first);
}

static void snp_test_punch(struct kunit *test, struct snp_test_random *r,
			   struct snp_test_gpage *p)
{
	struct snp_test *t = test->priv;

	if (p->assigned && !snp_test_rmp(t, p->pfn)->leaked) {
		snp_test_random_split(t, p);
		KUNIT_EXPECT_EQ(test, snp_model_ops.make_shared(p->pfn,
								PG_LEVEL_4K),
				0);
		snp_model_ops.flush(p->pfn);
		/* This time it is meant. */
		t->model.nr_revoked = 0;
	}
	snp_test_give(test, r, p->pfn);
	p->pfn = 0;
}

/* It was split: what is left is not needed. */
static void snp_test_random_punch_2m(struct kunit *test,
				     struct snp_test_random *r)
{
	struct snp_test *t = test->priv;

	if (snp_test_rmp(t, t->model.base)->size_2m)
		return;

	for (; r->nr_2m; r->nr_2m--) {
		struct snp_test_gpage p = {
			.pfn = snp_test_pfn(t, PTRS_PER_PMD - r->nr_2m),
			.assigned = true,
		};

		snp_test_punch(test, r, &p);
	}
}

/* The VM has been given up, so that its memory is freed. */
static void snp_test_kill(struct kunit *test, struct snp_test_random *r, int vm)
{
	struct snp_test *t = test->priv;
	int i;

	for (i = 0; i < SNP_TEST_GFNS; i++) {
		if (r->gpages[vm][i].pfn)
			snp_test_punch(test, r, &r->gpages[vm][i]);
	}
	t->vms[vm]->kvm.vm_bugged = false;
	r->nr_lost++;
}

static void snp_test_random_faults(struct snp_test *t,
				   struct snp_test_random *r)
{
	static const int errors[] = { -EIO, -EIO, -EIO, -EBUSY, -ETIMEDOUT };
	int n = snp_test_rnd(r, 4);

	memset(t->model.faults, 0, sizeof(t->model.faults));
	t->model.dead = false;
	while (n--) {
		enum snp_model_op op = snp_test_rnd(r, SNP_MODEL_NR_OPS);
		struct snp_model_fault *f = &t->model.faults[op];

		f->count = 1 + snp_test_rnd(r, 2);
		f->skip = snp_test_rnd(r, 3);
		f->ret = -EFAULT;
		if (op == SNP_MODEL_BEGIN)
			f->ret = -EBUSY;
		if (op != SNP_MODEL_PAGE_MOVE && op != SNP_MODEL_PAGE_RECLAIM)
			continue;

		/* No answer is rare, and would be the end of most VMs. */
		f->ret = errors[snp_test_rnd(r, 3 + !snp_test_rnd(r, 4) * 2)];
		f->error = SEV_RET_INVALID_PARAM + snp_test_rnd(r, 4);
		f->half = !snp_test_rnd(r, 8);
	}
}

static void snp_test_random_migrate(struct kunit *test,
				    struct snp_test_random *r, int vm,
				    gfn_t gfn, struct snp_test_gpage *p)
{
	struct snp_test *t = test->priv;
	enum migrate_mode mode = MIGRATE_SYNC;
	kvm_pfn_t dst = snp_test_take(r);
	int ret;

	if (!snp_test_rnd(r, 8))
		mode = MIGRATE_ASYNC;
	snp_test_random_faults(t, r);
	ret = snp_test_migrate(test, vm, p->pfn, dst, gfn, mode);
	memset(t->model.faults, 0, sizeof(t->model.faults));

	if (p->assigned && (ret > 0 || (!ret && mode == MIGRATE_ASYNC)))
		KUNIT_FAIL(test, "%d for a page of the guest", ret);
	if (!p->assigned && !ret)
		KUNIT_FAIL(test, "moved a page that is the host's");

	if (ret < 0) {
		r->nr_failed++;
		snp_test_give(test, r, dst);
	} else {
		if (ret == KVM_GMEM_MIGRATE_COPY) {
			snp_test_fill(dst, p->byte);
			r->nr_copied++;
		}
		r->nr_moved += !ret;
		snp_test_give(test, r, p->pfn);
		p->pfn = dst;
	}
	if (t->vms[vm]->kvm.vm_bugged)
		snp_test_kill(test, r, vm);
}

static void snp_test_expect_gpage(struct kunit *test, int vm, gfn_t gfn,
				  struct snp_test_gpage *p)
{
	struct snp_test *t = test->priv;

	if (!p->pfn)
		return;

	KUNIT_EXPECT_TRUE(test, snp_test_filled(p->pfn, p->byte));
	if (!p->assigned)
		snp_test_expect_state(test, p->pfn, SNP_MODEL_HYPERVISOR);
	else if (p->validated)
		KUNIT_EXPECT_TRUE(test, snp_test_guest_sees(t, vm, p->pfn, gfn,
							    p->byte));
	else
		snp_test_expect_state(test, p->pfn, SNP_MODEL_GUEST_INVALID);
}

static void snp_test_random_step(struct kunit *test, struct snp_test_random *r)
{
	int vm = snp_test_rnd(r, SNP_TEST_VMS);
	gfn_t gfn = snp_test_rnd(r, SNP_TEST_GFNS);
	struct snp_test_gpage *p = &r->gpages[vm][gfn];
	struct snp_test *t = test->priv;
	int ret;

	/* Allocated, and the host's until the guest touches it. */
	if (!p->pfn) {
		p->pfn = snp_test_take(r);
		p->byte = snp_test_rnd(r, 256);
		p->assigned = false;
		snp_test_fill(p->pfn, p->byte);
		return;
	}

	if (!p->assigned && snp_test_rnd(r, 4)) {
		p->assigned = true;
		p->validated = snp_test_rnd(r, 8);
		snp_test_assign(test, vm, p->pfn, gfn, p->validated, p->byte);
		return;
	}

	switch (snp_test_rnd(r, 8)) {
	case 0:
		snp_test_punch(test, r, p);
		break;
	case 1:
		p->byte = snp_test_rnd(r, 256);
		snp_test_fill(p->pfn, p->byte);
		break;
	case 2:
		if (!p->assigned)
			break;
		snp_test_random_split(t, p);
		p->validated = snp_test_rnd(r, 4);
		ret = snp_model_pvalidate(&t->model, p->pfn,
					  snp_test_asid(t, vm), gfn_to_gpa(gfn),
					  p->validated);
		KUNIT_EXPECT_EQ(test, ret, 0);
		break;
	default:
		snp_test_random_migrate(test, r, vm, gfn, p);
		break;
	}
}

/* No page is owned twice, none is lost, and content is where it belongs. */
static void snp_test_random_check(struct kunit *test, struct snp_test_random *r)
{
	unsigned int used = 0;
	int vm, i;

	snp_test_expect_sound(test);

	for (i = 0; i < r->nr_free; i++)
		snp_test_expect_state(test, r->free[i], SNP_MODEL_HYPERVISOR);

	for (vm = 0; vm < SNP_TEST_VMS; vm++) {
		for (i = 0; i < SNP_TEST_GFNS; i++) {
			used += !!r->gpages[vm][i].pfn;
			snp_test_expect_gpage(test, vm, i, &r->gpages[vm][i]);
		}
	}
	KUNIT_EXPECT_EQ(test, r->nr_free + r->nr_leaked + r->nr_2m + used,
			SNP_TEST_GCTX);
}

static const u64 snp_test_seeds[] = { 1, 20240621, 0x5e5e5e5e5eULL };

static void snp_test_seed_desc(const u64 *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(snp_test_seed, snp_test_seeds, snp_test_seed_desc);

static void snp_test_random(struct kunit *test)
{
	const u64 *seed = test->param_value;
	struct snp_test *t = test->priv;
	struct snp_test_random *r;
	int i;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	prandom_seed_state(&r->rnd, *seed);
	snp_test_random_2m(test, r);
	for (i = PTRS_PER_PMD; i < SNP_TEST_GCTX; i++)
		r->free[r->nr_free++] = snp_test_pfn(t, i);

	for (i = 0; i < SNP_TEST_STEPS; i++) {
		snp_test_random_step(test, r);
		snp_test_random_punch_2m(test, r);
		snp_test_random_check(test, r);
		/* One mistake makes more. */
		if (test->status == KUNIT_FAILURE)
			break;
	}

	kunit_info(test, "%u moved, %u copied, %u failed, %u VMs given up, %u pages leaked",
		   r->nr_moved, r->nr_copied, r->nr_failed, r->nr_lost,
		   r->nr_leaked);
	/* A run in which nothing happens proves nothing. */
	KUNIT_EXPECT_GT(test, r->nr_moved, 0U);
	KUNIT_EXPECT_GT(test, r->nr_failed, 0U);
	KUNIT_EXPECT_GT(test, r->nr_copied, 0U);
	KUNIT_EXPECT_EQ(test, r->nr_2m, 0U);
	/* Which takes more steps. */
	if (SNP_TEST_STEPS < 1000)
		return;
	KUNIT_EXPECT_GT(test, r->nr_moved, SNP_TEST_STEPS / 10);
	KUNIT_EXPECT_GT(test, r->nr_failed, SNP_TEST_STEPS / 10);
	KUNIT_EXPECT_GT(test, r->nr_lost, 0U);
	KUNIT_EXPECT_GT(test, r->nr_leaked, 0U);
}

static struct kunit_case snp_migrate_test_cases[] = {
	KUNIT_CASE(snp_test_valid),
	KUNIT_CASE(snp_test_not_validated),
	KUNIT_CASE(snp_test_unused_vmsa),
	KUNIT_CASE(snp_test_other_gpa),
	KUNIT_CASE(snp_test_2m),
	KUNIT_CASE(snp_test_sync_light),
	KUNIT_CASE(snp_test_not_assigned),
	KUNIT_CASE(snp_test_async),
	KUNIT_CASE(snp_test_direct_compaction),
	KUNIT_CASE(snp_test_no_context),
	KUNIT_CASE(snp_test_vmsa_in_use),
	KUNIT_CASE(snp_test_mailbox_held),
	KUNIT_CASE(snp_test_not_ours),
	KUNIT_CASE(snp_test_target_assigned),
	KUNIT_CASE(snp_test_backend),
	KUNIT_CASE(snp_test_guest_owned),
	KUNIT_CASE_PARAM(snp_test_step_fails, snp_test_step_gen_params),
	KUNIT_CASE(snp_test_undo_not_validated),
	KUNIT_CASE(snp_test_firmware_errors),
	KUNIT_CASE(snp_test_unsupported),
	KUNIT_CASE_PARAM(snp_test_random, snp_test_seed_gen_params),
	{},
};

static struct kunit_suite snp_migrate_test_suite = {
	.name = "kvm_gmem_migrate_snp",
	.init = snp_test_init,
	.exit = snp_test_exit,
	.test_cases = snp_migrate_test_cases,
};

/* Tests of the model */

/* What the entry of a page of the first guest says. */
static void snp_test_set_state(struct snp_test *t, kvm_pfn_t pfn,
			       enum snp_model_state state)
{
	struct snp_model_rmp *e = snp_test_rmp(t, pfn);

	memset(e, 0, sizeof(*e));
	e->assigned = state != SNP_MODEL_HYPERVISOR &&
		      state != SNP_MODEL_HV_FIXED;
	e->immutable = state == SNP_MODEL_HV_FIXED ||
		       state == SNP_MODEL_FIRMWARE ||
		       state == SNP_MODEL_CONTEXT ||
		       state == SNP_MODEL_METADATA ||
		       state == SNP_MODEL_PRE_GUEST ||
		       state == SNP_MODEL_PRE_SWAP;
	e->validated = state == SNP_MODEL_PRE_SWAP ||
		       state == SNP_MODEL_GUEST_VALID;
	e->vmsa = state == SNP_MODEL_CONTEXT;
	if (state == SNP_MODEL_METADATA)
		e->gpa = pfn_to_hpa(snp_test_pfn(t, SNP_TEST_GCTX));
	if (state == SNP_MODEL_PRE_GUEST || state == SNP_MODEL_PRE_SWAP ||
	    state == SNP_MODEL_GUEST_INVALID ||
	    state == SNP_MODEL_GUEST_VALID) {
		e->asid = snp_test_asid(t, 0);
		e->gpa = gfn_to_gpa(SNP_TEST_GFN);
		e->perms = 0x30f;
	}
}

static const char * const snp_test_state_names[] = {
	[SNP_MODEL_HYPERVISOR]		= "Hypervisor",
	[SNP_MODEL_HV_FIXED]		= "HV-Fixed",
	[SNP_MODEL_FIRMWARE]		= "Firmware",
	[SNP_MODEL_RECLAIM]		= "Reclaim",
	[SNP_MODEL_CONTEXT]		= "Context",
	[SNP_MODEL_METADATA]		= "Metadata",
	[SNP_MODEL_PRE_GUEST]		= "Pre-Guest",
	[SNP_MODEL_PRE_SWAP]		= "Pre-Swap",
	[SNP_MODEL_GUEST_INVALID]	= "Guest-Invalid",
	[SNP_MODEL_GUEST_VALID]		= "Guest-Valid",
	[SNP_MODEL_INVALID]		= "invalid",
};

/* A page that neither the host nor the guest can change. */
#define SNP_TEST_REFUSED				\
	.shared			= SNP_MODEL_INVALID,	\
	.mutable		= SNP_MODEL_INVALID,	\
	.immutable		= SNP_MODEL_INVALID,	\
	.other			= SNP_MODEL_INVALID,	\
	.asid_0			= SNP_MODEL_INVALID,	\
	.asid_0_immutable	= SNP_MODEL_INVALID,	\
	.validated		= SNP_MODEL_INVALID,	\
	.rescinded		= SNP_MODEL_INVALID

/*
 * From each state, by RMPUPDATE: to the host's, to the same page mutable and
 * immutable, to the same page of another GPA and of another guest, and to ASID 0
 * mutable and immutable. By PVALIDATE of the guest: validated, and that
 * rescinded. SNP_MODEL_INVALID where it is refused.
 */
static const struct snp_test_transition {
	enum snp_model_state from;
	enum snp_model_state shared;
	enum snp_model_state mutable;
	enum snp_model_state immutable;
	enum snp_model_state other;
	enum snp_model_state asid_0;
	enum snp_model_state asid_0_immutable;
	enum snp_model_state validated;
	enum snp_model_state rescinded;
	/* What SNP_PAGE_RECLAIM does, and whether it does not refuse. */
	enum snp_model_state reclaimed;
	int reclaim_error;
} snp_test_transitions[] = {
	{
		.from		= SNP_MODEL_HYPERVISOR,
		.shared		= SNP_MODEL_HYPERVISOR,
		.mutable	= SNP_MODEL_GUEST_INVALID,
		.immutable	= SNP_MODEL_PRE_GUEST,
		.other		= SNP_MODEL_GUEST_INVALID,
		.asid_0		= SNP_MODEL_RECLAIM,
		.asid_0_immutable = SNP_MODEL_FIRMWARE,
		.validated	= SNP_MODEL_INVALID,
		.rescinded	= SNP_MODEL_INVALID,
		.reclaimed	= SNP_MODEL_HYPERVISOR,
	}, {
		.from		= SNP_MODEL_RECLAIM,
		.shared		= SNP_MODEL_HYPERVISOR,
		.mutable	= SNP_MODEL_GUEST_INVALID,
		.immutable	= SNP_MODEL_PRE_GUEST,
		.other		= SNP_MODEL_GUEST_INVALID,
		.asid_0		= SNP_MODEL_RECLAIM,
		.asid_0_immutable = SNP_MODEL_FIRMWARE,
		.validated	= SNP_MODEL_INVALID,
		.rescinded	= SNP_MODEL_INVALID,
		.reclaimed	= SNP_MODEL_RECLAIM,
	}, {
		.from		= SNP_MODEL_GUEST_INVALID,
		.shared		= SNP_MODEL_HYPERVISOR,
		.mutable	= SNP_MODEL_GUEST_INVALID,
		.immutable	= SNP_MODEL_PRE_GUEST,
		.other		= SNP_MODEL_GUEST_INVALID,
		.asid_0		= SNP_MODEL_RECLAIM,
		.asid_0_immutable = SNP_MODEL_FIRMWARE,
		.validated	= SNP_MODEL_GUEST_VALID,
		.rescinded	= SNP_MODEL_GUEST_INVALID,
		.reclaimed	= SNP_MODEL_GUEST_INVALID,
	}, {
		.from		= SNP_MODEL_GUEST_VALID,
		.shared		= SNP_MODEL_HYPERVISOR,
		.mutable	= SNP_MODEL_GUEST_VALID,
		.immutable	= SNP_MODEL_PRE_SWAP,
		.other		= SNP_MODEL_GUEST_INVALID,
		.asid_0		= SNP_MODEL_RECLAIM,
		.asid_0_immutable = SNP_MODEL_FIRMWARE,
		.validated	= SNP_MODEL_GUEST_VALID,
		.rescinded	= SNP_MODEL_GUEST_INVALID,
		.reclaimed	= SNP_MODEL_GUEST_VALID,
	}, {
		.from		= SNP_MODEL_PRE_GUEST,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_GUEST_INVALID,
	}, {
		.from		= SNP_MODEL_PRE_SWAP,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_GUEST_VALID,
	}, {
		.from		= SNP_MODEL_FIRMWARE,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_RECLAIM,
	}, {
		.from		= SNP_MODEL_CONTEXT,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_CONTEXT,
		.reclaim_error	= SEV_RET_INVALID_PAGE_STATE,
	}, {
		.from		= SNP_MODEL_METADATA,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_RECLAIM,
	}, {
		.from		= SNP_MODEL_HV_FIXED,
		SNP_TEST_REFUSED,
		.reclaimed	= SNP_MODEL_HV_FIXED,
		.reclaim_error	= SEV_RET_INVALID_PAGE_STATE,
	},
};

static void snp_test_transition_desc(const struct snp_test_transition *tr,
				     char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "from %s",
		 snp_test_state_names[tr->from]);
}

KUNIT_ARRAY_PARAM(snp_test_transition, snp_test_transitions,
		  snp_test_transition_desc);

static void snp_test_rmpupdate_one(struct kunit *test,
				   enum snp_model_state from, bool assigned,
				   u64 gpa, u32 asid, bool immutable,
				   enum snp_model_state to)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);
	struct snp_model_rmp before;
	int ret;

	snp_test_set_state(t, pfn, from);
	before = *snp_test_rmp(t, pfn);
	t->model.nr_revoked = 0;

	if (assigned)
		ret = snp_model_ops.make_private(pfn, gpa, PG_LEVEL_4K, asid,
						 immutable);
	else
		ret = snp_model_ops.make_shared(pfn, PG_LEVEL_4K);

	if (to == SNP_MODEL_INVALID) {
		KUNIT_EXPECT_EQ(test, ret, -EFAULT);
		KUNIT_EXPECT_MEMEQ(test, snp_test_rmp(t, pfn), &before,
				   sizeof(before));
		return;
	}

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_STREQ(test,
			   snp_test_state_names[snp_model_state(snp_test_rmp(t, pfn))],
			   snp_test_state_names[to]);
	KUNIT_EXPECT_EQ(test, t->model.nr_revoked,
			before.validated && !snp_test_rmp(t, pfn)->validated);
	/* What the guest has permitted lasts as long as its page does. */
	if (before.asid && assigned && gpa == before.gpa && asid == before.asid)
		KUNIT_EXPECT_EQ(test, snp_test_rmp(t, pfn)->perms,
				before.perms);
	else
		KUNIT_EXPECT_NE(test, snp_test_rmp(t, pfn)->perms, 0x30fU);
}

static void snp_test_rmpupdate(struct kunit *test)
{
	const struct snp_test_transition *tr = test->param_value;
	u64 gpa = gfn_to_gpa(SNP_TEST_GFN);
	struct snp_test *t = test->priv;
	u32 asid = snp_test_asid(t, 0);

	snp_test_rmpupdate_one(test, tr->from, false, 0, 0, false, tr->shared);
	snp_test_rmpupdate_one(test, tr->from, true, gpa, asid, false,
			       tr->mutable);
	snp_test_rmpupdate_one(test, tr->from, true, gpa, asid, true,
			       tr->immutable);
	snp_test_rmpupdate_one(test, tr->from, true, gpa + PAGE_SIZE, asid,
			       false, tr->other);
	snp_test_rmpupdate_one(test, tr->from, true, gpa, asid + 1, false,
			       tr->other);
	snp_test_rmpupdate_one(test, tr->from, true, 0, 0, false, tr->asid_0);
	snp_test_rmpupdate_one(test, tr->from, true, 0, 0, true,
			       tr->asid_0_immutable);
}

static void snp_test_reclaim(struct kunit *test)
{
	const struct snp_test_transition *tr = test->param_value;
	struct sev_data_snp_page_reclaim data = {};
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);
	int error, ret;

	snp_test_set_state(t, pfn, tr->from);
	data.paddr = pfn_to_hpa(pfn);
	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);
	ret = snp_model_ops.page_reclaim(&data, &error);
	snp_model_ops.end();

	KUNIT_EXPECT_EQ(test, ret, tr->reclaim_error ? -EIO : 0);
	KUNIT_EXPECT_EQ(test, error, tr->reclaim_error);
	snp_test_expect_state(test, pfn, tr->reclaimed);
}

static void snp_test_pvalidate_one(struct kunit *test,
				   enum snp_model_state from, bool validate,
				   enum snp_model_state to)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);
	struct snp_model_rmp before;
	int ret;

	snp_test_set_state(t, pfn, from);
	before = *snp_test_rmp(t, pfn);
	ret = snp_model_pvalidate(&t->model, pfn, snp_test_asid(t, 0),
				  gfn_to_gpa(SNP_TEST_GFN), validate);

	KUNIT_EXPECT_EQ(test, ret, to == SNP_MODEL_INVALID ? -EFAULT : 0);
	if (!ret)
		before.validated = validate;
	KUNIT_EXPECT_MEMEQ(test, snp_test_rmp(t, pfn), &before, sizeof(before));
	snp_test_expect_state(test, pfn, ret ? from : to);
}

static void snp_test_pvalidate_from(struct kunit *test)
{
	const struct snp_test_transition *tr = test->param_value;

	snp_test_pvalidate_one(test, tr->from, true, tr->validated);
	snp_test_pvalidate_one(test, tr->from, false, tr->rescinded);
}

/* Refused, with the entry as it was. */
static void snp_test_rmpupdate_refused(struct kunit *test, kvm_pfn_t pfn,
				       enum pg_level level)
{
	struct snp_test *t = test->priv;
	struct snp_model_rmp before, *e = snp_test_rmp(t, pfn);

	if (e)
		before = *e;
	KUNIT_EXPECT_EQ(test, snp_model_ops.make_private(pfn, 0, level, 1,
							 false), -EFAULT);
	KUNIT_EXPECT_EQ(test, snp_model_ops.make_shared(pfn, level), -EFAULT);
	if (e)
		KUNIT_EXPECT_MEMEQ(test, e, &before, sizeof(before));
}

static void snp_test_rmpupdate_errors(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t beyond = t->model.base + t->model.nr;
	struct snp_rmp_page page;

	KUNIT_EXPECT_EQ(test, snp_model_ops.lookup(beyond, &page), -EFAULT);
	snp_test_rmpupdate_refused(test, beyond, PG_LEVEL_4K);
	snp_test_rmpupdate_refused(test, snp_test_pfn(t, SNP_TEST_SRC),
				   PG_LEVEL_2M);
	KUNIT_EXPECT_EQ(test, t->model.nr_violations, 0UL);

	/* 2M with a 4K page in it that is somebody's. */
	snp_test_set_state(t, snp_test_pfn(t, SNP_TEST_SRC),
			   SNP_MODEL_GUEST_VALID);
	snp_test_rmpupdate_refused(test, t->model.base, PG_LEVEL_2M);
	KUNIT_EXPECT_EQ(test, t->model.nr_violations, 2UL);
	t->model.nr_violations = 0;
}

static void snp_test_pvalidate(struct kunit *test)
{
	u64 gpa = gfn_to_gpa(SNP_TEST_GFN);
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);
	u32 asid = snp_test_asid(t, 0);

	KUNIT_EXPECT_NE(test, snp_model_pvalidate(&t->model, t->model.base +
						  t->model.nr, asid, gpa,
						  true), 0);
	snp_test_set_state(t, pfn, SNP_MODEL_GUEST_INVALID);
	KUNIT_EXPECT_NE(test, snp_model_pvalidate(&t->model, pfn, asid + 1,
						  gpa, true), 0);
	KUNIT_EXPECT_NE(test, snp_model_pvalidate(&t->model, pfn, asid,
						  gpa + PAGE_SIZE, true), 0);
	snp_test_expect_state(test, pfn, SNP_MODEL_GUEST_INVALID);

	/* A guest has to have a 2M page of 2M. */
	snp_test_set_state(t, pfn, SNP_MODEL_HYPERVISOR);
	snp_test_assign_2m(test, SNP_TEST_2M_GFN);
	gpa -= SNP_TEST_SRC << PAGE_SHIFT;
	KUNIT_EXPECT_NE(test, snp_model_pvalidate(&t->model, t->model.base, asid,
						  gpa, true), 0);
}

static void snp_test_reclaim_2m(struct kunit *test)
{
	struct snp_test *t = test->priv;
	struct sev_data_snp_page_reclaim data;
	struct snp_model_rmp *e;
	int error;

	snp_test_assign_2m(test, SNP_TEST_2M_GFN);
	e = snp_test_rmp(t, t->model.base);
	e->immutable = true;
	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);

	data.paddr = pfn_to_hpa(t->model.base);
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, e->immutable);

	data.paddr |= 1;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), 0);
	KUNIT_EXPECT_FALSE(test, e->immutable);
	snp_test_expect_state(test, t->model.base, SNP_MODEL_GUEST_VALID);

	/* There is no such entry but by mistake. */
	snp_test_rmp(t, t->model.base + 1)->size_2m = true;
	data.paddr = pfn_to_hpa(t->model.base + 1) | 1;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_ADDRESS);

	snp_model_ops.end();
}

static void snp_test_reclaim_errors(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t pfn = snp_test_pfn(t, SNP_TEST_SRC);
	struct sev_data_snp_page_reclaim data;
	int error;

	snp_test_set_state(t, pfn, SNP_MODEL_PRE_GUEST);
	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);

	data.paddr = pfn_to_hpa(pfn) + 2;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_PARAM);

	data.paddr = pfn_to_hpa(pfn) + 1;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_PAGE_SIZE);

	data.paddr = pfn_to_hpa(t->model.base + t->model.nr);
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_ADDRESS);

	t->model.uninitialized = true;
	data.paddr = pfn_to_hpa(pfn);
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, SEV_RET_INVALID_PLATFORM_STATE);

	t->model.dead = true;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_reclaim(&data, &error),
			-EBUSY);

	snp_model_ops.end();
	snp_test_expect_state(test, pfn, SNP_MODEL_PRE_GUEST);
}

/* Everything that SNP_PAGE_MOVE refuses. */
struct snp_test_refusal {
	const char *name;
	int error;
	void (*spoil)(struct snp_test *t, struct sev_data_snp_page_move *data);
};

#define SNP_TEST_SPOIL(what, code)					\
static void snp_test_spoil_##what(struct snp_test *t,			\
				  struct sev_data_snp_page_move *data)	\
{									\
	code;								\
}

SNP_TEST_SPOIL(gctx_paddr, data->gctx_paddr |= 1)
SNP_TEST_SPOIL(src_paddr, data->src_paddr |= 0x10)
SNP_TEST_SPOIL(dst_paddr, data->dst_paddr |= BIT_ULL(60))
SNP_TEST_SPOIL(rsvd, data->rsvd = 1)
SNP_TEST_SPOIL(rsvd2, data->rsvd2 = 1)
SNP_TEST_SPOIL(platform, t->model.uninitialized = true)
SNP_TEST_SPOIL(context, data->gctx_paddr = data->src_paddr)
SNP_TEST_SPOIL(no_guest, t->model.guests[0].gctx_pfn++)
SNP_TEST_SPOIL(page_size, data->page_size = 1)
SNP_TEST_SPOIL(pages_2m, data->page_size = 1;
	       snp_test_rmp(t, PHYS_PFN(data->src_paddr))->size_2m = true;
	       snp_test_rmp(t, PHYS_PFN(data->dst_paddr))->size_2m = true)
SNP_TEST_SPOIL(guest_state, t->model.guests[0].state = SNP_MODEL_GUEST_INIT)
SNP_TEST_SPOIL(inactive, t->model.guests[0].active = false)
SNP_TEST_SPOIL(policy, t->model.guests[0].policy |=
	       SNP_POLICY_MASK_PAGE_SWAP_DISABLE)
SNP_TEST_SPOIL(src_mutable, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
					       SNP_MODEL_GUEST_VALID))
SNP_TEST_SPOIL(src_unused, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
					      SNP_MODEL_GUEST_INVALID))
SNP_TEST_SPOIL(src_host, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
					    SNP_MODEL_HYPERVISOR))
SNP_TEST_SPOIL(src_reclaim, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
					       SNP_MODEL_RECLAIM))
SNP_TEST_SPOIL(src_firmware, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
						SNP_MODEL_FIRMWARE))
SNP_TEST_SPOIL(src_context, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
					       SNP_MODEL_CONTEXT))
SNP_TEST_SPOIL(src_metadata, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
						SNP_MODEL_METADATA))
SNP_TEST_SPOIL(src_hv_fixed, snp_test_set_state(t, PHYS_PFN(data->src_paddr),
						SNP_MODEL_HV_FIXED))
SNP_TEST_SPOIL(dst_metadata, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
						SNP_MODEL_METADATA))
SNP_TEST_SPOIL(dst_hv_fixed, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
						SNP_MODEL_HV_FIXED))
SNP_TEST_SPOIL(dst_mutable, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					       SNP_MODEL_GUEST_INVALID))
SNP_TEST_SPOIL(dst_used, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					    SNP_MODEL_GUEST_VALID))
SNP_TEST_SPOIL(dst_valid, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					     SNP_MODEL_PRE_SWAP))
SNP_TEST_SPOIL(dst_host, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					    SNP_MODEL_HYPERVISOR))
SNP_TEST_SPOIL(dst_reclaim, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					       SNP_MODEL_RECLAIM))
SNP_TEST_SPOIL(dst_firmware, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
						SNP_MODEL_FIRMWARE))
SNP_TEST_SPOIL(dst_context, snp_test_set_state(t, PHYS_PFN(data->dst_paddr),
					       SNP_MODEL_CONTEXT))
SNP_TEST_SPOIL(src_no_rmp, data->src_paddr = pfn_to_hpa(t->model.base +
							t->model.nr))
SNP_TEST_SPOIL(dst_no_rmp, data->dst_paddr = pfn_to_hpa(t->model.base +
							t->model.nr))
SNP_TEST_SPOIL(src_owner, snp_test_rmp(t, PHYS_PFN(data->src_paddr))->asid++)
SNP_TEST_SPOIL(dst_owner, snp_test_rmp(t, PHYS_PFN(data->dst_paddr))->asid++)

#define SNP_TEST_REFUSAL(what, code) { #what, code, snp_test_spoil_##what }

static const struct snp_test_refusal snp_test_refusals[] = {
	SNP_TEST_REFUSAL(gctx_paddr, SEV_RET_INVALID_PARAM),
	SNP_TEST_REFUSAL(src_paddr, SEV_RET_INVALID_PARAM),
	SNP_TEST_REFUSAL(dst_paddr, SEV_RET_INVALID_PARAM),
	SNP_TEST_REFUSAL(rsvd, SEV_RET_INVALID_PARAM),
	SNP_TEST_REFUSAL(rsvd2, SEV_RET_INVALID_PARAM),
	SNP_TEST_REFUSAL(platform, SEV_RET_INVALID_PLATFORM_STATE),
	SNP_TEST_REFUSAL(context, SEV_RET_INVALID_GUEST),
	SNP_TEST_REFUSAL(no_guest, SEV_RET_INVALID_GUEST),
	SNP_TEST_REFUSAL(page_size, SEV_RET_INVALID_PAGE_SIZE),
	/* By the model only: the firmware moves such pages, too. */
	SNP_TEST_REFUSAL(pages_2m, SEV_RET_UNSUPPORTED),
	SNP_TEST_REFUSAL(guest_state, SEV_RET_INVALID_GUEST_STATE),
	SNP_TEST_REFUSAL(inactive, SEV_RET_INACTIVE),
	SNP_TEST_REFUSAL(policy, SEV_RET_POLICY_FAILURE),
	SNP_TEST_REFUSAL(src_mutable, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_unused, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_host, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_reclaim, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_firmware, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_context, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_metadata, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_hv_fixed, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_no_rmp, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_mutable, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_used, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_reclaim, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_firmware, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_context, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_metadata, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_hv_fixed, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_valid, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_host, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(dst_no_rmp, SEV_RET_INVALID_PAGE_STATE),
	SNP_TEST_REFUSAL(src_owner, SEV_RET_INVALID_PAGE_OWNER),
	SNP_TEST_REFUSAL(dst_owner, SEV_RET_INVALID_PAGE_OWNER),
};

static void snp_test_refusal_desc(const struct snp_test_refusal *r, char *desc)
{
	strscpy(desc, r->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(snp_test_refusal, snp_test_refusals, snp_test_refusal_desc);

static void snp_test_move_data(struct snp_test *t,
			       struct sev_data_snp_page_move *data,
			       enum snp_model_state src_state)
{
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);

	snp_test_set_state(t, src, src_state);
	snp_test_set_state(t, dst, SNP_MODEL_PRE_GUEST);
	snp_test_rmp(t, dst)->gpa = 0;
	snp_test_fill(src, SNP_TEST_BYTE);
	snp_test_fill(dst, 0);

	*data = (struct sev_data_snp_page_move) {
		.gctx_paddr	= pfn_to_hpa(snp_test_pfn(t, SNP_TEST_GCTX)),
		.src_paddr	= pfn_to_hpa(src),
		.dst_paddr	= pfn_to_hpa(dst),
	};
}

static int snp_test_do_move(struct kunit *test,
			    struct sev_data_snp_page_move *data, int *error)
{
	int ret;

	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);
	ret = snp_model_ops.page_move(data, error);
	snp_model_ops.end();

	return ret;
}

static void snp_test_move_refused(struct kunit *test)
{
	const struct snp_test_refusal *r = test->param_value;
	struct sev_data_snp_page_move data;
	struct snp_test *t = test->priv;
	struct snp_model_rmp src, dst;
	int error;

	snp_test_move_data(t, &data, SNP_MODEL_PRE_SWAP);
	r->spoil(t, &data);
	src = *snp_test_rmp(t, snp_test_pfn(t, SNP_TEST_SRC));
	dst = *snp_test_rmp(t, snp_test_pfn(t, SNP_TEST_DST));

	KUNIT_EXPECT_EQ(test, snp_test_do_move(test, &data, &error), -EIO);
	KUNIT_EXPECT_EQ(test, error, r->error);

	KUNIT_EXPECT_MEMEQ(test, &src, snp_test_rmp(t, t->model.base +
						    SNP_TEST_SRC), sizeof(src));
	KUNIT_EXPECT_MEMEQ(test, &dst, snp_test_rmp(t, t->model.base +
						    SNP_TEST_DST), sizeof(dst));
	KUNIT_EXPECT_TRUE(test, snp_test_filled(snp_test_pfn(t, SNP_TEST_SRC),
						SNP_TEST_BYTE));
	KUNIT_EXPECT_TRUE(test, snp_test_filled(snp_test_pfn(t, SNP_TEST_DST),
						0));
}

static void snp_test_move_one(struct kunit *test, enum snp_model_state from,
			      enum snp_model_state to, bool vmsa)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t src = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t dst = snp_test_pfn(t, SNP_TEST_DST);
	struct sev_data_snp_page_move data;
	int error;

	snp_test_move_data(t, &data, from);
	snp_test_rmp(t, src)->vmsa = vmsa;

	KUNIT_EXPECT_EQ(test, snp_test_do_move(test, &data, &error), 0);
	KUNIT_EXPECT_EQ(test, error, 0);

	snp_test_expect_state(test, src, SNP_MODEL_GUEST_INVALID);
	snp_test_expect_state(test, dst, to);
	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, dst)->vmsa, vmsa);
	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, dst)->perms, 0x30fU);
	KUNIT_EXPECT_EQ(test, snp_test_rmp(t, dst)->gpa,
			gfn_to_gpa(SNP_TEST_GFN));
	KUNIT_EXPECT_TRUE(test, snp_test_filled(dst, SNP_TEST_BYTE));
	KUNIT_EXPECT_TRUE(test, snp_test_filled(src, SNP_MODEL_CIPHERTEXT));
}

static void snp_test_move(struct kunit *test)
{
	struct snp_test *t = test->priv;

	snp_test_move_one(test, SNP_MODEL_PRE_SWAP, SNP_MODEL_GUEST_VALID,
			  false);
	snp_test_move_one(test, SNP_MODEL_PRE_SWAP, SNP_MODEL_GUEST_VALID,
			  true);
	snp_test_move_one(test, SNP_MODEL_PRE_GUEST, SNP_MODEL_GUEST_INVALID,
			  false);
	t->model.guests[0].state = SNP_MODEL_GUEST_LAUNCH;
	snp_test_move_one(test, SNP_MODEL_PRE_SWAP, SNP_MODEL_GUEST_VALID,
			  false);
}

/* A firmware that has stopped to answer: before, and after others were let in. */
static void snp_test_dead(struct kunit *test)
{
	struct sev_data_snp_page_move data;
	struct snp_test *t = test->priv;
	int error;

	snp_test_move_data(t, &data, SNP_MODEL_PRE_SWAP);
	KUNIT_ASSERT_EQ(test, snp_model_ops.begin(), 0);
	t->model.dead = true;
	KUNIT_EXPECT_EQ(test, snp_model_ops.page_move(&data, &error), -EBUSY);
	snp_model_ops.end();
	KUNIT_EXPECT_EQ(test, snp_model_ops.begin(), -ENODEV);
	snp_test_expect_state(test, snp_test_pfn(t, SNP_TEST_SRC),
			      SNP_MODEL_PRE_SWAP);
	snp_test_expect_state(test, snp_test_pfn(t, SNP_TEST_DST),
			      SNP_MODEL_PRE_GUEST);
}

static void snp_test_psmash(struct kunit *test)
{
	struct snp_test *t = test->priv;
	struct snp_rmp_page page;
	kvm_pfn_t pfn;

	/* Not one, and not the first page of one. */
	KUNIT_EXPECT_NE(test, snp_model_ops.psmash(t->model.base), 0);
	snp_test_assign_2m(test, SNP_TEST_2M_GFN);
	KUNIT_EXPECT_NE(test, snp_model_ops.psmash(t->model.base + 1), 0);
	snp_test_rmp(t, t->model.base)->immutable = true;
	KUNIT_EXPECT_NE(test, snp_model_ops.psmash(t->model.base), 0);
	snp_test_rmp(t, t->model.base)->immutable = false;

	pfn = snp_test_pfn(t, SNP_TEST_SRC);
	KUNIT_EXPECT_EQ(test, snp_model_ops.lookup(pfn, &page), 0);
	KUNIT_EXPECT_EQ(test, page.level, PG_LEVEL_2M);
	KUNIT_EXPECT_EQ(test, page.gpa, gfn_to_gpa(SNP_TEST_2M_GFN));

	/* 4K within 2M: the RMPUPDATE of the kernel does not end. */
	KUNIT_EXPECT_NE(test, snp_model_ops.make_shared(pfn, PG_LEVEL_4K), 0);
	KUNIT_EXPECT_EQ(test, t->model.nr_violations, 1UL);
	t->model.nr_violations = 0;

	KUNIT_EXPECT_EQ(test, snp_model_ops.psmash(t->model.base), 0);

	for (pfn = 0; pfn < PTRS_PER_PMD; pfn++) {
		u64 gpa = gfn_to_gpa(SNP_TEST_2M_GFN + pfn);

		KUNIT_EXPECT_TRUE(test,
				  snp_model_guest_access(&t->model,
							 t->model.base + pfn,
							 snp_test_asid(t, 0),
							 gpa));
	}
	KUNIT_EXPECT_EQ(test, snp_model_ops.lookup(snp_test_pfn(t, SNP_TEST_SRC),
						   &page), 0);
	KUNIT_EXPECT_EQ(test, page.level, PG_LEVEL_4K);
	KUNIT_EXPECT_EQ(test, page.gpa, gfn_to_gpa(SNP_TEST_GFN));
	snp_test_expect_sound(test);
}

/* That the checks of the other tests find what they are for. */
static void snp_test_check(struct kunit *test)
{
	struct snp_test *t = test->priv;
	kvm_pfn_t a = snp_test_pfn(t, SNP_TEST_SRC);
	kvm_pfn_t b = snp_test_pfn(t, SNP_TEST_DST);

	KUNIT_EXPECT_NULL(test, snp_model_check(&t->model));

	snp_test_set_state(t, a, SNP_MODEL_GUEST_VALID);
	snp_test_set_state(t, b, SNP_MODEL_GUEST_VALID);
	KUNIT_EXPECT_NOT_NULL(test, snp_model_check(&t->model));

	snp_test_set_state(t, b, SNP_MODEL_PRE_GUEST);
	KUNIT_EXPECT_NOT_NULL(test, snp_model_check(&t->model));

	snp_test_set_state(t, b, SNP_MODEL_GUEST_INVALID);
	KUNIT_EXPECT_NULL(test, snp_model_check(&t->model));
	KUNIT_EXPECT_EQ(test, snp_model_ops.make_shared(b, PG_LEVEL_4K), 0);
	KUNIT_EXPECT_NOT_NULL(test, snp_model_check(&t->model));
	snp_model_ops.flush(b);
	KUNIT_EXPECT_NULL(test, snp_model_check(&t->model));

	KUNIT_EXPECT_EQ(test, snp_model_ops.begin(), 0);
	KUNIT_EXPECT_NOT_NULL(test, snp_model_check(&t->model));
	snp_model_ops.end();

	snp_model_ops.leak(b);
	KUNIT_EXPECT_EQ(test, snp_model_ops.make_shared(b, PG_LEVEL_4K), 0);
	KUNIT_EXPECT_NOT_NULL(test, snp_model_check(&t->model));
}

static struct kunit_case snp_model_test_cases[] = {
	KUNIT_CASE_PARAM(snp_test_rmpupdate, snp_test_transition_gen_params),
	KUNIT_CASE_PARAM(snp_test_reclaim, snp_test_transition_gen_params),
	KUNIT_CASE_PARAM(snp_test_pvalidate_from,
			 snp_test_transition_gen_params),
	KUNIT_CASE(snp_test_reclaim_2m),
	KUNIT_CASE(snp_test_reclaim_errors),
	KUNIT_CASE(snp_test_rmpupdate_errors),
	KUNIT_CASE(snp_test_pvalidate),
	KUNIT_CASE_PARAM(snp_test_move_refused, snp_test_refusal_gen_params),
	KUNIT_CASE(snp_test_move),
	KUNIT_CASE(snp_test_dead),
	KUNIT_CASE(snp_test_psmash),
	KUNIT_CASE(snp_test_check),
	{},
};

static struct kunit_suite snp_model_test_suite = {
	.name = "kvm_snp_model",
	.init = snp_test_init,
	.exit = snp_test_exit,
	.test_cases = snp_model_test_cases,
};

kunit_test_suites(&snp_model_test_suite, &snp_migrate_test_suite);

#endif /* _GMEM_MIGRATE_SNP_KUNIT_H */
#endif /* CONFIG_KVM_GMEM_MIGRATION_KUNIT_TEST */
