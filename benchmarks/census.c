// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "buddy.h"
#include "census.h"

/* Bits of /proc/kpageflags, as Documentation/admin-guide/mm/pagemap.rst. */
#define KPF_LRU		(1ULL << 5)
#define KPF_BUDDY	(1ULL << 10)
#define KPF_ANON	(1ULL << 12)
#define KPF_SWAPBACKED	(1ULL << 14)
#define KPF_UNEVICTABLE	(1ULL << 18)
#define KPF_NOPAGE	(1ULL << 20)

/* Bits of /proc/self/pagemap. */
#define PM_PRESENT	(1ULL << 63)
#define PM_PFN		((1ULL << 55) - 1)

#define CHUNK		8192

/* Not worth a block: an eighth of one. */
#define FEW_PAGES	(HPAGE_PAGES / 8)

void pfn_set_init(struct pfn_set *set, uint64_t start_pfn, uint64_t end_pfn)
{
	set->start_pfn = start_pfn;
	set->nr_pfns = end_pfn - start_pfn;
	set->bits = xcalloc(set->nr_pfns / 8 + 1, 1);
}

void pfn_set_add(struct pfn_set *set, uint64_t pfn)
{
	uint64_t i = pfn - set->start_pfn;

	if (i < set->nr_pfns)
		set->bits[i / 8] |= 1 << (i % 8);
}

void pfn_set_del(struct pfn_set *set, uint64_t pfn)
{
	uint64_t i = pfn - set->start_pfn;

	if (i < set->nr_pfns)
		set->bits[i / 8] &= ~(1 << (i % 8));
}

bool pfn_set_has(const struct pfn_set *set, uint64_t pfn)
{
	uint64_t i = pfn - set->start_pfn;

	return i < set->nr_pfns && set->bits[i / 8] & (1 << (i % 8));
}

void pfn_set_clear(struct pfn_set *set)
{
	memset(set->bits, 0, set->nr_pfns / 8 + 1);
}

/*
 * Words @first to @first + @nr of a file of 64-bit words. Reads end early at
 * borders that the kernel knows, so go on until it says end of file.
 */
static size_t read_words(int fd, uint64_t *words, uint64_t first, size_t nr)
{
	size_t done = 0, bytes = nr * sizeof(*words);

	while (done < bytes) {
		ssize_t n = pread(fd, (char *)words + done, bytes - done,
				  first * sizeof(*words) + done);

		if (n <= 0)
			break;
		done += n;
	}
	return done / sizeof(*words);
}

void pfn_set_add_mapped(struct pfn_set *set, const void *mem, size_t size)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	uint64_t first = (uintptr_t)mem / page_size;
	size_t left = size / page_size;
	static uint64_t words[CHUNK];
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("cannot open /proc/self/pagemap");
	while (left) {
		size_t nr = left < CHUNK ? left : CHUNK, i;

		if (read_words(fd, words, first, nr) != nr)
			die("cannot read /proc/self/pagemap");
		for (i = 0; i < nr; i++)
			if (words[i] & PM_PRESENT)
				pfn_set_add(set, words[i] & PM_PFN);
		first += nr;
		left -= nr;
	}
	close(fd);
}

bool page_present(const void *mem)
{
	uint64_t word = 0;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("cannot open /proc/self/pagemap");
	read_words(fd, &word, (uintptr_t)mem / sysconf(_SC_PAGESIZE), 1);
	close(fd);
	return word & PM_PRESENT;
}

static int open_kpageflags(void)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("cannot open /proc/kpageflags");
	return fd;
}

/*
 * guest_memfd's folios are in the page cache and unevictable, and nothing
 * maps them. So are the files of a ramfs: the caller knows those.
 */
static bool looks_like_gmem(uint64_t flags)
{
	return (flags & (KPF_LRU | KPF_UNEVICTABLE | KPF_ANON |
			 KPF_SWAPBACKED)) == (KPF_LRU | KPF_UNEVICTABLE);
}

void pfn_set_add_gmem(struct pfn_set *set)
{
	static uint64_t words[CHUNK];
	int fd = open_kpageflags();
	uint64_t pfn, done = 0;

	while (done < set->nr_pfns) {
		size_t nr = set->nr_pfns - done, i;

		if (nr > CHUNK)
			nr = CHUNK;
		pfn = set->start_pfn + done;
		nr = read_words(fd, words, pfn, nr);
		if (!nr)
			break;
		for (i = 0; i < nr; i++)
			if (looks_like_gmem(words[i]))
				pfn_set_add(set, pfn + i);
		done += nr;
	}
	close(fd);
}

