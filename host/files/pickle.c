/* Pickles. See pickle.h. The names of opcodes are those of Python's pickletools. */
#include "files/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    MAX_NODES = 1 << 20, /* a tensor needs about ten */
    MAX_ITEMS = 1 << 22,
    MAX_STACK = 1 << 20,
    MARK = -1 /* a mark on the stack, stored as a pickle_ref */
};

/* Nodes that exist in every pickle. */
enum { NODE_OTHER, NODE_FALSE, NODE_TRUE, NODE_EMPTY_TUPLE, N_SHARED };

typedef struct {
    pickle *p;
    const unsigned char *data, *at, *end;
    const char *where;
    pickle_ref *stack, *memo;
    size_t depth, stack_capacity, n_memo, memo_capacity;
    bool done;
} machine;

static status pickle_fail(const machine *m, const char *what)
{
    fail(ERR_FORMAT, "%s: pickle, byte %zu: %s", m->where, (size_t)(m->at - m->data), what);
    return ERR_FORMAT; /* a constant, so that the compiler sees which results are set */
}

/* ---- bytes ---- */

static status take_bytes(machine *m, size_t n, const unsigned char **bytes)
{
    if (n > (size_t)(m->end - m->at)) return pickle_fail(m, "ends too soon; cut short?");
    *bytes = m->at;
    m->at += n;
    return OK;
}

static status take_unsigned(machine *m, size_t n, uint64_t *value)
{
    const unsigned char *p;
    status st = take_bytes(m, n, &p);
    *value = 0;
    for (size_t i = n; st == OK && i-- > 0;) *value = *value << 8 | p[i];
    return st;
}

/* A text after its length, an integer of n bytes. */
static status take_span(machine *m, size_t n, pickle_span *span)
{
    uint64_t length;
    const unsigned char *p;
    status st = take_unsigned(m, n, &length);
    if (st == OK && length > SIZE_MAX / 2) st = pickle_fail(m, "ends too soon; cut short?");
    if (st == OK) st = take_bytes(m, (size_t)length, &p);
    if (st == OK) *span = (pickle_span){(const char *)p, (size_t)length};
    return st;
}

static status take_line(machine *m, pickle_span *span)
{
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end) return pickle_fail(m, "ends too soon; cut short?");
    *span = (pickle_span){(const char *)m->at, (size_t)(end - m->at)};
    m->at = end + 1;
    return OK;
}

/* ---- nodes and stack ---- */

static status new_node(machine *m, pickle_kind kind, pickle_ref *out)
{
    pickle *p = m->p;
    if (p->n_nodes == MAX_NODES) return pickle_fail(m, "too many values");
    status st = memory_grow(&p->nodes, &p->node_capacity, p->n_nodes + 1, sizeof *p->nodes);
    if (st != OK) return st;
    p->nodes[p->n_nodes] = (pickle_node){.kind = kind};
    *out = (pickle_ref)p->n_nodes++;
    return OK;
}

static status push(machine *m, pickle_ref value)
{
    if (m->depth == MAX_STACK) return pickle_fail(m, "its stack is too deep");
    status st = memory_grow(&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack);
    if (st == OK) m->stack[m->depth++] = value;
    return st;
}

static status push_new(machine *m, pickle_kind kind, pickle_ref *out)
{
    status st = new_node(m, kind, out);
    return st == OK ? push(m, *out) : st;
}

static status pop(machine *m, pickle_ref *value)
{
    if (m->depth == 0 || m->stack[m->depth - 1] == (pickle_ref)MARK)
        return pickle_fail(m, "takes more from its stack than there is");
    *value = m->stack[--m->depth];
    return OK;
}

/* *first = the index on the stack above the last mark. */
static status find_mark(machine *m, size_t *first)
{
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1] != (pickle_ref)MARK) i--;
    if (i == 0) return pickle_fail(m, "there is no mark on its stack");
    *first = i;
    return OK;
}

