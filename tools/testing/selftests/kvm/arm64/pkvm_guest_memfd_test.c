// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs with guest_memfd as their memory: the VMM fills it, the
 * guest's first touch takes it, and only the guest gives it back, by sharing,
 * or the VMM, by destroying what is in it.
 */
#include "arm64/pkvm_test.h"
#include "processor.h"

#define NR_PAGES	512
#define NR_RACES	30

static void test_flags_refused(void)
{
	struct kvm_vm *vm = vm_create_barebones_type(KVM_VM_TYPE_ARM_PROTECTED);
	u64 flags = pkvm_gmem_flags(), flag;
	int fd;

	for (flag = BIT(0); flag; flag <<= 1) {
		fd = __vm_create_guest_memfd(vm, SZ_4K, flag);
		if (flag & flags) {
			TEST_ASSERT(fd >= 0,
				    "Listed flag %#lx refused, errno %d",
				    flag, errno);
			close(fd);
		} else if (flags) {
			TEST_ASSERT(fd < 0 && errno == EINVAL,
				    "Flag %#lx is not listed, got %d errno %d",
				    flag, fd, errno);
		}
	}
	kvm_vm_free(vm);
}

static void test_slot_refused(void)
{
	struct kvm_vm *vm;
	int fd, r;

	require_pkvm_gmem();
	vm = vm_create_barebones_type(KVM_VM_TYPE_ARM_PROTECTED);

	/* Memory that the VMM cannot fill makes no sense for these VMs. */
	fd = vm_create_guest_memfd(vm, SZ_64K, 0);
	r = __vm_set_user_memory_region2(vm, GMEM_SLOT, KVM_MEM_GUEST_MEMFD,
					 GMEM_GPA, SZ_64K, NULL, fd, 0);
	TEST_ASSERT(r && errno == EINVAL,
		    "Slot on a file that cannot be mapped: %d errno %d", r,
		    errno);
	close(fd);

	fd = vm_create_guest_memfd(vm, SZ_64K, GMEM_SHARED_FLAGS);
	r = __vm_set_user_memory_region2(vm, GMEM_SLOT, KVM_MEM_GUEST_MEMFD |
					 KVM_MEM_LOG_DIRTY_PAGES, GMEM_GPA,
					 SZ_64K, NULL, fd, 0);
	TEST_ASSERT(r && errno == EINVAL,
		    "Dirty logging of a protected VM: %d errno %d", r, errno);
	close(fd);
	kvm_vm_free(vm);
}

static void test_capability(void)
{
	u64 want = GMEM_MIGRATABLE_FLAGS;

	require_pkvm_gmem();
	TEST_ASSERT((pkvm_gmem_flags() & want) == want,
		    "KVM_CAP_GUEST_MEMFD_FLAGS of a protected VM: %#lx, not %#lx",
		    pkvm_gmem_flags(), want);
}

static void run_to_end(struct gmem_vm *gvm)
{
	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	usleep(200000);
	gmem_vm_stop(gvm);
}

static void test_anonymous_slot(void)
{
	struct gmem_vm *gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = NR_PAGES,
					  .anonymous = true);

	gmem_vm_fill(gvm);
	pkvm_assert_private(gvm, 0);
	pkvm_assert_private(gvm, NR_PAGES - 1);
	gmem_vm_start(gvm);
	usleep(200000);
	gmem_vm_stop(gvm);
	gmem_vm_free(gvm);
}

static void test_anonymous_slot_4_vcpus(void)
{
	struct gmem_vm *gvm = pkvm_create(.nr_vcpus = 4, .nr_pages = NR_PAGES,
					  .anonymous = true);

	run_to_end(gvm);
	gmem_vm_free(gvm);
}

static void run_gmem(u32 nr_vcpus, bool prefill, bool slot0, u64 flags)
{
	struct gmem_vm *gvm;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = nr_vcpus, .nr_pages = NR_PAGES,
			  .flags = flags, .prefill = prefill,
			  .slot0_gmem = slot0);
	run_to_end(gvm);
	gmem_vm_free(gvm);
}

static void test_guest_fills(void)
{
	run_gmem(1, false, false, GMEM_SHARED_FLAGS);
}

static void test_vmm_fills(void)
{
	run_gmem(1, true, false, GMEM_SHARED_FLAGS);
}

