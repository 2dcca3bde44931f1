// SPDX-License-Identifier: GPL-2.0
/* gmem-bench selftest: the analysis on input whose answers are known. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "census.h"
#include "compare.h"
#include "guest/gaps.h"
#include "guest/pattern.h"
#include "el2.h"
#include "json.h"
#include "map.h"
#include "result.h"
#include "scenario.h"
#include "stats.h"
#include "trace.h"

static int nr_tests, nr_failed;

static void check(bool ok, const char *what)
{
	nr_tests++;
	if (!ok)
		nr_failed++;
	printf("%s %d - %s\n", ok ? "ok" : "not ok", nr_tests, what);
}

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void test_buddy(void)
{
	/* 6 free pages in small blocks, 512 in order 9, 3072 in order 10. */
	static const char one_zone[] =
		"Node 0, zone      DMA      2      0      1      0      0"
		"      0      0      0      0      1      3 \n";
	static const char two_zones[] =
		"Node 0, zone    DMA32      1      1      0      0      0"
		"      0      0      0      0      0      0 \n"
		"Node 1, zone   Normal      0      0      0      0      0"
		"      0      0      0      0      0      1 \n";
	static const char full[] =
		"Node 0, zone      DMA      0      0      0      0      0"
		"      0      0      0      0      0      0 \n";
	struct buddy b;

	check(buddy_parse(&b, one_zone), "buddyinfo of one zone is read");
	check(b.nr_orders == 11, "eleven orders");
	check(buddy_free_pages(&b) == 6 + 512 + 3072, "free pages");
	check(buddy_pages_from(&b, 9) == 3584, "pages in order >= 9");
	check(near(buddy_share_from(&b, 9), 100.0 * 3584 / 3590),
	      "share in order >= 9");
	check(near(buddy_share_from(&b, 10), 100.0 * 3072 / 3590),
	      "share in order 10");
	check(near(buddy_unusable(&b, 9), 6.0 / 3590), "unusable index");

	check(buddy_parse(&b, two_zones), "buddyinfo of two zones is read");
	check(buddy_free_pages(&b) == 3 + 1024, "zones are added up");

	check(buddy_parse(&b, full) && buddy_share_from(&b, 9) == 0 &&
	      buddy_unusable(&b, 9) == 1, "no free memory at all");
	check(!buddy_parse(&b, ""), "an empty buddyinfo is refused");

	buddy_parse(&b, one_zone);
	check(buddy_extfrag(&b, 9) == -1, "an order that is there");
	/* 1024 free pages in 512 blocks: 1 - (1 + 1024 / 512) / 512. */
	b = (struct buddy) { .nr_orders = 11, .blocks = { 0, 512 } };
	check(near(buddy_extfrag(&b, 9), 1 - 3.0 / 512),
	      "an order that fragmentation takes away");
	b.blocks[1] = 0;
	check(buddy_extfrag(&b, 9) == 0, "and one that a lack of memory does");
}

static void test_zones(void)
{
	static const char text[] =
		"Node 0, zone      DMA\n  pages free     470000\n"
		"        spanned  524288\n        present  524288\n"
		"      nr_free_pages 470000\n  pagesets\n    cpu: 0\n"
		"              count:    700\n              high:     900\n"
		"    cpu: 1\n              count:    42\n"
		"  start_pfn:           262144\n"
		"Node 0, zone  Movable\n        spanned  0\n";
	struct zones z;

	check(zones_parse(&z, text), "zoneinfo is read");
	check(z.start_pfn == 262144 && z.end_pfn == 262144 + 524288,
	      "page frames of the zones");
	check(z.pcp_pages == 742, "pages in per-CPU lists");
}

