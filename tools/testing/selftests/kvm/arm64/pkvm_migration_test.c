// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protected VMs whose private pages the host moves while they run. The guest
 * keeps a sequence in every page and is the only one to check it; the host can
 * only count moves, and look at what a page's old place holds.
 */
#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <sys/uio.h>

#include "arm64/pkvm_test.h"
#include "processor.h"

#define MOVE_SECONDS	60
#define MIN_WIPED_PAGES	16
#define TRACE_DIR	"/sys/kernel/tracing"
#define TRACE_MOVES	TRACE_DIR "/events/kvm/kvm_gmem_migrate_folio/enable"
#define TRACE_FAULTS	TRACE_DIR "/events/kvm/kvm_guest_fault/enable"

static u64 test_pages = 2048;
static u64 total_moves = 100000;
static u64 total_mib = 48;
static unsigned int total_seconds = 180;

static struct gmem_vm *create(u32 nr_vcpus, u64 nr_pages, bool slot0)
{
	return pkvm_create(.nr_vcpus = nr_vcpus, .nr_pages = nr_pages,
			   .flags = GMEM_MIGRATABLE_FLAGS, .slot0_gmem = slot0);
}

static void assert_moves(struct gmem_vm *gvm, u64 want, u64 moved)
{
	ksft_print_msg("%lu moves, %lu failed, %lu pages checked by vCPU 0\n",
		       moved, gmem_nr_failed(gvm->vm),
		       gvm->ctl->vcpu[0].pages);
	TEST_ASSERT(moved >= want, "%lu moves, not %lu", moved, want);
}

static void test_kcompactd(void)
{
	require_pkvm_gmem();
	gmem_scatter_free();
	gmem_vm_kcompactd(create(2, test_pages, false));
}

static void test_unmovable_without_flag(void)
{
	struct gmem_vm *gvm;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			  .flags = GMEM_SHARED_FLAGS);
	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	gmem_force_moves(gvm->vm, 1, 2);
	gmem_vm_stop(gvm);
	TEST_ASSERT(!gmem_nr_migrated(gvm->vm), "%lu pages moved",
		    gmem_nr_migrated(gvm->vm));
	gmem_vm_free(gvm);
}

static void test_module_parameter(void)
{
	struct gmem_vm *gvm;
	u64 moved;

	require_pkvm_gmem();
	TEST_ASSERT(gmem_set_param(true), "Cannot set kvm.gmem_migratable");
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			  .flags = GMEM_SHARED_FLAGS);
	TEST_ASSERT(gmem_set_param(false), "Cannot clear kvm.gmem_migratable");
	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	moved = gmem_force_moves(gvm->vm, 1, MOVE_SECONDS);
	gmem_vm_stop(gvm);
	assert_moves(gvm, 1, moved);
	gmem_vm_free(gvm);
}

static void test_before_first_run(void)
{
	struct gmem_vm *gvm;
	u64 moved, i;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			  .flags = GMEM_MIGRATABLE_FLAGS, .slot0_gmem = true,
			  .prefill = true);
	moved = gmem_force_moves(gvm->vm, test_pages, MOVE_SECONDS);
	gmem_check_pattern(gvm->mem, 0, test_pages);
	TEST_ASSERT(gmem_pfn(gvm->mem), "Not mapped before the first run");
	gmem_vm_fill(gvm);
	/* What was donated has been unmapped. */
	for (i = 0; i < test_pages; i++)
		TEST_ASSERT(!gmem_pfn(gvm->mem + i * PAGE_WORDS),
			    "Page %lu is mapped by the VMM", i);
	gmem_vm_start(gvm);
	gmem_vm_stop(gvm);
	assert_moves(gvm, 1, moved);
	gmem_vm_free(gvm);
}

