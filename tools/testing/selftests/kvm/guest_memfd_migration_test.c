// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration of guest_memfd folios of VMs whose memory the host may read, and
 * of x86's software-protected VMs: what is refused, what moves, what does not
 * move, and that neither the guest nor the VMM can tell.
 */
#include <linux/falloc.h>
#include <linux/kernel-page-flags.h>
#include <linux/memfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "gmem_migration.h"
#include "kvm_syscalls.h"
#include "numaif.h"
#include "processor.h"

static u64 test_pages = 2048;
static unsigned int move_seconds = 20;

/* What moves that have to be made may take on a slow machine. */
#define FORCE_SECONDS	60

static u64 default_flags(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 flags = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);

	kvm_vm_free(vm);
	return flags;
}

static void require_migratable(void)
{
	__TEST_REQUIRE(default_flags() & GUEST_MEMFD_FLAG_MIGRATABLE,
		       "GUEST_MEMFD_FLAG_MIGRATABLE is not listed");
}

/*
 * A file with a pattern in it, of a VM that has no vCPU, and which need not be
 * bound to a memslot.
 */
struct gfile {
	struct kvm_vm *vm;
	int fd;
	u64 nr;
	u64 *mem;
	u64 *before, *after;	/* pfns */
};

static void gfile_open_vm(struct gfile *f, struct kvm_vm *vm, u64 nr, u64 flags)
{
	gmem_drain();
	f->vm = vm;
	f->nr = nr;
	f->fd = vm_create_guest_memfd(vm, nr * SZ_4K, flags);
	f->mem = kvm_mmap(nr * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED,
			  f->fd);
	f->before = calloc(nr, sizeof(u64));
	f->after = calloc(nr, sizeof(u64));
	TEST_ASSERT(f->before && f->after, "No memory for %lu pfns", nr);
}

static void gfile_close(struct gfile *f)
{
	kvm_munmap(f->mem, f->nr * SZ_4K);
	kvm_free_fd(f->fd);
	free(f->before);
	free(f->after);
}

static void gfile_bind(struct gfile *f, u32 slot, gpa_t gpa)
{
	vm_set_user_memory_region2(f->vm, slot, KVM_MEM_GUEST_MEMFD, gpa,
				   f->nr * SZ_4K, f->mem, f->fd, 0);
}

static void gfile_open(struct gfile *f, u64 nr, u64 flags)
{
	gfile_open_vm(f, vm_create_barebones(), nr, flags);
	gfile_bind(f, GMEM_SLOT, GMEM_GPA);
	gmem_fill_pattern(f->mem, 0, nr);
	gmem_get_pfns(f->mem, nr, f->before);
}

static void gfile_free(struct gfile *f)
{
	gfile_close(f);
	kvm_vm_free(f->vm);
}

static u64 gfile_moved(struct gfile *f)
{
	gmem_get_pfns(f->mem, f->nr, f->after);
	return gmem_count_moved(f->before, f->after, f->nr);
}

/*
 * Two files whose pages alternate in physical memory; with one of them gone,
 * compaction has to move the other's.
 */
static void gfile_fragment(struct gfile *f, u64 flags)
{
	struct gfile other;
	u64 i;

	gfile_open_vm(&other, f->vm, f->nr, flags);
	for (i = 0; i < f->nr; i++) {
		gmem_fill_pattern(f->mem, i, 1);
		gmem_fill_pattern(other.mem, i, 1);
	}
	gfile_close(&other);
	gmem_drain();
	gmem_get_pfns(f->mem, f->nr, f->before);
}

/*
 * The same with new pages, and so much of the free memory in use, in fifths, that
 * they are somewhere else: compaction does not move what is where it wants it to be.
 */
static void gfile_refill(struct gfile *f, u64 flags, u64 part)
{
	u64 size = gmem_meminfo("MemFree:") * SZ_1K / 5 * part / SZ_4K * SZ_4K;
	void *held = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			      MAP_ANONYMOUS | MAP_NORESERVE, -1);

	kvm_fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      f->nr * SZ_4K);
	kvm_madvise(held, size, MADV_POPULATE_WRITE);
	gfile_fragment(f, flags);
	kvm_munmap(held, size);
	gmem_drain();
}

static void gfile_open_fragmented(struct gfile *f, u64 nr, u64 flags)
{
	gfile_open_vm(f, vm_create_barebones(), nr, flags);
	gfile_bind(f, GMEM_SLOT, GMEM_GPA);
	gfile_fragment(f, flags);
}

/*
 * Refusals
 */

static void test_unknown_flags(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS), flag;
	int fd;

	for (flag = BIT(0); flag; flag <<= 1) {
		fd = __vm_create_guest_memfd(vm, SZ_4K, flag);
		if (flag & valid) {
			TEST_ASSERT(fd >= 0,
				    "Listed flag %#lx refused, errno %d",
				    flag, errno);
			close(fd);
			continue;
		}
		TEST_ASSERT(fd < 0 && errno == EINVAL,
			    "Flag %#lx is not listed, got %d errno %d", flag,
			    fd, errno);
		fd = __vm_create_guest_memfd(vm, SZ_4K, flag | valid);
		TEST_ASSERT(fd < 0 && errno == EINVAL,
			    "Flags %#lx with valid ones: %d errno %d", flag,
			    fd, errno);
	}
	kvm_vm_free(vm);
}

static void test_flag_of_vm_type(void)
{
	unsigned long types = kvm_check_cap(KVM_CAP_VM_TYPES) ?: 1, type;

	for (type = 0; type < BITS_PER_LONG; type++) {
		struct kvm_vm *vm;
		u64 flags;
		int fd;

		if (!(types & BIT(type)))
			continue;
		vm = vm_create_barebones_type(type);
		flags = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
		fd = __vm_create_guest_memfd(vm, SZ_4K,
					     GUEST_MEMFD_FLAG_MIGRATABLE);
		if (flags & GUEST_MEMFD_FLAG_MIGRATABLE) {
			TEST_ASSERT(fd >= 0,
				    "VM type %lu lists the flag and refuses it, errno %d",
				    type, errno);
			close(fd);
		} else {
			TEST_ASSERT(fd < 0 && errno == EINVAL,
				    "VM type %lu does not list the flag: %d errno %d",
				    type, fd, errno);
		}
		kvm_vm_free(vm);
	}
}

