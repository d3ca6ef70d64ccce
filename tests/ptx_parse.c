/* Parses PTX text into kernels. See ptx.h and ptx_program.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_program.h"

enum { NAME = 128, STATEMENT = 1024, MOST_TABLES = 16, MOST_SHARED = 32 };

struct ptx_module {
    char *text; /* instructions point into it */
    ptx_kernel *kernels;
    int n;
};

typedef struct {
    char name[16]; /* "rd" of %rd1 */
    int bits;      /* 1: predicates */
    int bytes;     /* bytes of a lane; 0: predicates */
    int count;
    slot first;
} register_table;

typedef struct {
    char name[NAME];
    size_t at;
} shared_array;

typedef struct {
    char name[NAME];
    int instruction;
} label;

typedef struct {
    ptx_kernel *k;
    int capacity, initial_capacity;
    register_table tables[MOST_TABLES];
    shared_array shared[MOST_SHARED];
    int n_tables, n_shared;
    label *labels, *jumps; /* jumps: the label's name, indexed by the branch instruction */
    int n_labels, n_jumps;
    char *why;
} parser;

static bool complain(parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->why, PTX_WHY, format, args);
    va_end(args);
    return false;
}

/* Room for one more element; null if there is no memory. */
static void *grow(void *array, int n, int *capacity, size_t size)
{
    if (n < *capacity) return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    return realloc(array, (size_t)*capacity * size);
}

/* ---- slots ---- */

static slot new_slot(ptx_kernel *k, int bytes, int count)
{
    size_t each = bytes ? (size_t)bytes * PTX_LANES : 8;
    slot at = (slot)k->file_bytes;
    k->file_bytes += each * (size_t)count;
    return at;
}

/* A slot that has this value before a warp begins. */
static slot initial_slot(parser *p, int bytes, initial_kind kind, int index, uint64_t value)
{
    ptx_kernel *k = p->k;
    for (int i = 0; i < k->n_initial; i++) {
        const ptx_initial *o = &k->initial[i];
        if (o->bytes == bytes && o->kind == kind && o->index == index && o->value == value)
            return o->at;
    }
    ptx_initial *grown = grow(k->initial, k->n_initial, &p->initial_capacity, sizeof *grown);
    if (!grown) return SLOT_NONE;
    k->initial = grown;
    slot at = new_slot(k, bytes, 1);
    grown[k->n_initial++] = (ptx_initial){at, bytes, kind, index, value};
    return at;
}

static slot register_slot(const parser *p, const char *name, int *bits)
{
    for (int i = 0; i < p->n_tables; i++) {
        const register_table *t = &p->tables[i];
        size_t n = strlen(t->name);
        if (strncmp(name, t->name, n) != 0 || !isdigit((unsigned char)name[n])) continue;
        long index = strtol(name + n, NULL, 10);
        if (index >= t->count) continue;
        *bits = t->bits;
        return t->first + (slot)index * (t->bytes ? t->bytes * PTX_LANES : 8);
    }
    return SLOT_NONE;
}

static slot special_slot(parser *p, const char *name)
{
    static const struct {
        const char *name;
        initial_kind kind;
    } all[] = {{"tid.", INITIAL_LOCAL_ID},
               {"ntid.", INITIAL_LOCAL_SIZE},
               {"ctaid.", INITIAL_GROUP_ID},
               {"nctaid.", INITIAL_GROUPS}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t n = strlen(all[i].name);
        if (!strncmp(name, all[i].name, n) && name[n] >= 'x' && name[n] <= 'z')
            return initial_slot(p, 4, all[i].kind, name[n] - 'x', 0);
    }
    if (!strncmp(name, "envreg", 6) && name[6] >= '3' && name[6] <= '5')
        return initial_slot(p, 4, INITIAL_OFFSET, name[6] - '3', 0);
    return SLOT_NONE;
}

static bool shared_address(const parser *p, const char *name, uint64_t *at)
{
    for (int i = 0; i < p->n_shared; i++)
        if (!strcmp(p->shared[i].name, name)) {
            *at = p->shared[i].at;
            return true;
        }
    return false;
}

