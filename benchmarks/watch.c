// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-bench watch: how long the moves of guests' pages take on this machine,
 * from a histogram that the kernel keeps: it needs nothing installed, loses no
 * event, and costs next to nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "table.h"
#include "trace.h"

static void print_backend(const char *name, struct durations *d)
{
	static const double points[] = { 50, 90, 99, 99.9, 100 };
	size_t i;

	printf("%-8s %8zu moved ", name, d->nr);
	for (i = 0; i < ARRAY_SIZE(points) && d->nr; i++)
		printf("  p%g %s", points[i],
		       short_number(percentile(d->ns, d->nr, points[i]), "ns"));
	putchar('\n');
}

static void usage(void)
{
	fputs("usage: gmem-bench watch SECONDS\n"
	      "       gmem-bench watch COMMAND ARGUMENT...\n"
	      "How long moves of guests' pages take meanwhile, for each backend, and how\n"
	      "many were refused. Values are those of a histogram of 250 ns steps.\n",
	      usage_out());
	usage_exit();
}

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	ended = signal;
}

int cmd_watch(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct watched backends[MAX_BACKENDS];
	int status = 0, i, nr;
	pid_t pid;

	if (argc < 2 || *argv[1] == '-')
		usage();
	if (!trace_watch_start())
		die("no tracepoint kvm_gmem_migrate_folio: is this a kernel with the feature, and tracefs there, and root?");
	/* Ctrl-C ends the watching, and what was seen is told. */
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (argc == 2 && strspn(argv[1], "0123456789.") == strlen(argv[1])) {
		double seconds = atof(argv[1]);
		struct timespec ts = { .tv_sec = seconds };

		ts.tv_nsec = (seconds - ts.tv_sec) * 1e9;
		nanosleep(&ts, NULL);
	} else {
		pid = fork();
		if (pid < 0)
			die("cannot start %s: %m", argv[1]);
		if (!pid) {
			execvp(argv[1], argv + 1);
			_exit(127);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			if (ended)
				kill(pid, ended);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			note("%s cannot be run", argv[1]);
	}
	nr = trace_watch_end(backends);
	if (!nr)
		puts("nothing was moved");
	for (i = 0; i < nr; i++) {
		print_backend(backends[i].backend, &backends[i].moved);
		if (backends[i].refused)
			printf("%-8s %8llu refused\n", backends[i].backend,
			       (unsigned long long)backends[i].refused);
	}
	return status != 0;
}