static void test_flag_listed(void)
{
	u64 flags = default_flags();

	require_migratable();
	TEST_ASSERT((flags & GMEM_MIGRATABLE_FLAGS) == GMEM_MIGRATABLE_FLAGS,
		    "The default VM type lists flags %#lx", flags);
}

/*
 * What moves, and by whose hand
 */

static void assert_no_moves(struct gfile *f)
{
	u64 moved = gfile_moved(f);

	TEST_ASSERT(!moved, "%lu of %lu pages moved", moved, f->nr);
	TEST_ASSERT(!gmem_nr_migrated(f->vm), "gmem_migrated is %lu",
		    gmem_nr_migrated(f->vm));
}

static void assert_unmoved(struct gfile *f)
{
	assert_no_moves(f);
	gmem_check_pattern(f->mem, 0, f->nr);
}

/* Nothing is to try in vain, either, beside what fails for others. */
static void compact_unmovable(struct gfile *f)
{
	u64 failed = gmem_vmstat("pgmigrate_fail ");

	gmem_compact();
	failed = gmem_vmstat("pgmigrate_fail ") - failed;
	ksft_print_msg("%lu pages failed to migrate\n", failed);
	TEST_ASSERT(failed < f->nr / 4, "%lu pages failed to migrate", failed);
}

static void test_unmovable_without_flag(void)
{
	struct gfile f;

	gfile_open_fragmented(&f, test_pages, GMEM_SHARED_FLAGS);
	compact_unmovable(&f);
	gmem_cma_sweep();
	gmem_gigantic_cycle(SZ_1G);
	compact_unmovable(&f);
	assert_unmoved(&f);
	gfile_free(&f);
}

/*
 * Compaction, until it moves some of the file's pages: they may be where it wants
 * them, and are elsewhere with the next try. Returns how many have moved then.
 */
static u64 compact_file(struct gfile *f, u64 flags)
{
	u64 moved = 0, i;

	for (i = 0; i < 4 && !moved; i++) {
		if (i)
			gfile_refill(f, flags, i);
		gmem_compact();
		moved = gfile_moved(f);
	}
	return moved;
}

static void test_module_parameter(void)
{
	struct gfile f;

	require_migratable();
	TEST_ASSERT(gmem_set_param(true), "Cannot set kvm.gmem_migratable");
	gfile_open_fragmented(&f, test_pages, GMEM_SHARED_FLAGS);
	TEST_ASSERT(gmem_set_param(false), "Cannot clear kvm.gmem_migratable");
	TEST_ASSERT(compact_file(&f, GMEM_SHARED_FLAGS),
		    "Nothing moved with the parameter set");
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);

	/* It decides when a file is created, not later. */
	gfile_open_fragmented(&f, test_pages, GMEM_SHARED_FLAGS);
	TEST_ASSERT(gmem_set_param(true), "Cannot set kvm.gmem_migratable");
	gmem_compact();
	assert_unmoved(&f);
	gfile_free(&f);
}

/* What people read. */
static u64 debugfs_moved(struct kvm_vm *vm)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/gmem_migrated",
		 getpid(), vm->fd);
	return gmem_read_ulong(path);
}

static void test_compact_memory(void)
{
	struct gfile f;
	u64 moved, stat;

	require_migratable();
	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	TEST_ASSERT(gmem_has_stats(f.vm),
		    "No statistics gmem_migrated and gmem_migrate_failed");
	moved = compact_file(&f, GMEM_MIGRATABLE_FLAGS);
	stat = gmem_nr_migrated(f.vm);
	TEST_ASSERT(moved, "Not one of %lu pages moved", f.nr);
	TEST_ASSERT(stat >= moved, "gmem_migrated is %lu, %lu pages moved",
		    stat, moved);
	TEST_ASSERT(access("/sys/kernel/debug/kvm", F_OK) ||
		    debugfs_moved(f.vm) >= stat, "debugfs has fewer than %lu",
		    stat);
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}

static void test_alloc_contig_cma(void)
{
	struct gfile f;
	u64 moved;

	require_migratable();
	__TEST_REQUIRE(gmem_has_cma(), "No CMA area to allocate from");
	gfile_open(&f, 4 * test_pages, GMEM_MIGRATABLE_FLAGS);

	/* Compaction fills CMA, the allocation evacuates it. */
	gmem_compact();
	gmem_get_pfns(f.mem, f.nr, f.before);
	TEST_ASSERT(gmem_cma_sweep(), "CMA could not be allocated");
	moved = gfile_moved(&f);
	TEST_ASSERT(moved, "No page was in CMA after compaction");
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}

#ifdef __aarch64__
/* x86 has none below 1 GiB, which the machines of these tests cannot spare. */
static void test_alloc_contig_gigantic(void)
{
	u64 stride, i, got, *other;
	struct gfile f;

	require_migratable();
	__TEST_REQUIRE(gmem_has_cma(), "No CMA area to allocate from");
	/* Gigantic pages are not allocated from CMA. */
	gmem_cma_hold();
	gfile_open_vm(&f, vm_create_barebones(), 4 * test_pages,
		      GMEM_MIGRATABLE_FLAGS);
	gfile_bind(&f, GMEM_SLOT, GMEM_GPA);
	/* Of the rest, there is some of the file's in each part. */
	stride = gmem_meminfo("MemFree:") / 4 * 3 / 4 / f.nr;
	other = kvm_mmap(stride * f.nr * SZ_4K, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	for (i = 0; i < stride * f.nr; i++) {
		other[i * PAGE_WORDS] = 1;
		if (i % stride == 0)
			gmem_fill_pattern(f.mem, i / stride, 1);
	}
	kvm_munmap(other, stride * f.nr * SZ_4K);
	gmem_cma_free();
	gmem_get_pfns(f.mem, f.nr, f.before);
	got = gmem_gigantic_cycle(SZ_1G);
	TEST_ASSERT(got, "No gigantic page could be allocated");
	ksft_print_msg("%lu of %lu pages moved for %lu of gigantic ones\n",
		       gfile_moved(&f), f.nr, got);
	TEST_ASSERT(gfile_moved(&f), "Nothing moved");
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}
#endif

#ifdef __x86_64__
/* arm64 does not offline the memory that it booted with. */
static void test_memory_offline(void)
{
	struct gfile f;
	u64 nr;

	require_migratable();
	gfile_open(&f, 8 * test_pages, GMEM_MIGRATABLE_FLAGS);
	nr = gmem_offline_cycle(f.before, f.nr);
	__TEST_REQUIRE(nr, "No memory block with the file's pages goes offline");
	TEST_ASSERT(gfile_moved(&f) >= nr,
		    "%lu pages were in blocks that went offline, %lu moved",
		    nr, gfile_moved(&f));
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}
#endif

static void test_unbound_file(void)
{
	struct gfile f;

	require_migratable();
	gfile_open_vm(&f, vm_create_barebones(), test_pages,
		      GMEM_MIGRATABLE_FLAGS);
	gfile_fragment(&f, GMEM_MIGRATABLE_FLAGS);
	TEST_ASSERT(compact_file(&f, GMEM_MIGRATABLE_FLAGS),
		    "Not one of %lu pages moved", f.nr);
	gmem_check_pattern(f.mem, 0, f.nr);

	/* Binding it afterwards must find the pages where they are now. */
	gfile_bind(&f, GMEM_SLOT, GMEM_GPA);
	gmem_compact();
	gmem_cma_sweep();
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}

static void test_mapped_and_unmapped(void)
{
	struct gfile f;
	u64 half = test_pages / 2, moved, i, unmapped = 0, mapped = 0;

	require_migratable();
	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);

	/* The first half stays in the page cache, and in no page table. */
	kvm_madvise(f.mem, half * SZ_4K, MADV_DONTNEED);
	gmem_compact();
	gmem_cma_sweep();
	moved = gfile_moved(&f);
	for (i = 0; i < half; i++) {
		unmapped += f.before[i] != f.after[i];
		mapped += f.before[half + i] != f.after[half + i];
	}
	TEST_ASSERT(moved && mapped && unmapped,
		    "Moved: %lu mapped and %lu unmapped pages", mapped,
		    unmapped);
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
}

