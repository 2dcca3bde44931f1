// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "result.h"
#include "scenario.h"

enum kind { TEXT, MODE, NUMBER, COUNT, SIZE };

static const struct setting {
	const char *key;
	enum kind kind;
	size_t offset;
} settings[] = {
	{ "what", TEXT, offsetof(struct scenario, what) },
	{ "show", TEXT, offsetof(struct scenario, show) },
	{ "arch", TEXT, offsetof(struct scenario, arch) },
	{ "memory", TEXT, offsetof(struct scenario, memory) },
	{ "append", TEXT, offsetof(struct scenario, append) },
	{ "el2", MODE, offsetof(struct scenario, el2) },
	{ "disk", TEXT, offsetof(struct scenario, disk) },
	{ "rootfs", TEXT, offsetof(struct scenario, rootfs) },
	{ "plot", TEXT, offsetof(struct scenario, plot) },
	{ "cpus", COUNT, offsetof(struct scenario, cpus) },
	{ "timeout", COUNT, offsetof(struct scenario, timeout) },
	{ "runs", NUMBER, offsetof(struct scenario, runs) },
	{ "guests", NUMBER, offsetof(struct scenario, guests) },
	{ "size", SIZE, offsetof(struct scenario, size) },
	{ "vcpus", NUMBER, offsetof(struct scenario, vcpus) },
	{ "interleave", NUMBER, offsetof(struct scenario, interleave) },
	{ "rest_us", NUMBER, offsetof(struct scenario, rest_us) },
};

__attribute__((format(printf, 2, 3)))
static bool wrong(struct scenario *s, const char *fmt, ...)
{
	char text[2 * ERR_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->error = xstrdup(text);
	return false;
}

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*number = strtoull(text, &end, 10);
	return !*end;
}

bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*size = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!unit || end[1])
		return false;
	*size <<= 10 * (unit - units + 1);
	return true;
}

static bool is_one_of(const char *text, const char *const *words)
{
	while (*words && strcmp(text, *words))
		words++;
	return *words;
}

#define one_of(text, ...) \
	is_one_of(text, (const char *const []){ __VA_ARGS__, NULL })

static bool set(struct scenario *s, const struct setting *setting,
		const char *value)
{
	void *to = (char *)s + setting->offset;

	switch (setting->kind) {
	case MODE:
		*(char **)to = xstrdup(value);
		return one_of(value, "pkvm-nvhe", "pkvm-hvhe", "nvhe", "vhe", "none");
	case TEXT:
		*(char **)to = xstrdup(value);
		return true;
	case NUMBER:
		return parse_number(value, to);
	case COUNT:
		return parse_number(value, to) && *(uint64_t *)to;
	case SIZE:
		return parse_size(value, to);
	}
	return false;
}

/* Split off the first word of @text. NULL where there is none. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " \t"), *end;

	if (!*word)
		return NULL;
	end = word + strcspn(word, " \t");
	*text = end;
	if (*end) {
		*end = '\0';
		*text = end + 1 + strspn(end + 1, " \t");
	}
	return word;
}

static bool add_variant(struct scenario *s, char *value)
{
	struct variant *v = &s->variants[s->nr_variants];
	char *mode;

	if (s->nr_variants == MAX_VARIANTS)
		return wrong(s, "too many variants");
	v->name = next_word(&value);
	v->kernel = next_word(&value);
	mode = next_word(&value);
	if (!mode)
		return wrong(s, "variant = NAME KERNEL MODE [KEY=VALUE...]");
	v->settings = value;
	v->mode = mode_find(mode);
	if (!v->mode)
		return wrong(s, "no such mode of guests: %s", mode);
	if (!one_of(v->kernel, "stock", "feature", "debug", "bpf"))
		return wrong(s, "no such kernel: %s", v->kernel);
	if (scenario_variant(s, v->name))
		return wrong(s, "two variants are called %s", v->name);
	s->nr_variants++;
	return true;
}

static bool add_step(struct scenario *s, char *value)
{
	const char *name = next_word(&value);
	const struct verb *verb;
	struct step *step;

	for (verb = verbs; name && verb->name; verb++)
		if (!strcmp(verb->name, name))
			break;
	if (!name || !verb->name)
		return wrong(s, "no such step: %s", name ? name : "");

	s->steps = realloc(s->steps, (s->nr_steps + 1) * sizeof(*s->steps));
	if (!s->steps)
		die("out of memory");
	step = &s->steps[s->nr_steps++];
	memset(step, 0, sizeof(*step));
	step->verb = verb;
	step->line = s->line;
	if (strcmp(name, "expect"))
		s->steps_hash = fnv1a(fnv1a(s->steps_hash, name, strlen(name)),
				      value, strlen(value));
	while (*value && step->argc < MAX_ARGS) {
		if (verb->command && step->argc == verb->max_args - 1) {
			step->argv[step->argc++] = value;
			break;
		}
		step->argv[step->argc] = next_word(&value);
		if (!step->argv[step->argc])
			break;
		step->argc++;
	}
	if (step->argc < verb->min_args || step->argc > verb->max_args)
		return wrong(s, "step = %s", verb->usage);
	return true;
}

/* Is @text what the letter of verb.args says? */
static bool is_argument(const struct scenario *s, const struct step *step,
			char letter, const char *text)
{
	const struct step *load;
	enum better better;
	uint64_t number;
	double value;
	char *end;

	switch (letter) {
	case 'n':
	case 'f':
		value = strtod(text, &end);
		return end != text && !*end && (letter == 'f' || value > 0);
	case 'p':
		return parse_number(text, &number) && number && number <= 100;
	case 's':
		return parse_size(text, &number);
	case 'g':
		return one_of(text, "all", "odd", "even") ||
		       parse_number(text, &number);
	case 'k':
		return one_of(text, "guests", "anon", "shmem");
	case 'b':
		return better_parse(text, &better);
	case 'a':
		return one_of(text, "above", "below");
	case 'v':
		return scenario_variant(s, text);
	case 'l':
		for (load = s->steps; load < step; load++)
			if (!strcmp(load->verb->name, "load") &&
			    !strcmp(load->argv[0], text))
				return true;
		return false;
	}
	return true;
}

