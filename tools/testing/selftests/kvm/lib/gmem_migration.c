// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests that move the pages of guest_memfd while VMs use them.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kernel-page-flags.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "gmem_migration.h"
#include "kvm_syscalls.h"
#include "processor.h"

#define CMA_DIR		"/sys/kernel/debug/cma"
#define HUGE_DIR	"/sys/kernel/mm/hugepages"
#define MEMORY_DIR	"/sys/devices/system/memory"
#define FAIL_DIR	"/sys/kernel/debug/fail_function"
#define COMPACT		"/proc/sys/vm/compact_memory"
#define PROACTIVENESS	"/proc/sys/vm/compaction_proactiveness"
#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"
#define SYSRQ		"/proc/sysrq-trigger"
#define PARAM		"/sys/module/kvm/parameters/gmem_migratable"

/*
 * Pages that one CMA allocation asks for. The allocator retries at every
 * later offset when a page is busy, so small pieces lose less to one of them.
 */
#define CMA_CHUNK	4096

/* What those who run beside a mover shall still find free. */
#define RESERVE_KB	(64 * 1024)
#define SCATTER_PARTS	32
#define SCATTER_MIN_FREE	4096

/* A vCPU writes every word once, and one of these in each later round. */
#define SPARSE_WORDS	64

/*
 * Guest
 */

void __weak gmem_arch_guest_share(u64 gpa)
{
}

bool __weak gmem_arch_guest_toggle_share(u64 gpa)
{
	return false;
}

void gmem_guest_init(struct gmem_ctl *ctl)
{
	u64 i;

	if (!ctl->protected)
		return;

	gmem_arch_guest_share(ctl->ctl_gpa);
	for (i = 0; i < ctl->nr_ucall_pages; i++)
		gmem_arch_guest_share(ctl->ucall_gpa + i * SZ_4K);
}

static u64 *guest_page(struct gmem_ctl *ctl, u64 page)
{
	return (u64 *)(ctl->gva + page * SZ_4K);
}

/*
 * All vCPUs write to every page, each to the words that are its own, so that
 * a write which a move loses cannot be hidden by another vCPU's.
 */
void gmem_guest_write_page(struct gmem_ctl *ctl, u64 id, u64 page, u64 seq,
			   bool all)
{
	u64 step = all ? ctl->nr_vcpus : SPARSE_WORDS;
	u64 *p = guest_page(ctl, page);
	u64 w;

	for (w = id; w < PAGE_WORDS; w += step)
		WRITE_ONCE(p[w], gmem_word(page, w, seq));
}

void gmem_guest_check_page(struct gmem_ctl *ctl, u64 id, u64 page, u64 seq,
			   bool all)
{
	u64 step = all ? ctl->nr_vcpus : SPARSE_WORDS;
	u64 *p = guest_page(ctl, page);
	u64 w, want, got;

	for (w = id; w < PAGE_WORDS; w += step) {
		want = gmem_word(page, w, w % SPARSE_WORDS == id ? seq : 0);
		got = READ_ONCE(p[w]);
		__GUEST_ASSERT(got == want,
			       "vCPU %lu round %lu page %lu word %lu: %lx, not %lx",
			       id, seq, page, w, got, want);
	}
}

static void guest_toggle_share(struct gmem_ctl *ctl, u64 id, u64 page, u64 seq)
{
	u64 gpa = GMEM_GPA + page * SZ_4K;

	/* A different sixteenth of the pages in every round. */
	if ((page + seq) % 16 || !gmem_arch_guest_toggle_share(gpa))
		return;

	__atomic_fetch_add(&ctl->nr_toggled, 1, __ATOMIC_RELAXED);
	gmem_guest_check_page(ctl, id, page, seq + 1, false);
}

void gmem_guest_code(u64 id, struct gmem_ctl *ctl)
{
	u64 nr = ctl->nr_pages, seq = 0, i, page;

	gmem_guest_init(ctl);

	for (page = 0; page < nr; page++) {
		if (!ctl->prefilled)
			gmem_guest_write_page(ctl, id, page, 0, true);
		else
			gmem_guest_check_page(ctl, id, page, 0, true);
	}
	GUEST_SYNC(GMEM_STAGE_FILLED);

	while (!READ_ONCE(ctl->stop)) {
		for (i = 0; i < nr; i++) {
			page = (i + id * nr / ctl->nr_vcpus) % nr;
			gmem_guest_check_page(ctl, id, page, seq, false);
			gmem_guest_write_page(ctl, id, page, seq + 1, false);
			if (READ_ONCE(ctl->toggle_share))
				guest_toggle_share(ctl, id, page, seq);
			WRITE_ONCE(ctl->vcpu[id].pages,
				   ctl->vcpu[id].pages + 1);
		}
		WRITE_ONCE(ctl->vcpu[id].rounds, ++seq);
	}

	for (page = 0; page < nr; page++)
		gmem_guest_check_page(ctl, id, page, seq, true);
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
	GUEST_DONE();
}

/*
 * A page that the host punches out now and then: what the guest finds is its own,
 * or it is a new page. A protected VM does not get one.
 */
static void guest_touch_hole(struct gmem_ctl *ctl, u64 id, u64 page)
{
	u64 *p = guest_page(ctl, page) + id, got;

	if (ctl->protected)
		return;

	got = READ_ONCE(*p);
	__GUEST_ASSERT(!got || got == gmem_word(page, id, 0),
		       "vCPU %lu page %lu: %lx", id, page, got);
	WRITE_ONCE(*p, gmem_word(page, id, 0));
}

/*
 * Half of the pages is the guest's to check, the even ones; the other half it
 * fills, and the host takes it away.
 */
void gmem_guest_half(u64 id, struct gmem_ctl *ctl)
{
	u64 page, seq;

	gmem_guest_init(ctl);
	for (page = 0; page < ctl->nr_pages; page++)
		gmem_guest_write_page(ctl, id, page, 0, true);
	GUEST_SYNC(GMEM_STAGE_FILLED);
	for (seq = 0; !READ_ONCE(ctl->stop); seq++)
		for (page = 0; page < ctl->nr_pages; page += 2) {
			gmem_guest_check_page(ctl, id, page, seq, false);
			gmem_guest_write_page(ctl, id, page, seq + 1, false);
			guest_touch_hole(ctl, id, page + 1);
		}
	for (page = 0; page < ctl->nr_pages; page += 2)
		gmem_guest_check_page(ctl, id, page, seq, true);
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
}