static void test_vmm_fills_4_vcpus(void)
{
	run_gmem(4, true, false, GMEM_MIGRATABLE_FLAGS);
}

static void test_code_and_tables(void)
{
	run_gmem(1, false, true, GMEM_SHARED_FLAGS);
}

static void test_code_and_tables_4_vcpus(void)
{
	run_gmem(4, true, true, GMEM_MIGRATABLE_FLAGS);
}

/* Touch one page, then the next that the host asks for, for ever. */
static void guest_probe_pages(struct gmem_ctl *ctl)
{
	for (;;) {
		u64 page = READ_ONCE(ctl->probe);

		GUEST_SYNC_ARGS(GMEM_STAGE_VERIFIED,
				READ_ONCE(*(u64 *)(ctl->gva + page * SZ_4K)),
				0, 0, 0);
	}
}

static void guest_probe(u64 id, struct gmem_ctl *ctl)
{
	u64 page;

	gmem_guest_init(ctl);
	for (page = 0; page < ctl->nr_pages / 2; page++)
		gmem_guest_write_page(ctl, id, page, 0, true);
	GUEST_SYNC(GMEM_STAGE_FILLED);
	guest_probe_pages(ctl);
}

static u64 probe(struct gmem_vm *gvm, u64 page)
{
	struct ucall uc;

	gvm->ctl->probe = page;
	vcpu_run(gvm->vcpus[0]);
	TEST_ASSERT(get_ucall(gvm->vcpus[0], &uc) == UCALL_SYNC,
		    "Probe of page %lu: ucall %lu, exit reason %u", page,
		    uc.cmd, gvm->vcpus[0]->run->exit_reason);
	return uc.args[2];
}

static struct gmem_vm *create_probe(u64 flags)
{
	struct gmem_vm *gvm;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = NR_PAGES, .flags = flags,
			  .guest_code = guest_probe);
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_FILLED);
	return gvm;
}

static void test_host_read(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_SHARED_FLAGS);
	u64 page, value;

	for (page = 0; page < NR_PAGES / 2; page += 17)
		pkvm_assert_private(gvm, page);

	/* Not touched by the guest yet: still the VMM's to fill. */
	gvm->mem[NR_PAGES / 2 * PAGE_WORDS] = 0xabcd;
	value = probe(gvm, NR_PAGES / 2);
	TEST_ASSERT(value == 0xabcd, "Guest read %lx from a late fill", value);
	pkvm_assert_private(gvm, NR_PAGES / 2);

	/* Nor did the attempts destroy anything. */
	for (page = 0; page < NR_PAGES / 2; page++) {
		value = probe(gvm, page);
		TEST_ASSERT(value == gmem_word(page, 0, 0),
			    "Page %lu reads %lx after the host's attempts",
			    page, value);
	}
	gmem_vm_free(gvm);
}

static u64 locked_kb(void)
{
	char buf[8192], *p;

	if (!gmem_read_file("/proc/self/status", buf, sizeof(buf)))
		return 0;
	p = strstr(buf, "VmLck:");
	return p ? strtoull(p + strlen("VmLck:"), NULL, 10) : 0;
}

static void test_no_pin(void)
{
	u64 before = locked_kb(), after;
	struct gmem_vm *gvm;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = NR_PAGES,
			  .flags = GMEM_SHARED_FLAGS, .slot0_gmem = true);
	gmem_vm_fill(gvm);
	after = locked_kb();
	TEST_ASSERT(after == before,
		    "Locked memory went from %lu to %lu kB", before, after);
	gmem_vm_free(gvm);
}

static void guest_share(u64 id, struct gmem_ctl *ctl)
{
	u64 *p = (u64 *)ctl->gva;
	u64 round;

	gmem_guest_init(ctl);
	for (round = 0; round < 64; round++) {
		WRITE_ONCE(p[0], gmem_word(0, 0, round));
		gmem_arch_guest_share(GMEM_GPA);
		GUEST_SYNC(GMEM_STAGE_SHARED);
		__GUEST_ASSERT(READ_ONCE(p[0]) == ~gmem_word(0, 0, round),
			       "Round %lu: the host's write is %lx", round,
			       p[0]);
		gmem_arch_guest_unshare(GMEM_GPA);
		GUEST_SYNC(GMEM_STAGE_UNSHARED);
		__GUEST_ASSERT(READ_ONCE(p[0]) == ~gmem_word(0, 0, round),
			       "Round %lu: %lx after unsharing", round, p[0]);
	}
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
}