static void test_census(void)
{
	uint64_t count[256] = { 0 };
	char letter;
	int fill;

	count[BLOCK_FREE] = 512;
	census_block(count, &letter, &fill);
	check(letter == BLOCK_FREE && fill == 0, "a free block");

	count[BLOCK_FREE] = 511;
	count[BLOCK_PRIVATE] = 1;
	census_block(count, &letter, &fill);
	check(letter == BLOCK_PRIVATE && fill == 1,
	      "one page in use makes a block not free");

	count[BLOCK_FREE] = 100;
	count[BLOCK_PRIVATE] = 212;
	count[BLOCK_MOVABLE] = 200;
	census_block(count, &letter, &fill);
	check(letter == BLOCK_PRIVATE && fill == 7,
	      "a block is its main user's");

	memset(count, 0, sizeof(count));
	count[BLOCK_HOLE] = 512;
	census_block(count, &letter, &fill);
	check(letter == BLOCK_HOLE, "a hole");

	check(map_rgb(BLOCK_FREE, 0) == map_rgb(BLOCK_PRIVATE, 0) &&
	      map_rgb(BLOCK_PRIVATE, 8) == 0xc62828, "colours are mixed");
}

static void parse_moves(struct durations *pages, struct durations *folios,
			const char *events)
{
	FILE *in = fmemopen((void *)events, strlen(events), "r");

	trace_parse_moves(pages, folios, in);
	fclose(in);
}

static void test_trace(void)
{
	static const char hist[] =
		"# event histogram\n#\n\n"
		"{ backend:          2, ret:          0 } hitcount:      47000\n"
		"{ backend:          2, ret: 18446744073709551605 } hitcount:         12\n"
		"{ backend:          1, ret:          0 } hitcount:          3\n"
		"\nTotals:\n    Hits: 47015\n    Entries: 3\n";
	static const char events[] =
		" kcompactd0-39 [000] ..... 1.0: kvm_gmem_migrate_folio: backend=pkvm index=0x1 gfn=0x80001 src_pfn=0x4 dst_pfn=0x5 order=0 mode=1 ret=0 duration_ns=300\n"
		" kcompactd0-39 [000] ..... 1.1: kvm_gmem_migrate_folio: backend=pkvm index=0x2 gfn=0x80002 src_pfn=0x6 dst_pfn=0x7 order=0 mode=1 ret=-11 duration_ns=900000\n"
		" kcompactd0-39 [000] ..... 1.2: kvm_gmem_migrate_folio: backend=pkvm index=0x3 gfn=0x80003 src_pfn=0x8 dst_pfn=0x9 order=0 mode=1 ret=0 duration_ns=100\n"
		" kcompactd0-39 [000] ..... 1.3: kvm_gmem_migrate_folio: backend=pkvm index=0x4 gfn=0x80001 src_pfn=0x5 dst_pfn=0x4 order=0 mode=1 ret=0 duration_ns=200\n";
	static const char format[] =
		"print fmt: \"backend=%s ret=%d\", __print_symbolic(REC->backend, "
		"{ 0, \"none\" }, { 1, \"copy\" }, { 2, \"pkvm\" }), REC->ret\n";
	static const char batch_events[] =
		" sh-1 [000] ..... 1.0: gmem_batch: ns=32000 pages=32 bad=0\n"
		" sh-1 [000] ..... 1.0: gmem_batch: ns=99000 pages=31 bad=1\n"
		" sh-1 [000] ..... 1.0: gmem_batch: ns=77000 pages=7 bad=0\n"
		" sh-1 [000] ..... 1.0: something: ns=32000 pages=32 bad=0\n";
	static const char watch_hist[] =
		"# event histogram\n#\n\n"
		"{ backend:          2, ret:          0, duration_ns: ~ 15000-15249 } hitcount:          1\n"
		"{ backend:          2, ret: 18446744073709551605, duration_ns: ~ 500-749 } hitcount:          2\n"
		"{ backend:          2, ret:          0, duration_ns: ~ 10750-10999 } hitcount:          3\n"
		"\nTotals:\n    Hits: 6\n    Entries: 3\n    Dropped: 0\n";
	struct json *out = trace_parse_backends(hist, format), *pkvm;
	struct watched watched[MAX_BACKENDS];
	static uint64_t numbers[2000];
	struct durations batches, folios;
	int i;

	pkvm = json_get(out, "pkvm");
	check(json_get_number(pkvm, "moved", -1) == 47000, "moves counted");
	check(json_get_number(pkvm, "failed", -1) == 12, "failures counted");
	check(json_get_number(json_get(pkvm, "errors"), "-11", -1) == 12,
	      "failures by error");
	check(json_get_number(json_get(out, "copy"), "moved", -1) == 3,
	      "backends kept apart");

	parse_moves(&batches, &folios, events);
	check(folios.nr == 3 && !batches.nr, "failed moves have no duration");
	check(folios.pages == 2, "a page that moves on is one page");
	check(percentile(folios.ns, 3, 50) == 200 &&
	      percentile(folios.ns, 3, 100) == 300, "median and maximum");

	parse_moves(&batches, &folios, batch_events);
	check(batches.nr == 1 && batches.ns[0] == 1000 && batches.pages == 32 &&
	      batches.dropped == 38 && !folios.nr,
	      "pages of a batch share its time; failures and few do not count");

	check(trace_parse_watch(watched, watch_hist, format) == 1 &&
	      !strcmp(watched->backend, "pkvm") && watched->refused == 2 &&
	      watched->moved.nr == 4 &&
	      percentile(watched->moved.ns, 4, 75) == 10750 &&
	      percentile(watched->moved.ns, 4, 100) == 15000,
	      "a histogram of durations is taken apart");

	for (i = 0; i < 2000; i++)
		numbers[i] = i + 1;
	check(percentile(numbers, 100, 50) == 50 &&
	      percentile(numbers, 100, 99) == 99 &&
	      percentile(numbers, 100, 100) == 100 &&
	      percentile(numbers, 101, 50) == 51 &&
	      percentile(numbers, 1000, 99.9) == 999 &&
	      percentile(numbers, 2000, 99.9) == 1998 &&
	      percentile(numbers, 1, 99) == 1 &&
	      percentile(numbers, 0, 50) == 0, "percentiles by nearest rank");
}

