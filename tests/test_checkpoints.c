/* Files of weights: the same tensors in every format that PyTorch writes, and malformed files of
 * each format. scripts/oracle_checkpoints.py made tests/data/checkpoints. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "checkpoint/names.h"
#include "checkpoint/weights.h"
#include "files/checkpoint.h"
#include "files/pickle.h"
#include "files/safetensors.h"
#include "scratch.h"

#define DATA DITCL_SOURCE_DIR "/tests/data/checkpoints/"

/* ---- good files ---- */

static void expect_values(const tensor *got, const tensor *want)
{
    char found[64], wanted[64];
    text_shape(found, sizeof found, got->dims, got->n_dims);
    text_shape(wanted, sizeof wanted, want->dims, want->n_dims);
    ck_assert_str_eq(found, wanted);
    ck_assert_str_eq(got->type_name, want->type_name);
    for (size_t first = 0; first < want->count; first++) { /* starting at every element */
        float a[64] = {0}, b[64] = {0};
        tensor_to_float(a, got, first, want->count - first);
        tensor_to_float(b, want, first, want->count - first);
        for (size_t i = 0; i < want->count - first; i++) ck_assert_float_eq(a[i], b[i]);
    }
}

static bool is_expected(const char *name)
{
    static const char *const names[] = {"blocks.0.weight", "blocks.0.bias", "final.weight",
                                        "scale",           "empty",         "table"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

static const state_kind small = {
    .what = "small network", .anchors = {"final.weight"}, .known = is_expected};

static void expect_file(const char *path, const char *expected)
{
    weights got, want;
    ck_assert_msg(weights_open(&got, path, &small, NULL) == OK, "%s", fail_line());
    ck_assert_msg(weights_open(&want, expected, &small, NULL) == OK, "%s", fail_line());
    ck_assert_uint_eq(want.file.n_tensors, 6);
    ck_assert_uint_eq(got.file.n_tensors, want.file.n_tensors);
    for (size_t i = 0; i < want.file.n_tensors; i++) {
        ck_assert_str_eq(got.file.tensors[i].name, want.file.tensors[i].name);
        expect_values(&got.file.tensors[i], &want.file.tensors[i]);
        tensor_forget(&got.file, &got.file.tensors[i]);
    }
    weights_close(&got);
    weights_close(&want);
}

static const char *const formats[] = {"plain.pt",
                                      "trained.pt",
                                      "framework.ckpt",
                                      "strided.bin",
                                      "protocol5.pth",
                                      "legacy-trained.pt",
                                      "legacy-protocol4.pth",
                                      "diffusion_pytorch_model.safetensors.index.json",
                                      "diffusion_pytorch_model.bin.index.json"};

START_TEST(formats_agree)
{
    char path[4096];
    snprintf(path, sizeof path, DATA "%s", formats[_i]);
    expect_file(path, DATA "expected.safetensors");
}
END_TEST

/* Every truncated file is refused. No changed byte crashes the program. */
START_TEST(cut_and_changed)
{
    static const unsigned char changes[] = {0, 0xff, '.', '(', 'R', 'h', 0x80};
    char name[4096];
    size_t size;
    tensor_file file;
    snprintf(name, sizeof name, DATA "%s", formats[_i]);
    if (strstr(name, ".json")) return;
    unsigned char *bytes = scratch_read(name, &size);
    for (size_t n = 0; n < size; n += 1 + n / 64) {
        fail_clear();
        const char *path = scratch_write("a.pt", bytes, n);
        ck_assert_msg(checkpoint_open(&file, path) == ERR_FORMAT, "%zu of %zu bytes", n, size);
        scratch_expect_message(path, "");
    }
    for (size_t n = 0; n < size; n++) {
        unsigned char before = bytes[n];
        bytes[n] = changes[n % sizeof changes];
        if (checkpoint_open(&file, scratch_write("a.pt", bytes, size)) == OK)
            for (size_t i = 0; i < file.n_tensors; i++) {
                float value;
                const tensor *t = &file.tensors[i];
                if (t->count && t->type != DTYPE_OTHER) tensor_to_float(&value, t, t->count - 1, 1);
            }
        tensor_file_close(&file);
        bytes[n] = before;
    }
    free(bytes);
}
END_TEST

/* ---- pickles ---- */

#define PICKLE(text, message)                                                                      \
    {                                                                                              \
        text, sizeof text - 1, message                                                             \
    }

static const struct {
    const char *bytes;
    size_t n;
    const char *message;
} bad_pickles[] = {
    PICKLE("", "ends too soon"),
    PICKLE("\x80\x02", "ends too soon"),
    PICKLE("\x80\x01N.", "a protocol that is not 2 to 5"),
    PICKLE("\x80\x06N.", "a protocol that is not 2 to 5"),
    PICKLE("\x80\x02.", "takes more from its stack"),
    PICKLE("\x80\x02(.", "takes more from its stack"),
    PICKLE("\x80\x02\x85.", "takes more from its stack"),
    PICKLE("\x80\x02(\x85.", "takes a mark for a value"),
    PICKLE("\x80\x02Nt.", "no mark"),
    PICKLE("\x80\x02}NNu.", "no mark"),
    PICKLE("\x80\x02}(Nu.", "a key without a value"),
    PICKLE("\x80\x02(Nd.", "a key without a value"),
    PICKLE("\x80\x02Na.", "takes more from its stack"),
    PICKLE("\x80\x02K\x01Na.", "adds to what is no container"),
    PICKLE("\x80\x02]NNs.", "adds to what is no container"),
    PICKLE("\x80\x02(u.", "takes more from its stack"),
    PICKLE("\x80\x02h\x00.", "never remembered"),
    PICKLE("\x80\x02q\x00.", "remembers what is not there"),
    PICKLE("\x80\x02Nq\x05h\x04.", "never remembered"),
    PICKLE("\x80\x02Nr\xff\xff\xff\xff.", "its memo is too large"),
    PICKLE("\x80\x02X\xff\xff\xff\xff.", "ends too soon"),
    PICKLE("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too soon"),
    PICKLE("\x80\x02\x8a\x7f.", "ends too soon"),
    PICKLE("\x80\x02"
           "cposix\nsystem",
           "ends too soon"),
    PICKLE("\x80\x02"
           "cposix\nsystem\nNR.",
           "arguments are no tuple"),
    PICKLE("\x80\x02NN\x93.", "a class whose name is no text"),
    PICKLE("\x80\x02iposix\nsystem\n.", "opcode 0x69 is not supported"),
    PICKLE("\x80\x02\x82\x01.", "opcode 0x82 is not supported"),
    PICKLE("\x80\x02Pname\n.", "opcode 0x50 is not supported"),
};

START_TEST(pickles_bad)
{
    pickle p;
    fail_clear();
    status st = pickle_read(&p, (const unsigned char *)bad_pickles[_i].bytes, bad_pickles[_i].n,
                            "file", NULL);
    ck_assert_int_eq(st, ERR_FORMAT);
    scratch_expect_message("file", bad_pickles[_i].message);
    ck_assert_ptr_null(p.nodes);
}
END_TEST

/* A dictionary that contains itself; and a pickle that calls a function, which ditcl must not do.
 */
START_TEST(pickles_odd)
{
    static const char cycle[] = "\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.";
    static const char command[] = "\x80\x02"
                                  "cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
    pickle p;
    size_t used;
    ck_assert_int_eq(pickle_read(&p, (const unsigned char *)cycle, sizeof cycle, "a", &used), OK);
    ck_assert_uint_eq(used, sizeof cycle - 1);
    ck_assert_uint_eq(p.nodes[p.root].items[1], p.root);
    pickle_free(&p);
    ck_assert_int_eq(pickle_read(&p, (const unsigned char *)command, sizeof command, "a", NULL),
                     OK);
    ck_assert_int_eq(p.nodes[p.root].kind, PICKLE_CALL);
    ck_assert(pickle_text_is(p.nodes[p.nodes[p.root].function].text, "system"));
    pickle_free(&p);
    pickle_free(&p);
}
END_TEST

/* Pickle bombs are refused quickly and in little memory: deep nesting, a list copied repeatedly. */
START_TEST(pickles_hostile_size)
{
    enum { MANY = 2000000 };
    unsigned char *bytes = malloc(MANY + 400000);
    pickle p;
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, '(', MANY);
    ck_assert_int_eq(pickle_read(&p, bytes, MANY, "a", NULL), ERR_FORMAT);
    scratch_expect_message("a", "stack is too deep");
    memset(bytes, ']', MANY);
    for (size_t i = 0; i < MANY; i++) bytes[i] = i % 2 ? 'a' : ']'; /* [] into nothing */
    bytes[0] = ']';
    bytes[1] = ']';
    for (size_t i = 2; i < MANY; i += 2) memcpy(bytes + i, "a]", 2);
    ck_assert_int_eq(pickle_read(&p, bytes, MANY, "a", NULL), ERR_FORMAT);
    scratch_expect_message("a", "ends too soon");

    static const char head[] = "\x80\x02"
                               "ccollections\nOrderedDict\nq\x00](";
    static const char again[] = "h\x00h\x01\x85R0";
    size_t n = sizeof head - 1;
    memcpy(bytes, head, n);
    for (int i = 0; i < 100000; i++, n += 3) memcpy(bytes + n, "NN\x86", 3);
    memcpy(bytes + n, "eq\x01", 3);
    n += 3;
    for (int i = 0; i < 10000; i++, n += sizeof again - 1)
        memcpy(bytes + n, again, sizeof again - 1);
    ck_assert_int_eq(pickle_read(&p, bytes, n, "a", NULL), ERR_FORMAT);
    scratch_expect_message("a", "too many values");
    free(bytes);
}
END_TEST

/* ---- an index ---- */

static const struct {
    const char *json, *message;
} bad_indexes[] = {
    {"", "not valid JSON"},
    {"[]", "no weight_map"},
    {"{\"weight_map\": []}", "no weight_map"},
    {"{\"weight_map\": {}}", "no weight_map"},
    {"{\"weight_map\": {\"a\": 1}}", "expected a file in the same folder"},
    {"{\"weight_map\": {\"a\": \"\"}}", "expected a file in the same folder"},
    {"{\"weight_map\": {\"a\": \"..\"}}", "expected a file in the same folder"},
    {"{\"weight_map\": {\"a\": \"../a.safetensors\"}}", "expected a file in the same folder"},
    {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "expected a file in the same folder"},
    {"{\"weight_map\": {\"a\": \"none.bin\"}}", "No such file"},
    {"{\"weight_map\": {\"a\": \"x.index.json\"}}", "x.index.json: header length"},
    {"{\"weight_map\": {\"b\": \"one.safetensors\"}}", "tensor b is in none of its files"},
    {"{\"weight_map\": {\"a\": \"one.safetensors\", \"c\": \"two.safetensors\"}}",
     "tensor a occurs twice"},
};

START_TEST(indexes_bad)
{
    static const char one[] = "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[0],"
                              "\"data_offsets\":[0,0]}}              ";
    tensor_file file;
    scratch_write("one.safetensors", one, 8 + 0x40);
    scratch_write("two.safetensors", one, 8 + 0x40);
    const char *json = bad_indexes[_i].json;
    const char *path = scratch_write("x.index.json", json, strlen(json));
    fail_clear();
    ck_assert_int_ne(checkpoint_open(&file, path), OK);
    scratch_expect_message(scratch_folder(), bad_indexes[_i].message);
    ck_assert_ptr_null(file.maps);
}
END_TEST

/* ---- writing ---- */

START_TEST(writes_what_is_read)
{
    static char note_key[] = "who", note_value[] = "\xc3\xa4 \"b\"";
    const float values[12] = {0, 1, -2.5f, 65504, 1e-8f, 3, 4, 5, 6, 7, 8, 9};
    const tensor table[] = {{.name = "b", .type = DTYPE_F32, .n_dims = 2, .dims = {3, 4}},
                            {.name = "none", .type = DTYPE_F16, .n_dims = 2, .dims = {0, 7}},
                            {.name = "a", .type = DTYPE_F16, .n_dims = 1, .dims = {4}},
                            {.name = "one", .type = DTYPE_BF16, .n_dims = 0}};
    const tensor_note note = {note_key, note_value};
    char path[4096];
    safetensors_writer w;
    tensor_file file;
    snprintf(path, sizeof path, "%s", scratch_path("w.safetensors"));
    ck_assert_int_eq(safetensors_create(&w, path, table, 4, &note, 1), OK);
    ck_assert_int_eq(safetensors_append(&w, values, 5), OK);
    ck_assert_int_eq(safetensors_append(&w, values + 5, 7), OK);
    ck_assert_int_eq(safetensors_append(&w, values, 4), OK);
    ck_assert_int_eq(safetensors_append(&w, values + 2, 1), OK);
    ck_assert_int_eq(safetensors_finish(&w), OK);
    ck_assert_int_eq(scratch_count(), 1); /* the hidden folder */
    ck_assert_int_eq(file_out_commit(&w.out, 1), OK);
    safetensors_discard(&w);
    ck_assert_msg(checkpoint_open(&file, path) == OK, "%s", fail_line());
    ck_assert_uint_eq(file.n_tensors, 4);
    ck_assert_str_eq(tensor_file_note(&file, "who"), note_value);
    for (size_t i = 0; i < 12; i++) {
        float got = -1;
        tensor_to_float(&got, tensor_find(&file, "b"), i, 1);
        ck_assert_float_eq(got, values[i]);
    }
    tensor_file_close(&file);
    const float large = 65520;
    ck_assert_int_eq(safetensors_create(&w, path, table + 2, 1, NULL, 0), OK);
    ck_assert_int_eq(safetensors_append(&w, &large, 1), ERR_FORMAT);
    scratch_expect_message(path, "tensor a: 65520 is too large for 16 bits");
    safetensors_discard(&w);
    ck_assert_int_eq(safetensors_create(&w, path, table, 1, NULL, 0), OK);
    ck_assert_int_eq(safetensors_append(&w, values, 11), OK);
    ck_assert_int_eq(safetensors_finish(&w), ERR_FORMAT);
    scratch_expect_message(path, "tensor b: fewer values");
    ck_assert_int_eq(safetensors_append(&w, values, 2), ERR_FORMAT);
    scratch_expect_message(path, "tensor b: more values");
    ck_assert_int_eq(safetensors_append(&w, values, 1), OK);
    ck_assert_int_eq(safetensors_append(&w, values, 1), ERR_FORMAT);
    scratch_expect_message(path, "more values");
    safetensors_discard(&w);
    const tensor twice[] = {table[0], table[0]};
    ck_assert_int_eq(safetensors_create(&w, path, twice, 2, NULL, 0), ERR_FORMAT);
    ck_assert_int_eq(scratch_count(), 1); /* the first file, whole */
}
END_TEST

/* A checkpoint's args, which say what the tensors do not (scripts/oracle_labels.py wrote them with
 * torch.save). */
START_TEST(args_are_notes)
{
    static const struct {
        const char *name, *dropout;
    } files[] = {{DITCL_SOURCE_DIR "/tests/data/labels/namespace.pt", "0.10000000000000001"},
                 {DITCL_SOURCE_DIR "/tests/data/labels/dictionary.pt", "0"}};
    tensor_file file;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ck_assert_msg(checkpoint_open(&file, files[i].name) == OK, "%s", fail_line());
        ck_assert_uint_eq(file.n_notes, 2);
        ck_assert_str_eq(tensor_file_note(&file, "args.num_classes"), "3");
        ck_assert_str_eq(tensor_file_note(&file, "args.class_dropout_prob"), files[i].dropout);
        tensor_file_close(&file);
    }
}
END_TEST