static status add_items(machine *m, pickle_ref to, const pickle_ref *values, size_t n)
{
    pickle_node *node = &m->p->nodes[to];
    if (n > MAX_ITEMS - m->p->n_items) return pickle_fail(m, "too many values");
    status st = memory_grow(&node->items, &node->capacity, node->n_items + n, sizeof *node->items);
    if (st != OK) return st;
    if (n) memcpy(node->items + node->n_items, values, n * sizeof *values);
    node->n_items += n;
    m->p->n_items += n;
    return OK;
}

/* Pops n values, which become the items of a new node. */
static status gather(machine *m, pickle_kind kind, size_t n)
{
    pickle_ref node = NODE_OTHER;
    status st = new_node(m, kind, &node);
    if (m->depth < n) return pickle_fail(m, "takes more from its stack than there is");
    for (size_t i = m->depth - n; i < m->depth; i++)
        if (m->stack[i] == (pickle_ref)MARK) return pickle_fail(m, "takes a mark for a value");
    if (st == OK) st = add_items(m, node, m->stack + m->depth - n, n);
    if (st != OK) return st;
    m->depth -= n;
    return push(m, node);
}

static status gather_to_mark(machine *m, pickle_kind kind)
{
    size_t first;
    status st = find_mark(m, &first);
    if (st != OK) return st;
    if (kind == PICKLE_DICT && (m->depth - first) % 2)
        return pickle_fail(m, "a key without a value");
    pickle_ref node = NODE_OTHER;
    st = new_node(m, kind, &node);
    if (st == OK) st = add_items(m, node, m->stack + first, m->depth - first);
    m->depth = first - 1;
    return st == OK ? push(m, node) : st;
}

/* Adds the values from `first` on to the container below them (and below the mark, if there is
 * one). */
static status extend(machine *m, size_t first, bool mark, pickle_kind kind)
{
    size_t n = m->depth - first, below = first - mark;
    if (first < mark || below == 0 || m->stack[below - 1] == (pickle_ref)MARK)
        return pickle_fail(m, "takes more from its stack than there is");
    pickle_ref to = m->stack[below - 1];
    pickle_kind found = m->p->nodes[to].kind;
    status st = OK;
    if (kind == PICKLE_DICT && n % 2) return pickle_fail(m, "a key without a value");
    if ((found == kind && kind != PICKLE_OTHER) || (found == PICKLE_CALL && kind == PICKLE_DICT))
        st = add_items(m, to, m->stack + first, n);
    else if (found != PICKLE_CALL && found != PICKLE_OTHER)
        st = pickle_fail(m, "adds to what is no container");
    m->depth = below;
    return st;
}

static status extend_to_mark(machine *m, pickle_kind kind)
{
    size_t first;
    status st = find_mark(m, &first);
    return st == OK ? extend(m, first, true, kind) : st;
}

static status extend_by(machine *m, size_t n, pickle_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (m->depth < n || m->stack[m->depth - 1 - i] == (pickle_ref)MARK)
            return pickle_fail(m, "takes more from its stack than there is");
    return extend(m, m->depth - n, false, kind);
}

/* ---- values ---- */

static status push_int(machine *m, int64_t value)
{
    pickle_ref node;
    status st = push_new(m, PICKLE_INT, &node);
    if (st == OK) m->p->nodes[node].integer = value;
    return st;
}

static status push_long(machine *m, size_t length_bytes)
{
    pickle_span digits;
    status st = take_span(m, length_bytes, &digits);
    if (st != OK) return st;
    if (digits.length > 8) return push(m, NODE_OTHER);
    uint64_t value = 0;
    for (size_t i = digits.length; i-- > 0;) value = value << 8 | (unsigned char)digits.at[i];
    if (digits.length && digits.length < 8 && digits.at[digits.length - 1] & 0x80)
        value |= UINT64_MAX << 8 * digits.length;
    return push_int(m, (int64_t)value);
}

