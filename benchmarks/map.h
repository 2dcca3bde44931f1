/* SPDX-License-Identifier: GPL-2.0 */
/* Pictures of the block maps that census_json() made. */
#ifndef GMEM_BENCH_MAP_H
#define GMEM_BENCH_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

/* Blocks in a row of every picture. */
#define MAP_COLUMNS	64

/* What a block looks like in the image: its user's colour, paler the emptier. */
uint32_t map_rgb(char letter, int fill);

/* Two maps of one machine side by side, or one above the other. */
void map_print(FILE *out, const struct json *left, const struct json *right,
	       const char *left_title, const char *right_title, bool color,
	       bool stacked);
void map_print_legend(FILE *out, bool color);

/* Rows of the whole map. */
size_t map_rows(const struct json *census);

/* A named gnuplot data block of all blocks: column, row, colour. */
void map_plot_data(FILE *out, const char *name, const struct json *census);

#endif