/* The slot of a register, a number, or a shared array's address, as a source of so many bytes. */
static slot source_slot(parser *p, const char *text, int bytes)
{
    uint64_t value;
    int own;
    char *end;
    if (*text == '%') {
        slot s = register_slot(p, text + 1, &own);
        return s != SLOT_NONE ? s : special_slot(p, text + 1);
    }
    if (!strncmp(text, "0f", 2) || !strncmp(text, "0d", 2))
        return initial_slot(p, bytes, INITIAL_CONSTANT, 0, strtoull(text + 2, NULL, 16));
    if (shared_address(p, text, &value)) return initial_slot(p, bytes, INITIAL_CONSTANT, 0, value);
    value = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
    if (end == text || *end) return SLOT_NONE;
    if (bytes == 4) value &= 0xffffffffu;
    return initial_slot(p, bytes, INITIAL_CONSTANT, 0, value);
}

/* ---- operands ---- */

typedef struct {
    char texts[MOST_SOURCES + MOST_RESULTS][NAME]; /* each part in braces is a text of its own */
    int n;
    int groups[8]; /* operands in each pair of braces, or 1, in their order */
    int n_groups;
} operands;

/* "{%f1,%f2}, [%rd3+16], 5" */
static bool split_operands(operands *o, const char *text)
{
    bool braces = false;
    *o = (operands){0};
    while (*text) {
        text += strspn(text, " \t,");
        if (*text == '{' || *text == '}') {
            braces = *text++ == '{';
            if (braces) o->n_groups++;
            continue;
        }
        if (!*text) break;
        size_t length = *text == '[' ? strcspn(text, "]") + 1 : strcspn(text, ", \t}");
        if (o->n == MOST_SOURCES + MOST_RESULTS || length >= NAME || o->n_groups >= 8) return false;
        memcpy(o->texts[o->n], text, length);
        o->texts[o->n++][length] = 0;
        if (!braces) o->n_groups++;
        o->groups[o->n_groups - 1]++;
        text += length;
    }
    return true;
}

/* "[%rd1+-16]", "[array+8]", as source 0 or 1 */
static bool parse_address(parser *p, ptx_instruction *i, int operand, const char *text)
{
    char base[NAME];
    const char *plus = strchr(text, '+');
    size_t length = strcspn(text + 1, "+]");
    uint64_t at = 0;
    int bits = 64;
    if (*text != '[' || length >= NAME) return false;
    memcpy(base, text + 1, length);
    base[length] = 0;
    i->offset[operand] = plus ? strtoll(plus + 1, NULL, 10) : 0;
    if (*base == '%') {
        i->sources[operand] = register_slot(p, base + 1, &bits);
    } else {
        if (!shared_address(p, base, &at)) return false;
        i->sources[operand] = initial_slot(p, 8, INITIAL_CONSTANT, 0, at);
    }
    i->wide[operand] = bits == 64;
    return i->sources[operand] != SLOT_NONE;
}

/* ---- instructions ---- */

/* Bytes of a lane by the type at the end of an instruction's name; 0 for predicates. */
static int type_bytes(const char *name)
{
    const char *type = strrchr(name, '.');
    if (!type || !strcmp(type, ".pred")) return 0;
    return atoi(type + 2) / 8;
}

static int register_bytes(int type)
{
    return type == 8 ? 8 : 4;
}

static bool add_instruction(parser *p, ptx_instruction i)
{
    ptx_kernel *k = p->k;
    ptx_instruction *grown = grow(k->code, k->n, &p->capacity, sizeof *grown);
    if (!grown) return complain(p, "no memory");
    k->code = grown;
    k->code[k->n++] = i;
    return true;
}

/* cvt may read the lower half of a 64-bit register. An extra instruction before it then moves
 * that half to a register of its own. */
static bool take_lower_half(parser *p, ptx_instruction *i, const char *text)
{
    int bits = 32, type = type_bytes(i->op->name);
    if (*text != '%' || strncmp(i->op->name, "cvt", 3) != 0 || type == 8) return true;
    register_slot(p, text + 1, &bits);
    if (bits != 64) return true;
    ptx_instruction half = {.kind = PTX_LANE_OP,
                            .op = lane_op_find("cvt.u32.u64"),
                            .guard = SLOT_NONE,
                            .text = i->text,
                            .sources = {i->sources[0]}};
    half.results[0] = i->sources[0] = new_slot(p->k, 4, 1);
    return add_instruction(p, half);
}