static void test_stopped_vcpus(void)
{
	struct gmem_vm *gvm;
	u64 moved, i;

	require_pkvm_gmem();
	gvm = create(1, test_pages, false);
	gmem_vm_fill(gvm);
	moved = gmem_force_moves(gvm->vm, 2 * test_pages, MOVE_SECONDS);
	for (i = 0; i < test_pages; i += 61)
		pkvm_assert_private(gvm, i);
	gmem_vm_start(gvm);
	gmem_vm_stop(gvm);
	assert_moves(gvm, test_pages, moved);
	gmem_vm_free(gvm);
}

/* The hexadecimal number behind "@name" and any of " =:" in a trace line. */
static bool trace_field(const char *line, const char *name, u64 *value)
{
	const char *p = strstr(line, name);

	if (!p)
		return false;
	p += strlen(name);
	p += strspn(p, " =:");
	*value = strtoull(p, NULL, 16);
	return true;
}

static void trace_start(const char *enable)
{
	gmem_write_file(TRACE_DIR "/buffer_size_kb", "4096");
	gmem_write_file(TRACE_DIR "/trace", "\n");
	__TEST_REQUIRE(gmem_write_file(enable, "1"), "No %s", enable);
}

static FILE *trace_stop(const char *enable)
{
	FILE *f;

	gmem_write_file(enable, "0");
	f = fopen(TRACE_DIR "/trace", "r");
	TEST_ASSERT(f, "Cannot read the trace, errno %d", errno);
	return f;
}

/*
 * Whoever finds a page on the move waits at EL2: the host's KVM has no fault of
 * pages that the guest has.
 */
static void assert_no_faults(struct gmem_vm *gvm, FILE *trace)
{
	char line[512];
	u64 ipa;

	while (fgets(line, sizeof(line), trace))
		TEST_ASSERT(!trace_field(line, "kvm_guest_fault: ipa", &ipa) ||
			    ipa < GMEM_GPA ||
			    ipa >= GMEM_GPA + gvm->nr_pages * SZ_4K,
			    "The host has seen a fault: %s", line);
	fclose(trace);
}

static void run_writers(u32 nr_vcpus, bool slot0, bool two_slots)
{
	struct gmem_vm *gvm;
	u64 moved;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = nr_vcpus, .nr_pages = test_pages,
			  .flags = GMEM_MIGRATABLE_FLAGS, .slot0_gmem = slot0,
			  .two_slots = two_slots);
	gmem_vm_fill(gvm);
	trace_start(TRACE_FAULTS);
	gmem_vm_start(gvm);
	moved = gmem_force_moves(gvm->vm, 2 * test_pages, MOVE_SECONDS);
	gmem_vm_stop(gvm);
	assert_no_faults(gvm, trace_stop(TRACE_FAULTS));
	assert_moves(gvm, test_pages, moved);
	gmem_vm_free(gvm);
}

static void test_writer(void)
{
	run_writers(1, false, false);
}

static void test_4_writers(void)
{
	run_writers(4, false, false);
}

static void test_two_slots(void)
{
	run_writers(2, false, true);
}

/* The guest's code, stack and page tables move as well, under its feet. */
static void test_code_and_tables(void)
{
	run_writers(1, true, false);
}

static void test_code_and_tables_4_vcpus(void)
{
	run_writers(4, true, false);
}

