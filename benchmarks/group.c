// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "group.h"
#include "guest/clock.h"
#include "guest/pattern.h"
#include "guest/protocol.h"

static const struct mode modes[] = {
	{ "private", "protected VMs on migratable guest_memfd",
	  true, true, VM_MEM_GMEM_MIGRATABLE },
	{ "stock", "protected VMs as there are without the feature",
	  true, true, VM_MEM_STOCK },
	{ "anon-vm", "protected VMs on pinned anonymous memory",
	  true, true, VM_MEM_ANON },
	{ "private-unmovable", "protected VMs on guest_memfd that stays where it is",
	  true, true, VM_MEM_GMEM },
	{ "gmem", "VMs on guest_memfd that stays where it is",
	  true, false, VM_MEM_GMEM },
	{ "gmem-migratable", "VMs on migratable guest_memfd",
	  true, false, VM_MEM_GMEM_MIGRATABLE },
	{ "anon", "ordinary anonymous memory, no VM", false, false, 0 },
};

const struct mode *mode_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	return NULL;
}

void mode_list(FILE *out)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		fprintf(out, "  %-18s%s\n", modes[i].name, modes[i].what);
}

bool mode_is_gmem(const struct mode *mode)
{
	return mode->vm && mode->memory != VM_MEM_ANON;
}

static int member_create(struct member *m, int id)
{
	struct group *g = m->group;
	struct vm_config config = {
		.memory = g->mode->memory,
		.protected = g->mode->protected,
		.vcpus = g->vcpus,
		.nr_pages = g->pages,
		.seed = id + 1,
		.step = g->step,
	};

	m->alive = true;
	if (g->mode->vm)
		return vm_create(&m->vm, &config);

	vm_init(&m->vm, &config);
	m->vm.mem_size = config.nr_pages * PATTERN_PAGE;
	m->vm.mem = mmap(NULL, m->vm.mem_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->vm.mem == MAP_FAILED) {
		m->vm.mem = NULL;
		return vm_fail(&m->vm, "mmap: %m");
	}
	madvise(m->vm.mem, m->vm.mem_size, MADV_NOHUGEPAGE);
	return 0;
}

int group_create(struct group *g)
{
	int i;

	g->members = xcalloc(g->nr, sizeof(*g->members));
	for (i = 0; i < g->nr; i++) {
		g->members[i].group = g;
		if (member_create(&g->members[i], i))
			break;
	}
	return group_any_dead(g) ? -1 : 0;
}

static uint64_t *member_page(struct member *m, uint64_t page)
{
	return m->vm.mem + m->vm.image_size + page * PATTERN_PAGE;
}

/* Fill the next pages. */
static int member_fault(struct member *m)
{
	struct group *g = m->group;
	struct vm *vm = &m->vm;
	uint64_t page = vm->faulted, end = page + g->step;

	if (page >= g->pages)
		return 0;
	if (g->mode->vm) {
		if (vm_run(&vm->vcpus[0]) == VM_FAULTED)
			return 0;
		return vm_fail(vm, "the guest stopped while filling page %llu",
			       (unsigned long long)page);
	}

	for (; page < end && page < g->pages; page++)
		pattern_write(member_page(m, page),
			      pattern_first(vm->config.seed, page, 0));
	vm->faulted = page;
	return 0;
}

/* The same turns in every run: xorshift, Marsaglia 2003. */
static bool coin(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 63;
}

/* Two neighbours take a turn each. */
static int pair_fault(struct group *g, int i)
{
	bool swap = coin();

	if (i + 1 == g->nr)
		return member_fault(&g->members[i]);
	return member_fault(&g->members[i + swap]) ||
	       member_fault(&g->members[i + !swap]);
}

static void tell_filled(struct group *g, int *told)
{
	uint64_t faulted = 0;
	int i, tenths;

	for (i = 0; i < g->nr; i++)
		faulted += g->members[i].vm.faulted;
	tenths = faulted * 10 / (g->pages * g->nr);
	if (tenths == *told)
		return;
	*told = tenths;
	if (g->filled)
		g->filled(g->arg, tenths * 10);
}

static int fill_in_turns(struct group *g)
{
	int i, told = 0;

	while (g->members[g->nr - 1].vm.faulted < g->pages) {
		for (i = 0; i < g->nr; i += 2)
			if (pair_fault(g, i))
				return -1;
		tell_filled(g, &told);
	}
	return 0;
}

static int fill_in_sequence(struct group *g)
{
	int i, told = 0;

	for (i = 0; i < g->nr; i++) {
		while (g->members[i].vm.faulted < g->pages) {
			if (member_fault(&g->members[i]))
				return -1;
			tell_filled(g, &told);
		}
	}
	return 0;
}

/*
 * The guests take turns on one CPU: pages of one CPU's list alternate only if
 * that CPU hands them out. It is the faster way in emulation, too, where every
 * TLB invalidation stops all CPUs that are running.
 *
 * A coin decides which of a pair takes its page first. Strict alternation is
 * one pattern that compaction can be blind to: isolate_freepages() doubles its
 * stride, up to 32 pages, with each block that it finds nothing in, and where
 * all pages at even places are in use it finds nothing in any block from then
 * on. It ends as `complete' with half of its work undone, for ordinary memory
 * as well, depending on nothing but who came first.
 */
