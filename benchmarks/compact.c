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

/* /proc/PID/stat of the first kcompactd; -1 where there is none. */
static int open_kcompactd(void)
{
	glob_t procs;
	int fd = -1;
	size_t i;

	if (glob("/proc/[0-9]*/stat", 0, NULL, &procs))
		return -1;
	for (i = 0; i < procs.gl_pathc && fd < 0; i++) {
		char *text = read_text(procs.gl_pathv[i]);

		if (text && strstr(text, "(kcompactd"))
			fd = open(procs.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		free(text);
	}
	globfree(&procs);
	return fd;
}

/* Sleeping, as its stat says behind its name. */
static bool kcompactd_sleeps(int fd)
{
	static char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *p;

	if (n <= 0)
		return true;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && p[1] && p[2] == 'S';
}

double kcompactd_cpu_seconds(void)
{
	unsigned long user = 0, system = 0;
	int fd = open_kcompactd();
	char text[512], *p;
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');
	/* The 14th and the 15th word of it all; the name is the second. */
	if (!p || sscanf(p + 1, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu",
			 &user, &system) != 2)
		return 0;
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
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
	int stat = open_kcompactd();
	int vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	uint64_t work, last = kcompactd_work(vmstat);
	double end = now_seconds() + STALL_SECONDS;
	int quiet = 0;
	bool ok;

	ok = stat >= 0 && vmstat >= 0 &&
	     !write_setting("/proc/sys/vm/compaction_proactiveness", "100");
	while (ok && quiet < 8 && now_seconds() < end) {
		sleep_ms(250);
		work = kcompactd_work(vmstat);
		quiet = work == last && kcompactd_sleeps(stat) ? quiet + 1 : 0;
		last = work;
	}
	write_setting("/proc/sys/vm/compaction_proactiveness", "0");
	if (vmstat >= 0)
		close(vmstat);
	if (stat >= 0)
		close(stat);
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