/* Pages are donated for the first time while others of the file move. */
static void test_fill_race(void)
{
	struct gmem_vm *gvm;
	time_t end = time(NULL) + MOVE_SECONDS;
	u64 moved = 0;
	int i;

	require_pkvm_gmem();
	gmem_mover_start();
	for (i = 0; i < 2 || (!moved && time(NULL) < end); i++) {
		gvm = create(4, test_pages, true);
		gmem_vm_fill(gvm);
		moved += gmem_nr_migrated(gvm->vm);
		gmem_vm_start(gvm);
		gmem_vm_stop(gvm);
		gmem_vm_free(gvm);
	}
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static void run_toggle(u32 nr_vcpus)
{
	struct gmem_vm *gvm;
	u64 moved;

	require_pkvm_gmem();
	gvm = create(nr_vcpus, test_pages, true);
	gmem_vm_fill(gvm);
	gvm->ctl->toggle_share = 1;
	gmem_vm_start(gvm);
	moved = gmem_force_moves(gvm->vm, 2 * test_pages, MOVE_SECONDS);
	gmem_vm_stop(gvm);
	TEST_ASSERT(gvm->ctl->nr_toggled, "The guest shared no page");
	ksft_print_msg("%lu times shared and unshared\n",
		       gvm->ctl->nr_toggled);
	assert_moves(gvm, test_pages, moved);
	gmem_vm_free(gvm);
}

static void test_share_race(void)
{
	run_toggle(1);
}

static void test_share_race_4_vcpus(void)
{
	run_toggle(4);
}

#define NR_SHARED	64

/* Host and guest take turns in writing the same shared pages. */
static void guest_shared(u64 id, struct gmem_ctl *ctl)
{
	u64 page, round;

	gmem_guest_init(ctl);
	for (page = 0; page < ctl->nr_pages; page++) {
		gmem_guest_write_page(ctl, id, page, 0, true);
		if (page < NR_SHARED)
			gmem_arch_guest_share(GMEM_GPA + page * SZ_4K);
	}
	for (round = 0; !READ_ONCE(ctl->stop); round++) {
		for (page = 0; page < NR_SHARED; page++)
			gmem_guest_write_page(ctl, id, page, 2 * round, false);
		GUEST_SYNC(GMEM_STAGE_SHARED);
		for (page = 0; page < NR_SHARED; page++)
			gmem_guest_check_page(ctl, id, page, 2 * round + 1,
					      false);
		GUEST_SYNC(GMEM_STAGE_UNSHARED);
	}
	for (page = NR_SHARED; page < ctl->nr_pages; page++)
		gmem_guest_check_page(ctl, id, page, 0, true);
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
}

static void test_shared_pages_stay_shared(void)
{
	u64 round, page, moved, value, pfn[NR_SHARED], shared_moved = 0, *p;
	struct gmem_vm *gvm;
	int sig, code;

	require_pkvm_gmem();
	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			  .flags = GMEM_MIGRATABLE_FLAGS, .slot0_gmem = true,
			  .guest_code = guest_shared);
	for (round = 0; round < 3; round++) {
		gmem_vm_run_to(gvm, 0, GMEM_STAGE_SHARED);
		gmem_get_pfns(gvm->mem, NR_SHARED, pfn);
		gmem_force_moves(gvm->vm, test_pages, 2);
		for (page = 0; page < NR_SHARED; page++) {
			p = gvm->mem + page * PAGE_WORDS;
			sig = gmem_read_signal(p, &value, &code);
			TEST_ASSERT(!sig, "Shared page %lu: signal %d code %d",
				    page, sig, code);
			TEST_ASSERT(value == gmem_word(page, 0, 2 * round),
				    "Shared page %lu reads %lx in round %lu",
				    page, value, round);
			shared_moved += gmem_pfn(p) != pfn[page];
			for (value = 0; value < PAGE_WORDS; value += 64)
				p[value] = gmem_word(page, value,
						     2 * round + 1);
		}
		pkvm_assert_private(gvm, NR_SHARED);
		gmem_force_moves(gvm->vm, test_pages, 2);
		if (round == 2)
			gvm->ctl->stop = 1;
		gmem_vm_run_to(gvm, 0, GMEM_STAGE_UNSHARED);
	}
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_VERIFIED);
	moved = gmem_nr_migrated(gvm->vm);
	assert_moves(gvm, test_pages, moved);
	ksft_print_msg("%lu shared pages were somewhere else\n", shared_moved);
	TEST_ASSERT(shared_moved, "No shared page has moved");
	gmem_vm_free(gvm);
}

static void test_punch_race(void)
{
	require_pkvm_gmem();
	gmem_vm_punch_race(pkvm_create(.nr_vcpus = 2, .nr_pages = test_pages,
				       .flags = GMEM_MIGRATABLE_FLAGS,
				       .guest_code = gmem_guest_half),
			   MOVE_SECONDS);
}