static status push_unsigned(machine *m, size_t bytes)
{
    uint64_t value;
    status st = take_unsigned(m, bytes, &value);
    if (bytes == 4) value = (uint64_t)(int64_t)(int32_t)value;
    return st == OK ? push_int(m, (int64_t)value) : st;
}

static status push_text(machine *m, size_t length_bytes)
{
    pickle_span text;
    pickle_ref node;
    status st = take_span(m, length_bytes, &text);
    if (st == OK) st = push_new(m, PICKLE_TEXT, &node);
    if (st == OK) m->p->nodes[node].text = text;
    return st;
}

static status push_skipped(machine *m, size_t length_bytes)
{
    pickle_span bytes;
    status st = take_span(m, length_bytes, &bytes);
    return st == OK ? push(m, NODE_OTHER) : st;
}

static status push_class(machine *m, pickle_span module, pickle_span name)
{
    pickle_ref node;
    status st = push_new(m, PICKLE_CLASS, &node);
    if (st != OK) return st;
    m->p->nodes[node].module = module;
    m->p->nodes[node].text = name;
    return OK;
}

static status push_class_of_lines(machine *m)
{
    pickle_span module, name;
    status st = take_line(m, &module);
    if (st == OK) st = take_line(m, &name);
    return st == OK ? push_class(m, module, name) : st;
}

static status push_class_of_stack(machine *m)
{
    pickle_ref name, module;
    status st = pop(m, &name);
    if (st == OK) st = pop(m, &module);
    if (st != OK) return st;
    const pickle_node *n = &m->p->nodes[name], *in = &m->p->nodes[module];
    if (n->kind != PICKLE_TEXT || in->kind != PICKLE_TEXT)
        return pickle_fail(m, "a class whose name is no text");
    return push_class(m, in->text, n->text);
}

/* Python 2 pickles an ordered dictionary as a call with a list of [key, value]. */
static status fill_ordered(machine *m, pickle_ref call)
{
    pickle_node *nodes = m->p->nodes, *c = &nodes[call], *f = &nodes[c->function];
    if (f->kind != PICKLE_CLASS || !pickle_text_is(f->text, "OrderedDict")) return OK;
    if (nodes[c->arguments].n_items != 1) return OK;
    const pickle_node *list = &nodes[nodes[c->arguments].items[0]];
    if (list->kind != PICKLE_LIST) return OK;
    for (size_t i = 0; i < list->n_items; i++) {
        const pickle_node *pair = &nodes[list->items[i]];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->n_items != 2)
            return pickle_fail(m, "an ordered dictionary of what are no pairs");
        status st = add_items(m, call, pair->items, 2);
        if (st != OK) return st;
    }
    return OK;
}

/* Calls the object below n arguments. Only the first argument is kept. */
static status push_call(machine *m, size_t n)
{
    pickle_ref arguments = NODE_OTHER, function, node;
    status st = OK;
    for (size_t i = 0; i < n; i++) TRY(pop(m, &arguments));
    TRY(pop(m, &function));
    if (m->p->nodes[arguments].kind != PICKLE_TUPLE)
        TRY(pickle_fail(m, "a call whose arguments are no tuple"));
    TRY(push_new(m, PICKLE_CALL, &node));
    m->p->nodes[node].function = function;
    m->p->nodes[node].arguments = arguments;
    TRY(fill_ordered(m, node));
done:
    return st;
}

static status persistent(machine *m)
{
    pickle_ref id, node;
    status st = pop(m, &id);
    if (st == OK) st = push_new(m, PICKLE_PERSISTENT, &node);
    if (st == OK) m->p->nodes[node].arguments = id;
    return st;
}

/* ---- memo ---- */