static bool parse_lane_op(parser *p, ptx_instruction *i, const operands *o)
{
    int sources = i->op->sources, bytes = type_bytes(i->op->name);
    bool shift = !strncmp(i->op->name, "sh", 2);
    int own;
    if (o->n != 1 + sources) return false;
    i->kind = PTX_LANE_OP;
    i->results[0] = register_slot(p, o->texts[0] + 1, &own);
    for (int s = 0; s < sources; s++) {
        bool word = shift && s == 1;
        i->sources[s] = source_slot(p, o->texts[1 + s], word ? 4 : register_bytes(bytes));
        if (i->sources[s] == SLOT_NONE) return false;
    }
    return i->results[0] != SLOT_NONE && take_lower_half(p, i, o->texts[1]);
}

static bool parse_memory(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    bool load = !strncmp(name, "ld", 2);
    int own = 0, first = load ? 0 : 1;
    i->kind = load ? PTX_LOAD : PTX_STORE;
    i->shared = strstr(name, ".shared") != NULL;
    i->bytes = type_bytes(name);
    i->is_signed = strrchr(name, '.')[1] == 's';
    i->vector = o->n - 1;
    if (!i->shared && !strstr(name, ".global")) return false;
    if (i->vector != 1 && i->vector != 2 && i->vector != 4) return false;
    if (!parse_address(p, i, 0, o->texts[load ? i->vector : 0])) return false;
    for (int v = 0; v < i->vector; v++) {
        const char *text = o->texts[first + v];
        slot s = load ? register_slot(p, text + 1, &own)
                      : source_slot(p, text, register_bytes(i->bytes));
        if (s == SLOT_NONE) return false;
        i->register_bits = 8 * register_bytes(i->bytes);
        if (*text == '%') register_slot(p, text + 1, &i->register_bits);
        *(load ? &i->results[v] : &i->sources[1 + v]) = s;
    }
    return true;
}

static bool parse_argument(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    const char *number = o->n == 2 ? strrchr(o->texts[1], '_') : NULL;
    int own, index = number ? atoi(number + 1) : -1;
    if (index < 0 || index >= p->k->n_args || strchr(o->texts[1], '+')) return false;
    i->kind = PTX_COPY;
    i->bytes = register_bytes(type_bytes(name));
    i->sources[0] = initial_slot(p, i->bytes, INITIAL_ARGUMENT, index, 0);
    i->results[0] = register_slot(p, o->texts[0] + 1, &own);
    if (i->bytes == 8 || own != 64) return i->results[0] != SLOT_NONE;
    i->kind = PTX_LANE_OP;
    i->op = lane_op_find(strstr(name, ".s32") ? "cvt.s64.s32" : "cvt.u64.u32");
    return true;
}

/* Registers in braces, from operand `first` on. */
static bool parse_registers_of(parser *p, slot *slots, const operands *o, int first, int n)
{
    int own;
    for (int i = 0; i < n; i++)
        if ((slots[i] = register_slot(p, o->texts[first + i] + 1, &own)) == SLOT_NONE) return false;
    return true;
}

static bool parse_mma(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    static const char end[] = ".row.col.f32.f16.f16.f32", bf16_end[] = ".row.col.f32.bf16.bf16.f32";
    char expected[NAME];
    i->kind = PTX_MMA;
    i->bf16 = strstr(name, ".bf16.bf16.") != NULL;
    i->depth = strstr(name, ".m16n8k8.") ? 8 : 16;
    snprintf(expected, NAME, "mma.sync.aligned.m16n8k%d%s", i->depth, i->bf16 ? bf16_end : end);
    const int sizes[] = {4, i->depth / 4, i->depth / 8, 4};
    return !strcmp(name, expected) && o->n_groups == 4 && !memcmp(o->groups, sizes, sizeof sizes) &&
           parse_registers_of(p, i->results, o, 0, 4) &&
           parse_registers_of(p, i->sources, o, 4, o->n - 4);
}