static void test_close_race(void)
{
	time_t end = time(NULL) + MOVE_SECONDS;
	struct gmem_vm *gvm;
	u64 moved = 0;
	int i;

	require_pkvm_gmem();
	gmem_mover_start();
	for (i = 0; i < 2 || (!moved && time(NULL) < end); i++) {
		gvm = create(2, test_pages, i % 2);
		gmem_vm_fill(gvm);
		moved += gmem_vm_close_race(gvm);
		gmem_vm_free(gvm);
	}
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static void test_death_race(void)
{
	time_t end = time(NULL) + MOVE_SECONDS;
	struct gmem_vm *gvm;
	u64 moved = 0;
	int i;

	require_pkvm_gmem();
	gmem_mover_start();
	for (i = 0; i < 3 || (!moved && time(NULL) < end); i++) {
		gvm = create(1, test_pages, i % 2);
		gmem_vm_fill(gvm);
		moved += gmem_nr_migrated(gvm->vm);
		if (i % 3 == 0)
			gmem_vm_close_fd(gvm);
		gmem_vm_free(gvm);
	}
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static struct gmem_vm *create_victim(int slot0)
{
	return create(2, test_pages, slot0);
}

static void test_killed_race(void)
{
	time_t end = time(NULL) + MOVE_SECONDS;
	u64 moved = 0;
	int i;

	require_pkvm_gmem();
	gmem_mover_start();
	for (i = 0; i < 2 || (!moved && time(NULL) < end); i++)
		moved += gmem_vm_kill(create_victim, i % 2, test_pages / 16, 5);
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static void test_anonymous_beside(void)
{
	struct gmem_vm *anon, *gmem;
	u64 moved;

	require_pkvm_gmem();
	anon = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			   .anonymous = true);
	gmem = create(1, test_pages, false);
	gmem_vm_fill(anon);
	gmem_vm_fill(gmem);
	gmem_vm_start(anon);
	gmem_vm_start(gmem);
	moved = gmem_force_moves(gmem->vm, 2 * test_pages, MOVE_SECONDS);
	gmem_vm_stop(anon);
	gmem_vm_stop(gmem);
	TEST_ASSERT(!gmem_nr_migrated(anon->vm),
		    "%lu pages of the anonymous slots' VM moved",
		    gmem_nr_migrated(anon->vm));
	assert_moves(gmem, test_pages, moved);
	gmem_vm_free(anon);
	gmem_vm_free(gmem);
}

static void run_failing(const char *function, int retval, unsigned int percent)
{
	struct gmem_vm *gvm;
	u64 i;

	require_pkvm_gmem();
	gvm = create(4, test_pages, true);
	gmem_vm_fail_moves(gvm, function, retval, percent);
	for (i = 0; i < test_pages; i += 61)
		pkvm_assert_private(gvm, i);
	gmem_vm_move_again(gvm);
	gmem_vm_free(gvm);
}

static void test_fail_switch(void)
{
	run_failing("kvm_gmem_migrate_switch", -EIO, 100);
}

static void test_fail_switch_again(void)
{
	run_failing("kvm_gmem_migrate_switch", -EAGAIN, 50);
}

static void test_fail_relocate(void)
{
	run_failing("kvm_gmem_migrate_relocate", -EIO, 100);
}

static void test_fail_relocate_again(void)
{
	run_failing("kvm_gmem_migrate_relocate", -EAGAIN, 50);
}

/* The backend gives up, after it was asked. */
static void test_fail_backend(void)
{
	run_failing("pkvm_gmem_migrate", -EBUSY, 50);
}

static void guest_touch(u64 id, struct gmem_ctl *ctl)
{
	u64 page;

	gmem_guest_init(ctl);
	for (page = 0; page < ctl->nr_pages; page++)
		gmem_guest_write_page(ctl, id, page, 0, true);
	GUEST_SYNC(GMEM_STAGE_FILLED);
	for (;;) {
		gmem_guest_check_page(ctl, id, READ_ONCE(ctl->probe), 0, true);
		GUEST_SYNC(GMEM_STAGE_VERIFIED);
	}
}

#define LOST_PAGE	7

/* A guest that has not run, and the page that it will lose, which is there. */
static struct gmem_vm *create_touch(u64 **page)
{
	struct gmem_vm *gvm;

	gvm = pkvm_create(.nr_vcpus = 1, .nr_pages = test_pages,
			  .flags = GMEM_MIGRATABLE_FLAGS,
			  .guest_code = guest_touch);
	*page = gvm->mem + LOST_PAGE * PAGE_WORDS;
	**page = 1;
	return gvm;
}

/* One page in @step is as the guest left it. */
static void probe_pages(struct gmem_vm *gvm, u64 step)
{
	u64 i;

	for (i = 0; i < test_pages; i += step) {
		gvm->ctl->probe = i;
		gvm->stage[0] = 0;
		gmem_vm_run_to(gvm, 0, GMEM_STAGE_VERIFIED);
	}
}

/* It has all others as it left them, and is told of this one: the end of the VM. */
static void assert_one_lost(struct gmem_vm *gvm, int err)
{
	probe_pages(gvm, 61);
	gvm->ctl->probe = LOST_PAGE;
	gmem_vm_run_to_fault(gvm, 0, err, LOST_PAGE, 1);
	gmem_vm_free(gvm);
}

/* Hardware finds an error in a page that is the guest's, and may move. */
static void test_memory_failure(void)
{
	static const char corrupt[] = "/sys/kernel/debug/hwpoison/corrupt-pfn";
	struct gmem_vm *gvm;
	u64 pfn, *page;

	require_pkvm_gmem();
	__TEST_REQUIRE(!access(corrupt, W_OK), "No %s", corrupt);
	gvm = create_touch(&page);
	pfn = gmem_pfn(page);
	TEST_ASSERT(pfn, "The page has no pfn before the first run");
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_FILLED);

	/* "Busy" is how it says that the page stays in its file. */
	TEST_ASSERT(gmem_write_ulong(corrupt, pfn) || errno == EBUSY,
		    "Cannot poison pfn %#lx, errno %d", pfn, errno);
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx is not poisoned", pfn);
	gmem_compact();
	gmem_compact();

	assert_one_lost(gvm, EHWPOISON);
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx lost its poison with its VM", pfn);
	gmem_unpoison(pfn);
}

/* Hardware is about to: the guest has its page elsewhere, and is not told. */
static void test_soft_offline(void)
{
	struct gmem_vm *gvm;
	u64 pfn, *page;

	require_pkvm_gmem();
	gvm = create_touch(&page);
	pfn = gmem_pfn(page);
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_FILLED);
	gmem_soft_offline(pfn);
	probe_pages(gvm, 1);
	gmem_vm_free(gvm);
	gmem_unpoison(pfn);
}