static void run_share(struct gmem_vm *gvm)
{
	u64 round, value;
	int sig, code;

	for (round = 0; round < 64; round++) {
		gmem_vm_run_to(gvm, 0, GMEM_STAGE_SHARED);
		sig = gmem_read_signal(gvm->mem, &value, &code);
		TEST_ASSERT(!sig, "Round %lu: signal %d code %d on a shared page",
			    round, sig, code);
		TEST_ASSERT(value == gmem_word(0, 0, round),
			    "Round %lu: host reads %lx", round, value);
		gvm->mem[0] = ~value;
		gmem_vm_run_to(gvm, 0, GMEM_STAGE_UNSHARED);
		pkvm_assert_private(gvm, 0);
	}
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_VERIFIED);
	gmem_vm_free(gvm);
}

static void test_share_anonymous(void)
{
	run_share(pkvm_create(.nr_vcpus = 1, .nr_pages = 16, .anonymous = true,
			      .guest_code = guest_share));
}

static void test_share(void)
{
	require_pkvm_gmem();
	run_share(pkvm_create(.nr_vcpus = 1, .nr_pages = 16,
			      .flags = GMEM_SHARED_FLAGS,
			      .guest_code = guest_share));
}

static void test_punch(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_SHARED_FLAGS);
	u64 value;

	gmem_vm_punch(gvm, 1, 1);
	gmem_vm_punch(gvm, NR_PAGES - 1, 1);

	/* The host finds a new page there, and in it nothing of the guest's. */
	TEST_ASSERT(gvm->mem[PAGE_WORDS] == 0,
		    "Host reads %lx from a hole", gvm->mem[PAGE_WORDS]);

	value = probe(gvm, 0);
	TEST_ASSERT(value == gmem_word(0, 0, 0),
		    "The page before the hole reads %lx", value);
	value = probe(gvm, 2);
	TEST_ASSERT(value == gmem_word(2, 0, 0),
		    "The page behind the hole reads %lx", value);

	/* A page that the guest never had is not taken from it either. */
	value = probe(gvm, NR_PAGES - 1);
	TEST_ASSERT(value == 0, "A page never touched reads %lx", value);

	gvm->ctl->probe = 1;
	gmem_vm_run_to_fault(gvm, 0, EFAULT, 1, 1);
	gmem_vm_run_to_fault(gvm, 0, EFAULT, 1, 1);
	gmem_vm_free(gvm);
}

static void test_punch_all(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_MIGRATABLE_FLAGS);

	gmem_vm_punch(gvm, 0, NR_PAGES);
	/* Twice: the second finds nothing. */
	gmem_vm_punch(gvm, 0, NR_PAGES);
	gvm->ctl->probe = 7;
	gmem_vm_run_to_fault(gvm, 0, EFAULT, 7, 1);
	gmem_vm_free(gvm);
}

static void test_close(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_SHARED_FLAGS);

	gmem_vm_close_fd(gvm);
	gvm->ctl->probe = 3;
	gmem_vm_run_to_fault(gvm, 0, EFAULT, 3, 1);
	gmem_vm_free(gvm);
}

static void test_close_keeps_mapping(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_SHARED_FLAGS);
	u64 value;

	/* The mapping holds the file, and the file the memory. */
	kvm_free_fd(gvm->fd);
	value = probe(gvm, 3);
	TEST_ASSERT(value == gmem_word(3, 0, 0),
		    "Page 3 reads %lx while the file is mapped", value);
	gmem_vm_free(gvm);
}

/*
 * The mapping holds the file, and the file the VM: without any fd to run it, what
 * the guest wrote stays its own, until the mapping goes.
 */
static void test_mapping_after_death(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_SHARED_FLAGS);
	struct gmem_vm rest = { .mem = gvm->mem };
	u64 page;

	gvm->mem = NULL;
	gmem_vm_free(gvm);
	for (page = 0; page < NR_PAGES / 2; page++)
		pkvm_assert_private(&rest, page);
	/* Of what it never touched there is nothing to protect. */
	TEST_ASSERT(!rest.mem[NR_PAGES / 2 * PAGE_WORDS],
		    "A page never touched reads %lx",
		    rest.mem[NR_PAGES / 2 * PAGE_WORDS]);
	kvm_munmap(rest.mem, NR_PAGES * SZ_4K);
}

