// SPDX-License-Identifier: GPL-2.0
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "buddy.h"

/* "Node 0, zone      DMA      1      0 ..." for every populated zone. */
bool buddy_parse(struct buddy *buddy, const char *text)
{
	memset(buddy, 0, sizeof(*buddy));

	while ((text = strstr(text, "zone"))) {
		const char *end = strchrnul(text, '\n');
		int order = 0;

		text += strlen("zone");
		text += strspn(text, " ");
		text += strcspn(text, " \n");

		while (text < end) {
			char *next;
			uint64_t n = strtoull(text, &next, 10);

			if (next == text || next > end)
				break;
			if (order == MAX_ORDERS)
				return false;
			buddy->blocks[order++] += n;
			text = next;
		}
		if (order > buddy->nr_orders)
			buddy->nr_orders = order;
	}
	return buddy->nr_orders > 0;
}

static bool field(const char *line, const char *name, uint64_t *value)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) || !strchr(": ", line[len]))
		return false;
	line += len;
	line += strspn(line, ": ");
	*value = strtoull(line, NULL, 10);
	return true;
}

bool zones_parse(struct zones *zones, const char *text)
{
	uint64_t spanned = 0, start, count;
	char *copy = xstrdup(text), *line, *save = NULL;

	zones->start_pfn = UINT64_MAX;
	zones->end_pfn = 0;
	zones->pcp_pages = 0;

	for (line = strtok_r(copy, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " ");
		if (field(line, "spanned", &spanned))
			continue;
		if (field(line, "count", &count)) {
			zones->pcp_pages += count;
			continue;
		}
		/* The last line of a zone; one without memory spans nothing. */
		if (!field(line, "start_pfn", &start) || !spanned)
			continue;
		if (start < zones->start_pfn)
			zones->start_pfn = start;
		if (start + spanned > zones->end_pfn)
			zones->end_pfn = start + spanned;
		spanned = 0;
	}
	free(copy);
	return zones->end_pfn > zones->start_pfn;
}

bool buddy_read(struct buddy *buddy)
{
	char *text = read_text("/proc/buddyinfo");
	bool ok = text && buddy_parse(buddy, text);

	free(text);
	return ok;
}

bool zones_read(struct zones *zones)
{
	char *text = read_text("/proc/zoneinfo");
	bool ok = text && zones_parse(zones, text);

	free(text);
	return ok;
}

uint64_t buddy_pages_from(const struct buddy *buddy, int order)
{
	uint64_t pages = 0;

	for (; order < buddy->nr_orders; order++)
		pages += buddy->blocks[order] << order;
	return pages;
}

uint64_t buddy_free_pages(const struct buddy *buddy)
{
	return buddy_pages_from(buddy, 0);
}

double buddy_share_from(const struct buddy *buddy, int order)
{
	uint64_t free_pages = buddy_free_pages(buddy);

	if (!free_pages)
		return 0;
	return 100.0 * buddy_pages_from(buddy, order) / free_pages;
}

double buddy_unusable(const struct buddy *buddy, int order)
{
	/* As the kernel does: without free memory all of it is unusable. */
	if (!buddy_free_pages(buddy))
		return 1;
	return 1 - buddy_share_from(buddy, order) / 100;
}

double buddy_extfrag(const struct buddy *buddy, int order)
{
	double blocks = 0, wanted = 1ULL << order;
	int o;

	if (buddy_pages_from(buddy, order))
		return -1;
	for (o = 0; o < buddy->nr_orders; o++)
		blocks += buddy->blocks[o];
	if (!blocks)
		return 0;
	return 1 - (1 + buddy_free_pages(buddy) / wanted) / blocks;
}

/*
 * alloc_contig_range() drains every CPU's lists. One page of a CMA area,
 * taken and given back, is the way to it that disturbs nothing else.
 */
static bool drain_by_cma(void)
{
	bool done = false;
	glob_t areas;
	size_t i;

	if (glob("/sys/kernel/debug/cma/*/alloc", 0, NULL, &areas))
		return false;
	for (i = 0; i < areas.gl_pathc && !done; i++) {
		char path[256];

		done = !write_text(areas.gl_pathv[i], "1\n");
		snprintf(path, sizeof(path), "%.*s/free",
			 (int)(strlen(areas.gl_pathv[i]) - strlen("/alloc")),
			 areas.gl_pathv[i]);
		if (done)
			write_text(path, "1\n");
	}
	globfree(&areas);
	return done;
}

/*
 * Offlining empties the lists of the whole zone before it looks at the block.
 * The first block holds the kernel, so it will be refused.
 */
static bool drain_by_offline(void)
{
	bool done = false;
	glob_t blocks;

	if (glob("/sys/devices/system/memory/memory[0-9]*/state", 0, NULL,
		 &blocks))
		return false;
	if (blocks.gl_pathc) {
		done = true;
		if (!write_text(blocks.gl_pathv[0], "offline"))
			write_text(blocks.gl_pathv[0], "online");
	}
	globfree(&blocks);
	return done;
}

const char *drain_pcp(void)
{
	if (drain_by_cma())
		return "cma";
	if (drain_by_offline())
		return "offline";
	/* The periodic statistics update lets the lists decay. */
	sleep_ms(3000);
	return "wait";
}

struct json *buddy_json(void)
{
	struct json *out = json_object(), *orders, *shares;
	struct zones zones;
	struct buddy buddy;
	char *extfrag;
	int order;

	if (!buddy_read(&buddy) || !zones_read(&zones))
		die("cannot read /proc/buddyinfo and /proc/zoneinfo");

	json_add_number(out, "free_pages", buddy_free_pages(&buddy));
	json_add_number(out, "share_order9",
			buddy_share_from(&buddy, HPAGE_ORDER));
	json_add_number(out, "share_order10",
			buddy_share_from(&buddy, HPAGE_ORDER + 1));
	json_add_number(out, "unusable_order9",
			buddy_unusable(&buddy, HPAGE_ORDER));
	json_add_number(out, "extfrag_order9",
			buddy_extfrag(&buddy, HPAGE_ORDER));
	json_add_number(out, "extfrag_order10",
			buddy_extfrag(&buddy, HPAGE_ORDER + 1));
	json_add_number(out, "pcp_pages", zones.pcp_pages);

	orders = json_add(out, "free_blocks", json_array());
	shares = json_add(out, "shares", json_array());
	for (order = 0; order < buddy.nr_orders; order++) {
		json_add(orders, NULL, json_number(buddy.blocks[order]));
		json_add(shares, NULL,
			 json_number(buddy_share_from(&buddy, order) -
				     buddy_share_from(&buddy, order + 1)));
	}

	/* The kernel's own words, beside the figures above. */
	extfrag = read_text("/sys/kernel/debug/extfrag/unusable_index");
	if (extfrag)
		json_add_string(out, "kernel_unusable_index", extfrag);
	extfrag = read_text("/sys/kernel/debug/extfrag/extfrag_index");
	if (extfrag)
		json_add_string(out, "kernel_extfrag_index", extfrag);
	return out;
}
