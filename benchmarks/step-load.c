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

/* The last number that @command prints. */
void step_measure(struct run *r, const struct step *step)
{
	const char *name = step->argv[0], *unit = step->argv[1];
	char text[4096], *word, *end, *save = NULL;
	size_t size = 0;
	enum better better;
	double value = NAN;
	int pipe_fd[2], status;
	ssize_t n;
	pid_t pid;

	if (!better_parse(step->argv[2], &better) || pipe(pipe_fd)) {
		result_fail(r->result, "measure: %s is neither higher nor lower nor none",
			    step->argv[2]);
		return;
	}
	pid = shell(step->argv[3], pipe_fd[1]);
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], text + size,
			 sizeof(text) - 1 - size)) > 0)
		size += n;
	text[size] = '\0';
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	for (word = strtok_r(text, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		double number = strtod(word, &end);

		if (end != word && !*end)
			value = number;
	}
	if (status || !isfinite(value)) {
		result_fail(r->result, "%s: the command failed (%d), or printed no number",
			    name, status);
		return;
	}
	note("%s: %g %s", name, value, unit);
	result_figure(r->result, name, unit, better, value);
}