static void test_json(void)
{
	static const char text[] =
		"{\"a\":[1,-2.5,\"x\\\"y\\n\"],\"b\":{},\"c\":true,\"d\":null}";
	struct json *value = json_parse(text);
	char *copy = NULL;
	size_t size;
	FILE *out;

	check(value, "JSON is read");
	out = open_memstream(&copy, &size);
	if (value && out)
		json_print(out, value, -1);
	if (out)
		fclose(out);
	check(copy && !strcmp(copy, text), "and written back as it was");
	check(!json_parse("{\"a\":}") && !json_parse("[1,]x") &&
	      !json_parse("{} {}"), "what is not JSON is refused");
}

static void test_pattern(void)
{
	static uint64_t page[PATTERN_WORDS];
	uint64_t was = pattern_first(1, 7, 3), next = pattern_first(1, 7, 4);

	pattern_write(page, was);
	check(pattern_check(page, was, next) == 0, "a page as it was written");
	check(pattern_check(page, was, was) == PATTERN_WORDS,
	      "a page one write ahead is wrong in every word");
	page[100] ^= 1;
	check(pattern_check(page, was, next) == 1, "one bit is noticed");
	memset(page, 0, sizeof(page));
	check(pattern_check(page, was, next) >= PATTERN_WORDS - 1,
	      "a wiped page is noticed");
	check(pattern_first(1, 7, 3) != pattern_first(2, 7, 3) &&
	      pattern_first(1, 7, 3) != pattern_first(1, 8, 3),
	      "guests and pages differ");
}