/*
 * VM
 */

bool __weak gmem_arch_is_protected(unsigned long type)
{
	return false;
}

struct kvm_vm __weak *gmem_arch_vm_create(struct gmem_vm *gvm)
{
	const struct gmem_vm_opts *o = &gvm->opts;
	struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = o->type,
	};

	return __vm_create_with_vcpus(shape, o->nr_vcpus, o->nr_pages,
				      o->guest_code, gvm->vcpus);
}

/* Where page @page of the guest's is in the file. */
static u64 file_page(struct gmem_vm *gvm, u64 page)
{
	if (!gvm->opts.two_slots)
		return page;
	return (page + gvm->nr_pages / 2) % gvm->nr_pages;
}

/* The pages in the order that the guest sees. */
static u64 *map_file(struct gmem_vm *gvm, u64 nr)
{
	u64 *mem = kvm_mmap(gvm->nr_pages * SZ_4K, PROT_READ | PROT_WRITE,
			    MAP_SHARED, gvm->fd), page;

	for (page = 0; page < gvm->nr_pages; page += nr)
		TEST_ASSERT(mmap(mem + page * PAGE_WORDS, nr * SZ_4K,
				 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				 gvm->fd, file_page(gvm, page) * SZ_4K) !=
			    MAP_FAILED, "Cannot map the file, errno %d", errno);
	return mem;
}

static void gmem_vm_add_memory(struct gmem_vm *gvm)
{
	const struct gmem_vm_opts *o = &gvm->opts;
	u64 nr = o->two_slots ? o->nr_pages / 2 : o->nr_pages, page;
	u64 size = o->nr_pages * SZ_4K, *hva;
	u32 slot = GMEM_SLOT;

	if (o->anonymous) {
		gvm->mem = kvm_mmap(size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1);
		vm_set_user_memory_region2(gvm->vm, GMEM_SLOT, 0, GMEM_GPA,
					   size, gvm->mem, 0, 0);
		return;
	}

	gvm->fd = vm_create_guest_memfd(gvm->vm, size, o->flags);
	if (o->flags & GUEST_MEMFD_FLAG_INIT_SHARED)
		gvm->mem = map_file(gvm, nr);
	else
		gvm->shared = kvm_mmap(size, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1);
	hva = gvm->mem ?: gvm->shared;
	for (page = 0; page < o->nr_pages; page += nr)
		vm_set_user_memory_region2(gvm->vm, slot++, KVM_MEM_GUEST_MEMFD,
					   GMEM_GPA + page * SZ_4K, nr * SZ_4K,
					   hva + page * PAGE_WORDS, gvm->fd,
					   file_page(gvm, page) * SZ_4K);
	if (o->private)
		vm_mem_set_private(gvm->vm, GMEM_GPA, size);
}

struct gmem_vm *gmem_vm_create(const struct gmem_vm_opts *opts)
{
	struct gmem_vm *gvm = calloc(1, sizeof(*gvm));
	struct kvm_vm *vm;
	gva_t ctl_gva;
	u32 i;

	TEST_ASSERT(gvm, "No memory for a VM's description");
	gvm->opts = *opts;
	if (!gvm->opts.guest_code)
		gvm->opts.guest_code = gmem_guest_code;
	gvm->fd = -1;
	gvm->nr_pages = opts->nr_pages;

	gmem_drain();
	vm = gmem_arch_vm_create(gvm);
	gvm->vm = vm;
	__TEST_REQUIRE(vm->page_size == SZ_4K && getpagesize() == SZ_4K,
		       "The tests are written for 4K pages");
	gmem_vm_add_memory(gvm);
	virt_map(vm, GMEM_GPA, GMEM_GPA, opts->nr_pages);

	ctl_gva = vm_alloc(vm, vm->page_size, SZ_2G);
	gvm->ctl = addr_gva2hva(vm, ctl_gva);
	gvm->ctl->protected = gmem_arch_is_protected(opts->type);
	gvm->ctl->ctl_gpa = addr_gva2gpa(vm, ctl_gva);
	if (gvm->ucall_gva) {
		/* A bitmap and one entry for every vCPU that may use it. */
		gvm->ctl->ucall_gpa = addr_gva2gpa(vm, gvm->ucall_gva);
		gvm->ctl->nr_ucall_pages = DIV_ROUND_UP(KVM_MAX_VCPUS / 8 +
			opts->nr_vcpus * sizeof(struct ucall), SZ_4K);
	}
	gvm->ctl->nr_vcpus = opts->nr_vcpus;
	gvm->ctl->nr_pages = opts->nr_pages;
	gvm->ctl->gva = GMEM_GPA;
	gvm->ctl->prefilled = opts->prefill;
	if (opts->prefill)
		gmem_fill_pattern(gvm->mem, 0, opts->nr_pages);

	for (i = 0; i < opts->nr_vcpus; i++)
		vcpu_args_set(gvm->vcpus[i], 2, (u64)i, ctl_gva);
	return gvm;
}

void gmem_vm_close_fd(struct gmem_vm *gvm)
{
	if (gvm->mem)
		kvm_munmap(gvm->mem, gvm->nr_pages * SZ_4K);
	gvm->mem = NULL;
	if (gvm->fd >= 0)
		kvm_free_fd(gvm->fd);
}

void gmem_vm_free(struct gmem_vm *gvm)
{
	gmem_vm_close_fd(gvm);
	kvm_vm_free(gvm->vm);
	free(gvm);
}

/*
 * A protected VM's anonymous memory is pinned when the guest first touches it,
 * which fails if just then somebody takes the page, e.g. as part of CMA. That
 * says -EFAULT and nothing else, and goes away; all that is about guest_memfd
 * is explained by an exit, and is what these tests are after.
 */
static void run_vcpu(struct gmem_vm *gvm, struct kvm_vcpu *vcpu)
{
	bool anonymous = gmem_arch_is_protected(gvm->opts.type) &&
			 !gvm->opts.slot0_gmem;
	struct kvm_run *run = vcpu->run;
	int r, tries = 0;

	do {
		run->exit_reason = KVM_EXIT_UNKNOWN;
		r = _vcpu_run(vcpu);
		if (!r)
			return;
		usleep(10000);
	} while (anonymous && errno == EFAULT && tries++ < 100 &&
		 run->exit_reason != KVM_EXIT_MEMORY_FAULT);

	TEST_FAIL("KVM_RUN of vCPU %u: errno %d, exit reason %u, gpa %llx",
		  vcpu->id, errno, run->exit_reason,
		  run->exit_reason == KVM_EXIT_MEMORY_FAULT ?
		  run->memory_fault.gpa : 0);
}

