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

/* A shell in a process group of its own, with its output at @out. */
static pid_t shell(const char *command, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
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
	r->loads[i].pid = shell(step->argv[1], null);
	setpgid(r->loads[i].pid, r->loads[i].pid);
	close(null);
}

void end_load(struct run *r, struct load *load)
{
	int status;

	/* It was to last: what ended by itself was no load. */
	if (waitpid(load->pid, &status, WNOHANG))
		result_fail(r->result, "the load %s ended by itself",
			    load->name);
	else
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

/* What the step's command prints, in @text. False where it fails. */
static bool output(struct run *r, const struct step *step, enum better *better,
		   char *text, size_t room)
{
	int pipe_fd[2], status;
	size_t size = 0;
	ssize_t n;
	pid_t pid;

	if (!better_parse(step->argv[2], better) || pipe(pipe_fd)) {
		result_fail(r->result, "%s: %s is neither higher nor lower nor none",
			    step->argv[0], step->argv[2]);
		return false;
	}
	pid = shell(step->argv[3], pipe_fd[1]);
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], text + size, room - 1 - size)) > 0)
		size += n;
	text[size] = '\0';
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	if (status)
		result_fail(r->result, "%s: the command failed (%d)",
			    step->argv[0], status);
	return !status;
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
	char text[4096], *word, *save = NULL;
	double number, value = NAN;
	enum better better;

	if (!output(r, step, &better, text, sizeof(text)))
		return;
	for (word = strtok_r(text, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save))
		if (parse_value(word, &number))
			value = number;
	if (isnan(value)) {
		result_fail(r->result, "%s: the command printed no number", name);
		return;
	}
	note("%s: %g %s", name, value, unit);
	result_figure(r->result, name, unit, better, value);
}

/* As many as the command prints, as "NAME NUMBER". */
void step_figures(struct run *r, const struct step *step)
{
	const char *unit = step->argv[1];
	char text[4096], *name, *number, *save = NULL;
	enum better better;
	double value;

	if (!output(r, step, &better, text, sizeof(text)))
		return;
	for (name = strtok_r(text, " \t\n", &save); name;
	     name = strtok_r(NULL, " \t\n", &save)) {
		number = strtok_r(NULL, " \t\n", &save);
		if (!number || !parse_value(number, &value)) {
			result_fail(r->result, "%s: %s is %s, which is no number",
				    step->argv[0], name, number ? number : "nothing");
			return;
		}
		note("%s.%s: %g %s", step->argv[0], name, value, unit);
		figure(r, step->argv[0], name, unit, better, value);
	}
}