/*
 * The host kernel stumbles over a private page, as it has a reference that is older
 * than the donation. EL2 wipes the page and takes it from the guest, which does not
 * have it back from a move or a hole.
 */
static void run_host_access(bool punch)
{
	u64 left[PAGE_WORDS], *page, pfn, i;
	struct gmem_vm *gvm;
	struct iovec iov;
	int fds[2], tries;

	require_pkvm_gmem();
	gvm = create_touch(&page);
	iov = (struct iovec) { .iov_base = page, .iov_len = SZ_4K };
	TEST_ASSERT(!pipe(fds) && vmsplice(fds[1], &iov, 1, 0) == SZ_4K,
		    "vmsplice() failed, errno %d", errno);
	gmem_vm_run_to(gvm, 0, GMEM_STAGE_FILLED);

	TEST_ASSERT(read(fds[0], left, SZ_4K) == SZ_4K,
		    "Reading the pipe failed, errno %d", errno);
	for (i = 0; i < PAGE_WORDS; i++)
		TEST_ASSERT(!left[i], "Word %lu is %lx, and not wiped", i, left[i]);
	close(fds[0]);
	close(fds[1]);

	if (punch) {
		gmem_vm_punch(gvm, LOST_PAGE, 1);
	} else {
		TEST_ASSERT(!READ_ONCE(*page), "Not wiped: %lx", *page);
		pfn = gmem_pfn(page);
		for (tries = 0; tries < 20 && gmem_pfn(page) == pfn; tries++) {
			gmem_force_moves(gvm->vm, gvm->nr_pages, MOVE_SECONDS);
			(void)READ_ONCE(*page);
		}
		TEST_ASSERT(gmem_pfn(page) != pfn, "pfn %#lx has not moved", pfn);
	}

	assert_one_lost(gvm, EFAULT);
}