static bool parse_ldmatrix(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    char expected[NAME];
    i->kind = PTX_LDMATRIX;
    i->transposed = strstr(name, ".trans.") != NULL;
    i->vector = o->n - 1;
    snprintf(expected, NAME, "ldmatrix.sync.aligned.m8n8.x%d%s.shared.b16", i->vector,
             i->transposed ? ".trans" : "");
    return !strcmp(name, expected) && o->n_groups == 2 &&
           parse_registers_of(p, i->results, o, 0, i->vector) &&
           parse_address(p, i, 0, o->texts[i->vector]);
}

/* "cp.async.cg.shared.global [%rd1], [%rd2], 16, %r3;" .cg copies 16 bytes, .ca 4, 8 or 16. */
static bool parse_async(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    bool cg = !strcmp(name, "cp.async.cg.shared.global");
    i->kind = PTX_ASYNC;
    if (!strcmp(name, "cp.async.commit_group")) {
        i->kind = PTX_COMMIT;
        return o->n == 0;
    }
    if (!strcmp(name, "cp.async.wait_all") || !strcmp(name, "cp.async.wait_group")) {
        i->kind = PTX_WAIT;
        i->pending = o->n ? atoi(o->texts[0]) : -1;
        return o->n == !strcmp(name, "cp.async.wait_group") &&
               (!o->n || isdigit((unsigned char)*o->texts[0]));
    }
    if ((!cg && strcmp(name, "cp.async.ca.shared.global") != 0) || o->n < 3 || o->n > 4)
        return false;
    i->bytes = atoi(o->texts[2]);
    if (i->bytes != 16 && (cg || (i->bytes != 4 && i->bytes != 8))) return false;
    i->sources[2] = o->n == 4 ? source_slot(p, o->texts[3], 4) : SLOT_NONE;
    return (o->n == 3 || i->sources[2] != SLOT_NONE) && parse_address(p, i, 0, o->texts[0]) &&
           parse_address(p, i, 1, o->texts[1]);
}

/* Other instructions, by the beginning of their names. */
static bool parse_other(parser *p, ptx_instruction *i, const char *name, const operands *o)
{
    int own;
    if (!strncmp(name, "ld.param", 8)) return parse_argument(p, i, name, o);
    if (!strncmp(name, "ld.", 3) || !strncmp(name, "st.", 3)) return parse_memory(p, i, name, o);
    if (!strncmp(name, "mma.", 4)) return parse_mma(p, i, name, o);
    if (!strncmp(name, "ldmatrix.", 9)) return parse_ldmatrix(p, i, name, o);
    if (!strncmp(name, "cp.async", 8)) return parse_async(p, i, name, o);
    if (!strcmp(name, "bra") || !strcmp(name, "bra.uni")) {
        i->kind = PTX_BRANCH;
        label *jumps = realloc(p->jumps, (size_t)(p->n_jumps + 1) * sizeof *jumps);
        if (!jumps || o->n != 1) return false;
        p->jumps = jumps;
        jumps[p->n_jumps].instruction = p->k->n;
        memcpy(jumps[p->n_jumps++].name, o->texts[0], NAME);
        return true;
    }
    if (!strcmp(name, "bar.sync")) {
        i->kind = PTX_BARRIER;
        return o->n == 1 && !strcmp(o->texts[0], "0");
    }
    if (!strcmp(name, "ret")) {
        i->kind = PTX_RETURN;
        return true;
    }
    if (!strncmp(name, "mov.", 4) && o->n == 2) {
        i->kind = PTX_COPY;
        i->bytes = register_bytes(type_bytes(name));
        i->results[0] = register_slot(p, o->texts[0] + 1, &own);
        i->sources[0] = source_slot(p, o->texts[1], i->bytes);
        return i->results[0] != SLOT_NONE && i->sources[0] != SLOT_NONE;
    }
    if (!strncmp(name, "selp.", 5) && o->n == 4) {
        i->kind = PTX_SELECT;
        i->bytes = register_bytes(type_bytes(name));
        i->results[0] = register_slot(p, o->texts[0] + 1, &own);
        i->sources[0] = source_slot(p, o->texts[1], i->bytes);
        i->sources[1] = source_slot(p, o->texts[2], i->bytes);
        i->sources[2] = register_slot(p, o->texts[3] + 1, &own);
        return i->results[0] != SLOT_NONE && i->sources[0] != SLOT_NONE &&
               i->sources[1] != SLOT_NONE && i->sources[2] != SLOT_NONE;
    }
    if (!strcmp(name, "atom.global.or.b32") && o->n == 3) {
        i->kind = PTX_ATOMIC_OR;
        i->results[0] = register_slot(p, o->texts[0] + 1, &own);
        i->sources[1] = source_slot(p, o->texts[2], 4);
        return i->results[0] != SLOT_NONE && i->sources[1] != SLOT_NONE &&
               parse_address(p, i, 0, o->texts[1]);
    }
    return false;
}

