/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests that move the pages of guest_memfd while VMs use them.
 *
 * Three parts: a VM whose memory comes from guest_memfd and whose guest keeps
 * a known pattern in every page; ways to make the kernel move pages, and to
 * see that it did; a runner which forks for every test, so that one failure
 * does not hide the others.
 */
#ifndef SELFTEST_KVM_GMEM_MIGRATION_H
#define SELFTEST_KVM_GMEM_MIGRATION_H

#include <pthread.h>

#include <linux/sizes.h>

#include "kvm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#ifndef GUEST_MEMFD_FLAG_MIGRATABLE
#define GUEST_MEMFD_FLAG_MIGRATABLE	BIT_ULL(16)
#endif

#define GMEM_SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP |	\
				 GUEST_MEMFD_FLAG_INIT_SHARED)
#define GMEM_MIGRATABLE_FLAGS	(GMEM_SHARED_FLAGS | GUEST_MEMFD_FLAG_MIGRATABLE)

#define GMEM_MAX_VCPUS		4

#define PAGE_WORDS		(SZ_4K / sizeof(u64))

/* The tests pick single pages at distances that need as many. */
#define GMEM_MIN_PAGES		512

/* Above slot 0, and above the PCI hole and the other MMIO of x86. */
#define GMEM_GPA		SZ_4G
#define GMEM_SLOT		10

/*
 * Upper half of every word that the tests write, so that a stray page of a
 * guest is recognised by any one of its words.
 */
#define GMEM_MAGIC		0x676d656dull

/*
 * Value of 64-bit word @word in page @page after @seq rounds of writing. The
 * page's number makes an exchange of two pages visible, the sequence a lost
 * write or a stale copy.
 */
static inline u64 gmem_word(u64 page, u64 word, u64 seq)
{
	u32 low = (u32)(page << 9 | word) ^ (u32)seq * 0x9e3779b1u;

	return GMEM_MAGIC << 32 | low;
}

/* Stages that a guest reports by GUEST_SYNC(). */
enum gmem_stage {
	GMEM_STAGE_FILLED = 1,
	GMEM_STAGE_VERIFIED,
	GMEM_STAGE_SHARED,
	GMEM_STAGE_UNSHARED,
	GMEM_STAGE_FAULTED,	/* not by the guest: KVM_RUN has failed */
};

/*
 * One page that host and guest share while the guest runs. The guest of a
 * protected VM shares it by hypercall; the host may touch it before the first
 * run and after GMEM_STAGE_FILLED, not in between.
 */
struct gmem_ctl {
	u64 protected;		/* share this page and the ucall pool first */
	u64 ctl_gpa;
	u64 ucall_gpa;
	u64 nr_ucall_pages;

	u64 nr_vcpus;
	u64 nr_pages;
	u64 gva;
	u64 prefilled;		/* the host wrote the first round */

	u64 stop;		/* host: verify once more and finish */
	u64 toggle_share;	/* host: share and unshare while writing */
	u64 nr_toggled;		/* guest: hypercalls that succeeded */
	u64 probe;		/* host: page that the guest is to touch */

	struct {
		u64 rounds;
		u64 pages;
		u64 pad[6];
	} vcpu[GMEM_MAX_VCPUS];
};

struct gmem_vm_opts {
	unsigned long type;
	u32 nr_vcpus;
	u64 nr_pages;
	u64 flags;		/* of the guest_memfd */
	bool private;		/* x86: memory attributes say private */
	bool anonymous;		/* no guest_memfd: ordinary anonymous memory */
	bool slot0_gmem;	/* protected VM: code and tables too */
	bool prefill;		/* the host fills through its mapping */
	bool two_slots;		/* the halves of the file in the opposite order */
	void *guest_code;	/* instead of the pattern keeper */
};

struct gmem_vm {
	struct kvm_vm *vm;
	struct gmem_vm_opts opts;
	struct kvm_vcpu *vcpus[GMEM_MAX_VCPUS];
	pthread_t threads[GMEM_MAX_VCPUS];
	bool threads_started;
	int stage[GMEM_MAX_VCPUS];
	int fd;			/* guest_memfd */
	u64 *mem;		/* mapping of all of it, by gfn, or NULL */
	u64 *shared;		/* where it cannot be mapped: what is not private */
	u64 nr_pages;
	struct gmem_ctl *ctl;
	gva_t ucall_gva;	/* protected VM: the ucall pool */
};

struct gmem_vm *gmem_vm_create(const struct gmem_vm_opts *opts);
void gmem_vm_free(struct gmem_vm *gvm);
void gmem_vm_run_to(struct gmem_vm *gvm, int vcpu, int stage);
void gmem_vm_run_to_fault(struct gmem_vm *gvm, int vcpu, int err, u64 page,
			  u64 nr);