int group_fill(struct group *g)
{
	size_t size, first = 0;
	cpu_set_t *all = allowed_cpus(&size), *one = allowed_cpus(&size);

	while (!CPU_ISSET_S(first, size, all))
		first++;
	CPU_ZERO_S(size, one);
	CPU_SET_S(first, size, one);
	sched_setaffinity(0, size, one);
	if (g->sequential)
		fill_in_sequence(g);
	else
		fill_in_turns(g);
	sched_setaffinity(0, size, all);
	CPU_FREE(one);
	CPU_FREE(all);
	return group_any_dead(g) ? -1 : 0;
}

/* What a guest does between two batches, see guest/guest.c. */
static void obey(struct worker *w)
{
	struct vcpu *vcpu = w->vcpu;

	vcpu->ballooned = vcpu->vm->balloon;
	if (!atomic_exchange(&vcpu->send_gaps, false))
		return;
	vcpu->gaps = w->gaps;
	memset(&w->gaps, 0, sizeof(w->gaps));
	vcpu->gaps_sent++;
}

static bool check_mapped_page(struct worker *w, uint64_t page, uint64_t *last)
{
	uint64_t seed = w->member->vm.config.seed;
	uint64_t word = pattern_first(seed, page, w->pass);
	uint64_t next = pattern_first(seed, page, w->pass + 1);
	uint64_t *p = member_page(w->member, page);
	unsigned int wrong = 0, i;
	uint64_t now;

	/* In the same pieces as a guest. */
	for (i = 0; i < PATTERN_WORDS; i += GAPS_WORDS) {
		wrong += pattern_check_part(p + i, GAPS_WORDS, word + i * PATTERN_STEP,
					    next + i * PATTERN_STEP);
		now = clock_ticks();
		gaps_note(&w->gaps, now - *last);
		*last = now;
	}
	return !wrong;
}

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Between two batches: leave the CPU to what the guests are here to meet. */
static void rest(struct worker *w)
{
	struct group *g = w->member->group;

	w->cpu_ns += thread_ns() - w->rested;
	usleep(g->rest_us);
	while (g->paused) {
		w->resting = true;
		usleep(1000);
	}
	w->resting = false;
	w->rested = thread_ns();
}

/* The pages of a worker: from here to where the next one's begin. */
static uint64_t first_page(struct worker *w, unsigned int offset)
{
	struct group *g = w->member->group;

	return GUEST_PART(g->pages, w->vcpu->nr + offset, g->vcpus);
}

static void check_mapping(struct worker *w)
{
	struct vm *vm = &w->member->vm;
	uint64_t page, last = clock_ticks();

	while (!vm->stop) {
		for (page = first_page(w, 0); page < first_page(w, 1); page++) {
			if (!pattern_ballooned(vm->config.seed, page,
					       w->vcpu->ballooned) &&
			    !check_mapped_page(w, page, &last))
				vm->mismatches++;
			if (++w->vcpu->checked % GUEST_BATCH)
				continue;
			rest(w);
			obey(w);
			if (vm->stop)
				return;
			last = clock_ticks();
		}
		w->pass++;
	}
}