static void test_unevictable(void)
{
	struct gfile f;
	u64 i, flags, on_list = 0;
	char buf[4096];
	FILE *smaps;
	bool mine = false;

	require_migratable();
	gfile_open(&f, test_pages, GMEM_MIGRATABLE_FLAGS);

	/* Reclaim: the folios are on no list that it looks at. */
	for (i = 0; i < f.nr; i++) {
		flags = gmem_kpageflags(f.before[i]);
		/* The last ones wait in a CPU's batch to get on a list. */
		if (!(flags & BIT_ULL(KPF_LRU)))
			continue;
		TEST_ASSERT(flags & BIT_ULL(KPF_UNEVICTABLE),
			    "Page %lu has flags %#lx, not unevictable", i,
			    flags);
		on_list++;
	}
	TEST_ASSERT(on_list > f.nr / 2, "%lu of %lu pages are on an LRU list",
		    on_list, f.nr);
	madvise(f.mem, f.nr * SZ_4K, MADV_PAGEOUT);
	madvise(f.mem, f.nr * SZ_4K, MADV_COLD);
	assert_unmoved(&f);

	/* KSM: the advice may be accepted, and has no effect. */
	madvise(f.mem, f.nr * SZ_4K, MADV_MERGEABLE);
	smaps = fopen("/proc/self/smaps", "r");
	__TEST_REQUIRE(smaps, "Cannot read smaps");
	while (fgets(buf, sizeof(buf), smaps)) {
		unsigned long start, end;

		if (sscanf(buf, "%lx-%lx ", &start, &end) == 2)
			mine = start == (unsigned long)f.mem;
		TEST_ASSERT(!mine || strncmp(buf, "VmFlags:", 8) ||
			    !strstr(buf, " mg"),
			    "The mapping is mergeable: %s", buf);
	}
	fclose(smaps);
	assert_unmoved(&f);
	gfile_free(&f);
}

static void require_two_nodes(void)
{
	__TEST_REQUIRE(is_multi_numa_node_system(), "One NUMA node only");
}