static void test_host_access(void)
{
	run_host_access(false);
}

static void test_host_access_punch(void)
{
	run_host_access(true);
}

static u64 trace_sources(FILE *trace, u64 *pfns, u64 max)
{
	char line[512];
	u64 nr = 0, ret;

	while (nr < max && fgets(line, sizeof(line), trace)) {
		if (!strstr(line, "kvm_gmem_migrate_folio:"))
			continue;
		if (!trace_field(line, " ret", &ret) || ret)
			continue;
		if (trace_field(line, "src_pfn", &pfns[nr]))
			nr++;
	}
	fclose(trace);
	return nr;
}

#define LINE_WORDS	8

/*
 * What is left behind. A source page is soon somebody else's, so most of them
 * cannot be expected to stay zero; but not as much as a cache line of the
 * guest's may be in any.
 * Reading does no harm to pages that a guest owns: the kernel reads /dev/mem
 * in a way that fails where it may not.
 */
static void test_source_is_wiped(void)
{
	u64 *pfns, page[PAGE_WORDS], nr, i, w, left, zero = 0, read_ok = 0;
	struct gmem_vm *gvm;
	int fd;

	require_pkvm_gmem();
	fd = open("/dev/mem", O_RDONLY);
	__TEST_REQUIRE(fd >= 0, "No /dev/mem, errno %d", errno);
	pfns = calloc(4 * test_pages, sizeof(*pfns));
	TEST_ASSERT(pfns, "No memory for pfns");

	gvm = create(1, test_pages, true);
	gmem_vm_fill(gvm);
	trace_start(TRACE_MOVES);
	gmem_vm_start(gvm);
	gmem_force_moves(gvm->vm, test_pages, MOVE_SECONDS);

	nr = trace_sources(trace_stop(TRACE_MOVES), pfns, 4 * test_pages);
	TEST_ASSERT(nr, "No successful move in the trace");
	for (i = 0; i < nr; i++) {
		if (pread(fd, page, SZ_4K, pfns[i] * SZ_4K) != SZ_4K)
			continue;
		read_ok++;
		/* The constant alone is in programs and on stacks, too. */
		for (w = 0, left = 0; w < PAGE_WORDS; w++)
			left += page[w] >> 32 == GMEM_MAGIC;
		TEST_ASSERT(left < LINE_WORDS,
			    "pfn %#lx still has %lu words of the guest's",
			    pfns[i], left);
		for (w = 0; w < PAGE_WORDS && !page[w]; w++)
			;
		zero += w == PAGE_WORDS;
	}
	ksft_print_msg("%lu source pages, %lu readable, %lu all zero\n", nr,
		       read_ok, zero);
	__TEST_REQUIRE(read_ok, "/dev/mem does not read memory");
	/* The host may have used most of them again; some tell enough. */
	TEST_ASSERT(zero >= MIN_WIPED_PAGES,
		    "%lu of %lu source pages are zero", zero, read_ok);

	/* The reads took nothing from the guest, which looks at all of it. */
	gmem_vm_stop(gvm);
	free(pfns);
	close(fd);
	gmem_vm_free(gvm);
}