/*
 * Words in the guest's code, tables and stacks that are those of its pages: a few
 * may have been on a stack, a whole page of them has been written by mistake.
 */
static u64 nr_strays(struct gmem_vm *gvm)
{
	struct userspace_mem_region *slot0 = memslot2region(gvm->vm, 0);
	u64 *mem = slot0->host_mem, i, nr = 0;

	if (gmem_arch_is_protected(gvm->opts.type))
		return 0;
	for (i = 0; i < slot0->region.memory_size / sizeof(u64); i++)
		nr += mem[i] >> 32 == GMEM_MAGIC;
	return nr;
}

/*
 * Run a vCPU whose guest is going to touch one of @nr pages from @page on that is
 * not there any more: it must never see zeroes, but KVM_RUN fail with @err, and say
 * where.
 */
void gmem_vm_run_to_fault(struct gmem_vm *gvm, int vcpu, int err, u64 page,
			  u64 nr)
{
	struct kvm_run *run = gvm->vcpus[vcpu]->run;
	struct ucall uc;
	u64 start = GMEM_GPA + page * SZ_4K, gpa;
	int r;

	run->exit_reason = KVM_EXIT_UNKNOWN;
	r = _vcpu_run(gvm->vcpus[vcpu]);
	if (!r && get_ucall(gvm->vcpus[vcpu], &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(r == -1 && errno == err &&
		    run->exit_reason == KVM_EXIT_MEMORY_FAULT,
		    "KVM_RUN on a page that is gone: %d, errno %d, not %d, exit reason %u",
		    r, errno, err, run->exit_reason);
	gpa = run->memory_fault.gpa;
	TEST_ASSERT(gpa >= start && gpa < start + nr * SZ_4K &&
		    run->memory_fault.size == SZ_4K,
		    "Memory fault at %lx of size %llx, not in %lu pages from %lx",
		    gpa, run->memory_fault.size, nr, start);
}

/* Run a vCPU until its guest reports @stage. */
void gmem_vm_run_to(struct gmem_vm *gvm, int vcpu, int stage)
{
	struct ucall uc;

	if (stage == GMEM_STAGE_FAULTED) {
		gmem_vm_run_to_fault(gvm, vcpu, EFAULT, 0, gvm->nr_pages);
		WRITE_ONCE(gvm->stage[vcpu], stage);
	}
	while (READ_ONCE(gvm->stage[vcpu]) != stage) {
		run_vcpu(gvm, gvm->vcpus[vcpu]);
		switch (get_ucall(gvm->vcpus[vcpu], &uc)) {
		case UCALL_SYNC:
			WRITE_ONCE(gvm->stage[vcpu], uc.args[1]);
			break;
		case UCALL_PRINTF:
			REPORT_GUEST_PRINTF(uc);
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		default:
			ksft_print_msg("%lu moves, %lu failed, %lu stray words\n",
				       gmem_nr_migrated(gvm->vm),
				       gmem_nr_failed(gvm->vm), nr_strays(gvm));
			TEST_FAIL("vCPU %d: ucall %lu, exit reason %u, wanted stage %d",
				  vcpu, uc.cmd,
				  gvm->vcpus[vcpu]->run->exit_reason, stage);
		}
	}
}

struct run_args {
	struct gmem_vm *gvm;
	int vcpu, stage;
};

static void *run_thread(void *arg)
{
	struct run_args args = *(struct run_args *)arg;

	free(arg);
	/* vCPUs that only spin leave the movers a CPU, however few there are. */
	setpriority(PRIO_PROCESS, kvm_gettid(), 10);
	gmem_vm_run_to(args.gvm, args.vcpu, args.stage);
	return NULL;
}

static void start_threads(struct gmem_vm *gvm, int stage)
{
	u32 i;

	for (i = 0; i < gvm->opts.nr_vcpus; i++) {
		struct run_args *args = malloc(sizeof(*args));

		TEST_ASSERT(args, "No memory for a thread's arguments");
		*args = (struct run_args){ gvm, i, stage };
		kvm_pthread_create(&gvm->threads[i], NULL, run_thread, args);
	}
	gvm->threads_started = true;
}

static void join_threads(struct gmem_vm *gvm)
{
	u32 i;

	TEST_ASSERT(gvm->threads_started, "The vCPUs' threads do not run");
	for (i = 0; i < gvm->opts.nr_vcpus; i++)
		kvm_pthread_join(gvm->threads[i], NULL);
	gvm->threads_started = false;
}

/* Have the guest fill its memory; returns with the vCPUs outside of it. */
void gmem_vm_fill(struct gmem_vm *gvm)
{
	start_threads(gvm, GMEM_STAGE_FILLED);
	join_threads(gvm);
}

/* Let the vCPUs check and rewrite their pages until gmem_vm_stop(). */
void gmem_vm_start(struct gmem_vm *gvm)
{
	start_threads(gvm, GMEM_STAGE_VERIFIED);
}

/* Ends the writing; the guest then checks every word of every page. */
void gmem_vm_stop(struct gmem_vm *gvm)
{
	u32 i;

	WRITE_ONCE(gvm->ctl->stop, 1);
	join_threads(gvm);
	for (i = 0; i < gvm->opts.nr_vcpus; i++)
		TEST_ASSERT(gvm->stage[i] == GMEM_STAGE_VERIFIED,
			    "vCPU %u ended in stage %d", i, gvm->stage[i]);
}

void gmem_vm_punch(struct gmem_vm *gvm, u64 page, u64 nr)
{
	kvm_fallocate(gvm->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      page * SZ_4K, nr * SZ_4K);
}

/* A race goes on until there was one. */
bool gmem_wants_moves(struct kvm_vm *vm, u64 nr, time_t end)
{
	return gmem_nr_migrated(vm) < nr && time(NULL) < end;
}

/*
 * Punch the odd pages of @gvm, a VM with gmem_guest_half(), while its vCPUs use the
 * others, and pages move. The host gets new pages, which it can use.
 */
void gmem_vm_punch_race(struct gmem_vm *gvm, unsigned int seconds)
{
	time_t end = time(NULL) + seconds;
	u64 half = gvm->nr_pages / 2, page, i, *last;

	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	gmem_mover_start();
	gmem_mover_wait(gvm->vm, 1, seconds);
	for (i = 0; i < half || gmem_wants_moves(gvm->vm, gvm->nr_pages, end); i++) {
		page = i * 7919 % half * 2 + 1;
		/* The guest writes to the first words only. */
		last = gvm->mem + (page + 1) * PAGE_WORDS - 1;
		gmem_vm_punch(gvm, page, 1);
		TEST_ASSERT(!*last, "Punched page %lu reads %lx", page, *last);
		*last = gmem_word(page, PAGE_WORDS - 1, 0);
		usleep(1000);
	}
	gmem_mover_stop();
	gmem_vm_stop(gvm);
	gmem_assert_raced(gmem_nr_migrated(gvm->vm));
	for (page = 1; page < gvm->nr_pages; page += 2) {
		last = gvm->mem + (page + 1) * PAGE_WORDS - 1;
		TEST_ASSERT(*last == gmem_word(page, PAGE_WORDS - 1, 0),
			    "Page %lu, punched and filled, reads %lx", page,
			    *last);
	}
	gmem_vm_free(gvm);
}

/*
 * Close the file of a VM whose memory is filled while vCPUs use it, and pages move:
 * each of them ends with a fault. Returns how many pages have been moved.
 */
u64 gmem_vm_close_race(struct gmem_vm *gvm)
{
	u64 moved;

	start_threads(gvm, GMEM_STAGE_FAULTED);
	while (!READ_ONCE(gvm->ctl->vcpu[0].pages))
		usleep(1000);
	moved = gmem_mover_wait(gvm->vm, 1, 2);
	gmem_vm_close_fd(gvm);
	join_threads(gvm);
	return moved;
}

/* As fork(), with nothing that both would print, and no way to fail. */
static pid_t fork_child(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed, errno %d", errno);
	return pid;
}

/*
 * Have the process of a VM killed while it runs, with everything open, as if it had
 * crashed: once @nr of the VM's pages have been moved, or @seconds are over. The VM
 * is what @create makes of @arg. Returns how many pages have been moved.
 */
u64 gmem_vm_kill(struct gmem_vm *(*create)(int arg), int arg, u64 nr,
		 unsigned int seconds)
{
	u64 *progress = kvm_mmap(SZ_4K, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1), seen;
	time_t end = time(NULL) + seconds;
	int status;
	pid_t pid;

	pid = fork_child();
	if (!pid) {
		struct gmem_vm *gvm;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		gvm = create(arg);
		gmem_vm_fill(gvm);
		gmem_vm_start(gvm);
		/* Not zero, so that it is seen to run. */
		for (;; usleep(1000))
			WRITE_ONCE(*progress, gmem_nr_migrated(gvm->vm) + 1);
	}

	do {
		usleep(1000);
		TEST_ASSERT(!waitpid(pid, &status, WNOHANG),
			    "The VM's process has ended by itself");
		seen = READ_ONCE(*progress);
	} while (!seen || (seen <= nr && time(NULL) < end));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	kvm_munmap(progress, SZ_4K);
	return seen - 1;
}

/*
 * Compare all that the guest wrote, read through the VMM's mapping, with what
 * the guest says that it wrote. Only where the host may read the memory.
 */
void gmem_vm_check_from_host(struct gmem_vm *gvm)
{
	u64 nv = gvm->opts.nr_vcpus, page, w, seq, want, *p;

	for (page = 0; page < gvm->nr_pages; page++) {
		p = gvm->mem + page * PAGE_WORDS;
		for (w = 0; w < PAGE_WORDS; w++) {
			seq = w % SPARSE_WORDS < nv ?
			      gvm->ctl->vcpu[w % SPARSE_WORDS].rounds : 0;
			want = gmem_word(page, w, seq);
			TEST_ASSERT(p[w] == want,
				    "Page %lu word %lu reads %lx, not %lx",
				    page, w, p[w], want);
		}
	}
}

void gmem_fill_pattern(u64 *mem, u64 first_page, u64 nr_pages)
{
	u64 page, w;

	for (page = first_page; page < first_page + nr_pages; page++)
		for (w = 0; w < PAGE_WORDS; w++)
			mem[page * PAGE_WORDS + w] =
				gmem_word(page, w, 0);
}

void gmem_check_pattern(u64 *mem, u64 first_page, u64 nr_pages)
{
	u64 page, w, got;

	for (page = first_page; page < first_page + nr_pages; page++)
		for (w = 0; w < PAGE_WORDS; w++) {
			got = mem[page * PAGE_WORDS + w];
			TEST_ASSERT(got == gmem_word(page, w, 0),
				    "Page %lu word %lu reads %lx, not %lx",
				    page, w, got, gmem_word(page, w, 0));
		}
}

/*
 * Statistics
 */

static bool read_stat(struct kvm_vm *vm, const char *name, u64 *value)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	bool found = false;
	u32 i;

	if (vm->stats.fd < 0)
		return false;

	read_stats_header(vm->stats.fd, &header);
	descs = read_stats_descriptors(vm->stats.fd, &header);
	for (i = 0; i < header.num_desc && !found; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, name))
			continue;
		read_stat_data(vm->stats.fd, &header, desc, value, 1);
		found = true;
	}
	free(descs);
	return found;
}