/* vCPU 0 touches every page once; the others can tell whose it is afterwards. */
static void guest_touch(u64 id, struct gmem_ctl *ctl)
{
	u64 page;

	gmem_guest_init(ctl);
	GUEST_SYNC(GMEM_STAGE_FILLED);
	for (page = 0; !id && page < ctl->nr_pages; page++) {
		WRITE_ONCE(ctl->vcpu[0].pages, page);
		WRITE_ONCE(*(u64 *)(ctl->gva + page * SZ_4K), GMEM_MAGIC);
	}
	guest_probe_pages(ctl);
}

/* Until it has touched all of them, or one that was taken away again at once. */
static void *touch_thread(void *arg)
{
	struct gmem_vm *gvm = arg;
	struct kvm_vcpu *vcpu = gvm->vcpus[0];

	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	TEST_ASSERT(!_vcpu_run(vcpu) ||
		    (errno == EFAULT &&
		     vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT),
		    "KVM_RUN: errno %d, exit reason %u", errno,
		    vcpu->run->exit_reason);
	WRITE_ONCE(gvm->stage[0], GMEM_STAGE_VERIFIED);
	return NULL;
}

static struct gmem_vm *start_touching(void)
{
	struct gmem_vm *gvm;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 4, .nr_pages = NR_PAGES,
			  .flags = GMEM_MIGRATABLE_FLAGS, .slot0_gmem = true,
			  .guest_code = guest_touch);
	gmem_vm_fill(gvm);
	kvm_pthread_create(&gvm->threads[0], NULL, touch_thread, gvm);
	return gvm;
}

/*
 * Punch the page that the guest touches next. What the host finds free is not the
 * guest's any more: a page that was donated late would be.
 */
static void test_fault_race(void)
{
	u64 page, value, holes = 0;
	struct gmem_vm *gvm;
	int i, code, vcpu;

	for (i = 0; i < NR_RACES; i++) {
		gvm = start_touching();
		while (READ_ONCE(gvm->stage[0]) != GMEM_STAGE_VERIFIED) {
			page = READ_ONCE(gvm->ctl->vcpu[0].pages) + 1;
			if (page < NR_PAGES)
				gmem_vm_punch(gvm, page, 1);
		}
		kvm_pthread_join(gvm->threads[0], NULL);

		vcpu = 1;
		for (page = 0; page < gvm->ctl->vcpu[0].pages; page++) {
			if (gmem_read_signal(gvm->mem + page * PAGE_WORDS,
					     &value, &code))
				continue;
			TEST_ASSERT(!value, "Page %lu, punched, reads %lx",
				    page, value);
			holes++;
			if (vcpu == gvm->opts.nr_vcpus)
				continue;
			gvm->ctl->probe = page;
			gmem_vm_run_to_fault(gvm, vcpu++, EFAULT, page, 1);
		}
		gmem_vm_free(gvm);
	}
	ksft_print_msg("%lu pages were donated and taken\n", holes);
	TEST_ASSERT(holes, "No page was punched that the guest had");
}

/* The same for the close of the file, and the last pages that the guest has touched. */
static void test_fault_race_file(void)
{
	struct gmem_vm *gvm;
	u64 last, races = 0;
	int i, vcpu;

	for (i = 0; i < NR_RACES; i++) {
		gvm = start_touching();
		while (READ_ONCE(gvm->ctl->vcpu[0].pages) < 4 + i * 4)
			;
		gmem_vm_close_fd(gvm);
		kvm_pthread_join(gvm->threads[0], NULL);

		last = gvm->ctl->vcpu[0].pages;
		races += last < NR_PAGES - 1;
		for (vcpu = 1; vcpu < gvm->opts.nr_vcpus; vcpu++) {
			gvm->ctl->probe = last - vcpu;
			gmem_vm_run_to_fault(gvm, vcpu, EFAULT, last - vcpu, 1);
		}
		gmem_vm_free(gvm);
	}
	ksft_print_msg("%lu of %d closed while the guest touched pages\n", races, i);
	TEST_ASSERT(races, "The guest was always done before");
}

