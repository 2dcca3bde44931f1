// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "bench.h"
#include "census.h"
#include "map.h"

static const struct look {
	char letter;
	const char *what;
	uint32_t rgb;
	int ansi;		/* colour of 256 */
	const char *plain;	/* without colour: hardly to fully used */
} looks[] = {
	{ BLOCK_FREE, "free", 0xdcefdc, 71, "." },
	{ BLOCK_PRIVATE, "guests' private memory", 0xc62828, 160, "ppppppPPP" },
	{ BLOCK_MOVABLE, "movable memory", 0x1565c0, 32, "mmmmmmMMM" },
	{ BLOCK_OTHER, "kernel and the like", 0x5f6368, 243, "kkkkkkKKK" },
};

static const struct look *look_of(char letter)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(looks); i++)
		if (looks[i].letter == letter)
			return &looks[i];
	return NULL;
}

uint32_t map_rgb(char letter, int fill)
{
	const struct look *look = look_of(letter);
	uint32_t rgb = 0;
	int shift;

	if (!look)
		return 0xffffff;
	for (shift = 0; shift <= 16; shift += 8) {
		uint32_t empty = (looks[0].rgb >> shift) & 0xff;
		uint32_t full = (look->rgb >> shift) & 0xff;

		rgb |= ((empty * (8 - fill) + full * fill) / 8) << shift;
	}
	return rgb;
}

static void print_block(FILE *out, char letter, int fill, bool color)
{
	static const char *const shades[] = {
		"·", "░", "░", "▒", "▒", "▓", "▓", "█", "█",
	};
	const struct look *look = look_of(letter);

	if (!look)
		fputc(' ', out);
	else if (color)
		fprintf(out, "\033[38;5;%dm%s", look->ansi, shades[fill]);
	else
		fputc(look->plain[letter == BLOCK_FREE ? 0 : fill], out);
}

static void print_row(FILE *out, const struct json *map, size_t row,
		      bool color)
{
	const char *letters = json_get_string(map, "letters");
	const char *fill = json_get_string(map, "fill");
	size_t len = letters && fill ? strlen(letters) : 0, i;

	for (i = row * MAP_COLUMNS; i < (row + 1) * MAP_COLUMNS; i++) {
		if (i < len)
			print_block(out, letters[i], fill[i] - '0', color);
		else
			fputc(' ', out);
	}
	if (color)
		fputs("\033[0m", out);
}

size_t map_rows(const struct json *map)
{
	const char *letters = json_get_string(map, "letters");

	if (!letters)
		return 0;
	return (strlen(letters) + MAP_COLUMNS - 1) / MAP_COLUMNS;
}

void map_print(FILE *out, const struct json *left, const struct json *right,
	       const char *left_title, const char *right_title, bool color,
	       bool stacked)
{
	size_t rows = map_rows(left), row;

	if (stacked) {
		map_print(out, left, NULL, left_title, "", color, false);
		map_print(out, right, NULL, right_title, "", color, false);
		return;
	}

	fprintf(out, "  %-*s   %s\n", MAP_COLUMNS, left_title, right_title);
	for (row = 0; row < rows; row++) {
		fputs("  ", out);
		print_row(out, left, row, color);
		if (right) {
			fputs("   ", out);
			print_row(out, right, row, color);
		}
		fputc('\n', out);
	}
}

void map_print_legend(FILE *out, bool color)
{
	size_t i;

	fputs("  one character is 2 MiB:", out);
	for (i = 0; i < ARRAY_SIZE(looks); i++) {
		fputs("  ", out);
		if (looks[i].letter == BLOCK_FREE) {
			print_block(out, looks[i].letter, 0, color);
		} else {
			print_block(out, looks[i].letter, 1, color);
			print_block(out, looks[i].letter, 4, color);
			print_block(out, looks[i].letter, 8, color);
		}
		if (color)
			fputs("\033[0m", out);
		fprintf(out, " %s", looks[i].what);
	}
	fputs(color ? "\n  (the denser, the more of the block is in use)\n" :
	      "\n  (a capital where more than two thirds are in use)\n", out);
}

void map_plot_data(FILE *out, const char *name, const struct json *census)
{
	const char *letters = json_get_string(census, "letters");
	const char *fill = json_get_string(census, "fill");
	size_t i;

	fprintf(out, "$%s << EOD\n", name);
	for (i = 0; letters && fill && letters[i]; i++)
		if (look_of(letters[i]))
			fprintf(out, "%zu %zu %u\n", i % MAP_COLUMNS,
				i / MAP_COLUMNS,
				map_rgb(letters[i], fill[i] - '0'));
	fputs("EOD\n", out);
}