static bool parse_instruction(parser *p, char *text)
{
    ptx_instruction i = {.guard = SLOT_NONE, .text = text};
    char name[NAME];
    const char *at = text;
    operands o;
    int own;
    if (*at == '@') {
        i.guard_not = at[1] == '!';
        i.guard = register_slot(p, at + 2 + i.guard_not, &own);
        at += strcspn(at, " \t");
        at += strspn(at, " \t");
        if (i.guard == SLOT_NONE) return complain(p, "unknown predicate: %.200s", text);
    }
    size_t length = strcspn(at, " \t");
    if (length >= NAME) return complain(p, "too long: %.200s", text);
    memcpy(name, at, length);
    name[length] = 0;
    if (!split_operands(&o, at + length)) return complain(p, "operands: %.200s", text);
    i.op = lane_op_find(name);
    if (i.op ? !parse_lane_op(p, &i, &o) : !parse_other(p, &i, name, &o))
        return complain(p, "not understood: %.200s", text);
    return add_instruction(p, i);
}

/* ---- declarations ---- */

/* ".reg .b32 %r<634>;" */
static bool parse_registers(parser *p, const char *text)
{
    static const struct {
        const char *type;
        int bits, bytes;
    } types[] = {{"pred", 1, 0}, {"b16", 16, 4}, {"b32", 32, 4},
                 {"f32", 32, 4}, {"b64", 64, 8}, {"f64", 64, 8}};
    char type[8];
    register_table t = {0};
    if (sscanf(text, ".reg .%7s %%%15[a-z]<%d>", type, t.name, &t.count) != 3 ||
        p->n_tables == MOST_TABLES || t.count < 1 || t.count > 1 << 20)
        return complain(p, "not understood: %.200s", text);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].type) != 0) continue;
        t.bits = types[i].bits;
        t.bytes = types[i].bytes;
        t.first = new_slot(p->k, t.bytes, t.count);
        p->tables[p->n_tables++] = t;
        return true;
    }
    return complain(p, "unknown type: %.200s", text);
}

/* ".shared .align 16 .b8 name[20480];" */
static bool parse_shared(parser *p, const char *text)
{
    shared_array a = {0};
    size_t align, bytes;
    if (sscanf(text, ".shared .align %zu .b8 %127[A-Za-z0-9_$.][%zu]", &align, a.name, &bytes) !=
            3 ||
        p->n_shared == MOST_SHARED || align == 0)
        return complain(p, "not understood: %.200s", text);
    a.at = (p->k->shared_bytes + align - 1) / align * align;
    p->k->shared_bytes = a.at + bytes;
    p->shared[p->n_shared++] = a;
    return true;
}

static bool add_label(parser *p, const char *text)
{
    label *labels = realloc(p->labels, (size_t)(p->n_labels + 1) * sizeof *labels);
    size_t length = strlen(text) - 1;
    if (!labels || length >= NAME) return complain(p, "label %.200s", text);
    p->labels = labels;
    labels[p->n_labels] = (label){.instruction = p->k->n};
    memcpy(labels[p->n_labels++].name, text, length);
    return true;
}

/* Sets the target of each branch to the instruction behind its label, then cuts the code into
 * blocks. */
static bool link_labels(parser *p)
{
    bool *leaders = calloc((size_t)p->k->n + 1, sizeof *leaders), linked = leaders != NULL;
    for (int j = 0; j < p->n_jumps && linked; j++) {
        int found = -1;
        for (int i = 0; i < p->n_labels; i++)
            if (!strcmp(p->labels[i].name, p->jumps[j].name)) found = p->labels[i].instruction;
        linked = found >= 0 && found < p->k->n;
        if (!linked) complain(p, "no label %s", p->jumps[j].name);
        if (linked) p->k->code[p->jumps[j].instruction].target = found;
        if (linked) leaders[found] = true;
    }
    linked = linked && ptx_make_blocks(p->k, leaders);
    free(leaders);
    return linked;
}