static bool validate_step(struct scenario *s, const struct step *step)
{
	const char *letter = step->verb->args;
	int i;

	for (i = 0; i < step->argc; i++) {
		if (!is_argument(s, step, *letter, step->argv[i]))
			return wrong(s, "%s, line %d: step = %s, not %s", s->name,
				     step->line, step->verb->usage, step->argv[i]);
		if (letter[1] != '*')
			letter++;
	}
	return true;
}

static bool add_setting(struct scenario *s, const char *key, char *value)
{
	size_t i;

	if (!strcmp(key, "variant"))
		return add_variant(s, value);
	if (!strcmp(key, "step"))
		return add_step(s, value);
	if (!strcmp(key, "clock")) {
		s->instructions = !strcmp(value, "instructions");
		return s->instructions || !strcmp(value, "wall") ||
		       wrong(s, "clock = instructions or wall");
	}
	if (!strcmp(key, "order")) {
		s->sequential = !strcmp(value, "sequential");
		return s->sequential || !strcmp(value, "turns") ||
		       wrong(s, "order = turns or sequential");
	}
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		if (strcmp(settings[i].key, key))
			continue;
		return set(s, &settings[i], value) ||
		       wrong(s, "not a value for %s: %s", key, value);
	}
	return wrong(s, "no such setting: %s", key);
}

static bool validate(struct scenario *s)
{
	uint64_t size;
	int i;

	if (!s->what)
		return wrong(s, "%s: does not say what it is", s->name);
	if (!s->nr_variants || !s->nr_steps)
		return wrong(s, "%s: no variants or no steps", s->name);
	if (s->guests > MAX_MEMBERS)
		return wrong(s, "%s: at most %d guests", s->name, MAX_MEMBERS);
	if (s->vcpus < 1 || s->vcpus > GUEST_CPUS)
		return wrong(s, "%s: a guest has 1 to %d vCPUs", s->name,
			     GUEST_CPUS);
	if (s->guests && (s->size < 4096 * s->vcpus || !s->interleave))
		return wrong(s, "%s: guests of which size?", s->name);
	if (s->arch && !one_of(s->arch, "arm64", "x86"))
		return wrong(s, "%s: no such architecture: %s", s->name, s->arch);
	if (!parse_size(s->memory, &size) ||
	    (strcmp(s->disk, "none") && !parse_size(s->disk, &size)))
		return wrong(s, "%s: how much memory, or which disk?", s->name);
	for (i = 0; i < s->nr_steps; i++)
		if (!validate_step(s, &s->steps[i]))
			return false;
	return true;
}