bool gmem_has_stats(struct kvm_vm *vm)
{
	u64 value;

	return read_stat(vm, "gmem_migrated", &value) &&
	       read_stat(vm, "gmem_migrate_failed", &value);
}

u64 gmem_nr_migrated(struct kvm_vm *vm)
{
	u64 value = 0;

	read_stat(vm, "gmem_migrated", &value);
	return value;
}

u64 gmem_nr_failed(struct kvm_vm *vm)
{
	u64 value = 0;

	read_stat(vm, "gmem_migrate_failed", &value);
	return value;
}

/*
 * Page frames
 */

static u64 read_u64_at(const char *path, u64 index)
{
	int fd = open(path, O_RDONLY);
	u64 value = 0;

	__TEST_REQUIRE(fd >= 0, "Cannot open %s", path);
	TEST_ASSERT(pread(fd, &value, sizeof(value), index * sizeof(value)) ==
		    sizeof(value), "Cannot read entry %lu of %s", index, path);
	close(fd);
	return value;
}

/* The pfn behind @addr, or 0 if nothing is mapped there. */
u64 gmem_pfn(void *addr)
{
	u64 entry = read_u64_at("/proc/self/pagemap", (u64)addr / SZ_4K);

	return entry & BIT_ULL(63) ? entry & GENMASK_ULL(54, 0) : 0;
}

