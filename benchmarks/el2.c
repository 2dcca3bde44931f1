// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench el2: where the instructions of a hypercall go, from QEMU's log of all
 * that were executed. See scripts/profile-el2.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "el2.h"

#define PREFIX	"__kvm_nvhe_"
/* Of a synchronous exception from a lower level, in a table of vectors. */
#define ENTRY	0x400
/* The code is at another address at EL2, and whole blocks of this size are. */
#define BLOCK	(1UL << 21)

static const struct {
	enum el2_step step;
	const char *part;	/* of a function's name */
} kinds[] = {
	{ EL2_COPY, "copy_page" },
	{ EL2_WIPE, "clear_page" },
	{ EL2_CACHES, "dcache" }, { EL2_CACHES, "icache" },
	{ EL2_TLB, "tlb" }, { EL2_TLB, "vmid_context" },
	/* Which invalidates EL2's own entries, inline. */
	{ EL2_TLB, "fixmap_unmap" },
	{ EL2_TABLES, "pgtable" }, { EL2_TABLES, "stage2" },
	{ EL2_TABLES, "walk" }, { EL2_TABLES, "pte" },
};

static const char *const step_names[] = {
	[EL2_COPY] = "copy", [EL2_WIPE] = "wipe", [EL2_CACHES] = "caches",
	[EL2_TLB] = "TLB", [EL2_TABLES] = "page tables", [EL2_REST] = "rest",
};

static enum el2_step step_of(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strstr(name, kinds[i].part))
			return kinds[i].step;
	return EL2_REST;
}

static bool read_symbols(struct el2_profile *p, FILE *symbols)
{
	char line[512], type, name[256];
	unsigned long long addr;

	while (fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %c %255s", &addr, &type, name) != 3 ||
		    (type != 't' && type != 'T') ||
		    strncmp(name, PREFIX, strlen(PREFIX)))
			continue;
		p->functions = realloc(p->functions, (p->nr + 1) *
				       sizeof(*p->functions));
		if (!p->functions)
			die("out of memory");
		p->functions[p->nr++] = (struct el2_function) {
			.addr = addr,
			.name = xstrdup(name + strlen(PREFIX)),
			.step = step_of(name),
		};
	}
	return p->nr;
}

static struct el2_function *find_name(struct el2_profile *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->nr; i++)
		if (!strcmp(p->functions[i].name, name))
			return &p->functions[i];
	return NULL;
}

/* The function that @addr is in; they are in the order of their addresses. */
static struct el2_function *find_addr(struct el2_profile *p, uint64_t addr)
{
	size_t low = 0, high = p->nr;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (p->functions[mid].addr <= addr)
			low = mid;
		else
			high = mid;
	}
	return &p->functions[low];
}

/* "Trace 0: 0x7f... [00000000/0000952500894400/...": false for other lines. */
static bool parse_pc(const char *line, uint64_t *pc)
{
	const char *at = strncmp(line, "Trace ", 6) ? NULL : strchr(line, '[');

	at = at ? strchr(at, '/') : NULL;
	if (!at)
		return false;
	*pc = strtoull(at + 1, NULL, 16);
	return true;
}

static void end_call(struct el2_profile *p, bool counts)
{
	uint64_t steps[EL2_STEPS] = { 0 }, whole = 0;
	size_t i;

	for (i = 0; i < p->nr; i++) {
		struct el2_function *f = &p->functions[i];

		if (counts)
			f->total += f->now;
		steps[f->step] += f->now;
		whole += f->now;
		f->now = 0;
	}
	if (!counts)
		return;
	for (i = 0; i < EL2_STEPS; i++)
		durations_add(&p->steps[i], steps[i]);
	durations_add(&p->whole, whole);
	p->calls++;
}