static status memo_put(machine *m, uint64_t place)
{
    if (m->depth == 0 || m->stack[m->depth - 1] == (pickle_ref)MARK)
        return pickle_fail(m, "remembers what is not there");
    if (place >= MAX_NODES) return pickle_fail(m, "its memo is too large");
    status st = memory_grow(&m->memo, &m->memo_capacity, (size_t)place + 1, sizeof *m->memo);
    if (st != OK) return st;
    while (m->n_memo <= place) m->memo[m->n_memo++] = (pickle_ref)MARK;
    m->memo[place] = m->stack[m->depth - 1];
    return OK;
}

static status memo_put_at(machine *m, size_t bytes)
{
    uint64_t place;
    status st = take_unsigned(m, bytes, &place);
    return st == OK ? memo_put(m, place) : st;
}

static status memo_get(machine *m, size_t bytes)
{
    uint64_t place;
    status st = take_unsigned(m, bytes, &place);
    if (st != OK) return st;
    if (place >= m->n_memo || m->memo[place] == (pickle_ref)MARK)
        return pickle_fail(m, "recalls what it never remembered");
    return push(m, m->memo[place]);
}

/* ---- opcodes ---- */

static status drop(machine *m, bool to_mark)
{
    size_t first;
    if (!to_mark && m->depth) {
        m->depth--;
        return OK;
    }
    status st = find_mark(m, &first);
    if (st == OK) m->depth = first - 1;
    return st;
}

static status stop(machine *m)
{
    status st = pop(m, &m->p->root);
    m->done = true;
    return st;
}

/* Sets: their contents are not needed. */
static status drop_items(machine *m, bool frozen)
{
    size_t first;
    status st = find_mark(m, &first);
    if (st == OK && !frozen) return extend(m, first, true, PICKLE_OTHER);
    if (st == OK) m->depth = first - 1;
    return st == OK ? push(m, NODE_OTHER) : st;
}

static status skip(machine *m, size_t n)
{
    const unsigned char *ignored;
    return take_bytes(m, n, &ignored);
}

static status push_containers(machine *m, unsigned char code)
{
    pickle_ref node;
    switch (code) {
    case ')': return push(m, NODE_EMPTY_TUPLE);
    case ']': return push_new(m, PICKLE_LIST, &node);
    case '}': return push_new(m, PICKLE_DICT, &node);
    case 't': return gather_to_mark(m, PICKLE_TUPLE);
    case 'l': return gather_to_mark(m, PICKLE_LIST);
    case 'd': return gather_to_mark(m, PICKLE_DICT);
    case 0x8f: return push(m, NODE_OTHER);
    case 0x90: return drop_items(m, false);
    case 0x91: return drop_items(m, true);
    case 'a': return extend_by(m, 1, PICKLE_LIST);
    case 'e': return extend_to_mark(m, PICKLE_LIST);
    case 's': return extend_by(m, 2, PICKLE_DICT);
    case 'u': return extend_to_mark(m, PICKLE_DICT);
    default: return gather(m, PICKLE_TUPLE, code - 0x84u); /* 0x85 to 0x87 */
    }
}

/* A big-endian double. */
static status push_float(machine *m)
{
    const unsigned char *p = NULL;
    pickle_ref node;
    uint64_t bits = 0;
    status st = take_bytes(m, 8, &p);
    if (st == OK) st = push_new(m, PICKLE_FLOAT, &node);
    if (st != OK) return st;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&m->p->nodes[node].number, &bits, sizeof bits);
    return OK;
}

/* BUILD: the topmost value becomes the attributes of the object below it. */
static status set_attributes(machine *m)
{
    pickle_ref attributes;
    status st = pop(m, &attributes);
    if (st != OK || !m->depth || m->stack[m->depth - 1] == (pickle_ref)MARK) return st;
    pickle_node *object = &m->p->nodes[m->stack[m->depth - 1]];
    if (object->kind == PICKLE_CALL) object->attributes = attributes;
    return OK;
}