/* Touches the pages, so that there is a pfn for each of them. */
void gmem_get_pfns(u64 *mem, u64 nr_pages, u64 *pfns)
{
	u64 i;

	for (i = 0; i < nr_pages; i++) {
		READ_ONCE(mem[i * PAGE_WORDS]);
		pfns[i] = gmem_pfn(mem + i * PAGE_WORDS);
		TEST_ASSERT(pfns[i], "Page %lu has no pfn, is this root?", i);
	}
}

u64 gmem_count_moved(const u64 *before, const u64 *after, u64 nr_pages)
{
	u64 i, nr = 0;

	for (i = 0; i < nr_pages; i++)
		nr += before[i] != after[i];
	return nr;
}

u64 gmem_kpageflags(u64 pfn)
{
	return read_u64_at("/proc/kpageflags", pfn);
}

/*
 * Files
 */

bool gmem_write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	ssize_t r;

	if (fd < 0)
		return false;
	r = write(fd, value, strlen(value));
	close(fd);
	return r == (ssize_t)strlen(value);
}

bool gmem_write_ulong(const char *path, u64 value)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%lu", value);
	return gmem_write_file(path, buf);
}

bool gmem_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t r;

	if (fd < 0)
		return false;
	/* Some files give a page at a time. */
	while ((r = read(fd, buf + len, size - 1 - len)) > 0)
		len += r;
	close(fd);
	if (r < 0)
		return false;
	buf[len] = 0;
	return true;
}

u64 gmem_read_ulong(const char *path)
{
	char buf[32];

	return gmem_read_file(path, buf, sizeof(buf)) ?
	       strtoull(buf, NULL, 0) : 0;
}

bool gmem_set_param(bool on)
{
	return gmem_write_file(PARAM, on ? "Y" : "N");
}

/*
 * Movers
 */

typedef u64 (*dir_fn_t)(const char *path);

static u64 sum_over_dir(const char *dir, dir_fn_t fn)
{
	DIR *d = opendir(dir);
	char path[512];
	struct dirent *de;
	u64 sum = 0;

	if (!d)
		return 0;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		sum += fn(path);
	}
	closedir(d);
	return sum;
}

static u64 cma_has_alloc(const char *dir)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/alloc", dir);
	return !access(path, W_OK);
}

bool gmem_has_cma(void)
{
	return sum_over_dir(CMA_DIR, cma_has_alloc);
}

static u64 cma_free(const char *dir)
{
	char path[600];

	/* More than there is means all that was allocated through debugfs. */
	snprintf(path, sizeof(path), "%s/free", dir);
	return gmem_write_ulong(path, INT32_MAX);
}

static u64 cma_sweep(const char *dir)
{
	char alloc[600], free[600];
	u64 nr = 0, left, chunk;

	snprintf(alloc, sizeof(alloc), "%s/count", dir);
	snprintf(free, sizeof(free), "%s/used", dir);
	left = gmem_read_ulong(alloc) - gmem_read_ulong(free);
	snprintf(alloc, sizeof(alloc), "%s/alloc", dir);
	snprintf(free, sizeof(free), "%s/free", dir);

	for (; left >= CMA_CHUNK; left -= chunk) {
		/* Too large a rest to fit in what was given back. */
		chunk = left < 2 * CMA_CHUNK ? left : CMA_CHUNK;
		if (!gmem_write_ulong(alloc, chunk))
			break;
		gmem_write_ulong(free, chunk - 1);
		nr += chunk;
	}
	cma_free(dir);
	return nr;
}

/*
 * Allocate CMA piece by piece, which moves away what is in it. All but the
 * last page of a piece are given back before the next, so that there is room
 * to move to; the one that stays makes the next allocation, which takes the
 * first place where it fits, look further up. The pages remain in CMA if more
 * than half of the free memory is there, as the page allocator then prefers
 * it for movable pages: boot with such a "cma=" and every sweep moves all of
 * them. Returns the number of pages that could be allocated.
 */
u64 gmem_cma_sweep(void)
{
	return sum_over_dir(CMA_DIR, cma_sweep);
}

static u64 cma_hold(const char *dir)
{
	u64 nr = 0, chunk;
	char path[600];

	snprintf(path, sizeof(path), "%s/alloc", dir);
	for (chunk = CMA_CHUNK; chunk; chunk /= 2)
		while (gmem_write_ulong(path, chunk))
			nr += chunk;
	return nr;
}

/* Allocate all of CMA, so that nothing else is in it, until gmem_cma_free(). */
u64 gmem_cma_hold(void)
{
	return sum_over_dir(CMA_DIR, cma_hold);
}

void gmem_cma_free(void)
{
	sum_over_dir(CMA_DIR, cma_free);
}

static u64 cma_drain(const char *dir)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/alloc", dir);
	if (!gmem_write_ulong(path, 1))
		return 0;
	snprintf(path, sizeof(path), "%s/free", dir);
	gmem_write_ulong(path, 1);
	return 1;
}

/*
 * Freed pages stay in the lists of the CPUs, by the thousand, where neither
 * compaction nor the preference for CMA sees them. Whoever allocates a range
 * empties these lists.
 */
void gmem_drain(void)
{
	sum_over_dir(CMA_DIR, cma_drain);
}

void gmem_compact(void)
{
	__TEST_REQUIRE(gmem_write_file(COMPACT, "1"),
		       "Cannot write %s", COMPACT);
}