/* The VMM asks for it, so it may have it. */
static void test_numa_move_pages(void)
{
	struct gfile f;
	void **pages;
	int *nodes, *status, to, i;

	require_migratable();
	require_two_nodes();
	gfile_open(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	pages = calloc(f.nr, sizeof(*pages));
	nodes = calloc(f.nr, sizeof(*nodes));
	status = calloc(f.nr, sizeof(*status));
	TEST_ASSERT(pages && nodes && status, "No memory for move_pages()");
	for (to = 0; to < 2; to++) {
		for (i = 0; i < f.nr; i++) {
			pages[i] = f.mem + i * PAGE_WORDS;
			nodes[i] = to;
		}
		kvm_move_pages(0, f.nr, (void *)pages, nodes, status,
			       MPOL_MF_MOVE);
		for (i = 0; i < f.nr; i++)
			TEST_ASSERT(status[i] == to,
				    "Page %d is on node %d, not %d", i,
				    status[i], to);
		gmem_check_pattern(f.mem, 0, f.nr);
	}
	free(pages);
	free(nodes);
	free(status);
	gfile_free(&f);
}

static void run_on_node(int node)
{
	char path[64], cpu[32];
	cpu_set_t cpus;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	__TEST_REQUIRE(gmem_read_file(path, cpu, sizeof(cpu)) && cpu[0] != '\n',
		       "Node %d has no CPU", node);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(cpu), &cpus);
	kvm_sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* A file of ramfs: what guest_memfd has is to NUMA balancing like its pages. */
static u64 *map_ramfs(u64 nr)
{
	char dir[] = "/tmp/gmem-XXXXXX", path[32];
	u64 *mem;
	int fd;

	TEST_ASSERT(mkdtemp(dir), "No directory in /tmp, errno %d", errno);
	__TEST_REQUIRE(!mount("none", dir, "ramfs", 0, NULL), "No ramfs");
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	TEST_ASSERT(fd >= 0 && !ftruncate(fd, nr * SZ_4K), "No %s, errno %d",
		    path, errno);
	mem = kvm_mmap(nr * SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	kvm_free_fd(fd);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return mem;
}

/* Returns how many faults that took. */
static u64 read_pages(u64 *mem, u64 nr)
{
	struct rusage before, after;
	u64 i;

	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < nr; i++)
		TEST_ASSERT(!READ_ONCE(mem[i * PAGE_WORDS]),
			    "Page %lu reads %lx", i, mem[i * PAGE_WORDS]);
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

/* How often it looks, in milliseconds, where that can be set. */
static void set_balancing(u64 delay, u64 min, u64 max)
{
	static const char dir[] = "/sys/kernel/debug/sched/numa_balancing/";
	char path[96];

	snprintf(path, sizeof(path), "%sscan_delay_ms", dir);
	gmem_write_ulong(path, delay);
	snprintf(path, sizeof(path), "%sscan_period_min_ms", dir);
	gmem_write_ulong(path, min);
	snprintf(path, sizeof(path), "%sscan_period_max_ms", dir);
	gmem_write_ulong(path, max);
}

/*
 * The kernel has the idea itself: it may not. It asks for a policy that says so, and
 * leaves pages of files alone that have been written to, and so they are only read.
 * That it has looked at them is seen from the faults.
 */
static void test_numa_balancing(void)
{
	static const char balancing[] = "/proc/sys/kernel/numa_balancing";
	const unsigned long nodes = 3;
	u64 *ramfs, *pfns, *now, faults = 0, moved = 0, nr;
	struct gfile f;
	time_t end;

	require_migratable();
	require_two_nodes();
	__TEST_REQUIRE(gmem_write_file(balancing, "1"), "Cannot write %s",
		       balancing);
	run_on_node(0);
	gfile_open_vm(&f, vm_create_barebones(), test_pages,
		      GMEM_MIGRATABLE_FLAGS);
	gfile_bind(&f, GMEM_SLOT, GMEM_GPA);
	gmem_get_pfns(f.mem, f.nr, f.before);
	kvm_mbind(f.mem, f.nr * SZ_4K, MPOL_BIND | MPOL_F_NUMA_BALANCING, &nodes,
		  8, 0);
	ramfs = map_ramfs(f.nr);
	pfns = calloc(2 * f.nr, sizeof(*pfns));
	TEST_ASSERT(pfns, "No memory for %lu pfns", 2 * f.nr);
	now = pfns + f.nr;
	gmem_get_pfns(ramfs, f.nr, pfns);

	run_on_node(1);
	set_balancing(100, 100, 200);
	end = time(NULL) + 3 * FORCE_SECONDS;
	do {
		nr = read_pages(f.mem, f.nr);
		faults += nr;
		read_pages(ramfs, f.nr);
		if (!nr)
			continue;
		gmem_get_pfns(ramfs, f.nr, now);
		moved = gmem_count_moved(pfns, now, f.nr);
	} while ((moved < f.nr / 2 || faults < 2 * f.nr) && time(NULL) < end);
	set_balancing(1000, 1000, 60000);
	ksft_print_msg("%lu faults; %lu pages of ramfs moved\n", faults, moved);
	TEST_ASSERT(moved >= f.nr / 2,
		    "NUMA balancing moves %lu pages of another file", moved);
	TEST_ASSERT(faults >= 2 * f.nr, "%lu faults of %lu pages", faults, f.nr);
	assert_no_moves(&f);
	free(pfns);
	kvm_munmap(ramfs, f.nr * SZ_4K);
	gfile_free(&f);
}

/* The @try is where. Returns how many of the other pages have moved. */
static u64 compact_with_references(u64 try)
{
	struct gfile f;
	struct iovec iov;
	u64 buf[PAGE_WORDS], moved, i;
	int pipefd[2];
	ssize_t r;

	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	if (try)
		gfile_refill(&f, GMEM_MIGRATABLE_FLAGS, try);
	TEST_ASSERT(!pipe(pipefd), "pipe() failed, errno %d", errno);

	/* A page in a pipe is referenced until somebody reads it. */
	for (i = 0; i < 8; i++) {
		iov.iov_base = f.mem + i * PAGE_WORDS;
		iov.iov_len = SZ_4K;
		r = vmsplice(pipefd[1], &iov, 1, 0);
		__TEST_REQUIRE(r == SZ_4K, "vmsplice() gives %ld, errno %d",
			       (long)r, errno);
	}

	gmem_compact();
	gmem_compact();
	moved = gfile_moved(&f);
	for (i = 0; i < 8; i++)
		TEST_ASSERT(f.before[i] == f.after[i],
			    "Page %lu moved under a foreign reference", i);
	gmem_check_pattern(f.mem, 0, f.nr);

	for (i = 0; i < 8; i++) {
		r = read(pipefd[0], buf, SZ_4K);
		TEST_ASSERT(r == SZ_4K, "The pipe gave %ld bytes", (long)r);
		TEST_ASSERT(!memcmp(buf, f.mem + i * PAGE_WORDS, SZ_4K),
			    "Page %lu differs in the pipe", i);
	}
	close(pipefd[0]);
	close(pipefd[1]);
	gmem_compact();
	gmem_check_pattern(f.mem, 0, f.nr);
	gfile_free(&f);
	return moved;
}

static void test_foreign_reference(void)
{
	u64 moved = 0;
	int i;

	require_migratable();
	for (i = 0; i < 4 && !moved; i++)
		moved = compact_with_references(i);
	TEST_ASSERT(moved, "Nothing moved at all");
}

static void test_several_vms(void)
{
	struct gfile f[4];
	u64 page, moved = 0;
	int i;

	require_migratable();
	for (i = 0; i < 4; i++) {
		gfile_open_vm(&f[i], vm_create_barebones(), test_pages,
			      GMEM_MIGRATABLE_FLAGS);
		gfile_bind(&f[i], GMEM_SLOT, GMEM_GPA);
	}
	for (page = 0; page < test_pages; page++)
		for (i = 0; i < 4; i++)
			gmem_fill_pattern(f[i].mem, page, 1);
	for (i = 0; i < 4; i++)
		gmem_get_pfns(f[i].mem, test_pages, f[i].before);

	/* Two go, in the middle of it, and two stay. */
	gmem_mover_start();
	gfile_free(&f[1]);
	gfile_free(&f[3]);
	sleep(1);
	gmem_mover_stop();
	for (i = 0; i < 4; i += 2) {
		moved += gfile_moved(&f[i]);
		gmem_check_pattern(f[i].mem, 0, test_pages);
		gfile_free(&f[i]);
	}
	TEST_ASSERT(moved, "Nothing moved");
}

/*
 * Guests that run
 */

static struct gmem_vm *create_vm(u32 nr_vcpus, u64 nr_pages, u64 flags)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = nr_vcpus,
		.nr_pages = nr_pages,
		.flags = flags,
	};

	return gmem_vm_create(&opts);
}

static void run_writers(struct gmem_vm *gvm)
{
	u64 moved;

	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	moved = gmem_force_moves(gvm->vm, 2 * test_pages, FORCE_SECONDS);
	gmem_vm_stop(gvm);
	gmem_vm_check_from_host(gvm);
	ksft_print_msg("%lu moves, %lu failed, %lu rounds of vCPU 0\n", moved,
		       gmem_nr_failed(gvm->vm), gvm->ctl->vcpu[0].rounds);
	TEST_ASSERT(moved >= test_pages, "Only %lu moves", moved);
	gmem_vm_free(gvm);
}