static bool about(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void test_stats(void)
{
	static const double one_to_three[] = { 1, 2, 3 };
	static const double three_to_five[] = { 3, 4, 5 };
	static const double apart[] = { 0, 2 }, tens[] = { 10, 10, 10 };
	static const double elevens[] = { 11, 11 }, tenths[] = { 0.1, 0.1, 0.1 };

	check(near(stats_mean(three_to_five, 3), 4) &&
	      near(stats_deviation(three_to_five, 3), 1) &&
	      near(stats_deviation(apart, 2), sqrt(2)) &&
	      stats_deviation(apart, 1) == 0, "mean and sample deviation");

	/* The tables of every textbook. */
	check(about(stats_student_p(12.7062047, 1), 0.05) &&
	      about(stats_student_p(2.22813885, 10), 0.05) &&
	      about(stats_student_p(-2.75638590, 29), 0.01) &&
	      about(stats_student_p(1.96233908, 1000), 0.05) &&
	      stats_student_p(0, 5) == 1, "Student's t");
	/* With 4 degrees of freedom and with 1 it has a closed form. */
	check(about(stats_welch_p(one_to_three, 3, three_to_five, 3),
		    0.07048399691), "equal variances");
	check(about(stats_welch_p(apart, 2, tens, 3),
		    1 - 2 / M_PI * atan(9)), "unequal variances");
	check(stats_welch_p(tens, 3, elevens, 2) == 0 &&
	      stats_welch_p(tens, 3, tens, 2) == 1,
	      "without any deviation the comparison is exact");
	/* Their means are not the same number. */
	check(stats_welch_p(tenths, 3, tenths, 2) == 1 &&
	      stats_deviation(tenths, 3) == 0, "nor is rounding a deviation");
	check(stats_welch_p(tens, 1, elevens, 2) == -1,
	      "one value says nothing about chance");
}

/* A set of @nr runs with one figure each. */
static void make_set_of(struct result_set *set, const char *variant,
			const char *figure, const char *unit, enum better better,
			const double *values, size_t nr)
{
	size_t i;

	memset(set, 0, sizeof(*set));
	for (i = 0; i < nr; i++) {
		struct json *run = result_new("s", variant, i);

		json_add_string(run, "clock", "instructions");
		result_figure(run, figure, unit, better, values[i]);
		result_set_add(set, run);
	}
}

static void make_set(struct result_set *set, const char *variant,
		     const char *figure, enum better better,
		     const double *values, size_t nr)
{
	make_set_of(set, variant, figure, "ns", better, values, nr);
}

static void test_compare(void)
{
	static const double low[] = { 99, 100, 101 }, high[] = { 119, 120, 121 };
	static const double wide[] = { 50, 100, 210 }, noise[] = { -1, 0, 2 };
	static const double one[] = { 1, 1 }, two[] = { 2, 2 };
	static const double exact[] = { 6411, 6411 }, nearly[] = { 6412, 6412 };
	struct result_set a, b;
	struct compare cmp = { .alpha = 0.05, .threshold = 5 };

	make_set(&a, "stock", "f", BETTER_LOWER, low, 3);
	make_set(&b, "feature", "f", BETTER_LOWER, high, 3);
	check(compare_sets(&cmp, &a, &b) && cmp.first &&
	      near(cmp.first->difference, 20) && cmp.first->significant &&
	      cmp.first->regression && cmp.nr_regressions == 1,
	      "20 % more of what should be little is a regression");
	check(!strcmp(cmp.first->scenario, "s"),
	      "two sets of one variant each: the variants are compared");

	cmp = (struct compare) { .alpha = 0.05, .threshold = 25 };
	compare_sets(&cmp, &a, &b);
	check(cmp.first->significant && !cmp.nr_regressions,
	      "none beyond a threshold of 25 %");

	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &b, &a);
	check(near(cmp.first->difference, -100.0 / 6) &&
	      cmp.first->significant && !cmp.nr_regressions,
	      "the other way round it is an improvement");

	make_set(&a, "x", "f", BETTER_HIGHER, high, 3);
	make_set(&b, "x", "f", BETTER_HIGHER, low, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &a, &b);
	check(cmp.nr_regressions == 1,
	      "less of what should be much is a regression");

	make_set(&a, "x", "f", BETTER_LOWER, noise, 3);
	make_set(&b, "x", "f", BETTER_LOWER, low, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &a, &b);
	check(isinf(cmp.first->difference) && cmp.nr_regressions == 1,
	      "more than nothing but noise has no percentage, and counts");

	make_set(&a, "x", "f", BETTER_HIGHER, high, 3);
	make_set(&b, "x", "f", BETTER_HIGHER, wide, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 0 };
	compare_sets(&cmp, &a, &b);
	check(!cmp.first->significant && !cmp.nr_regressions,
	      "what chance explains is none");

	make_set(&b, "x", "f", BETTER_HIGHER, low, 1);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &a, &b);
	check(cmp.first->p == -1 && !cmp.nr_regressions,
	      "a single run is not tested");

	make_set(&b, "x", "g", BETTER_HIGHER, low, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &a, &b);
	check(cmp.nr_missing == 1, "a figure that is gone is noticed");

	make_set(&b, "y", "f", BETTER_HIGHER, low, 1);
	result_set_add(&a, b.runs[0]);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(compare_sets(&cmp, &a, &a) && !strcmp(cmp.first->scenario, "s x"),
	      "several variants in a set are kept apart");

	make_set(&b, "x", "f", BETTER_HIGHER, low, 3);
	result_fail(b.runs[0], "for the test");
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	compare_sets(&cmp, &b, &b);
	check(cmp.nr_failed == 2 && cmp.first && cmp.first->a.nr == 2,
	      "failed runs do not count, and are counted");

	make_set(&b, "x", "f", BETTER_LOWER, low, 3);
	make_set(&a, "x", "f", BETTER_HIGHER, low, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && cmp.error,
	      "figures of different meaning are not compared");
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	json_get(a.runs[0], "clock")->string[0] = 'e';
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && cmp.error,
	      "times of different clocks are not compared");
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	json_add_number(json_add(a.runs[0], "settings", json_object()),
			"guests", 12);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && strstr(cmp.error, "other guests"),
	      "nor are runs with other guests");
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5, .force = true };
	check(compare_sets(&cmp, &a, &b), "but by force");
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	json_add_string(json_add(a.runs[0], "settings", json_object()),
			"steps", "other");
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && strstr(cmp.error, "two versions"),
	      "nor are runs with other steps");
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	json_add_string(json_get(a.runs[0], "labels"), "qemu", "7.2.0");
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && strstr(cmp.error, "emulators"),
	      "nor are other emulators");
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	json_add_string(json_add(a.runs[0], "kernel", json_object()), "machine", "x86_64");
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(!compare_sets(&cmp, &a, &b) && strstr(cmp.error, "machines"),
	      "nor other architectures");

	make_set(&b, "x", "g", BETTER_LOWER, low, 3);
	make_set(&a, "x", "f", BETTER_LOWER, low, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(compare_sets(&cmp, &a, &b) && !compare_has_common(&cmp),
	      "nor what has nothing in common");

	make_set_of(&a, "x", "f", "pages", BETTER_LOWER, one, 2);
	make_set_of(&b, "x", "f", "pages", BETTER_LOWER, two, 2);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(compare_sets(&cmp, &a, &b) && cmp.first->significant &&
	      !cmp.nr_regressions, "two pages that failed are not twice as bad as one");
	make_set_of(&b, "x", "f", "pages", BETTER_LOWER, high, 3);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 5 };
	check(compare_sets(&cmp, &a, &b) && cmp.nr_regressions == 1 &&
	      isinf(cmp.first->difference), "a hundred are worse than one");

	make_set(&a, "x", "f", BETTER_LOWER, exact, 2);
	make_set(&b, "x", "f", BETTER_LOWER, nearly, 2);
	cmp = (struct compare) { .alpha = 0.05, .threshold = 0 };
	check(compare_sets(&cmp, &a, &b) && cmp.first->significant &&
	      !cmp.first->verdict && !cmp.nr_regressions,
	      "a difference of next to nothing is neither better nor worse");
}