/* ---- names and values ---- */

/* Writes a file of empty tensors with these names. */
static void write_names(char path[4096], const char *const *names, int n)
{
    tensor table[32];
    safetensors_writer w;
    for (int i = 0; i < n; i++)
        table[i] = (tensor){
            .name = (char *)(uintptr_t)names[i], .type = DTYPE_F16, .n_dims = 1, .dims = {0}};
    snprintf(path, 4096, "%s", scratch_path("w.safetensors"));
    ck_assert_int_eq(safetensors_create(&w, path, table, (size_t)n, NULL, 0), OK);
    ck_assert_int_eq(safetensors_finish(&w), OK);
    ck_assert_int_eq(file_out_commit(&w.out, 1), OK);
    safetensors_discard(&w);
}

/* Prefixes of wrappers are removed at every level. An unknown prefix stays. */
START_TEST(wrappers_leave)
{
    static const char *const names[] = {
        "net.x_embedder._orig_mod.proj.weight",
        "_orig_mod.module.net.blocks.0.attn.qkv.bias",
        "module._orig_mod.net.module.blocks.1.attn.qkv.bias",
        "net.blocks.2._fsdp_wrapped_module._checkpoint_wrapped_module.mlp.fc1.bias",
        "net.blocks.3.module.mlp.fc2.bias",
        "net._forward_module.pos_embed",
        "net.module.blocks.0.gate",
        "loss.blocks"};
    static const char *const bare[] = {"blocks.0.attn.qkv.bias", "blocks.0.gate",
                                       "blocks.1.attn.qkv.bias", "blocks.2.mlp.fc1.bias",
                                       "blocks.3.mlp.fc2.bias",  "pos_embed",
                                       "x_embedder.proj.weight"};
    enum { N = sizeof bare / sizeof *bare };
    weights w;
    char path[4096];
    write_names(path, names, N + 1);
    ck_assert_msg(weights_open(&w, path, &state_dit, NULL) == OK, "%s", fail_line());
    ck_assert_uint_eq(w.file.n_tensors, N);
    for (int i = 0; i < N; i++) ck_assert_str_eq(w.file.tensors[i].name, bare[i]);
    ck_assert_ptr_null(w.taken.note);
    weights_close(&w);
}
END_TEST