static void test_writer(void)
{
	require_migratable();
	run_writers(create_vm(1, test_pages, GMEM_MIGRATABLE_FLAGS));
}

static void test_4_writers(void)
{
	require_migratable();
	run_writers(create_vm(4, test_pages, GMEM_MIGRATABLE_FLAGS));
}

static void test_two_slots(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 2,
		.nr_pages = test_pages,
		.flags = GMEM_MIGRATABLE_FLAGS,
		.two_slots = true,
	};

	require_migratable();
	run_writers(gmem_vm_create(&opts));
}

static void test_kcompactd(void)
{
	require_migratable();
	gmem_scatter_free();
	gmem_vm_kcompactd(create_vm(2, test_pages, GMEM_MIGRATABLE_FLAGS));
}

static void test_moved_before_first_run(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 1,
		.nr_pages = test_pages,
		.flags = GMEM_MIGRATABLE_FLAGS,
		.prefill = true,
	};
	struct gmem_vm *gvm;

	require_migratable();
	gvm = gmem_vm_create(&opts);
	TEST_ASSERT(gmem_force_moves(gvm->vm, test_pages / 2, move_seconds),
		    "Nothing moved");
	gmem_vm_fill(gvm);
	gmem_force_moves(gvm->vm, test_pages / 2, move_seconds);
	gmem_vm_start(gvm);
	gmem_vm_stop(gvm);
	gmem_vm_check_from_host(gvm);
	gmem_vm_free(gvm);
}

#ifdef __x86_64__
static struct gmem_vm *create_sw_protected(struct gmem_vm_opts *opts)
{
	struct kvm_vm *vm;

	require_migratable();
	opts->type = KVM_X86_SW_PROTECTED_VM;
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(opts->type),
		       "No KVM_X86_SW_PROTECTED_VM");
	vm = vm_create_barebones_type(opts->type);
	TEST_ASSERT(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS) &
		    GUEST_MEMFD_FLAG_MIGRATABLE,
		    "The flag is not listed for this VM type");
	kvm_vm_free(vm);
	opts->flags |= GUEST_MEMFD_FLAG_MIGRATABLE;

	return gmem_vm_create(opts);
}

/* These VMs have the TDP MMU, and unless there is a model are copied in place. */
static bool copied_in_place(void)
{
	char model[8];

	return !gmem_read_file("/sys/module/kvm/parameters/gmem_model", model,
			       sizeof(model)) || model[0] == '(';
}

/* How often a page has been mapped for a guest. */
static u64 nr_mapped(struct gmem_vm *gvm)
{
	u64 nr = 0;
	u32 i;

	for (i = 0; i < gvm->opts.nr_vcpus; i++)
		nr += vcpu_get_stat(gvm->vcpus[i], pf_fixed);
	return nr;
}

static void run_sw_protected(bool private, u64 flags)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 4,
		.nr_pages = test_pages,
		.private = private,
		.flags = flags,
	};
	struct gmem_vm *gvm = create_sw_protected(&opts);
	u64 moved, mapped;

	gmem_vm_fill(gvm);
	mapped = nr_mapped(gvm);
	gmem_vm_start(gvm);
	moved = gmem_force_moves(gvm->vm, 2 * test_pages, FORCE_SECONDS);
	gmem_vm_stop(gvm);
	mapped = nr_mapped(gvm) - mapped;
	ksft_print_msg("%lu moves, %lu failed, %lu pages mapped, %lu rounds of vCPU 0\n",
		       moved, gmem_nr_failed(gvm->vm), mapped,
		       gvm->ctl->vcpu[0].rounds);
	TEST_ASSERT(moved >= test_pages, "Only %lu moves", moved);
	/* The code and the tables of the guest are not copied in place. */
	TEST_ASSERT(!copied_in_place() || mapped < moved / 4,
		    "%lu moves made the guest fault %lu times", moved, mapped);
	gmem_vm_free(gvm);
}

/* Memory goes offline while a guest has private pages in it. */
static void test_memory_offline_of_guest(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 2,
		.nr_pages = test_pages,
		.private = true,
	};
	time_t end = time(NULL) + FORCE_SECONDS;
	struct gmem_vm *gvm;
	u64 blocks = 0;

	/* What has to work there is that pages leave CMA. */
	__TEST_REQUIRE(!gmem_has_cma(), "There is CMA instead of ZONE_MOVABLE");
	gvm = create_sw_protected(&opts);
	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	do {
		blocks += gmem_offline_blocks(gvm->vm);
	} while (!blocks && time(NULL) < end);
	gmem_vm_stop(gvm);
	ksft_print_msg("%lu moves, %lu failed, %lu blocks with its pages\n",
		       gmem_nr_migrated(gvm->vm), gmem_nr_failed(gvm->vm),
		       blocks);
	TEST_ASSERT(blocks, "No memory block with the guest's pages went offline");
	gmem_vm_free(gvm);
}

/* What the guest is to do to a page that is being converted. */
struct convert_cmd {
	u64 page;
	u64 old;	/* what it has to find, as gmem_word() has it; 0: zeroes */
	u64 new;	/* and to leave behind */
};

/* Host and guest have a copy of their own. */
static struct convert_cmd convert_cmd;

enum {
	CONVERT_DRIVEN,		/* does what the host says */
	CONVERT_READER,		/* reads pages that are being converted */
	CONVERT_KEEPERS,	/* and these the others */
};

#define CONVERT_STAGE	100

static void guest_convert_driven(struct gmem_ctl *ctl)
{
	struct convert_cmd *cmd = &convert_cmd;
	u64 w, *p;

	for (;;) {
		p = (u64 *)(ctl->gva + cmd->page * SZ_4K);
		for (w = 0; w < PAGE_WORDS; w++) {
			u64 want = 0;

			if (cmd->old)
				want = gmem_word(cmd->page, w, cmd->old);
			__GUEST_ASSERT(p[w] == want,
				       "page %lu word %lu: %lx, not %lx",
				       cmd->page, w, p[w], want);
			WRITE_ONCE(p[w], gmem_word(cmd->page, w, cmd->new));
		}
		GUEST_SYNC(CONVERT_STAGE);
	}
}