static char classify(uint64_t flags)
{
	if (flags & KPF_NOPAGE)
		return BLOCK_HOLE;
	if (flags & KPF_BUDDY)
		return BLOCK_FREE;
	if (flags & KPF_LRU)
		return BLOCK_MOVABLE;
	return BLOCK_OTHER;
}

void census_block(const uint64_t count[256], char *letter, int *fill)
{
	static const char users[] = {
		BLOCK_PRIVATE, BLOCK_MOVABLE, BLOCK_OTHER,
	};
	uint64_t used = 0, most = 0;
	size_t i;

	*letter = BLOCK_FREE;
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		uint64_t n = count[(unsigned char)users[i]];

		used += n;
		if (n > most) {
			most = n;
			*letter = users[i];
		}
	}
	if (!used && !count[(unsigned char)BLOCK_FREE])
		*letter = BLOCK_HOLE;
	/* Rounded up: a block with one page in use is not a free block. */
	*fill = (used * 8 + HPAGE_PAGES - 1) / HPAGE_PAGES;
}

struct json *census_json(const struct pfn_set *guest, char guest_letter,
			 bool gmem, const struct pfn_set *not_guest)
{
	uint64_t total[256] = { 0 }, free_blocks = 0, mixed = 0, b;
	uint64_t spoiled_private = 0, spoiled_few = 0, spoiled_other = 0, spoiling = 0;
	uint64_t first = guest->start_pfn & ~(HPAGE_PAGES - 1);
	uint64_t end = guest->start_pfn + guest->nr_pfns;
	uint64_t nr_blocks = (end - first + HPAGE_PAGES - 1) / HPAGE_PAGES;
	char *letters = xcalloc(nr_blocks + 1, 1);
	char *fills = xcalloc(nr_blocks + 1, 1);
	uint64_t words[HPAGE_PAGES];
	struct json *out = json_object();
	int fd = open_kpageflags();

	for (b = 0; b < nr_blocks; b++) {
		uint64_t pfn = first + b * HPAGE_PAGES, count[256] = { 0 };
		size_t nr = read_words(fd, words, pfn, HPAGE_PAGES), i;
		int fill;

		for (i = 0; i < nr; i++, pfn++) {
			unsigned char c = classify(words[i]);

			if (pfn_set_has(guest, pfn) ||
			    (gmem && looks_like_gmem(words[i]) &&
			     !pfn_set_has(not_guest, pfn)))
				c = guest_letter;
			count[c]++;
			total[c]++;
		}
		census_block(count, &letters[b], &fill);
		fills[b] = '0' + fill;
		if (letters[b] == BLOCK_FREE)
			free_blocks++;
		else if (count[BLOCK_FREE])
			mixed++;
		/* What is not theirs in there is no good for anything large. */
		if (count[BLOCK_FREE] + count[BLOCK_MOVABLE]) {
			spoiled_private += !!count[BLOCK_PRIVATE];
			spoiled_few += count[BLOCK_PRIVATE] &&
				       count[BLOCK_PRIVATE] <= FEW_PAGES;
			spoiling += count[BLOCK_PRIVATE];
			spoiled_other += !!count[BLOCK_OTHER];
		}
	}
	close(fd);

	json_add_number(out, "free_pages", total[BLOCK_FREE]);
	json_add_number(out, "private_pages", total[BLOCK_PRIVATE]);
	json_add_number(out, "movable_pages", total[BLOCK_MOVABLE]);
	json_add_number(out, "other_pages", total[BLOCK_OTHER]);
	json_add_number(out, "free_blocks", free_blocks);
	json_add_number(out, "mixed_blocks", mixed);
	json_add_number(out, "spoiled_private", spoiled_private);
	json_add_number(out, "spoiled_few", spoiled_few);
	json_add_number(out, "spoiled_other", spoiled_other);
	json_add_number(out, "spoiling_private", spoiling);
	json_add_string(out, "letters", letters);
	json_add_string(out, "fill", fills);
	return out;
}
