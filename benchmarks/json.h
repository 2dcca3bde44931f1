/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Just enough JSON to carry results from the tested kernel to the report.
 * Trees are never freed: every user builds or reads one and exits.
 */
#ifndef GMEM_BENCH_JSON_H
#define GMEM_BENCH_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json {
	enum json_type type;
	char *key;		/* name inside an object, else NULL */
	char *string;
	double number;		/* also 0 or 1 of a boolean */
	struct json *child;	/* first member of an array or object */
	struct json *last;
	struct json *next;
};

struct json *json_object(void);
struct json *json_array(void);
struct json *json_string(const char *s);
struct json *json_number(double number);

/* Append @value to @to, under @key where @to is an object. Returns @value. */
struct json *json_add(struct json *to, const char *key, struct json *value);
void json_add_number(struct json *to, const char *key, double number);
void json_add_string(struct json *to, const char *key, const char *s);
void json_add_bool(struct json *to, const char *key, bool value);

/* Member @key of @obj, which may be NULL; NULL where there is none. */
struct json *json_get(const struct json *obj, const char *key);
double json_get_number(const struct json *obj, const char *key,
		       double fallback);
const char *json_get_string(const struct json *obj, const char *key);

/* NULL where @text is not one JSON value. */
struct json *json_parse(const char *text);
/* One line where @indent is negative. */
void json_print(FILE *out, const struct json *value, int indent);

#endif
