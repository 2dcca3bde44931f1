// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "json.h"

/* Deep enough for every result, shallow enough for every stack. */
#define MAX_DEPTH	32

static struct json *json_new(enum json_type type)
{
	struct json *value = xcalloc(1, sizeof(*value));

	value->type = type;
	return value;
}

struct json *json_object(void)
{
	return json_new(JSON_OBJECT);
}

struct json *json_array(void)
{
	return json_new(JSON_ARRAY);
}

struct json *json_string(const char *s)
{
	struct json *value = json_new(JSON_STRING);

	value->string = xstrdup(s);
	return value;
}

struct json *json_number(double number)
{
	struct json *value = json_new(JSON_NUMBER);

	value->number = number;
	return value;
}

struct json *json_add(struct json *to, const char *key, struct json *value)
{
	if (key)
		value->key = xstrdup(key);
	if (to->last)
		to->last->next = value;
	else
		to->child = value;
	to->last = value;
	return value;
}

void json_add_number(struct json *to, const char *key, double number)
{
	json_add(to, key, json_number(number));
}

void json_add_string(struct json *to, const char *key, const char *s)
{
	json_add(to, key, json_string(s));
}

void json_add_bool(struct json *to, const char *key, bool value)
{
	struct json *b = json_add(to, key, json_new(JSON_BOOL));

	b->number = value;
}

struct json *json_get(const struct json *obj, const char *key)
{
	struct json *member;

	if (!obj || obj->type != JSON_OBJECT)
		return NULL;
	for (member = obj->child; member; member = member->next)
		if (!strcmp(member->key, key))
			return member;
	return NULL;
}

double json_get_number(const struct json *obj, const char *key,
		       double fallback)
{
	struct json *value = json_get(obj, key);

	if (!value || (value->type != JSON_NUMBER && value->type != JSON_BOOL))
		return fallback;
	return value->number;
}

const char *json_get_string(const struct json *obj, const char *key)
{
	struct json *value = json_get(obj, key);

	return value && value->type == JSON_STRING ? value->string : NULL;
}

static const char *skip_space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/*
 * A string, @p behind its opening quote. Escapes outside ASCII are not
 * needed by anything that this program writes, and are refused.
 */
static const char *parse_string(const char *p, char **out)
{
	char *s = xcalloc(1, strlen(p) + 1);
	size_t len = 0;

	for (; *p && *p != '"'; p++) {
		char c = *p;

		if (c == '\\') {
			switch (*++p) {
			case 'n':
				c = '\n';
				break;
			case 't':
				c = '\t';
				break;
			case '"':
			case '\\':
			case '/':
				c = *p;
				break;
			default:
				return NULL;
			}
		}
		s[len++] = c;
	}
	if (*p != '"')
		return NULL;
	*out = s;
	return p + 1;
}

static const char *parse_value(const char *p, struct json **out, int depth);

static const char *parse_members(const char *p, struct json *to, char close,
				 int depth)
{
	p = skip_space(p);
	if (*p == close)
		return p + 1;

	for (;;) {
		struct json *value;
		char *key = NULL;

		if (to->type == JSON_OBJECT) {
			p = skip_space(p);
			if (*p != '"')
				return NULL;
			p = parse_string(p + 1, &key);
			if (!p)
				return NULL;
			p = skip_space(p);
			if (*p++ != ':')
				return NULL;
		}
		p = parse_value(p, &value, depth + 1);
		if (!p)
			return NULL;
		json_add(to, key, value);

		p = skip_space(p);
		if (*p == close)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *parse_value(const char *p, struct json **out, int depth)
{
	static const struct {
		const char *text;
		enum json_type type;
		int number;
	} words[] = {
		{ "null", JSON_NULL, 0 },
		{ "true", JSON_BOOL, 1 },
		{ "false", JSON_BOOL, 0 },
	};
	char *end;
	size_t i;

	if (depth > MAX_DEPTH)
		return NULL;

	p = skip_space(p);
	switch (*p) {
	case '{':
		*out = json_object();
		return parse_members(p + 1, *out, '}', depth);
	case '[':
		*out = json_array();
		return parse_members(p + 1, *out, ']', depth);
	case '"':
		*out = json_new(JSON_STRING);
		return parse_string(p + 1, &(*out)->string);
	}

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].text);

		if (strncmp(p, words[i].text, len))
			continue;
		*out = json_new(words[i].type);
		(*out)->number = words[i].number;
		return p + len;
	}

	*out = json_number(strtod(p, &end));
	return end == p ? NULL : end;
}

struct json *json_parse(const char *text)
{
	struct json *value = NULL;
	const char *end = parse_value(text, &value, 0);

	if (!end || *skip_space(end))
		return NULL;
	return value;
}

static void print_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		switch (*s) {
		case '"':
		case '\\':
			fputc('\\', out);
			fputc(*s, out);
			break;
		case '\n':
			fputs("\\n", out);
			break;
		case '\t':
			fputs("\\t", out);
			break;
		default:
			/* Other control characters carry nothing here. */
			fputc((unsigned char)*s < ' ' ? ' ' : *s, out);
		}
	}
	fputc('"', out);
}

static void print_break(FILE *out, int indent)
{
	if (indent < 0)
		return;
	fprintf(out, "\n%*s", indent * 2, "");
}

static void print_number(FILE *out, double number)
{
	if (!isfinite(number))
		fputs("null", out);
	else if (number == floor(number) && fabs(number) < 1e15)
		fprintf(out, "%.0f", number);
	else
		fprintf(out, "%.6g", number);
}

void json_print(FILE *out, const struct json *value, int indent)
{
	int inner = indent < 0 ? indent : indent + 1;
	bool object = value->type == JSON_OBJECT;
	const struct json *member;

	switch (value->type) {
	case JSON_NULL:
		fputs("null", out);
		return;
	case JSON_BOOL:
		fputs(value->number ? "true" : "false", out);
		return;
	case JSON_NUMBER:
		print_number(out, value->number);
		return;
	case JSON_STRING:
		print_string(out, value->string);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}

	fputc(object ? '{' : '[', out);
	for (member = value->child; member; member = member->next) {
		print_break(out, inner);
		if (object) {
			print_string(out, member->key);
			fputs(indent < 0 ? ":" : ": ", out);
		}
		json_print(out, member, inner);
		if (member->next)
			fputc(',', out);
	}
	if (value->child)
		print_break(out, indent);
	fputc(object ? '}' : ']', out);
}
