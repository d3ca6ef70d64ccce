/* A picture's recipe: the command line that makes it again, with every setting spelled out, and
 * what it ran on. It is a JSON object in an iTXt chunk of the PNG; earlier versions wrote tEXt.
 *
 *   {"picture": 3, "pictures": 8, "program": "ditcl 0.2", "commit": "...",
 *    "command": ["ditcl", "sample", "emoji", "--class", "cat", ...],
 *    "inputs": {"--image": {"name": "cat.png", "hash": "..."}},
 *    "ran": "bf16x3 GEMM, ...", "device": "...", "driver": "..."}
 *
 * picture: the index in the series, from 0; absent in a sheet. hash: of base/hash.h. */
#ifndef DITCL_CLI_RECIPE_H
#define DITCL_CLI_RECIPE_H

#include "base/text.h"
#include "cli/options.h"
#include "sample/drawing.h"

/* The keyword of the PNG's text. */
#define RECIPE_KEYWORD "ditcl"

/* Appends the recipe without "picture". argc, argv: the arguments of `ditcl sample`. series: of a
 * picture in its series, not of a sheet. ERR_LIMIT if it is too long for a PNG. */
status recipe_make(text *out, const command *c, int argc, char **argv, const drawing *g,
                   bool series);

/* out = the recipe of picture `index` of a series. */
status recipe_of_series(text *out, const char *recipe, int index);

/* Appends to words the arguments of `ditcl sample` that make the picture again, with those of argv
 * in the place of the same ones in the recipe. ERR_FORMAT if the file has no recipe, or one of
 * another command; ERR_FILE if an input has changed since. */
status recipe_again(text_list *words, const command *c, const char *path, int argc, char **argv);

/* Prints the recipe of a picture: as text with the command line for a shell, or as JSON. */
status recipe_print(const char *path, bool json);

#endif