void gmem_vm_fill(struct gmem_vm *gvm);
void gmem_vm_start(struct gmem_vm *gvm);
void gmem_vm_stop(struct gmem_vm *gvm);
void gmem_vm_check_from_host(struct gmem_vm *gvm);
void gmem_vm_close_fd(struct gmem_vm *gvm);
void gmem_vm_punch(struct gmem_vm *gvm, u64 page, u64 nr);
void gmem_vm_punch_race(struct gmem_vm *gvm, unsigned int seconds);
u64 gmem_vm_close_race(struct gmem_vm *gvm);
u64 gmem_vm_kill(struct gmem_vm *(*create)(int arg), int arg, u64 nr,
		 unsigned int seconds);

/* For guests of their own making: share what the host needs, then go on. */
void gmem_guest_init(struct gmem_ctl *ctl);
void gmem_guest_code(u64 id, struct gmem_ctl *ctl);
void gmem_guest_half(u64 id, struct gmem_ctl *ctl);
void gmem_guest_check_page(struct gmem_ctl *ctl, u64 id, u64 page, u64 seq,
			   bool all);
void gmem_guest_write_page(struct gmem_ctl *ctl, u64 id, u64 page, u64 seq,
			   bool all);

/* What an architecture adds; see lib/arm64/gmem_migration.c. */
bool gmem_arch_is_protected(unsigned long type);
struct kvm_vm *gmem_arch_vm_create(struct gmem_vm *gvm);
void gmem_arch_guest_share(u64 gpa);
bool gmem_arch_guest_unshare(u64 gpa);
bool gmem_arch_guest_toggle_share(u64 gpa);

void gmem_fill_pattern(u64 *mem, u64 first_page, u64 nr_pages);
void gmem_check_pattern(u64 *mem, u64 first_page, u64 nr_pages);

/* Statistics. Zero where the kernel does not have them. */
bool gmem_has_stats(struct kvm_vm *vm);
u64 gmem_nr_migrated(struct kvm_vm *vm);
u64 gmem_nr_failed(struct kvm_vm *vm);

/* Page frames. */
u64 gmem_pfn(void *addr);
void gmem_get_pfns(u64 *mem, u64 nr_pages, u64 *pfns);
u64 gmem_count_moved(const u64 *before, const u64 *after, u64 nr_pages);
u64 gmem_kpageflags(u64 pfn);

/* Files of the kernel's that steer it: false where there is no such file. */
bool gmem_write_file(const char *path, const char *value);
bool gmem_write_ulong(const char *path, u64 value);
bool gmem_read_file(const char *path, char *buf, size_t size);
u64 gmem_read_ulong(const char *path);
u64 gmem_meminfo(const char *name);
u64 gmem_vmstat(const char *name);

/* Ways to make the kernel move pages. */
bool gmem_has_cma(void);
void gmem_drain(void);
void gmem_compact(void);
u64 gmem_cma_sweep(void);
u64 gmem_cma_hold(void);
void gmem_cma_free(void);
u64 gmem_gigantic_cycle(u64 max_size);
u64 gmem_offline_cycle(const u64 *pfns, u64 nr_pages);
u64 gmem_offline_blocks(struct kvm_vm *vm);
u64 gmem_force_moves(struct kvm_vm *vm, u64 nr, unsigned int seconds);
u64 gmem_try_moves(struct kvm_vm *vm, u64 nr, unsigned int seconds);

/* And by kcompactd alone, once there is something for it to do. */
void gmem_scatter_free(void);
void gmem_vm_kcompactd(struct gmem_vm *gvm);

/* The same in the background, while the test does something else. */
void gmem_mover_start(void);
void gmem_compacter_start(void);
u64 gmem_mover_wait(struct kvm_vm *vm, u64 nr, unsigned int seconds);
void gmem_mover_stop(void);
bool gmem_wants_moves(struct kvm_vm *vm, u64 nr, time_t end);
void gmem_assert_raced(u64 moved);

/* Fault injection through /sys/kernel/debug/fail_function. */
bool gmem_fail_function(const char *function, int retval, unsigned int percent);
void gmem_fail_function_off(void);
void gmem_vm_fail_moves(struct gmem_vm *gvm, const char *function, int retval,
			unsigned int percent);
void gmem_vm_move_again(struct gmem_vm *gvm);
void gmem_unpoison(u64 pfn);
void gmem_soft_offline(u64 pfn);

/* The signal that reading @addr raises, or zero, with its si_code. */
int gmem_read_signal(const u64 *addr, u64 *value, int *si_code);

/* kvm.gmem_migratable; returns false where there is no such parameter. */
bool gmem_set_param(bool on);

struct gmem_test {
	const char *name;
	void (*fn)(void);
	unsigned int seconds;	/* after which it counts as hung; 0 is 300 */
};

int gmem_run_tests(const struct gmem_test *tests, unsigned int nr,
		   const char *only);

#define GMEM_TEST(_fn)		{ .name = #_fn, .fn = test_##_fn }
#define GMEM_TEST_T(_fn, _s)	{ .name = #_fn, .fn = test_##_fn, .seconds = _s }

#endif /* SELFTEST_KVM_GMEM_MIGRATION_H */
