/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmem-bench: measure what guest memory does to physical fragmentation.
 *
 * One program for both ends: it runs inside the kernel under test, where it
 * plays the VMM and reads the allocator's state, and on the machine that
 * started that kernel, where it turns the figures into a report.
 */
#ifndef GMEM_BENCH_H
#define GMEM_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIB		(1024UL * 1024)

/* Room for one line of explanation, kept beside what it explains. */
#define ERR_LEN		200

int cmd_frag(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_el2(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_selftest(int argc, char **argv);

/* util.c */
__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *fmt, ...);
__attribute__((format(printf, 1, 2)))
void note(const char *fmt, ...);
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
char *read_text(const char *path);
int write_text(const char *path, const char *text);
/* The same to a file that is to have its old content back at the program's end. */
int write_setting(const char *path, const char *text);
/*
 * From now on Ctrl-C and the like end the program by exit(), so that what it has set
 * is set back. To be called before there are threads; and in children the latter.
 */
void signals_exit(void);
void signals_default(void);
/* They have come: what fails now has been ended. */
extern _Atomic bool ending;
long long read_number(const char *path, long long fallback);
cpu_set_t *allowed_cpus(size_t *size);
/* The hash of @size bytes more. */
#define FNV1A_SEED	0xcbf29ce484222325ULL
uint64_t fnv1a(uint64_t hash, const void *data, size_t size);
double now_seconds(void);
void sleep_ms(unsigned int ms);
uint64_t vmstat_value(const char *name);

/* The port that the runner of this machine reads, as udev would name it. */
#define RESULTS_PORT	"/dev/virtio-ports/results"

struct json;

/*
 * One line with a name to @path, "-" for stdout, NULL for the port (or stdout
 * where there is none): others write to that port too.
 */
void results_write(const char *path, const struct json *result);
/* Before there is one: dies where it could not be written. */
void results_check(const char *path);
/*
 * A file to write, or die; what was there of that name stays until close_output(),
 * which dies if not all of it could be written.
 */
FILE *open_output(const char *path);
void close_output(FILE *out, const char *path);

/* Where a command's usage goes, and the program's end after it. */
extern bool help_wanted;
FILE *usage_out(void);
__attribute__((noreturn))
void usage_exit(void);

/* An option of a subcommand: --name=value, or --name where value is NULL. */
bool option(const char *arg, const char *name, const char **value);

#endif