/* The long one: several VMs write and check while all of it moves. */
static void test_many_moves(void)
{
	u64 nr_pages = total_mib * SZ_1M / SZ_4K / 2, moved = 0;
	time_t end = time(NULL) + total_seconds;
	struct gmem_vm *gvm[2];
	int i;

	require_pkvm_gmem();
	for (i = 0; i < 2; i++) {
		gvm[i] = create(i ? 4 : 1, nr_pages, true);
		gmem_vm_fill(gvm[i]);
	}
	for (i = 0; i < 2; i++)
		gmem_vm_start(gvm[i]);
	do {
		gmem_force_moves(gvm[0]->vm, nr_pages, 5);
		moved = gmem_nr_migrated(gvm[0]->vm) +
			gmem_nr_migrated(gvm[1]->vm);
	} while (moved < total_moves && time(NULL) < end);

	for (i = 0; i < 2; i++) {
		gmem_vm_stop(gvm[i]);
		ksft_print_msg("VM %d: %lu moves, %lu failed, %lu rounds, %lu checked\n",
			       i, gmem_nr_migrated(gvm[i]->vm),
			       gmem_nr_failed(gvm[i]->vm),
			       gvm[i]->ctl->vcpu[0].rounds,
			       gvm[i]->ctl->vcpu[0].pages);
		gmem_vm_free(gvm[i]);
	}
	TEST_ASSERT(moved >= total_moves, "%lu moves in %u s, not %lu", moved,
		    total_seconds, total_moves);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(unmovable_without_flag),
	GMEM_TEST(module_parameter),
	GMEM_TEST(before_first_run),
	GMEM_TEST(stopped_vcpus),
	GMEM_TEST(writer),
	GMEM_TEST(4_writers),
	GMEM_TEST(two_slots),
	GMEM_TEST(kcompactd),
	GMEM_TEST(code_and_tables),
	GMEM_TEST(code_and_tables_4_vcpus),
	GMEM_TEST(fill_race),
	GMEM_TEST(share_race),
	GMEM_TEST(share_race_4_vcpus),
	GMEM_TEST(shared_pages_stay_shared),
	GMEM_TEST(punch_race),
	GMEM_TEST(close_race),
	GMEM_TEST(death_race),
	GMEM_TEST(killed_race),
	GMEM_TEST(anonymous_beside),
	GMEM_TEST(fail_switch),
	GMEM_TEST(fail_switch_again),
	GMEM_TEST(fail_relocate),
	GMEM_TEST(fail_relocate_again),
	GMEM_TEST(fail_backend),
	GMEM_TEST(source_is_wiped),
	GMEM_TEST(memory_failure),
	GMEM_TEST(soft_offline),
	GMEM_TEST(host_access),
	GMEM_TEST(host_access_punch),
	GMEM_TEST_T(many_moves, 600),
};

static void help(const char *name)
{
	printf("usage: %s [-p pages] [-n moves] [-m MiB] [-s seconds] [name]\n"
	       " -p: pages of each VM (default %lu), at least %u\n"
	       " -n: pages that test many_moves moves (default %lu)\n"
	       " -m: memory of its VMs together (default %lu MiB)\n"
	       " -s: how long it may take (default %u s)\n"
	       " name: run only the tests whose name contains it; or a,b,...\n",
	       name, test_pages, GMEM_MIN_PAGES, total_moves, total_mib,
	       total_seconds);
	exit(KSFT_FAIL);
}

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "p:n:m:s:h")) != -1) {
		switch (opt) {
		case 'p':
			test_pages = atoi_positive("pages", optarg);
			if (test_pages < GMEM_MIN_PAGES)
				help(argv[0]);
			break;
		case 'n':
			total_moves = atoi_positive("moves", optarg);
			break;
		case 'm':
			total_mib = atoi_positive("MiB", optarg);
			break;
		case 's':
			total_seconds = atoi_positive("seconds", optarg);
			break;
		default:
			help(argv[0]);
		}
	}

	__TEST_REQUIRE(pkvm_available(), "No protected VMs on this host");
	test_disable_default_vgic();
	return gmem_run_tests(tests, ARRAY_SIZE(tests),
			      optind < argc ? argv[optind] : NULL);
}