#define X(beginning) beginning "x_embedder.proj.weight", beginning "blocks.0.mlp.fc1.bias"

/* Names in a file, --weights, which weights are chosen (null: refused), and the message. */
static const struct {
    const char *names[8], *wanted, *key, *says;
} several[] = {
    {{X("")}, NULL, ".", NULL},
    {{X("model.")}, NULL, "model", NULL},
    {{X("mine.")}, NULL, "mine", "takes \"mine\""},
    {{X("model."), X("ema_model.")}, NULL, "ema_model", "also contains \"model\": --weights raw"},
    {{X("model."), X("ema_model.")},
     "raw",
     "model",
     "also contains \"ema_model\" (averaged weights)"},
    {{X("model."), X("ema_model.")}, "ema", "ema_model", "(averaged weights)"},
    {{X("model."), X("ema_model.")}, "model", "model", "takes \"model\""},
    {{X("model."), X("ema_model.")}, "mod", NULL, "no such key"},
    {{X("ema.online_model."), X("ema.ema_model.")}, NULL, "ema.ema_model", "ema.online_model"},
    {{X("ema.online_model."), X("ema.ema_model.")}, "ema", "ema.ema_model", "averaged"},
    {{X("model.")}, "ema", NULL, "holds no averaged weights; it contains \"model\""},
    {{X("EMAModel.")}, "raw", NULL, "holds no raw weights; it contains \"EMAModel\""},
    {{X("student."), X("teacher.")}, NULL, NULL, "contains two networks"},
    {{X("student."), X("teacher.")}, "teacher", "teacher", "also contains \"student\""},
    {{X(""), X("model.")}, NULL, NULL, "contains two networks"},
    {{X(""), X("module.")}, NULL, NULL, "are both blocks.0.mlp.fc1.bias"},
    {{X(""), X("model_ema.")}, NULL, "model_ema", "also contains \".\" (the top): --weights raw"},
    {{X("non_ema."), X("schema.")}, NULL, "schema", "\"non_ema\""},
    {{X("model."), X("model_noema.")}, NULL, "model", "also contains \"model_noema\":"},
    {{X("model_ema."), X("nonema.")}, "raw", "nonema", "also contains \"model_ema\" (averaged"},
    {{X("model."), "ema.blocks.0.mlp.fc1.bias"}, NULL, "ema", "not averaged, from \"model\""},
    {{X("model."), "ema.blocks.7.mlp.fc1.bias"}, NULL, "model", NULL},
    {{X("optimizer.exp_avg."), "epoch"}, NULL, NULL, "no DiT: neither"},
    {{"a.b", "c"}, NULL, NULL, "it contains \"a.b\", \"c\""},
    {{X("model."), "model_ema.blocks0mlpfc1bias", "model_ema.x_embedderprojweight"},
     NULL,
     "model_ema",
     "--weights raw"},
    {{X("base_model.model."), "base_model.model.blocks.0.attn.qkv.lora_A.default.weight"},
     NULL,
     NULL,
     "contains tensors of an adapter (1, such as"},
};