static void test_result_files(void)
{
	char dir[] = "/tmp/gmem-bench.XXXXXX", path[64], other[64];
	struct json *run = result_new("s", "v", 1);
	struct result_set set;
	FILE *out;

	if (!mkdtemp(dir)) {
		check(false, "a directory for results");
		return;
	}
	check(!result_set_load(&set, dir) && set.error,
	      "a directory without results is refused");

	result_figure(run, "f", "ns", BETTER_LOWER, 42);
	snprintf(path, sizeof(path), "%s/1.json", dir);
	out = fopen(path, "w");
	if (out) {
		json_print(out, run, 0);
		fclose(out);
	}
	check(result_set_load(&set, dir) && set.nr_runs == 1 &&
	      !result_failed(set.runs[0]) && result_set_uniform(&set),
	      "a result is written and read");

	out = fopen(path, "w");
	if (out) {
		fputs("{\"format\":\"something else\"}", out);
		fclose(out);
	}
	check(!result_set_load(&set, dir) && set.error,
	      "a file that is no result is refused");
	results_write(path, run);
	check(result_set_load(&set, path) && set.nr_runs == 1,
	      "what a run writes to a file is a result");
	/* Another one of the same, by another kernel. */
	snprintf(other, sizeof(other), "%s/2.json", dir);
	results_write(other, run);
	check(result_set_load(&set, dir) && set.nr_runs == 2, "two runs make a set");
	json_add_string(json_get(run, "labels"), "key", "k");
	results_write(other, run);
	check(!result_set_load(&set, dir) && strstr(set.error, "different kernels"),
	      "runs of different kernels make none");
	unlink(other);
	result_figure(run, "x.y", "ns", BETTER_LOWER, 1);
	result_figure(run, "x.y", "ns", BETTER_LOWER, 2);
	check(result_failed(run), "a figure that comes twice is refused");
	run = result_new("s", "v", 1);
	result_figure(run, "f", "ns", BETTER_LOWER, NAN);
	check(result_failed(run) && !json_get(run, "figures")->child,
	      "so is one that is no number");
	unlink(path);
	rmdir(dir);
}