/* ---- text ---- */

static bool parse_statement(parser *p, char *text)
{
    size_t length = strlen(text);
    if (!length || !strcmp(text, "{") || !strcmp(text, "}")) return true;
    if (text[length - 1] == ':') return add_label(p, text);
    if (!strncmp(text, ".reg ", 5)) return parse_registers(p, text);
    if (!strncmp(text, ".shared ", 8)) return parse_shared(p, text);
    if (!strncmp(text, ".pragma", 7) || !strncmp(text, ".loc", 4)) return true;
    if (*text == '.') return complain(p, "not understood: %.200s", text);
    return parse_instruction(p, text);
}

/* Cuts body into statements in place; comments are gone already. */
static bool parse_body(parser *p, char *body, const char *end)
{
    while (body < end) {
        body += strspn(body, " \t\n;");
        if (body >= end) break;
        char *stop = body + strcspn(body, ";\n"), *last = stop;
        *stop = 0;
        while (last > body && (last[-1] == ' ' || last[-1] == '\t')) *--last = 0;
        for (char *t = body; *t; t++)
            if (*t == '\t') *t = ' ';
        if (!parse_statement(p, body)) return false;
        body = stop + 1;
    }
    return true;
}

static void remove_comments(char *text)
{
    for (char *at = text; (at = strstr(at, "//"));)
        while (*at && *at != '\n') *at++ = ' ';
}

/* at: behind ".entry ". Returns the end of the kernel, or null. */
static char *parse_kernel(ptx_module *m, char *at, char *why)
{
    parser p = {.why = why};
    char *open = strstr(at, "\n{"), *close = open ? strstr(open, "\n}") : NULL;
    size_t length = strcspn(at, "( \t\n");
    bool parsed = false;
    ptx_kernel *kernels = realloc(m->kernels, (size_t)(m->n + 1) * sizeof *kernels);
    if (!kernels) return NULL;
    m->kernels = kernels;
    p.k = &kernels[m->n++];
    *p.k = (ptx_kernel){.name = strndup(at, length)};
    if (!close || !p.k->name) {
        complain(&p, "a kernel without an end");
        return NULL;
    }
    *open = 0;
    for (char *arg = at; (arg = strstr(arg, ".param ")); arg++)
        if (p.k->n_args++ < PTX_ARGUMENTS)
            p.k->pointers[p.k->n_args - 1] = !strncmp(arg, ".param .u64 .ptr ", 17);
    if (p.k->n_args > PTX_ARGUMENTS)
        complain(&p, "%d arguments", p.k->n_args);
    else
        parsed = parse_body(&p, open + 2, close) && link_labels(&p);
    free(p.labels);
    free(p.jumps);
    return parsed ? close + 2 : NULL;
}

ptx_module *ptx_parse(const char *text, char why[PTX_WHY])
{
    ptx_module *m = calloc(1, sizeof *m);
    snprintf(why, PTX_WHY, "no memory");
    if (!m || !(m->text = strdup(text))) {
        free(m);
        return NULL;
    }
    remove_comments(m->text);
    char *at = strstr(m->text, ".entry ");
    if (!at) snprintf(why, PTX_WHY, "no kernel");
    while (at) {
        char *end = parse_kernel(m, at + strlen(".entry "), why);
        if (!end) break;
        at = strstr(end, ".entry ");
        if (!at) return m;
    }
    ptx_free(m);
    return NULL;
}

void ptx_free(ptx_module *m)
{
    if (!m) return;
    for (int i = 0; i < m->n; i++) {
        free(m->kernels[i].name);
        free(m->kernels[i].code);
        free(m->kernels[i].blocks);
        free(m->kernels[i].initial);
    }
    free(m->kernels);
    free(m->text);
    free(m);
}

const ptx_kernel *ptx_find(const ptx_module *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->kernels[i].name, name)) return &m->kernels[i];
    return NULL;
}

int ptx_arguments(const ptx_kernel *k)
{
    return k->n_args;
}

bool ptx_is_pointer(const ptx_kernel *k, int argument)
{
    return k->pointers[argument];
}

size_t ptx_shared_bytes(const ptx_kernel *k)
{
    return k->shared_bytes;
}
