// SPDX-License-Identifier: GPL-2.0
/* Steps: programs beside the guests, and what they measure. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* Different ones that one step can have. */
#define MAX_DURATIONS	16

/* Those that the program's end finds running. */
static struct load *loads;
static pid_t waited_for;

static void kill_shells(void)
{
	int i;

	if (waited_for > 0)
		kill(-waited_for, SIGTERM);
	for (i = 0; i < MAX_LOADS; i++)
		if (loads[i].pid > 0)
			kill(-loads[i].pid, SIGTERM);
}

/* A shell in a process group of its own, with its output at @out. */
static pid_t shell(struct run *r, const char *command, int out)
{
	pid_t pid;

	if (!loads)
		atexit(kill_shells);
	loads = r->loads;
	pid = fork();
	if (pid < 0)
		die("cannot start a shell: %m");
	setpgid(pid, pid);
	if (pid)
		return pid;
	signals_default();
	dup2(out, STDOUT_FILENO);
	execlp("sh", "sh", "-c", command, NULL);
	_exit(127);
}

void step_load(struct run *r, const struct step *step)
{
	int i, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (i = 0; i < MAX_LOADS && r->loads[i].pid; i++)
		;
	if (i == MAX_LOADS) {
		result_fail(r->result, "load: too many");
		return;
	}
	r->loads[i].name = step->argv[0];
	r->loads[i].pid = shell(r, step->argv[1], null);
	close(null);
}

bool loads_run(const struct run *r)
{
	int i;

	for (i = 0; i < MAX_LOADS; i++)
		if (r->loads[i].pid)
			return true;
	return false;
}

void end_load(struct run *r, struct load *load)
{
	int status, i;

	/* It was to last: what ended by itself was no load. */
	if (waitpid(load->pid, &status, WNOHANG))
		result_fail(r->result, "the load %s ended by itself",
			    load->name);
	/* A shell may have something to put in order first. */
	kill(-load->pid, SIGTERM);
	for (i = 0; i < 50 && !waitpid(load->pid, &status, WNOHANG); i++)
		sleep_ms(100);
	kill(-load->pid, SIGKILL);
	waitpid(load->pid, NULL, 0);
	load->pid = 0;
}

void step_unload(struct run *r, const struct step *step)
{
	int i;

	for (i = 0; i < MAX_LOADS; i++) {
		if (r->loads[i].pid &&
		    !strcmp(r->loads[i].name, step->argv[0])) {
			end_load(r, &r->loads[i]);
			return;
		}
	}
	result_fail(r->result, "unload: no load is called %s", step->argv[0]);
}

/* What the step's command, its last argument, prints. NULL where it fails. */
static char *output(struct run *r, const struct step *step)
{
	size_t size = 0, room = 4096;
	int pipe_fd[2], status;
	char *text = xcalloc(1, room);
	ssize_t n;

	if (pipe(pipe_fd))
		die("no pipe");
	waited_for = shell(r, step->argv[step->argc - 1], pipe_fd[1]);
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], text + size, room - 1 - size)) > 0) {
		size += n;
		if (size < room - 1)
			continue;
		room *= 2;
		text = realloc(text, room);
		if (!text)
			die("out of memory");
	}
	text[size] = '\0';
	close(pipe_fd[0]);
	waitpid(waited_for, &status, 0);
	waited_for = 0;
	while (ending)
		pause();
	if (!status)
		return text;
	result_fail(r->result, "%s: the command failed (%d)", step->argv[0],
		    status);
	free(text);
	return NULL;
}

static enum better better_of(const struct step *step)
{
	enum better better = BETTER_NONE;

	/* It was checked when the scenario was read. */
	better_parse(step->argv[2], &better);
	return better;
}

static bool parse_value(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && !*end && isfinite(*value);
}

/* The last number that the command prints. */
void step_measure(struct run *r, const struct step *step)
{
	const char *name = step->argv[0], *unit = step->argv[1];
	char *text = output(r, step), *word, *save = NULL;
	double number, value = NAN;

	if (!text)
		return;
	for (word = strtok_r(text, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save))
		if (parse_value(word, &number))
			value = number;
	free(text);
	if (isnan(value)) {
		result_fail(r->result, "%s: the command printed no number", name);
		return;
	}
	note("%s: %g %s", name, value, unit);
	result_figure(r->result, name, unit, better_of(step), value);
}

/*
 * The next "NAME NUMBER" of @text, or of what @save says of it. False at the end,
 * and where there is something else.
 */
static bool next_pair(struct run *r, const struct step *step, char *text,
		      char **save, const char **name, double *value)
{
	const char *number;

	*name = strtok_r(text, " \t\n", save);
	if (!*name)
		return false;
	number = strtok_r(NULL, " \t\n", save);
	if (number && parse_value(number, value))
		return true;
	result_fail(r->result, "%s: %s is %s, which is no number", step->argv[0],
		    *name, number ? number : "nothing");
	return false;
}

/* As many as the command prints. */
void step_figures(struct run *r, const struct step *step)
{
	char *text = output(r, step), *from = text, *save = NULL;
	const char *unit = step->argv[1], *name;
	double value;

	if (!text)
		return;
	while (next_pair(r, step, from, &save, &name, &value)) {
		from = NULL;
		note("%s.%s: %g %s", step->argv[0], name, value, unit);
		figure(r, step->argv[0], name, unit, better_of(step), value);
	}
	free(text);
}

/* The distribution of all that the command prints of each name. */
void step_durations(struct run *r, const struct step *step)
{
	struct {
		const char *name;
		struct durations d;
	} of[MAX_DURATIONS];
	char *text = output(r, step), *from = text, *save = NULL;
	char full[NAME_LEN];
	const char *name;
	int i, nr = 0;
	double ns;

	if (!text)
		return;
	for (; next_pair(r, step, from, &save, &name, &ns); from = NULL) {
		for (i = 0; i < nr && strcmp(of[i].name, name); i++)
			;
		if (i == MAX_DURATIONS || ns < 0) {
			result_fail(r->result, "%s: %s", step->argv[0],
				    ns < 0 ? "a negative duration" :
				    "too many names");
			break;
		}
		if (i == nr) {
			memset(&of[nr], 0, sizeof(of[nr]));
			of[nr++].name = name;
		}
		durations_add(&of[i].d, ns);
	}
	for (i = 0; i < nr; i++) {
		snprintf(full, sizeof(full), "%s.%s", step->argv[0], of[i].name);
		distribution(r, full, BETTER_LOWER, &of[i].d);
		note("%s: p50 %llu ns, of %zu", full, (unsigned long long)
		     percentile(of[i].d.ns, of[i].d.nr, 50), of[i].d.nr);
		free(of[i].d.ns);
	}
	free(text);
}