static void test_gaps(void)
{
	struct gaps gaps = { 0 };
	uint64_t ticks;
	bool ok = true;
	unsigned int b;

	for (b = 0; b < GAPS_BUCKETS; b++)
		if (gaps_bucket(gaps_floor(b)) != b ||
		    (b && gaps_bucket(gaps_floor(b) - 1) != b - 1))
			ok = false;
	check(ok, "each bucket of gaps begins where the one before ends");
	for (ticks = 1; ticks < 1ULL << 42; ticks = ticks * 3 + 1)
		if (gaps_floor(gaps_bucket(ticks)) > ticks ||
		    gaps_floor(gaps_bucket(ticks)) < ticks * 7 / 8)
			ok = false;
	check(ok, "a gap is off by an eighth at most");
	check(gaps_bucket(~0ULL) == GAPS_BUCKETS - 1, "no gap is too long");

	/* [64, 72) and [1024, 1152) are buckets. */
	for (ticks = 0; ticks < 99; ticks++)
		gaps_note(&gaps, 70);
	gaps_note(&gaps, 1100);
	check(near(gaps_percentile(&gaps, 49.5), 68) &&
	      near(gaps_percentile(&gaps, 99), 72) &&
	      near(gaps_percentile(&gaps, 99.5), 1088) && gaps.longest == 1100,
	      "percentiles of gaps lie within a bucket");
}

static void test_balloon(void)
{
	unsigned int page, some = 0, more = 0, both = 0;

	for (page = 0; page < 10000; page++) {
		some += pattern_ballooned(3, page, 30);
		more += pattern_ballooned(3, page, 60);
		both += pattern_ballooned(3, page, 30) &&
			pattern_ballooned(3, page, 60);
	}
	check(some > 2800 && some < 3200 && more > 5800 && more < 6200,
	      "a balloon takes the share that it should");
	check(both == some, "a larger balloon keeps what it had");
	check(!pattern_ballooned(3, 7, 0) && pattern_ballooned(3, 7, 100),
	      "none and all");
}

static const char good_scenario[] =
	"# comment\n"
	"what = a test\n"
	"memory=512M\n"
	"runs = 5\n"
	"quick.runs = 2\n"
	"guests = 4\nsize = 3M\norder = sequential\nclock = instructions\n"
	"variant = stock stock anon-vm\n"
	"variant = feature feature private\n"
	"step = fill\n"
	"step = work 3 1\n"
	"step = measure x bogo/s higher echo  a | wc -c\n";

static const char sized_scenario[] =
	"what = a test\nguests = 1\nsize = 16M\nappend = c\n"
	"variant = one feature private\n"
	"variant = many feature private guests=8 size=2M vcpus=2 append=a=1 append=b\n"
	"step = fill\n";

static bool refused(const char *text, const char *why)
{
	struct scenario s;

	return !scenario_parse(&s, "bad", text, false) && s.error &&
	       strstr(s.error, why);
}

static bool bad_step(const char *step, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "what = x\nvariant = one stock private\nstep = %s\n", step);
	return refused(text, why);
}