/* What is bound to a VM that has run stays so: unbound pages are nobody's. */
static void test_slot_stays(void)
{
	struct gmem_vm *gvm = create_probe(GMEM_MIGRATABLE_FLAGS);
	int r;

	r = __vm_set_user_memory_region2(gvm->vm, GMEM_SLOT, KVM_MEM_GUEST_MEMFD,
					 GMEM_GPA, 0, gvm->mem, gvm->fd, 0);
	TEST_ASSERT(r && errno == EPERM, "Deleting the slot: %d errno %d", r,
		    errno);
	r = __vm_set_user_memory_region2(gvm->vm, GMEM_SLOT, KVM_MEM_GUEST_MEMFD,
					 GMEM_GPA + SZ_1G, NR_PAGES * SZ_4K,
					 gvm->mem, gvm->fd, 0);
	TEST_ASSERT(r && (errno == EPERM || errno == EINVAL),
		    "Moving the slot: %d errno %d", r, errno);
	gmem_compact();
	TEST_ASSERT(probe(gvm, 3) == gmem_word(3, 0, 0), "Page 3 has changed");
	gmem_vm_free(gvm);
}

static u64 mem_free_pages(void)
{
	/* Pages that were just freed hide in the lists of the CPUs. */
	gmem_compact();
	gmem_drain();
	return gmem_meminfo("MemFree:") / 4;
}

static struct gmem_vm *create_victim(int slot0)
{
	return pkvm_create(.nr_vcpus = 2, .nr_pages = NR_PAGES,
			   .flags = GMEM_SHARED_FLAGS, .slot0_gmem = slot0);
}

/* Half of them are closed in order, the others are when their process is killed. */
static void make_and_free_vms(int nr)
{
	while (nr--) {
		struct gmem_vm *gvm;

		if (nr % 2) {
			gmem_vm_kill(create_victim, nr / 2 % 2, 0, 1);
			continue;
		}
		gvm = create_probe(GMEM_SHARED_FLAGS);
		gmem_vm_punch(gvm, 0, NR_PAGES / 4);
		gmem_vm_free(gvm);
	}
}

static void test_no_leak(void)
{
	u64 before, after;
	int i;

	/* The first VMs warm caches up; what comes and goes ends, a leak does not. */
	make_and_free_vms(4);
	for (i = 0; i < 6; i++) {
		before = mem_free_pages();
		make_and_free_vms(8);
		after = mem_free_pages();
		ksft_print_msg("%ld pages are gone\n", (long)(before - after));
		if (after + 32 > before)
			return;
	}
	TEST_FAIL("8 VMs of %u pages left %lu free pages out of %lu",
		  NR_PAGES, after, before);
}

static void test_several_vms(void)
{
	struct gmem_vm *gvm[4];
	int i;

	require_pkvm_gmem();
	for (i = 0; i < 4; i++) {
		gvm[i] = pkvm_create(.nr_vcpus = 1, .nr_pages = NR_PAGES,
				     .flags = GMEM_SHARED_FLAGS);
		gmem_vm_fill(gvm[i]);
		gmem_vm_start(gvm[i]);
	}
	usleep(500000);
	for (i = 0; i < 4; i++) {
		gmem_vm_stop(gvm[i]);
		gmem_vm_free(gvm[i]);
	}
}

static const struct gmem_test tests[] = {
	GMEM_TEST(flags_refused),
	GMEM_TEST(slot_refused),
	GMEM_TEST(capability),
	GMEM_TEST(anonymous_slot),
	GMEM_TEST(anonymous_slot_4_vcpus),
	GMEM_TEST(guest_fills),
	GMEM_TEST(vmm_fills),
	GMEM_TEST(vmm_fills_4_vcpus),
	GMEM_TEST(code_and_tables),
	GMEM_TEST(code_and_tables_4_vcpus),
	GMEM_TEST(host_read),
	GMEM_TEST(no_pin),
	GMEM_TEST(share_anonymous),
	GMEM_TEST(share),
	GMEM_TEST(punch),
	GMEM_TEST(punch_all),
	GMEM_TEST(close),
	GMEM_TEST(close_keeps_mapping),
	GMEM_TEST(mapping_after_death),
	GMEM_TEST(fault_race),
	GMEM_TEST(fault_race_file),
	GMEM_TEST(slot_stays),
	GMEM_TEST(no_leak),
	GMEM_TEST(several_vms),
};

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(pkvm_available(), "No protected VMs on this host");
	test_disable_default_vgic();
	return gmem_run_tests(tests, ARRAY_SIZE(tests),
			      argc > 1 ? argv[1] : NULL);
}