static status push_scalar(machine *m, unsigned char code)
{
    switch (code) {
    case 'N': return push(m, NODE_OTHER);
    case 0x88: return push(m, NODE_TRUE);
    case 0x89: return push(m, NODE_FALSE);
    case 'J': return push_unsigned(m, 4);
    case 'K': return push_unsigned(m, 1);
    case 'M': return push_unsigned(m, 2);
    case 0x8a: return push_long(m, 1);
    case 0x8b: return push_long(m, 4);
    case 'X':
    case 'T': return push_text(m, 4);
    case 0x8c:
    case 'U': return push_text(m, 1);
    case 0x8d: return push_text(m, 8);
    case 'B': return push_skipped(m, 4);
    case 'C': return push_skipped(m, 1);
    case 0x8e:
    case 0x96: return push_skipped(m, 8);
    default: return push_float(m); /* 'G' */
    }
}

static status step(machine *m)
{
    uint64_t version;
    unsigned char code = *m->at++;
    if (strchr(")]}tldaesu", code) ? code != 0 : code >= 0x85 && code <= 0x87)
        return push_containers(m, code);
    if (code >= 0x8f && code <= 0x91) return push_containers(m, code);
    if (strchr("NJKMXTUBCG", code) ? code != 0 : code >= 0x88 && code <= 0x8e)
        return push_scalar(m, code);
    switch (code) {
    case 0x80: /* PROTO */
        if (take_unsigned(m, 1, &version) == OK && version >= 2 && version <= 5) return OK;
        return pickle_fail(m, "a protocol that is not 2 to 5");
    case 0x95: return skip(m, 8); /* FRAME: its length */
    case 0x96: return push_scalar(m, code);
    case '.': return stop(m);
    case '(': return push(m, (pickle_ref)MARK);
    case '0': return drop(m, false);
    case '1': return drop(m, true);
    case '2': return m->depth ? push(m, m->stack[m->depth - 1]) : pickle_fail(m, "copies nothing");
    case 'c': return push_class_of_lines(m);
    case 0x93: return push_class_of_stack(m);
    case 'R':
    case 0x81: return push_call(m, 1);
    case 0x92: return push_call(m, 2);
    case 'b': return set_attributes(m);
    case 'Q': return persistent(m);
    case 'q': return memo_put_at(m, 1);
    case 'r': return memo_put_at(m, 4);
    case 0x94: return memo_put(m, m->n_memo);
    case 'h': return memo_get(m, 1);
    case 'j': return memo_get(m, 4);
    default: break;
    }
    return fail(ERR_FORMAT, "%s: pickle, byte %zu: opcode 0x%02x is not supported", m->where,
                (size_t)(m->at - m->data) - 1, code);
}

status pickle_read(pickle *p, const unsigned char *data, size_t size, const char *where,
                   size_t *used)
{
    static const pickle_kind shared[N_SHARED] = {PICKLE_OTHER, PICKLE_INT, PICKLE_INT,
                                                 PICKLE_TUPLE};
    machine m = {.p = p, .data = data, .at = data, .end = data + size, .where = where};
    pickle_ref node;
    status st = OK;
    *p = (pickle){0};
    for (int i = 0; i < N_SHARED; i++) TRY(new_node(&m, shared[i], &node));
    p->nodes[NODE_TRUE].integer = 1;
    while (!m.done) {
        if (m.at == m.end) TRY(pickle_fail(&m, "ends too soon; cut short?"));
        TRY(step(&m));
    }
    if (used) *used = (size_t)(m.at - data);
done:
    free(m.stack);
    free(m.memo);
    if (st != OK) pickle_free(p);
    return st;
}

void pickle_free(pickle *p)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        pickle_kind kind = p->nodes[i].kind;
        if (kind == PICKLE_TUPLE || kind == PICKLE_LIST || kind == PICKLE_DICT ||
            kind == PICKLE_CALL)
            free(p->nodes[i].items);
    }
    free(p->nodes);
    *p = (pickle){0};
}

bool pickle_text_is(pickle_span text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.at, expected, text.length) == 0;
}