/* Faults race with everything; what it reads is the guest's, or nothing. */
static void guest_convert_reader(struct gmem_ctl *ctl)
{
	u64 page = 0, value;

	while (!READ_ONCE(ctl->stop)) {
		page = (page + 1) % ctl->nr_pages;
		value = READ_ONCE(*(u64 *)(ctl->gva + SZ_4K *
					   (ctl->nr_pages + page)));
		__GUEST_ASSERT(!value || value >> 32 == GMEM_MAGIC,
			       "page %lu reads %lx", page, value);
	}
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
}

static void guest_convert(u64 id, struct gmem_ctl *ctl)
{
	switch (id) {
	case CONVERT_DRIVEN:
		guest_convert_driven(ctl);
		break;
	case CONVERT_READER:
		guest_convert_reader(ctl);
		break;
	default:
		gmem_guest_code(id, ctl);
	}
}

struct convert_thread {
	struct gmem_vm *gvm;
	int vcpu;
};

/* KVM tells of faults that a conversion overtakes: just try again. */
static void run_convert_reader(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	int r;

	do {
		r = __vcpu_run(vcpu);
	} while (r && errno == EFAULT &&
		 vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT(!r, "KVM_RUN of the reader: errno %d, exit reason %u",
		    errno, vcpu->run->exit_reason);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
}

static void *run_convert_thread(void *arg)
{
	struct convert_thread *t = arg;

	/* As for other vCPUs that only spin. */
	setpriority(PRIO_PROCESS, kvm_gettid(), 10);
	if (t->vcpu == CONVERT_READER)
		run_convert_reader(t->gvm->vcpus[t->vcpu]);
	else
		gmem_vm_run_to(t->gvm, t->vcpu, GMEM_STAGE_VERIFIED);
	return NULL;
}

/* A page that can be private or shared, and what it holds as either. */
struct convert_page {
	bool shared;
	u64 seq[2];
};

static void convert_step(struct gmem_vm *gvm, struct convert_cmd *cmd,
			 struct convert_page *pages, u64 page, u64 seq)
{
	struct convert_page *p = &pages[page - test_pages / 2];
	gpa_t gpa = GMEM_GPA + page * SZ_4K;
	u64 *shared = gvm->shared + page * PAGE_WORDS, w;

	/* Its private content goes at one time or another, or stays. */
	if (seq % 3 == 1) {
		gmem_vm_punch(gvm, page, 1);
		p->seq[false] = 0;
	}
	if (seq % 7) {
		p->shared = !p->shared;
		if (p->shared)
			vm_mem_set_shared(gvm->vm, gpa, SZ_4K);
		else
			vm_mem_set_private(gvm->vm, gpa, SZ_4K);
	}
	if (seq % 3 == 2 && p->shared) {
		gmem_vm_punch(gvm, page, 1);
		p->seq[false] = 0;
	}

	*cmd = (struct convert_cmd){ page, p->seq[p->shared], seq };
	gvm->stage[CONVERT_DRIVEN] = 0;
	gmem_vm_run_to(gvm, CONVERT_DRIVEN, CONVERT_STAGE);
	p->seq[p->shared] = seq;

	for (w = 0; w < PAGE_WORDS; w++) {
		u64 want = 0;

		if (p->seq[true])
			want = gmem_word(page, w, p->seq[true]);
		TEST_ASSERT(shared[w] == want,
			    "Shared page %lu word %lu reads %lx, not %lx", page,
			    w, shared[w], want);
	}
}

/*
 * One half of the pages is converted again and again, and punched, while all of
 * them move, and while vCPUs read that half and write to the other.
 */
static void test_conversion_race(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = GMEM_MAX_VCPUS,
		.nr_pages = test_pages,
		.private = true,
		.guest_code = guest_convert,
	};
	struct gmem_vm *gvm = create_sw_protected(&opts);
	u64 half = test_pages / 2, seq = 0, moved, i;
	struct convert_thread t[GMEM_MAX_VCPUS];
	struct convert_page *pages;
	struct convert_cmd *cmd;
	time_t end;

	/* What is beyond that the guest leaves to those who convert. */
	gvm->ctl->nr_pages = half;
	cmd = addr_gva2hva(gvm->vm, (gva_t)&convert_cmd);
	pages = calloc(half, sizeof(*pages));
	TEST_ASSERT(pages, "No memory for %lu pages", half);

	gmem_mover_start();
	for (i = CONVERT_READER; i < GMEM_MAX_VCPUS; i++) {
		t[i] = (struct convert_thread){ gvm, i };
		kvm_pthread_create(&gvm->threads[i], NULL, run_convert_thread,
				   &t[i]);
	}
	end = time(NULL) + move_seconds;
	while (time(NULL) < end || seq < GMEM_MIN_PAGES / 2 ||
	       gmem_wants_moves(gvm->vm, half, end + FORCE_SECONDS)) {
		seq++;
		convert_step(gvm, cmd, pages, half + seq * 389 % half, seq);
	}
	gmem_mover_stop();
	moved = gmem_nr_migrated(gvm->vm);

	WRITE_ONCE(gvm->ctl->stop, 1);
	for (i = CONVERT_READER; i < GMEM_MAX_VCPUS; i++)
		kvm_pthread_join(gvm->threads[i], NULL);
	ksft_print_msg("%lu moves, %lu failed, %lu conversions, %lu rounds\n",
		       moved, gmem_nr_failed(gvm->vm), seq,
		       gvm->ctl->vcpu[CONVERT_KEEPERS].rounds);
	TEST_ASSERT(moved >= half, "Only %lu moves", moved);
	free(pages);
	gmem_vm_free(gvm);
}

static void test_private_memory(void)
{
	run_sw_protected(true, 0);
}

static void test_private_kcompactd(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 2,
		.nr_pages = test_pages,
		.private = true,
	};

	gmem_scatter_free();
	gmem_vm_kcompactd(create_sw_protected(&opts));
}

/*
 * Where the file can be mapped it is what backs shared memory, too. Nobody can
 * have a look at it, but the guest uses it.
 */
static void test_shared_of_private_vm(void)
{
	run_sw_protected(false, GUEST_MEMFD_FLAG_MMAP);
}
#endif

/*
 * Races
 */

/* A VM as @opts say, and if @private with private memory only. */
static struct gmem_vm *create_raced(struct gmem_vm_opts *opts, bool private)
{
	require_migratable();
	opts->nr_pages = test_pages;
#ifdef __x86_64__
	if (private) {
		opts->private = true;
		return create_sw_protected(opts);
	}
#endif
	opts->flags = GMEM_MIGRATABLE_FLAGS;
	return gmem_vm_create(opts);
}