bool scenario_apply(struct scenario *s, const struct variant *variant)
{
	char *settings = xstrdup(variant->settings), *word, *value, *both;

	while ((word = next_word(&settings))) {
		value = strchr(word, '=');
		/* The machine is the same for all of them. */
		if (!value || (strncmp(word, "guests=", 7) &&
			       strncmp(word, "size=", 5) &&
			       strncmp(word, "vcpus=", 6) &&
			       strncmp(word, "append=", 7)))
			return wrong(s, "a variant has guests=, size=, vcpus= or append=, not %s",
				     word);
		*value++ = '\0';
		if (!strcmp(word, "append")) {
			both = xcalloc(1, strlen(s->append) + strlen(value) + 2);
			sprintf(both, "%s %s", s->append, value);
			s->append = both;
		} else if (!add_setting(s, word, value)) {
			return false;
		}
	}
	return validate(s);
}

bool scenario_change(struct scenario *s, const char *change)
{
	static const char *const keys[] = {
		"guests", "size", "vcpus", "interleave", "order", "rest_us",
		"clock", NULL,
	};
	char *key = xstrdup(change), *value = strchr(key, '=');

	if (value)
		*value++ = '\0';
	if (!value || !is_one_of(key, keys))
		return wrong(s, "--set=%s: not guests=, size=, vcpus=, interleave=, order=, rest_us= or clock=",
			     change);
	return add_setting(s, key, value) && validate(s);
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* All lines, either those for quick runs only or the others. */
static bool parse_lines(struct scenario *s, const char *text, bool quick)
{
	/* Kept: the steps point into it. */
	char *copy = xstrdup(text), *line, *next;

	s->line = 0;
	for (line = copy; line; line = next) {
		char *value, *key;
		bool for_quick;

		s->line++;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		key = trim(line);
		if (!*key || *key == '#')
			continue;
		value = strchr(key, '=');
		if (!value)
			return wrong(s, "%s, line %d: not key = value", s->name,
				     s->line);
		*value++ = '\0';
		key = trim(key);
		value = trim(value);
		for_quick = !strncmp(key, "quick.", 6);
		if (for_quick != quick)
			continue;
		if (add_setting(s, key + (quick ? 6 : 0), value))
			continue;
		return wrong(s, "%s, line %d: %s", s->name, s->line,
			     xstrdup(s->error));
	}
	return true;
}

bool scenario_parse(struct scenario *s, const char *name, const char *text,
		    bool quick)
{
	int i;

	*s = (struct scenario) {
		.name = xstrdup(name),
		.memory = "1G",
		.append = "",
		.el2 = "",
		.disk = "none",
		.rootfs = "none",
		.cpus = 2,
		.timeout = 900,
		.runs = 3,
		.vcpus = 1,
		.interleave = 1,
		.rest_us = 3000,
		.steps_hash = FNV1A_SEED,
	};
	if (!parse_lines(s, text, false) ||
	    (quick && !parse_lines(s, text, true)) || !validate(s))
		return false;
	/* Now, rather than in its boot. */
	for (i = 0; i < s->nr_variants; i++) {
		struct scenario copy = *s;

		if (!scenario_apply(&copy, &s->variants[i]))
			return wrong(s, "%s: %s", s->name, copy.error);
	}
	return true;
}

bool scenario_load(struct scenario *s, const char *path, bool quick)
{
	const char *base = strrchr(path, '/');
	char *text = read_text(path), *name;

	if (!text) {
		memset(s, 0, sizeof(*s));
		return wrong(s, "%s: cannot be read", path);
	}
	name = xstrdup(base ? base + 1 : path);
	name[strcspn(name, ".")] = '\0';
	return scenario_parse(s, name, text, quick);
}

const struct variant *scenario_variant(const struct scenario *s,
				       const char *name)
{
	int i;

	for (i = 0; i < s->nr_variants; i++)
		if (!strcmp(s->variants[i].name, name))
			return &s->variants[i];
	return NULL;
}

void scenario_plan(FILE *out, const struct scenario *s)
{
	int i;

	fprintf(out, "what %s\narch %s\nmemory %s\nel2 %s\ndisk %s\n", s->what,
		s->arch ? s->arch : "any", s->memory, s->el2, s->disk);
	fprintf(out, "cpus %llu\ntimeout %llu\nruns %llu\n",
		(unsigned long long)s->cpus, (unsigned long long)s->timeout,
		(unsigned long long)s->runs);
	fprintf(out, "rootfs %s\nclock %s\n", s->rootfs,
		s->instructions ? "instructions" : "wall");
	for (i = 0; i < s->nr_variants; i++) {
		struct scenario copy = *s;

		scenario_apply(&copy, &s->variants[i]);
		fprintf(out, "variant %s %s\nappend %s %s\n",
			s->variants[i].name, s->variants[i].kernel,
			s->variants[i].name, copy.append);
	}
}
