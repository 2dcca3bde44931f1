// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "compact.h"
#include "group.h"

#define MAX_NODES	64

/* /proc/PID/stat of the kcompactds, of which each node has one; returns how many. */
static int open_kcompactds(int fds[MAX_NODES])
{
	glob_t procs;
	int nr = 0;
	size_t i;

	if (glob("/proc/[0-9]*/stat", 0, NULL, &procs))
		return 0;
	for (i = 0; i < procs.gl_pathc && nr < MAX_NODES; i++) {
		char *text = read_text(procs.gl_pathv[i]);

		if (text && strstr(text, "(kcompactd")) {
			fds[nr] = open(procs.gl_pathv[i], O_RDONLY | O_CLOEXEC);
			nr += fds[nr] >= 0;
		}
		free(text);
	}
	globfree(&procs);
	return nr;
}

static void close_all(const int *fds, int nr)
{
	while (nr)
		close(fds[--nr]);
}

/* What its stat says behind its name, which may have blanks in it; "" at its end. */
static const char *kcompactd_stat(int fd)
{
	static char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *p;

	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')');
	return p ? p + 1 : "";
}

static bool all_sleep(const int *fds, int nr)
{
	const char *stat;
	int i;

	for (i = 0; i < nr; i++) {
		stat = kcompactd_stat(fds[i]);
		if (*stat && stat[1] != 'S')
			return false;
	}
	return true;
}

double kcompactd_cpu_seconds(void)
{
	unsigned long user, system, ticks = 0;
	int fds[MAX_NODES], nr = open_kcompactds(fds), i;

	/* The 14th and the 15th word of it all; the name is the second. */
	for (i = 0; i < nr; i++)
		if (sscanf(kcompactd_stat(fds[i]),
			   "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu",
			   &user, &system) == 2)
			ticks += user + system;
	close_all(fds, nr);
	return (double)ticks / sysconf(_SC_CLK_TCK);
}

static uint64_t kcompactd_work(int fd)
{
	static const char *const names[] = {
		"\ncompact_daemon_migrate_scanned ",
		"\ncompact_daemon_free_scanned ", "\npgmigrate_success ",
	};
	static char text[32768];
	size_t size = 0, i;
	uint64_t work = 0;
	ssize_t n;

	/* It comes in pieces of a page. */
	while ((n = pread(fd, text + size, sizeof(text) - 1 - size, size)) > 0)
		size += n;
	text[size] = '\0';
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		char *p = strstr(text, names[i]);

		if (p)
			work += strtoull(p + strlen(names[i]), NULL, 10);
	}
	return work;
}

/*
 * Let kcompactd do all that it can on its own. At 100 it goes on as long as
 * any free page is outside a huge page and its last run made progress; it
 * looks twice a second. The watching allocates no memory, or it would put
 * pages into the very blocks that have just become free.
 */
bool compact_by_kcompactd(void)
{
	int fds[MAX_NODES], nr = open_kcompactds(fds);
	int vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	uint64_t work, last = kcompactd_work(vmstat);
	double end = now_seconds() + STALL_SECONDS;
	int quiet = 0;
	bool ok;

	ok = nr && vmstat >= 0 &&
	     !write_setting("/proc/sys/vm/compaction_proactiveness", "100");
	while (ok && quiet < 8 && now_seconds() < end) {
		sleep_ms(250);
		work = kcompactd_work(vmstat);
		quiet = work == last && all_sleep(fds, nr) ? quiet + 1 : 0;
		last = work;
	}
	write_setting("/proc/sys/vm/compaction_proactiveness", "0");
	if (vmstat >= 0)
		close(vmstat);
	close_all(fds, nr);
	return ok && quiet == 8;
}

bool undisturbed(bool on)
{
	struct sched_param fifo = { .sched_priority = 1 }, other = { 0 };

	if (!on)
		return !sched_setscheduler(0, SCHED_OTHER, &other);
	/*
	 * Or the others would have a twentieth of the time all the same. The clock
	 * that this matters to is one of machines with a single CPU.
	 */
	return !write_setting("/sys/kernel/debug/sched/fair_server/cpu0/runtime",
			      "0") &&
	       !sched_setscheduler(0, SCHED_FIFO, &fifo);
}

bool compact_by_hand(bool timed)
{
	bool ok = !timed || undisturbed(true);

	ok = ok && !write_text("/proc/sys/vm/compact_memory", "1");
	if (timed)
		undisturbed(false);
	return ok;
}