static u64 gigantic_kb(const char *dir)
{
	const char *p = strrchr(dir, '-');

	return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* The number behind @name in a file that has one such figure in each line. */
static u64 read_figure(const char *path, const char *name)
{
	char buf[16384], *p;

	if (!gmem_read_file(path, buf, sizeof(buf)))
		return 0;
	p = strstr(buf, name);
	return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}

/* A figure of /proc/meminfo in kB, by its name with the colon. */
u64 gmem_meminfo(const char *name)
{
	return read_figure("/proc/meminfo", name);
}

/* One of /proc/vmstat, by its name with the blank. */
u64 gmem_vmstat(const char *name)
{
	return read_figure("/proc/vmstat", name);
}

static u64 gigantic_max_size;

static u64 gigantic_take_and_free(const char *dir)
{
	u64 kb = gigantic_kb(dir), old, got, free_kb;
	char path[600];

	/* What the buddy allocator can hold needs no alloc_contig_range(). */
	if (kb <= 4096 || kb * SZ_1K > gigantic_max_size)
		return 0;

	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	old = gmem_read_ulong(path);
	free_kb = gmem_meminfo("MemFree:") - gmem_meminfo("CmaFree:");
	if (free_kb < RESERVE_KB + kb)
		return 0;
	gmem_write_ulong(path, old + (free_kb - RESERVE_KB) / kb);
	got = gmem_read_ulong(path) - old;
	gmem_write_ulong(path, old);
	return got * kb / 4;
}

/*
 * Allocate gigantic pages, of at most @max_size each, from nearly all of the
 * free memory, which evacuates the ranges they take. Returns the number of
 * small pages that they are made of.
 */
u64 gmem_gigantic_cycle(u64 max_size)
{
	gigantic_max_size = max_size;
	return sum_over_dir(HUGE_DIR, gigantic_take_and_free);
}

/* Take a memory block offline, and bring it back to the zone that it was in. */
static bool offline_block(const char *dir)
{
	char path[600], zone[64] = "";

	snprintf(path, sizeof(path), "%s/valid_zones", dir);
	gmem_read_file(path, zone, sizeof(zone));
	snprintf(path, sizeof(path), "%s/state", dir);
	if (access(path, W_OK) || !gmem_write_file(path, "offline"))
		return false;
	TEST_ASSERT(gmem_write_file(path, strncmp(zone, "Movable", 7) ?
					  "online_kernel" : "online_movable"),
		    "%s does not come online again", dir);
	return true;
}

/*
 * Take the memory blocks that hold @pfns offline, one by one, and bring them
 * back. Returns how many of the pages were in blocks that went offline.
 */
u64 gmem_offline_cycle(const u64 *pfns, u64 nr_pages)
{
	u64 block = 0, pages_per_block, i, j, nr = 0;
	char buf[32], path[256];
	bool *done;

	if (gmem_read_file(MEMORY_DIR "/block_size_bytes", buf, sizeof(buf)))
		block = strtoull(buf, NULL, 16);
	if (!block)
		return 0;

	pages_per_block = block / SZ_4K;
	done = calloc(nr_pages, sizeof(*done));
	TEST_ASSERT(done, "No memory for %lu flags", nr_pages);
	for (i = 0; i < nr_pages; i++) {
		u64 id = pfns[i] / pages_per_block, inside = 0;

		if (done[i])
			continue;
		for (j = i; j < nr_pages; j++) {
			if (pfns[j] / pages_per_block != id)
				continue;
			done[j] = true;
			inside++;
		}
		snprintf(path, sizeof(path), MEMORY_DIR "/memory%lu", id);
		if (offline_block(path))
			nr += inside;
	}
	free(done);
	return nr;
}

/* Whose pages are looked for in the blocks that go offline. */
static struct kvm_vm *offline_vm;

static u64 offline_and_online(const char *dir)
{
	u64 moved = offline_vm ? gmem_nr_migrated(offline_vm) : 0;

	if (!offline_block(dir))
		return 0;
	return !offline_vm || gmem_nr_migrated(offline_vm) > moved;
}

/*
 * Take each memory block offline, and bring it back. Returns how many of them had
 * pages of @vm, or without one how many there were.
 */
u64 gmem_offline_blocks(struct kvm_vm *vm)
{
	offline_vm = vm;
	return sum_over_dir(MEMORY_DIR, offline_and_online);
}

static void mover_round(void)
{
	/*
	 * Compaction fills holes in blocks that are in use, and moves little
	 * once that is done; sweeping CMA makes holes again. Without CMA, see
	 * what gigantic pages and memory blocks that go offline can do.
	 */
	gmem_compact();
	if (gmem_cma_sweep())
		return;
	if (!gmem_gigantic_cycle(SZ_64M))
		gmem_offline_blocks(NULL);
}

/*
 * Move pages of @vm until @nr more moves are counted, or @seconds are over.
 * Returns the number of moves.
 */
u64 gmem_force_moves(struct kvm_vm *vm, u64 nr, unsigned int seconds)
{
	u64 start = gmem_nr_migrated(vm), moved = 0;
	time_t end = time(NULL) + seconds;

	do {
		mover_round();
		moved = gmem_nr_migrated(vm) - start;
	} while (moved < nr && time(NULL) < end);
	return moved;
}

/*
 * Have pages of @vm selected for migration until @nr more attempts have failed,
 * or @seconds are over. Only compaction does it: those who allocate ranges do
 * not give up on a page that never moves. Returns the number of failures.
 */
u64 gmem_try_moves(struct kvm_vm *vm, u64 nr, unsigned int seconds)
{
	u64 start = gmem_nr_failed(vm), failed;
	time_t end = time(NULL) + seconds;

	do {
		gmem_compact();
		failed = gmem_nr_failed(vm) - start;
	} while (failed < nr && time(NULL) < end);
	return failed;
}

static char *hold_memory(u64 size, int advice)
{
	char *mem = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			     MAP_ANONYMOUS | MAP_NORESERVE, -1);

	madvise(mem, size, advice);
	TEST_ASSERT(!madvise(mem, size, MADV_POPULATE_WRITE),
		    "Cannot have %lu bytes, errno %d", size, errno);
	return mem;
}

static int lower_pfn(const void *a, const void *b)
{
	u64 pfn_a = gmem_pfn(*(char **)a), pfn_b = gmem_pfn(*(char **)b);

	return pfn_a < pfn_b ? -1 : pfn_a > pfn_b;
}

static char *scattered[SCATTER_PARTS];
static const u64 scattered_size = 2 * RESERVE_KB * SZ_1K / SCATTER_PARTS;

/*
 * Make what is allocated next take single pages, here and there in the lower half
 * of the memory, by having next to all of the rest in use.
 */
