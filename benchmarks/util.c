// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "json.h"

void die(const char *fmt, ...)
{
	va_list ap;

	fputs("gmem-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* In one write, so that the kernel's messages come between lines only. */
void note(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int len;

	len = snprintf(line, sizeof(line), "gmem-bench: %6.1f s  ",
		       now_seconds());
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	fputs(line, stderr);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("out of memory");
	return p;
}

char *xstrdup(const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		die("out of memory");
	return copy;
}

/* The whole file as a string, NULL with errno set where it cannot be read. */
char *read_text(const char *path)
{
	size_t size = 0, room = 4096;
	char *text;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;

	text = xcalloc(1, room);
	while ((n = read(fd, text + size, room - size - 1)) > 0) {
		size += n;
		if (room - size < 2) {
			room *= 2;
			text = realloc(text, room);
			if (!text)
				die("out of memory");
		}
	}
	close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

/* One write(), as proc and sysfs files want it. 0 or a negative errno. */
int write_text(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		ret = -errno;
	close(fd);
	return ret;
}

#define MAX_SETTINGS	16

static struct setting {
	char *path, *old;
} saved[MAX_SETTINGS];

static void restore_settings(void)
{
	struct setting *s;

	for (s = saved; s < saved + MAX_SETTINGS && s->path; s++)
		write_text(s->path, s->old);
}

int write_setting(const char *path, const char *text)
{
	struct setting *s = saved;
	char *old = NULL, *choice;

	while (s < saved + MAX_SETTINGS && s->path && strcmp(s->path, path))
		s++;
	if (s == saved + MAX_SETTINGS)
		die("too many settings to restore");
	if (!s->path)
		old = read_text(path);
	if (old) {
		/* Of several words, the one in brackets is chosen. */
		choice = strchr(old, '[');
		if (choice) {
			old = choice + 1;
			old[strcspn(old, "]")] = '\0';
		}
		if (s == saved)
			atexit(restore_settings);
		s->path = xstrdup(path);
		s->old = old;
	}
	return write_text(path, text);
}

_Atomic bool ending;

static sigset_t end_signals;

static void *wait_for_end(void *arg)
{
	int signal;

	(void)arg;
	sigwait(&end_signals, &signal);
	note("interrupted");
	ending = true;
	exit(128 + signal);
}

void signals_exit(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	pthread_t thread;
	size_t i;

	sigemptyset(&end_signals);
	/* What nohup and the like have off stays off. */
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaddset(&end_signals, signals[i]);
	pthread_sigmask(SIG_BLOCK, &end_signals, NULL);
	if (pthread_create(&thread, NULL, wait_for_end, NULL))
		die("no thread");
}

void signals_default(void)
{
	sigprocmask(SIG_UNBLOCK, &end_signals, NULL);
}

long long read_number(const char *path, long long fallback)
{
	char *text = read_text(path), *end;
	long long value;

	if (!text)
		return fallback;
	value = strtoll(text, &end, 0);
	if (end == text)
		value = fallback;
	free(text);
	return value;
}

/*
 * The CPUs that this may run on, for CPU_FREE(), with the size that CPU_..._S() ask
 * for. The kernel says how many there may be by refusing a set that is too small.
 */
cpu_set_t *allowed_cpus(size_t *size)
{
	cpu_set_t *set;
	int nr;

	for (nr = CPU_SETSIZE; ; nr *= 2) {
		set = CPU_ALLOC(nr);
		if (!set)
			die("out of memory");
		*size = CPU_ALLOC_SIZE(nr);
		if (!sched_getaffinity(0, *size, set))
			return set;
		if (errno != EINVAL)
			die("cannot ask for the CPUs: %s", strerror(errno));
		CPU_FREE(set);
	}
}

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = (ms % 1000) * 1000000L,
	};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

uint64_t vmstat_value(const char *name)
{
	char *text = read_text("/proc/vmstat"), *line, *save = NULL;
	size_t len = strlen(name);
	uint64_t value = 0;

	if (!text)
		return 0;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, name, len) && line[len] == ' ') {
			value = strtoull(line + len, NULL, 10);
			break;
		}
	}
	free(text);
	return value;
}

uint64_t fnv1a(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *p = data, *end = p + size;

	while (p < end)
		hash = (hash ^ *p++) * 0x100000001b3ULL;
	return hash;
}

/* Where @path is written to until it is complete: a device's is itself. */
static const char *unfinished(const char *path)
{
	struct stat st;
	char *name;

	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return path;
	name = xcalloc(1, strlen(path) + sizeof(".new"));
	sprintf(name, "%s.new", path);
	return name;
}

FILE *open_output(const char *path)
{
	FILE *out = fopen(unfinished(path), "w");

	if (!out)
		die("cannot write %s: %m", path);
	return out;
}

void close_output(FILE *out, const char *path)
{
	const char *written = unfinished(path);
	bool failed = ferror(out);

	if (fclose(out) || failed || (written != path && rename(written, path))) {
		int error = errno;

		if (written != path)
			unlink(written);
		errno = error;
		die("cannot write %s: %m", path);
	}
}

static bool is_file(const char *path)
{
	return path && strcmp(path, "-");
}

void results_check(const char *path)
{
	bool there = is_file(path) && !access(path, F_OK);
	FILE *out = is_file(path) ? fopen(path, "a") : NULL;

	if (!is_file(path))
		return;
	if (!out)
		die("cannot open %s: %m", path);
	fclose(out);
	/* An empty file would be in the way where there is never a result. */
	if (!there)
		unlink(path);
}

void results_write(const char *path, const struct json *result)
{
	FILE *out;

	if (!path)
		path = access(RESULTS_PORT, W_OK) ? "-" : RESULTS_PORT;
	out = is_file(path) ? open_output(path) : stdout;
	/* Among other lines it has to be found; a file is for show and compare. */
	if (out == stdout || !strcmp(path, RESULTS_PORT))
		fputs("gmem-bench ", out);
	json_print(out, result, -1);
	fputc('\n', out);
	/* What stdout has come to, main() says. */
	if (out != stdout)
		close_output(out, path);
}

bool help_wanted;

FILE *usage_out(void)
{
	return help_wanted ? stdout : stderr;
}

void usage_exit(void)
{
	exit(help_wanted && !fflush(stdout) ? 0 : 2);
}

bool option(const char *arg, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(arg, "--", 2) || strncmp(arg + 2, name, len))
		return false;
	arg += 2 + len;
	if (!value)
		return *arg == '\0';
	if (*arg != '=')
		return false;
	*value = arg + 1;
	return true;
}