static void test_scenario(void)
{
	struct scenario s;
	uint64_t size;

	check(scenario_parse(&s, "good", good_scenario, false),
	      "a scenario is read");
	check(s.runs == 5 && s.guests == 4 && s.size == 3 * MIB &&
	      s.sequential && s.instructions && !strcmp(s.memory, "512M"),
	      "its settings");
	check(s.nr_variants == 2 && scenario_variant(&s, "feature") &&
	      scenario_variant(&s, "feature")->mode == mode_find("private") &&
	      !scenario_variant(&s, "control"), "its variants");
	check(s.nr_steps == 3 && s.steps[1].argc == 2 &&
	      !strcmp(s.steps[1].argv[1], "1") &&
	      !strcmp(s.steps[2].argv[3], "echo  a | wc -c"), "its steps");
	check(scenario_parse(&s, "good", good_scenario, true) && s.runs == 2,
	      "quick runs have settings of their own");

	check(refused("what = x\nmemoy = 1G\n", "line 2: no such setting"),
	      "an unknown setting is refused, and where it is");
	check(refused("step = dance\n", "no such step") &&
	      refused("step = cma\n", "cma SIZE") &&
	      refused("step = fill now\n", "step = fill"),
	      "steps that are none are refused");
	check(bad_step("expect x over 3", "above|below") &&
	      bad_step("expect x above ten", "not ten") &&
	      bad_step("expect x above 3 two", "not two") &&
	      bad_step("stop evne", "not evne") && bad_step("work 3 x", "not x") &&
	      bad_step("balloon 101", "not 101") && bad_step("thp x", "not x") &&
	      bad_step("hugetlb 2X 3", "not 2X") && bad_step("cma 1M 2", "not 2") &&
	      bad_step("moves hippos 4M", "not hippos") &&
	      bad_step("measure a b sideways c", "not sideways") &&
	      bad_step("unload x", "bad, line 3: step = unload NAME, not x"),
	      "so are arguments that are none");
	check(scenario_parse(&s, "sizes", sized_scenario, false) &&
	      scenario_apply(&s, scenario_variant(&s, "many")) &&
	      s.guests == 8 && s.size == 2 * MIB && s.vcpus == 2 &&
	      !strcmp(s.append, "c a=1 b"),
	      "a variant has guests of its own, and more for the kernel");
	check(scenario_parse(&s, "good", good_scenario, false) &&
	      scenario_change(&s, "clock=wall") && !s.instructions &&
	      scenario_change(&s, "guests=7") && s.guests == 7 &&
	      !scenario_change(&s, "guests=x") && !scenario_change(&s, "vcpus") &&
	      !scenario_change(&s, "memory=2G") && strstr(s.error, "--set=memory=2G"),
	      "a person may change some settings");
	check(refused("what = x\nstep = fill\nvariant = a stock private cpus=3\n",
		      "not cpus=3"), "but no machine of its own");
	check(refused("variant = a stock c\n", "no such mode") &&
	      refused("variant = a b private\n", "no such kernel") &&
	      refused("variant = a b\n", "variant = NAME"),
	      "variants that are none are refused");
	check(refused("runs = many\n", "not a value") &&
	      refused("size = 12\n", "not a value") &&
	      refused("what = x\ncpus = 0\n", "line 2: not a value for cpus") &&
	      refused("timeout = 0\n", "line 1: not a value") &&
	      refused("el2 = foo\n", "line 1: not a value") &&
	      refused("what\n", "not key = value") &&
	      refused("what = x\nvcpus = 9\nvariant = a stock private\nstep = fill\n",
		      "1 to 8 vCPUs") &&
	      refused("what = x\nmemory = lots\nvariant = a stock private\nstep = fill\n",
		      "how much memory") &&
	      refused("what = x\n", "no variants"),
	      "values that are none are refused");
	check(parse_size("2M", &size) && size == 2 * MIB &&
	      parse_size("1G", &size) && size == 1024 * MIB &&
	      !parse_size("M", &size) && !parse_size("1MB", &size), "sizes");
}

/* A boot's result, with that share of free memory in large blocks in the end. */
static void write_boot(const char *path, double share, bool moved)
{
	FILE *out = fopen(path, "w");

	if (!out)
		return;
	fprintf(out, "something else\ngmem-bench {\"guests\":[{\"pages\":9,\"checked\":10,\"dead\":false}],"
		"\"checked\":10,\"mismatches\":0,\"backends\":{%s},"
		"\"stages\":[{\"name\":\"idle\"},{\"name\":\"scattered\",\"buddy\":{\"share_order9\":50}},"
		"{\"name\":\"kcompactd\",\"buddy\":{\"share_order9\":%g}},"
		"{\"name\":\"compact_memory\",\"buddy\":{\"share_order9\":%g}}]}\n",
		moved ? "\"pkvm\":{\"moved\":5,\"failed\":0}" : "", share, share);
	fclose(out);
}