void gmem_scatter_free(void)
{
	u64 free, rest, i, page;

	/*
	 * Huge pages make the kernel keep more than what is to be left here, and
	 * for its own use without what is in CMA.
	 */
	__TEST_REQUIRE(gmem_write_ulong(MIN_FREE, SCATTER_MIN_FREE),
		       "Cannot write %s", MIN_FREE);
	/* What earlier tests have left in pieces. */
	gmem_compact();
	free = gmem_meminfo("MemFree:") * SZ_1K;
	__TEST_REQUIRE(free > 4 * RESERVE_KB * SZ_1K, "Only %lu bytes are free",
		       free);
	rest = (free - RESERVE_KB * SZ_1K / 2) / SCATTER_PARTS -
	       scattered_size;
	for (i = 0; i < SCATTER_PARTS; i++) {
		scattered[i] = hold_memory(scattered_size, MADV_NOHUGEPAGE);
		hold_memory(rest / SZ_2M * SZ_2M, MADV_HUGEPAGE);
	}
	qsort(scattered, SCATTER_PARTS, sizeof(*scattered), lower_pfn);
	for (page = 0; page < scattered_size; page += 2 * SZ_4K)
		for (i = 0; i < SCATTER_PARTS / 2; i++)
			madvise(scattered[i] + page, SZ_4K, MADV_DONTNEED);
	gmem_drain();
}

/* Let kcompactd work until @nr pages of @vm were moved, or @seconds are over. */
static u64 kcompactd_moves(struct kvm_vm *vm, u64 nr, unsigned int seconds)
{
	const char *scanned = "compact_daemon_migrate_scanned ";
	u64 before = gmem_vmstat(scanned);
	u64 start = gmem_nr_migrated(vm), moved;
	time_t end = time(NULL) + seconds;

	do {
		/* Which wakes it, too. */
		__TEST_REQUIRE(gmem_write_ulong(PROACTIVENESS, 100),
			       "Cannot write %s", PROACTIVENESS);
		usleep(100000);
		moved = gmem_nr_migrated(vm) - start;
	} while (moved < nr && time(NULL) < end);
	gmem_write_ulong(PROACTIVENESS, 0);
	/* It counts when it is done with a zone. */
	end = time(NULL) + seconds;
	while (gmem_vmstat(scanned) == before) {
		TEST_ASSERT(time(NULL) < end,
			    "kcompactd has not looked at a single page");
		usleep(100000);
	}
	return moved;
}

/*
 * Pages of @gvm, a VM that was created after gmem_scatter_free(), are moved by
 * kcompactd, and by nobody else, while vCPUs write to them.
 */
void gmem_vm_kcompactd(struct gmem_vm *gvm)
{
	u64 moved;
	int i;

	gmem_vm_fill(gvm);
	/* In the upper half, where it moves pages to. */
	for (i = SCATTER_PARTS / 2; i < SCATTER_PARTS; i++)
		kvm_munmap(scattered[i], scattered_size);
	gmem_drain();
	gmem_vm_start(gvm);
	/* It stops, and moves no more, when there is enough in large blocks. */
	moved = kcompactd_moves(gvm->vm, gvm->nr_pages / 8, 15);
	gmem_vm_stop(gvm);
	ksft_print_msg("%lu of %lu pages moved, %lu failed\n", moved,
		       gvm->nr_pages, gmem_nr_failed(gvm->vm));
	TEST_ASSERT(moved >= gvm->nr_pages / 32, "Only %lu moves", moved);
	gmem_vm_free(gvm);
}

static pthread_t mover_thread;
static bool mover_stop;
static u64 mover_rounds;

static void *mover_fn(void *round)
{
	while (!READ_ONCE(mover_stop)) {
		((void (*)(void))round)();
		mover_rounds++;
	}
	return NULL;
}

static void start_mover(void (*round)(void))
{
	WRITE_ONCE(mover_stop, false);
	mover_rounds = 0;
	kvm_pthread_create(&mover_thread, NULL, mover_fn, round);
}

void gmem_mover_start(void)
{
	start_mover(mover_round);
}

/* For when there may be pages that nobody can move. */
void gmem_compacter_start(void)
{
	start_mover(gmem_compact);
}

/*
 * Until @nr pages of @vm have been moved, or @seconds are over. Returns how many
 * have been.
 */
u64 gmem_mover_wait(struct kvm_vm *vm, u64 nr, unsigned int seconds)
{
	time_t end = time(NULL) + seconds;
	u64 moved;

	while ((moved = gmem_nr_migrated(vm)) < nr && time(NULL) < end)
		usleep(1000);
	return moved;
}

void gmem_mover_stop(void)
{
	WRITE_ONCE(mover_stop, true);
	kvm_pthread_join(mover_thread, NULL);
	TEST_ASSERT(mover_rounds, "Not even one round of moves was completed");
}

/* A race in which nothing moved was none. */
void gmem_assert_raced(u64 moved)
{
	ksft_print_msg("%lu moves\n", moved);
	TEST_ASSERT(moved, "Nothing moved meanwhile");
}

/*
 * Fault injection
 */

/*
 * A page that stays poisoned is in the way of all who allocate ranges later. The kernel
 * takes the last reference that it finds for that of the error. So first have pages
 * leave the CPUs' batches for the LRU lists, which compaction does.
 */
void gmem_unpoison(u64 pfn)
{
	int i;

	for (i = 0; gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON); i++) {
		TEST_ASSERT(i < 10, "pfn %#lx stays poisoned", pfn);
		gmem_compact();
		gmem_write_ulong("/sys/kernel/debug/hwpoison/unpoison-pfn", pfn);
	}
}

/* Move what is on the page elsewhere, and take the page out of use. */
void gmem_soft_offline(u64 pfn)
{
	TEST_ASSERT(gmem_write_ulong("/sys/devices/system/memory/soft_offline_page",
				     pfn * SZ_4K),
		    "Cannot soft offline pfn %#lx, errno %d", pfn, errno);
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx is not poisoned", pfn);
}

bool gmem_fail_function(const char *function, int retval, unsigned int percent)
{
	char path[256], value[24];

	if (!gmem_write_file(FAIL_DIR "/inject", function))
		return false;

	/* The file takes an unsigned 64-bit value: sign-extend. */
	snprintf(path, sizeof(path), FAIL_DIR "/%s/retval", function);
	snprintf(value, sizeof(value), "%#lx", (unsigned long)(long)retval);
	TEST_ASSERT(gmem_write_file(path, value), "%s takes no %s", path,
		    value);

	return gmem_write_ulong(FAIL_DIR "/probability", percent) &&
	       gmem_write_ulong(FAIL_DIR "/interval", 1) &&
	       gmem_write_file(FAIL_DIR "/times", "-1") &&
	       gmem_write_ulong(FAIL_DIR "/verbose", 0) &&
	       gmem_write_file(FAIL_DIR "/task-filter", "N");
}