START_TEST(several_states)
{
    weights w;
    char path[4096];
    int n = 0;
    while (n < 8 && several[_i].names[n]) n++;
    write_names(path, several[_i].names, n);
    fail_clear();
    status st = weights_open(&w, path, &state_dit, several[_i].wanted);
    if (!several[_i].key) {
        ck_assert_int_ne(st, OK);
        ck_assert_msg(strstr(fail_line(), several[_i].says) != NULL, "%s", fail_line());
        ck_assert_ptr_null(w.file.maps);
        return;
    }
    ck_assert_msg(st == OK, "%s", fail_line());
    ck_assert_str_eq(w.taken.key, several[_i].key);
    ck_assert_uint_eq(w.file.n_tensors, 2);
    ck_assert(weights_has(&w, "x_embedder.proj.weight"));
    ck_assert(weights_has(&w, "blocks.0.mlp.fc1.bias"));
    if (several[_i].says)
        ck_assert_msg(w.taken.note && strstr(w.taken.note, several[_i].says), "%s",
                      w.taken.note ? w.taken.note : "no note");
    else
        ck_assert_ptr_null(w.taken.note);
    weights_close(&w);
}
END_TEST

/* Tensors with equal values count as equal, whatever their strides in the file. */
START_TEST(strides_are_no_difference)
{
    static const unsigned char rows[] = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
    static const unsigned char columns[] = {1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0};
    tensor t[] = {
        {.name = "a", .data = rows}, {.name = "b", .data = columns}, {.name = "c", .data = rows}};
    for (int i = 0; i < 3; i++) {
        t[i].type = DTYPE_F16;
        t[i].n_dims = 2;
        t[i].dims[0] = 2;
        t[i].dims[1] = 3;
        t[i].count = 6;
        t[i].strided = i > 0;
        t[i].strides[0] = 1;
        t[i].strides[1] = 2;
    }
    const weights w = {.file = {.tensors = t, .n_tensors = 3}};
    ck_assert(weights_equal(&w, "a", "b"));
    ck_assert(weights_equal(&w, "b", "b"));
    ck_assert(!weights_equal(&w, "a", "c"));
    ck_assert(!weights_equal(&w, "b", "c"));
}
END_TEST

