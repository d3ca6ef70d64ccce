/* The suites of the test program. main.c has the table of them. */
#ifndef DITCL_TESTS_SUITES_H
#define DITCL_TESTS_SUITES_H

#include <check.h>

#undef fail /* an old name of ck_abort, which collides with fail() of base/status.h */

Suite *suite_begin(void);
Suite *suite_cache(void);
Suite *suite_compat(void);
Suite *suite_checkpoints(void);
Suite *suite_conf(void);
Suite *suite_config(void);
Suite *suite_files(void);
Suite *suite_fit(void);
Suite *suite_flush(void);
Suite *suite_gemm(void);
Suite *suite_init(void);
Suite *suite_json(void);
Suite *suite_kinds(void);
Suite *suite_matrix(void);
Suite *suite_memory(void);
Suite *suite_models(void);
Suite *suite_ops(void);
Suite *suite_pictures(void);
Suite *suite_outputs(void);
Suite *suite_program(void);
Suite *suite_paper(void);
Suite *suite_png(void);
Suite *suite_ptx(void);
Suite *suite_rng(void);
Suite *suite_safetensors(void);
Suite *suite_schedule(void);
Suite *suite_slices(void);
Suite *suite_store(void);
Suite *suite_text(void);
Suite *suite_tiles(void);
Suite *suite_variants(void);
Suite *suite_waves(void);

/* The seed of all random inputs and choices: -s, DITCL_TEST_SEED or 1. main.c prints it. */
extern unsigned test_seed;

#endif