static void check_guest(struct worker *w)
{
	struct vm *vm = &w->member->vm;

	for (;;) {
		switch (vm_run(w->vcpu)) {
		case VM_CHECKED:
			rest(w);
			break;
		case VM_STOPPED:
			return;
		case VM_FAULTED:
			vm_fail(vm, "the guest started again");
			return;
		case VM_DEAD:
			return;
		}
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	w->rested = thread_ns();
	if (w->member->group->mode->vm)
		check_guest(w);
	else
		check_mapping(w);
	return NULL;
}

void group_start(struct group *g)
{
	struct member *m;
	unsigned int i;

	for (m = g->members; m < g->members + g->nr; m++) {
		if (!m->alive || m->running)
			continue;
		for (i = 0; i < g->vcpus; i++) {
			struct worker *w = &m->workers[i];

			w->member = m;
			w->vcpu = &m->vm.vcpus[i];
			if (pthread_create(&w->thread, NULL, work, w))
				die("cannot start a thread");
		}
		m->running = true;
	}
}

/* The next worker of a member that runs, after @w. NULL: the first; at the end. */
static struct worker *next_worker(struct group *g, struct worker *w)
{
	struct member *m = w ? w->member : g->members;

	if (w && ++w < m->workers + g->vcpus)
		return w;
	if (w)
		m++;
	for (; m && m < g->members + g->nr; m++)
		if (m->running && !m->vm.dead)
			return m->workers;
	return NULL;
}

#define for_each_worker(w, g) \
	for ((w) = next_worker(g, NULL); (w); (w) = next_worker(g, w))

/* Wait for @done of every worker. */
static void wait_workers(struct group *g, const char *what,
			 bool (*done)(struct worker *w))
{
	double end = now_seconds() + STALL_SECONDS;
	struct worker *w;

	for_each_worker(w, g) {
		struct vm *vm = &w->member->vm;

		while (!vm->dead && !done(w)) {
			if (now_seconds() > end) {
				vm_fail(vm, "%s not within %d s", what,
					STALL_SECONDS);
				break;
			}
			sleep_ms(5);
		}
	}
}

static bool has_checked(struct worker *w)
{
	return w->vcpu->checked >= w->want;
}

static bool has_ballooned(struct worker *w)
{
	return w->vcpu->ballooned >= w->want;
}

static bool has_sent_gaps(struct worker *w)
{
	return w->vcpu->gaps_sent != w->want;
}

static bool is_resting(struct worker *w)
{
	return w->resting;
}

void group_pause(struct group *g, bool pause)
{
	g->paused = pause;
	if (pause)
		wait_workers(g, "a pause", is_resting);
}

void group_wait_pass(struct group *g)
{
	struct worker *w;

	for_each_worker(w, g)
		w->want = w->vcpu->checked + first_page(w, 1) -
			  first_page(w, 0) + GUEST_BATCH;
	wait_workers(g, "a full pass", has_checked);
}

int group_balloon(struct group *g, unsigned int percent)
{
	struct member *m;
	struct worker *w;

	for_each_worker(w, g) {
		w->want = percent;
		w->member->vm.balloon = percent;
	}
	wait_workers(g, "a balloon", has_ballooned);
	for (m = g->members; m < g->members + g->nr; m++)
		if (m->running && !m->vm.dead)
			vm_balloon(&m->vm);
	return group_any_dead(g) ? -1 : 0;
}

void group_gaps(struct group *g, struct gaps *gaps)
{
	struct worker *w;
	int i;

	for_each_worker(w, g) {
		w->want = w->vcpu->gaps_sent;
		w->vcpu->send_gaps = true;
	}
	wait_workers(g, "its gaps", has_sent_gaps);

	memset(gaps, 0, sizeof(*gaps));
	for_each_worker(w, g) {
		struct gaps *more = &w->vcpu->gaps;

		for (i = 0; i < GAPS_BUCKETS; i++)
			gaps->nr[i] += more->nr[i];
		if (more->longest > gaps->longest)
			gaps->longest = more->longest;
		memset(more, 0, sizeof(*more));
	}
}

void group_stop_member(struct member *m)
{
	unsigned int i;

	if (!m->running)
		return;
	m->vm.stop = true;
	for (i = 0; i < m->group->vcpus; i++)
		pthread_join(m->workers[i].thread, NULL);
	m->running = false;
}

void group_destroy_member(struct member *m)
{
	group_stop_member(m);
	if (m->alive)
		vm_destroy(&m->vm);
	m->alive = false;
}

const char *group_error(const struct group *g)
{
	int i;

	for (i = 0; i < g->nr && g->members; i++)
		if (*g->members[i].vm.error)
			return g->members[i].vm.error;
	return "for no reason that is known";
}

bool group_any_dead(struct group *g)
{
	bool dead = false;
	int i;

	for (i = 0; i < g->nr; i++) {
		struct member *m = &g->members[i];

		/* Whether or not anything is left of it. */
		if (!m->vm.dead)
			continue;
		note("guest %d died: %s", i, m->vm.error);
		dead = true;
	}
	return dead;
}

uint64_t member_checked(const struct member *m)
{
	uint64_t checked = 0;
	int i;

	for (i = 0; i < GUEST_CPUS; i++)
		checked += m->vm.vcpus[i].checked;
	return checked;
}

uint64_t group_checked(struct group *g)
{
	uint64_t checked = 0;
	int i;

	for (i = 0; i < g->nr; i++)
		checked += member_checked(&g->members[i]);
	return checked;
}

uint64_t group_mismatches(struct group *g)
{
	uint64_t mismatches = 0;
	int i;

	for (i = 0; i < g->nr; i++)
		mismatches += g->members[i].vm.mismatches;
	return mismatches;
}

double group_cpu_ns(struct group *g)
{
	unsigned int cpu;
	double ns = 0;
	int i;

	for (i = 0; i < g->nr; i++)
		for (cpu = 0; cpu < g->vcpus; cpu++)
			ns += g->members[i].workers[cpu].cpu_ns;
	return ns;
}

/* The statistic of all file descriptors, see group_stat(). */
static long long add_stat(long long sum, int fd, const char *name)
{
	long long value = kvm_stat(fd, name);

	if (value < 0)
		return sum;
	return sum < 0 ? value : sum + value;
}

long long group_stat(struct group *g, const char *name, bool vcpu)
{
	long long sum = -1;
	struct member *m;
	unsigned int i;

	for (m = g->members; m < g->members + g->nr; m++) {
		if (!m->alive || !g->mode->vm)
			continue;
		if (!vcpu)
			sum = add_stat(sum, m->vm.fd, name);
		for (i = 0; vcpu && i < g->vcpus; i++)
			sum = add_stat(sum, m->vm.vcpus[i].fd, name);
	}
	return sum;
}