/* What the report says of such boots, as its exit status. */
static int verdict(double share, double control, bool moved)
{
	static const char *const columns[] = { "stock", "feature", "control" };
	char dir[] = "/tmp/gmem-bench.XXXXXX", args[3][96], *argv[4] = { "report" };
	int i, status;

	if (!mkdtemp(dir))
		return -1;
	fflush(stdout);
	for (i = 0; i < 3; i++) {
		snprintf(args[i], sizeof(args[i]), "--%s=%s/%d", columns[i], dir, i);
		argv[i + 1] = args[i];
		write_boot(strchr(args[i], '/'), i == 2 ? control : i ? share : 50,
			   i == 1 && moved);
	}
	if (!fork()) {
		if (!freopen("/dev/null", "w", stdout))
			exit(127);
		exit(cmd_report(4, argv));
	}
	wait(&status);
	for (i = 0; i < 3; i++)
		unlink(strchr(args[i], '/'));
	rmdir(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_report(void)
{
	check(verdict(97, 97.5, true) == 0, "the demo's report is content");
	check(verdict(94, 94, true) == 1, "not with less than 95 %");
	check(verdict(96, 97.5, true) == 1,
	      "nor if ordinary memory is more than a point better");
	check(verdict(97, 97.5, false) == 1, "nor if nothing was moved");
}

#define EL2_PC(pc)	"Trace 0: 0x7f12 [00000000/0000" pc "/90000a04/ff000001] f\n"

static const char el2_symbols[] =
	"ffff800080600000 T __kvm_nvhe___kvm_hyp_host_vector\n"
	"ffff800080600800 T __kvm_nvhe_copy_page\n"
	"ffff800080600900 t __kvm_nvhe_wanted\n"
	"ffff800080600a00 T not_of_el2\n";

/* Two calls of which the second gets there, and half of one. */
static const char el2_log[] =
	EL2_PC("900000000404")
	"Stopped execution of TB chain before 0x7f12 [0000900000000400] f\n"
	EL2_PC("900000000400") EL2_PC("900000000800")
	EL2_PC("900000000400") EL2_PC("900000000804") EL2_PC("aaaa00000400")
	EL2_PC("900000000900") EL2_PC("900000000904")
	EL2_PC("900000000400") EL2_PC("900000000900");

static bool el2_profile(struct el2_profile *p, const char *function)
{
	FILE *symbols = fmemopen((void *)el2_symbols, strlen(el2_symbols), "r");
	FILE *log = fmemopen((void *)el2_log, strlen(el2_log), "r");
	bool ret = el2_read(p, symbols, log, function, 10);

	fclose(symbols);
	fclose(log);
	return ret;
}

static void test_el2(void)
{
	struct el2_profile p;

	check(el2_profile(&p, "wanted") && p.calls == 1 && p.nr == 3,
	      "a hypercall that gets to a function is found");
	check(p.functions[0].total == 1 && p.functions[1].total == 1 &&
	      p.functions[2].total == 2, "and where its instructions went");
	check(p.steps[EL2_COPY].nr == 1 && p.steps[EL2_COPY].ns[0] == 1 &&
	      p.steps[EL2_REST].ns[0] == 3 && p.whole.ns[0] == 4,
	      "by what the functions are for, too");
	check(!el2_profile(&p, "not_of_el2"), "which has to be EL2's");
}

int cmd_selftest(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		fputs("usage: gmem-bench selftest\n", usage_out());
		usage_exit();
	}
	puts("TAP version 13");
	test_buddy();
	test_zones();
	test_census();
	test_trace();
	test_json();
	test_pattern();
	test_gaps();
	test_balloon();
	test_scenario();
	test_stats();
	test_compare();
	test_result_files();
	test_report();
	test_el2();
	printf("1..%d\n", nr_tests);
	return nr_failed != 0;
}