/* ---- names of a VAE ---- */

static const struct {
    const char *theirs, *ours;
} vae_names[] = {
#include "data/vae_names.inc"
};

START_TEST(vae_names_agree)
{
    int levels = 0;
    for (size_t i = 0; i < sizeof vae_names / sizeof *vae_names; i++) {
        int n = name_vae_levels(vae_names[i].theirs);
        levels = n > levels ? n : levels;
    }
    ck_assert_int_eq(levels, 4);
    for (size_t i = 0; i < sizeof vae_names / sizeof *vae_names; i++) {
        char out[NAME_BYTES];
        snprintf(out, sizeof out, "%s", vae_names[i].theirs);
        name_vae(out, vae_names[i].theirs, levels);
        ck_assert_str_eq(out, vae_names[i].ours);
        ck_assert(!name_vae(out, vae_names[i].ours, levels));
    }
}
END_TEST

#define COUNT(a) (int)(sizeof a / sizeof *a)

Suite *suite_checkpoints(void)
{
    Suite *suite = suite_create("checkpoints");
    TCase *tc = tcase_create("checkpoints");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, scratch_open, scratch_close);
    tcase_add_loop_test(tc, formats_agree, 0, COUNT(formats));
    tcase_add_loop_test(tc, cut_and_changed, 0, COUNT(formats));
    tcase_add_loop_test(tc, pickles_bad, 0, COUNT(bad_pickles));
    tcase_add_test(tc, pickles_odd);
    tcase_add_test(tc, pickles_hostile_size);
    tcase_add_loop_test(tc, indexes_bad, 0, COUNT(bad_indexes));
    tcase_add_test(tc, writes_what_is_read);
    tcase_add_test(tc, args_are_notes);
    tcase_add_test(tc, wrappers_leave);
    tcase_add_loop_test(tc, several_states, 0, COUNT(several));
    tcase_add_test(tc, strides_are_no_difference);
    tcase_add_test(tc, vae_names_agree);
    suite_add_tcase(suite, tc);
    return suite;
}