void gmem_fail_function_off(void)
{
	gmem_write_ulong(FAIL_DIR "/probability", 0);
	/* An empty line takes all functions off the list. */
	gmem_write_file(FAIL_DIR "/inject", "\n");
}

/*
 * Have the vCPUs of a new VM write to its memory while the kernel tries to move
 * it, and @function, one of the steps of a move, fails @percent of its calls.
 */
void gmem_vm_fail_moves(struct gmem_vm *gvm, const char *function, int retval,
			unsigned int percent)
{
	u64 moved, failed;

	gmem_vm_fill(gvm);
	/* Full blocks are none of compaction's business: make some holes. */
	gmem_force_moves(gvm->vm, gvm->nr_pages / 4, 30);
	__TEST_REQUIRE(gmem_fail_function(function, retval, percent),
		       "No fault injection for %s", function);
	gmem_vm_start(gvm);
	moved = gmem_nr_migrated(gvm->vm);
	failed = gmem_try_moves(gvm->vm, gvm->nr_pages / 8, 6);
	moved = gmem_nr_migrated(gvm->vm) - moved;
	gmem_fail_function_off();
	ksft_print_msg("%lu moves and %lu failures with %s at %u %%\n", moved,
		       failed, function, percent);
	if (percent == 100)
		TEST_ASSERT(!moved, "%lu moves with every %s failing", moved,
			    function);
	/* More than vCPUs and the kernel get in the way of anyway. */
	TEST_ASSERT(failed && failed * 100 * 2 >= (moved + failed) * percent,
		    "%lu failures and %lu moves with %s failing at %u %%",
		    failed, moved, function, percent);
}

/* As if nothing had been: pages move, and the guest finds what it wrote. */
void gmem_vm_move_again(struct gmem_vm *gvm)
{
	u64 moved = gmem_force_moves(gvm->vm, gvm->nr_pages, 30);

	gmem_vm_stop(gvm);
	TEST_ASSERT(moved, "Nothing moves after the failures");
}

/*
 * Signals
 */

static __thread sigjmp_buf read_jmpbuf;
static __thread int read_code;

static void read_handler(int sig, siginfo_t *info, void *ctx)
{
	WRITE_ONCE(read_code, info->si_code);
	siglongjmp(read_jmpbuf, sig);
}

int gmem_read_signal(const u64 *addr, u64 *value, int *si_code)
{
	struct sigaction sa = {
		.sa_sigaction = read_handler,
		.sa_flags = SA_SIGINFO,
	}, old_segv, old_bus;
	int sig;

	sigaction(SIGSEGV, &sa, &old_segv);
	sigaction(SIGBUS, &sa, &old_bus);
	sig = sigsetjmp(read_jmpbuf, 1);
	if (!sig) {
		u64 v = READ_ONCE(*addr);

		if (value)
			*value = v;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	if (si_code)
		*si_code = sig ? READ_ONCE(read_code) : 0;
	return sig;
}

/*
 * Runner
 */

static u64 old_proactiveness, old_min_free;

static void save_environment(void)
{
	old_proactiveness = gmem_read_ulong(PROACTIVENESS);
	old_min_free = gmem_read_ulong(MIN_FREE);
}

/* Undo what a test has left behind, which may have died. */
static void restore_environment(void)
{
	gmem_fail_function_off();
	gmem_set_param(false);
	gmem_cma_free();
	if (gmem_read_ulong(PROACTIVENESS) != old_proactiveness)
		gmem_write_ulong(PROACTIVENESS, old_proactiveness);
	/* The kernel changes it, too, and not any more once it was written to. */
	if (gmem_read_ulong(MIN_FREE) == SCATTER_MIN_FREE)
		gmem_write_ulong(MIN_FREE, old_min_free);
}

/* Where everything is that runs or waits: the kernel prints it, if it can. */
static void show_tasks(void)
{
	gmem_write_file(SYSRQ, "l");
	gmem_write_file(SYSRQ, "t");
}

static int run_one(const struct gmem_test *test)
{
	time_t end = time(NULL) + (test->seconds ?: 300);
	int status;
	pid_t pid;

	pid = fork_child();
	if (!pid) {
		test->fn();
		fflush(NULL);
		_exit(KSFT_PASS);
	}

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (time(NULL) > end) {
			ksft_print_msg("%s: hung\n", test->name);
			show_tasks();
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return KSFT_FAIL;
		}
		usleep(10000);
	}
	if (WIFSIGNALED(status)) {
		ksft_print_msg("%s: died of signal %d\n", test->name,
			       WTERMSIG(status));
		return KSFT_FAIL;
	}
	return WEXITSTATUS(status);
}

/* Whether @name contains any of @only, with commas between them. */
static bool is_selected(const char *name, const char *only)
{
	size_t len;
	char part[64];

	if (!only)
		return true;
	for (; *only; only += len + !!only[len]) {
		len = strcspn(only, ",");
		snprintf(part, sizeof(part), "%.*s", (int)len, only);
		if (len && strstr(name, part))
			return true;
	}
	return false;
}

/* Runs those of @tests that @only selects; does not return. */
int gmem_run_tests(const struct gmem_test *tests, unsigned int nr,
		   const char *only)
{
	unsigned int i, planned = 0;

	for (i = 0; i < nr; i++)
		planned += is_selected(tests[i].name, only);

	save_environment();
	ksft_print_header();
	ksft_set_plan(planned);
	for (i = 0; i < nr; i++) {
		time_t start = time(NULL);
		int r;

		if (!is_selected(tests[i].name, only))
			continue;
		r = run_one(&tests[i]);
		restore_environment();
		/* Not in the result, which is compared with that of other kernels. */
		ksft_print_msg("%s: %ld s\n", tests[i].name,
			       (long)(time(NULL) - start));
		if (r == KSFT_SKIP)
			ksft_test_result_skip("%s\n", tests[i].name);
		else
			ksft_test_result(r == KSFT_PASS, "%s\n", tests[i].name);
	}
	ksft_finished();
}