bool el2_read(struct el2_profile *p, FILE *symbols, FILE *log,
	      const char *function, unsigned int max_calls)
{
	const struct el2_function *vector, *wanted;
	uint64_t pc, entry, offset = 0;
	bool counts = false;
	char line[512];
	int i;

	memset(p, 0, sizeof(*p));
	if (!read_symbols(p, symbols))
		return false;
	vector = find_name(p, "__kvm_hyp_host_vector");
	wanted = find_name(p, function);
	if (!vector || !wanted)
		return false;
	entry = vector->addr + ENTRY;

	while (p->calls < max_calls && fgets(line, sizeof(line), log)) {
		if (!parse_pc(line, &pc))
			continue;
		if (!offset && pc % BLOCK == entry % BLOCK)
			offset = entry - pc;
		if (!offset)
			continue;
		pc += offset;
		if (pc == entry) {
			end_call(p, counts);
			counts = false;
		}
		/* Programs of the host's are in the same half of all addresses. */
		if (pc < p->functions[0].addr ||
		    pc >= p->functions[p->nr - 1].addr + BLOCK)
			continue;
		if (pc == wanted->addr)
			counts = true;
		find_addr(p, pc)->now++;
	}
	for (i = 0; i < EL2_STEPS; i++)
		durations_sort(&p->steps[i]);
	durations_sort(&p->whole);
	return p->calls;
}

static int by_total(const void *a, const void *b)
{
	const struct el2_function *x = a, *y = b;

	return (x->total < y->total) - (x->total > y->total);
}

static void print_steps(struct el2_profile *p)
{
	static const double points[] = { 50, 90, 99, 100 };
	size_t i, j;

	printf("%-12s %7s %7s %7s %7s\n", "instructions", "p50", "p90", "p99",
	       "max");
	for (i = 0; i <= EL2_STEPS; i++) {
		const struct durations *d = i < EL2_STEPS ? &p->steps[i] :
							    &p->whole;

		printf("%-12s", i < EL2_STEPS ? step_names[i] : "all");
		for (j = 0; j < ARRAY_SIZE(points); j++)
			printf(" %7llu", (unsigned long long)
			       percentile(d->ns, d->nr, points[j]));
		putchar('\n');
	}
}

static void print_profile(struct el2_profile *p)
{
	uint64_t sum = 0, rest = 0;
	size_t i;

	for (i = 0; i < p->nr; i++)
		sum += p->functions[i].total;
	qsort(p->functions, p->nr, sizeof(*p->functions), by_total);
	printf("%7.0f instructions in each of %u calls\n",
	       (double)sum / p->calls, p->calls);
	for (i = 0; i < p->nr; i++) {
		uint64_t total = p->functions[i].total;

		if (total * 100 < sum) {
			rest += total;
			continue;
		}
		printf("%7.0f  %4.1f %%  %s\n", (double)total / p->calls,
		       100.0 * total / sum, p->functions[i].name);
	}
	printf("%7.0f  %4.1f %%  others, less than 1 %% each\n",
	       (double)rest / p->calls, 100.0 * rest / sum);
}

static void usage(void)
{
	fputs("usage: gmem-bench el2 [--calls=N] [--function=NAME] SYMBOLS < LOG\n"
	      "Where the instructions of hypercalls that get to a function (default:\n"
	      "__pkvm_host_migrate_guest) go at EL2. SYMBOLS is what nm -n prints of vmlinux,\n"
	      "LOG QEMU's of all instructions executed; scripts/profile-el2 does all of it.\n",
	      usage_out());
	usage_exit();
}

int cmd_el2(int argc, char **argv)
{
	const char *function = "__pkvm_host_migrate_guest", *path = NULL, *value;
	unsigned int calls = 200;
	struct el2_profile p;
	FILE *symbols;
	int i;

	for (i = 1; i < argc; i++) {
		if (option(argv[i], "calls", &value))
			calls = atoi(value);
		else if (option(argv[i], "function", &value))
			function = value;
		else if (!path && *argv[i] != '-')
			path = argv[i];
		else
			usage();
	}
	if (!path || !calls)
		usage();
	symbols = fopen(path, "r");
	if (!symbols)
		die("%s: %m", path);
	if (!el2_read(&p, symbols, stdin, function, calls))
		die("no call of %s in the log, or no such function in %s",
		    function, path);
	print_steps(&p);
	putchar('\n');
	print_profile(&p);
	return 0;
}