static void test_punch_race(void)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 2,
		.guest_code = gmem_guest_half,
	};

	gmem_vm_punch_race(create_raced(&opts, false), move_seconds);
}

static void run_close_race(bool private)
{
	struct gmem_vm_opts opts = { .nr_vcpus = 2 };
	time_t end = time(NULL) + FORCE_SECONDS;
	u64 moved = 0;
	int i;

	require_migratable();
	gmem_mover_start();
	for (i = 0; i < 2 || (!moved && time(NULL) < end); i++) {
		struct gmem_vm *gvm = create_raced(&opts, private);

		gmem_vm_fill(gvm);
		moved += gmem_vm_close_race(gvm);
		gmem_vm_free(gvm);
	}
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static void run_vm_death_race(bool private)
{
	struct gmem_vm_opts opts = { .nr_vcpus = 1 };
	time_t end = time(NULL) + FORCE_SECONDS;
	u64 moved = 0;
	int i;

	require_migratable();
	gmem_mover_start();
	for (i = 0; i < 4 || (!moved && time(NULL) < end); i++) {
		struct gmem_vm *gvm = create_raced(&opts, private);

		gmem_vm_fill(gvm);
		moved += gmem_nr_migrated(gvm->vm);
		gmem_vm_free(gvm);
	}
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

static struct gmem_vm *create_victim(int private)
{
	struct gmem_vm_opts opts = { .nr_vcpus = 2 };

	return create_raced(&opts, private);
}

static void run_killed_race(bool private)
{
	time_t end = time(NULL) + FORCE_SECONDS;
	u64 moved = 0;
	int i;

	require_migratable();
	gmem_mover_start();
	for (i = 0; i < 2 || (!moved && time(NULL) < end); i++)
		moved += gmem_vm_kill(create_victim, private, test_pages / 16, 5);
	gmem_mover_stop();
	gmem_assert_raced(moved);
}

/* Fill all pages, use those of the lower half, and find the others as they were. */
static void guest_lower_half(u64 id, struct gmem_ctl *ctl)
{
	u64 half = ctl->nr_pages / 2, page, seq;

	gmem_guest_init(ctl);
	for (page = 0; page < ctl->nr_pages; page++)
		gmem_guest_write_page(ctl, id, page, 0, true);
	GUEST_SYNC(GMEM_STAGE_FILLED);
	for (seq = 0; !READ_ONCE(ctl->stop); seq++)
		for (page = 0; page < half; page++) {
			gmem_guest_check_page(ctl, id, page, seq, false);
			gmem_guest_write_page(ctl, id, page, seq + 1, false);
		}
	for (page = 0; page < ctl->nr_pages; page++)
		gmem_guest_check_page(ctl, id, page, page < half ? seq : 0, true);
	GUEST_SYNC(GMEM_STAGE_VERIFIED);
}

/* The slot of one half of the file comes and goes, vCPUs use the other half. */
static void run_memslot_race(bool private)
{
	struct gmem_vm_opts opts = {
		.nr_vcpus = 2,
		.two_slots = true,
		.guest_code = guest_lower_half,
	};
	u64 half = test_pages / 2, size = half * SZ_4K, i, *mem;
	struct gmem_vm *gvm = create_raced(&opts, private);
	time_t end = time(NULL) + move_seconds;

	mem = (gvm->mem ?: gvm->shared) + half * PAGE_WORDS;
	gmem_vm_fill(gvm);
	gmem_vm_start(gvm);
	gmem_mover_start();
	for (i = 0; i < 20 || gmem_wants_moves(gvm->vm, test_pages, end); i++) {
		vm_set_user_memory_region2(gvm->vm, GMEM_SLOT + 1,
					   KVM_MEM_GUEST_MEMFD, GMEM_GPA + size,
					   0, mem, gvm->fd, 0);
		vm_set_user_memory_region2(gvm->vm, GMEM_SLOT + 1,
					   KVM_MEM_GUEST_MEMFD, GMEM_GPA + size,
					   size, mem, gvm->fd, 0);
	}
	gmem_mover_stop();
	gmem_vm_stop(gvm);
	gmem_assert_raced(gmem_nr_migrated(gvm->vm));
	gmem_vm_free(gvm);
}

#define RACE(name)						\
static void test_##name##_race(void)				\
{								\
	run_##name##_race(false);				\
}								\
								\
static void __maybe_unused test_private_##name(void)		\
{								\
	run_##name##_race(true);				\
}

RACE(close)
RACE(vm_death)
RACE(killed)
RACE(memslot)

/*
 * Failures
 */

static void ignore_signal(int sig)
{
}

/*
 * Injecting an error kills whoever has the page mapped, that is this test. It
 * also says that the page is busy, as it stays in its file, poisoned.
 */
static int poison(u64 *addr)
{
	struct sigaction sa = { .sa_handler = ignore_signal }, old;
	int r;

	sigaction(SIGBUS, &sa, &old);
	r = madvise(addr, SZ_4K, MADV_HWPOISON);
	sigaction(SIGBUS, &old, NULL);
	return r && errno != EBUSY ? -errno : 0;
}

/* Whichever pages an error hit while they moved. */
static void unpoison_all(void)
{
	int fd = open("/proc/kpageflags", O_RDONLY);
	u64 flags, pfn;

	TEST_ASSERT(fd >= 0, "Cannot open kpageflags, errno %d", errno);
	for (pfn = 0; read(fd, &flags, sizeof(flags)) == sizeof(flags); pfn++)
		if (flags & BIT_ULL(KPF_HWPOISON) &&
		    !(flags & BIT_ULL(KPF_NOPAGE)))
			gmem_unpoison(pfn);
	close(fd);
}

static void test_memory_failure(void)
{
	struct gfile f;
	int sig, code;
	u64 pfn;

	require_migratable();
	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	pfn = gmem_pfn(f.mem + 7 * PAGE_WORDS);
	__TEST_REQUIRE(poison(f.mem + 7 * PAGE_WORDS) != -EINVAL,
		       "MADV_HWPOISON gives errno %d", errno);
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx is not poisoned", pfn);
	gmem_compact();
	gmem_compact();

	sig = gmem_read_signal(f.mem + 7 * PAGE_WORDS, NULL, &code);
	TEST_ASSERT(sig == SIGBUS, "Reading a poisoned page: signal %d code %d",
		    sig, code);
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx lost its poison", pfn);
	gmem_check_pattern(f.mem, 0, 7);
	gmem_check_pattern(f.mem, 8, f.nr - 8);
	gfile_free(&f);

	/* Nobody may get the bad page again. */
	gmem_compact();
	TEST_ASSERT(gmem_kpageflags(pfn) & BIT_ULL(KPF_HWPOISON),
		    "pfn %#lx lost its poison with its file", pfn);
	gmem_unpoison(pfn);
}

static bool poison_raced(struct gfile *f, u64 page)
{
	int r = poison(f->mem + page * PAGE_WORDS);

	TEST_ASSERT(!r || r == -EAGAIN, "MADV_HWPOISON of page %lu: errno %d",
		    page, -r);
	usleep(20000);
	return !r;
}

static void test_memory_failure_race(void)
{
	const u64 nr = 6;
	u64 poisoned = 0, i;
	struct gfile f;

	require_migratable();
	/*
	 * Of an error that hits a page while compaction has it only the mark stays, and
	 * the page allocator does not take it back. CMA would never be free again.
	 */
	gmem_cma_hold();
	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	gmem_compacter_start();
	for (i = 0; i < nr; i += 2) {
		u64 page = i * 64;

		/* It has something to do after that. The last ones left marks here. */
		kvm_madvise(f.mem, f.nr * SZ_4K, MADV_DONTNEED);
		gfile_refill(&f, GMEM_MIGRATABLE_FLAGS, 1);
		poisoned += poison_raced(&f, page);
		poisoned += poison_raced(&f, page + 64);
		gmem_check_pattern(f.mem, 0, page);
		gmem_check_pattern(f.mem, page + 1, 63);
		gmem_check_pattern(f.mem, page + 65, f.nr - page - 65);
	}
	gmem_mover_stop();
	ksft_print_msg("%lu of %lu errors injected, %lu moves\n", poisoned, nr,
		       gmem_nr_migrated(f.vm));
	TEST_ASSERT(poisoned, "No page could be poisoned");
	gfile_free(&f);
	unpoison_all();
	gmem_cma_free();
}

/* A page that is about to fail is replaced, whether someone has it mapped or not. */
static void test_soft_offline(void)
{
	u64 mapped, unmapped, *page;
	struct gfile f;

	require_migratable();
	gfile_open_fragmented(&f, test_pages, GMEM_MIGRATABLE_FLAGS);
	page = f.mem + 7 * PAGE_WORDS;
	mapped = gmem_pfn(page);
	unmapped = gmem_pfn(page + PAGE_WORDS);
	TEST_ASSERT(!madvise(page + PAGE_WORDS, SZ_4K, MADV_DONTNEED),
		    "Cannot unmap a page, errno %d", errno);
	gmem_soft_offline(mapped);
	gmem_soft_offline(unmapped);
	gmem_check_pattern(f.mem, 0, f.nr);
	TEST_ASSERT(gmem_pfn(page) != mapped &&
		    gmem_pfn(page + PAGE_WORDS) != unmapped,
		    "A page is where it was");
	gfile_free(&f);
	gmem_unpoison(mapped);
	gmem_unpoison(unmapped);
}

static void run_failing(const char *function, int retval, unsigned int percent)
{
	struct gmem_vm *gvm;

	require_migratable();
	gvm = create_vm(4, test_pages, GMEM_MIGRATABLE_FLAGS);
	gmem_vm_fail_moves(gvm, function, retval, percent);
	gmem_vm_move_again(gvm);
	gmem_vm_check_from_host(gvm);
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

static const struct gmem_test tests[] = {
	GMEM_TEST(unknown_flags),
	GMEM_TEST(flag_of_vm_type),
	GMEM_TEST(flag_listed),
	GMEM_TEST(unmovable_without_flag),
	GMEM_TEST(module_parameter),
	GMEM_TEST(compact_memory),
	GMEM_TEST(alloc_contig_cma),
#ifdef __x86_64__
	GMEM_TEST(memory_offline),
#endif
	GMEM_TEST(unbound_file),
	GMEM_TEST(mapped_and_unmapped),
	GMEM_TEST(unevictable),
	GMEM_TEST(numa_move_pages),
	GMEM_TEST(numa_balancing),
	GMEM_TEST(foreign_reference),
	GMEM_TEST(several_vms),
	GMEM_TEST(kcompactd),
	GMEM_TEST(moved_before_first_run),
	GMEM_TEST(writer),
	GMEM_TEST(4_writers),
	GMEM_TEST(two_slots),
#ifdef __x86_64__
	GMEM_TEST(private_memory),
	GMEM_TEST(private_kcompactd),
	GMEM_TEST(memory_offline_of_guest),
	GMEM_TEST(shared_of_private_vm),
	GMEM_TEST(conversion_race),
	GMEM_TEST(private_close),
	GMEM_TEST(private_vm_death),
	GMEM_TEST(private_killed),
	GMEM_TEST(private_memslot),
#endif
	GMEM_TEST(punch_race),
	GMEM_TEST(close_race),
	GMEM_TEST(vm_death_race),
	GMEM_TEST(killed_race),
	GMEM_TEST(memslot_race),
	GMEM_TEST(fail_switch),
	GMEM_TEST(fail_switch_again),
	GMEM_TEST(fail_relocate),
	GMEM_TEST(fail_relocate_again),
	GMEM_TEST(memory_failure),
	GMEM_TEST(memory_failure_race),
	GMEM_TEST(soft_offline),
#ifdef __aarch64__
	/* What it leaves of the free memory is not what others expect. */
	GMEM_TEST(alloc_contig_gigantic),
#endif
};

static void help(const char *name)
{
	printf("usage: %s [-p pages] [-s seconds] [name]\n"
	       " -p: pages of each guest_memfd (default %lu), at least %u\n"
	       " -s: how long a race may go on for enough moves (default %u s)\n"
	       " name: run only the tests whose name contains it; or a,b,...\n",
	       name, test_pages, GMEM_MIN_PAGES, move_seconds);
	exit(KSFT_FAIL);
}

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "p:s:h")) != -1) {
		switch (opt) {
		case 'p':
			test_pages = atoi_positive("pages", optarg);
			if (test_pages < GMEM_MIN_PAGES)
				help(argv[0]);
			break;
		case 's':
			move_seconds = atoi_positive("seconds", optarg);
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GUEST_MEMFD));
	return gmem_run_tests(tests, ARRAY_SIZE(tests),
			      optind < argc ? argv[optind] : NULL);
}
