/* Files of torch.save. See torch.h.
 *
 * A tensor is a call of torch._utils._rebuild_tensor_v2 with a storage, an offset, sizes and
 * strides. A storage is a persistent id (kind, type, key, location, elements). Its bytes are in the
 * archive's entry data/KEY; the older format has them after the pickles. */
#include "files/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "files/pickle.h"
#include "files/zip.h"

enum { MAX_PICKLE = 1 << 26, MAX_NESTING = 3, MAX_DEPTH = 8, NAME_MAX_BYTES = 1024 };

#define TEXT(s) (int)((s).length < 100 ? (s).length : 100), (s).at

static const struct {
    const char *storage, *name;
    size_t bytes;
    dtype type;
} types[] = {
    {"FloatStorage", "F32", 4, DTYPE_F32},
    {"HalfStorage", "F16", 2, DTYPE_F16},
    {"BFloat16Storage", "BF16", 2, DTYPE_BF16},
    {"DoubleStorage", "F64", 8, DTYPE_F64},
    {"LongStorage", "I64", 8, DTYPE_OTHER},
    {"IntStorage", "I32", 4, DTYPE_OTHER},
    {"ShortStorage", "I16", 2, DTYPE_OTHER},
    {"CharStorage", "I8", 1, DTYPE_OTHER},
    {"ByteStorage", "U8", 1, DTYPE_OTHER},
    {"BoolStorage", "BOOL", 1, DTYPE_OTHER},
    {"ComplexFloatStorage", "C64", 8, DTYPE_OTHER},
    {"ComplexDoubleStorage", "C128", 16, DTYPE_OTHER},
    {"QInt8Storage", "qint8", 1, DTYPE_OTHER},
    {"QUInt8Storage", "quint8", 1, DTYPE_OTHER},
    {"QInt32Storage", "qint32", 4, DTYPE_OTHER},
    {"UntypedStorage", "bytes", 1, DTYPE_OTHER},
};
enum { N_TYPES = sizeof types / sizeof *types };

typedef struct {
    pickle_span key;
    int type; /* index in the table of types */
    size_t count, bytes;
    const unsigned char *data; /* null until found */
} storage;

typedef struct {
    tensor_file *file;
    const char *path;
    pickle p;
    storage *storages; /* sorted by key */
    size_t n_storages;
    size_t capacity, visits; /* capacity: room for tensors; visits: items visited so far */
} reading;

/* ---- nodes ---- */

static const pickle_node *node(const reading *r, pickle_ref ref)
{
    return &r->p.nodes[ref];
}

static const pickle_node *item(const reading *r, const pickle_node *n, size_t i)
{
    return node(r, n->items[i]);
}

static bool is_class(const pickle_node *n, const char *module, const char *name)
{
    return n->kind == PICKLE_CLASS && pickle_text_is(n->module, module) &&
           pickle_text_is(n->text, name);
}

/* True for a dictionary, and for an object with items, which may be a subclass of dict. */
static bool is_dictionary(const pickle_node *n)
{
    return n->kind == PICKLE_DICT || (n->kind == PICKLE_CALL && n->n_items);
}

static const pickle_node *get(const reading *r, const pickle_node *dictionary, const char *key)
{
    for (size_t i = 0; i + 1 < dictionary->n_items; i += 2) {
        const pickle_node *k = item(r, dictionary, i);
        if (k->kind == PICKLE_TEXT && pickle_text_is(k->text, key))
            return item(r, dictionary, i + 1);
    }
    return NULL;
}

/* Returns the arguments of n if n calls _rebuild_tensor_v2, another version of it, or the function
 * for quantized tensors, whose arguments begin in the same way; otherwise null. Parameters, and
 * tensors with attributes, wrap such a call. */
static const pickle_node *rebuilt(const reading *r, const pickle_node *n)
{
    for (int depth = 0; depth < MAX_NESTING && n->kind == PICKLE_CALL; depth++) {
        const pickle_node *f = node(r, n->function), *a = node(r, n->arguments);
        if (is_class(f, "torch._tensor", "_rebuild_from_type_v2") && a->n_items >= 3) {
            f = item(r, a, 0);
            a = item(r, a, 2);
        }
        if (a->kind != PICKLE_TUPLE) return NULL;
        if (is_class(f, "torch._utils", "_rebuild_tensor_v2") ||
            is_class(f, "torch._utils", "_rebuild_tensor_v3") ||
            is_class(f, "torch._utils", "_rebuild_qtensor") ||
            is_class(f, "torch._utils", "_rebuild_tensor"))
            return a;
        bool parameter = is_class(f, "torch._utils", "_rebuild_parameter") ||
                         is_class(f, "torch._utils", "_rebuild_parameter_with_state") ||
                         is_class(f, "torch.nn.parameter", "Parameter");
        if (!parameter || a->n_items < 1) return NULL;
        n = item(r, a, 0);
    }
    return NULL;
}

/* ---- storages ---- */

static int by_key(const void *a, const void *b)
{
    const storage *x = a, *y = b;
    size_t n = x->key.length < y->key.length ? x->key.length : y->key.length;
    int order = memcmp(x->key.at, y->key.at, n);
    if (order) return order;
    return x->key.length < y->key.length ? -1 : x->key.length > y->key.length;
}

static status read_storage(const reading *r, storage *s, const pickle_node *persistent)
{
    const pickle_node *id = node(r, persistent->arguments);
    if (id->kind != PICKLE_TUPLE || id->n_items < 5 || item(r, id, 0)->kind != PICKLE_TEXT ||
        !pickle_text_is(item(r, id, 0)->text, "storage") || item(r, id, 1)->kind != PICKLE_CLASS ||
        item(r, id, 2)->kind != PICKLE_TEXT || item(r, id, 4)->kind != PICKLE_INT)
        return fail(ERR_FORMAT, "%s: pickle: a persistent id that is not a storage", r->path);
    *s = (storage){.key = item(r, id, 2)->text};
    pickle_span name = item(r, id, 1)->text;
    while (s->type < N_TYPES && !pickle_text_is(name, types[s->type].storage)) s->type++;
    if (s->type == N_TYPES)
        return fail(ERR_FORMAT, "%s: pickle: storage %.*s is a %.*s, an unknown type", r->path,
                    TEXT(s->key), TEXT(name));
    int64_t count = item(r, id, 4)->integer;
    if (count < 0 || (uint64_t)count > SIZE_MAX ||
        !size_mul((size_t)count, types[s->type].bytes, &s->bytes))
        return fail(ERR_FORMAT, "%s: pickle: storage %.*s has %lld elements", r->path, TEXT(s->key),
                    (long long)count);
    s->count = (size_t)count;
    if (id->n_items > 5 && item(r, id, 5)->kind != PICKLE_OTHER)
        return fail(
            ERR_FORMAT,
            "%s: pickle: storage %.*s is a view of another; files this old are not supported",
            r->path, TEXT(s->key));
    return OK;
}

/* Lists every storage in the pickle once. */
static status list_storages(reading *r)
{
    size_t n = 0, kept = 0;
    status st = OK;
    for (size_t i = 0; i < r->p.n_nodes; i++) n += r->p.nodes[i].kind == PICKLE_PERSISTENT;
    TRY(memory_alloc(&r->storages, n, sizeof *r->storages));
    n = 0;
    for (size_t i = 0; i < r->p.n_nodes; i++)
        if (r->p.nodes[i].kind == PICKLE_PERSISTENT)
            TRY(read_storage(r, &r->storages[n++], &r->p.nodes[i]));
    if (n) qsort(r->storages, n, sizeof *r->storages, by_key);
    for (size_t i = 0; i < n; i++) {
        const storage *s = &r->storages[i], *last = kept ? &r->storages[kept - 1] : NULL;
        if (last && by_key(last, s) == 0) {
            if (last->type != s->type || last->count != s->count)
                TRY(fail(ERR_FORMAT, "%s: pickle: storage %.*s has two types or sizes", r->path,
                         TEXT(s->key)));
            continue;
        }
        r->storages[kept++] = *s;
    }
    r->n_storages = kept;
done:
    return st;
}

static storage *find_storage(const reading *r, pickle_span key)
{
    const storage wanted = {.key = key};
    if (!r->n_storages) return NULL;
    return bsearch(&wanted, r->storages, r->n_storages, sizeof wanted, by_key);
}

/* ---- tensors ---- */

/* Sizes or strides: n integers >= 0. */
static bool read_sizes(const reading *r, size_t out[TENSOR_MAX_DIMS], const pickle_node *tuple)
{
    if (tuple->kind != PICKLE_TUPLE || tuple->n_items > TENSOR_MAX_DIMS) return false;
    for (size_t i = 0; i < tuple->n_items; i++) {
        const pickle_node *n = item(r, tuple, i);
        if (n->kind != PICKLE_INT || n->integer < 0) return false;
        out[i] = (size_t)n->integer;
    }
    return true;
}

/* True if the tensor is row-major. The stride of a dimension of size 1 does not count. */
static bool is_plain(const tensor *t)
{
    size_t expected = 1;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        if (t->dims[i] != 1 && t->strides[i] != expected) return false;
        expected *= t->dims[i];
    }
    return true;
}

/* Checks offset, sizes and strides against the storage. */
static status place_tensor(const reading *r, tensor *t, const storage *s, int64_t first)
{
    size_t last = (size_t)first, reach;
    bool good = first >= 0;
    char shape[200];
    t->count = 1;
    for (int i = 0; i < t->n_dims; i++) good = good && size_mul(t->count, t->dims[i], &t->count);
    for (int i = 0; good && t->count && i < t->n_dims; i++)
        good = size_mul(t->dims[i] - 1, t->strides[i], &reach) && size_add(last, reach, &last);
    text_shape(shape, sizeof shape, t->dims, t->n_dims);
    if (!good || (t->count && last >= s->count) || (size_t)first > s->count)
        return fail(ERR_FORMAT, "%s: tensor %.200s of shape %s exceeds its storage of %zu elements",
                    r->path, t->name, shape, s->count);
    if (t->count > s->count)
        return fail(ERR_FORMAT,
                    "%s: tensor %.200s of shape %s repeats elements of a storage of %zu", r->path,
                    t->name, shape, s->count);
    if (!s->data)
        return fail(ERR_FORMAT, "%s: tensor %.200s: its storage %.*s is not in the file", r->path,
                    t->name, TEXT(s->key));
    t->data = s->data + (t->count ? (size_t)first : 0) * types[s->type].bytes;
    t->strided = t->count && !is_plain(t);
    return OK;
}

static status read_tensor(const reading *r, tensor *t, const pickle_node *arguments)
{
    const pickle_node *kept = arguments->n_items >= 4 ? item(r, arguments, 0) : NULL;
    const storage *s = NULL;
    if (kept && kept->kind == PICKLE_PERSISTENT) /* list_storages has checked it */
        s = find_storage(r, item(r, node(r, kept->arguments), 2)->text);
    if (!s || item(r, arguments, 1)->kind != PICKLE_INT ||
        !read_sizes(r, t->dims, item(r, arguments, 2)) ||
        !read_sizes(r, t->strides, item(r, arguments, 3)) ||
        item(r, arguments, 2)->n_items != item(r, arguments, 3)->n_items)
        return fail(ERR_FORMAT,
                    "%s: tensor %.200s: expected a storage, an offset, and at most %d sizes and "
                    "strides",
                    r->path, t->name, TENSOR_MAX_DIMS);
    t->n_dims = (int)item(r, arguments, 2)->n_items;
    t->type = types[s->type].type;
    strcpy(t->type_name, types[s->type].name);
    /* version 3 has a type argument: a type without a storage class of its own, such as
     * float8_e4m3fn */
    const pickle_node *type = arguments->n_items >= 7 ? item(r, arguments, 6) : NULL;
    if (type && type->kind == PICKLE_CLASS) {
        t->type = DTYPE_OTHER;
        snprintf(t->type_name, sizeof t->type_name, "%.*s", TEXT(type->text));
    }
    return place_tensor(r, t, s, item(r, arguments, 1)->integer);
}

/* ---- dictionaries ---- */

/* The keys that led to a value, joined by dots. */
typedef struct {
    char name[NAME_MAX_BYTES];
    size_t length;
} key_path;

static status add_key(const reading *r, key_path *path, pickle_span key)
{
    if (key.length && memchr(key.at, 0, key.length))
        return fail(ERR_FORMAT, "%s: tensor %.200s has a NUL in its name", r->path, key.at);
    if (key.length >= sizeof path->name - path->length)
        return fail(ERR_FORMAT, "%s: a key %.60s... of %zu bytes, expected fewer than %d", r->path,
                    path->name, path->length + key.length, NAME_MAX_BYTES);
    memcpy(path->name + path->length, key.at, key.length);
    path->length += key.length;
    path->name[path->length] = 0;
    return OK;
}

static void cut_key(key_path *path, size_t length)
{
    path->length = length;
    path->name[length] = 0;
}

/* keys: bytes of the path that are dictionaries' keys */
static status add_tensor(reading *r, const key_path *path, size_t keys, const pickle_node *rebuild)
{
    tensor_file *f = r->file;
    if (f->n_tensors == TENSORS_MAX)
        return fail(ERR_FORMAT, "%s: holds more than %d tensors", r->path, TENSORS_MAX);
    status st = memory_grow(&f->tensors, &r->capacity, f->n_tensors + 1, sizeof *f->tensors);
    if (st != OK) return st;
    tensor *t = &f->tensors[f->n_tensors];
    *t = (tensor){.key_length = keys};
    st = memory_strdup(&t->name, path->name);
    if (st != OK) return st;
    f->n_tensors++;
    return read_tensor(r, t, rebuild);
}

/* out = the class of an object, for messages. False for an ordered dictionary. */
static bool object_class(const reading *r, char out[64], const pickle_node *n)
{
    if (n->kind != PICKLE_CALL || n->n_items) return false;
    const pickle_node *f = node(r, n->function), *a = node(r, n->arguments);
    if (is_class(f, "copyreg", "_reconstructor") || is_class(f, "copy_reg", "_reconstructor"))
        f = a->kind == PICKLE_TUPLE && a->n_items ? item(r, a, 0) : f;
    if (f->kind != PICKLE_CLASS || pickle_text_is(f->text, "OrderedDict")) return false;
    snprintf(out, 64, "%.*s", f->text.length < 60 ? (int)f->text.length : 60, f->text.at);
    return true;
}

static status note_key(reading *r, const char *path, bool top, const pickle_node *n)
{
    tensor_key key = {.top = top, .kind = KEY_OTHER};
    tensor_file *f = r->file;
    size_t capacity = f->n_keys;
    if (rebuilt(r, n))
        key.kind = KEY_TENSOR;
    else if (is_dictionary(n))
        key.kind = KEY_DICTIONARY;
    else if (object_class(r, key.class, n))
        key.kind = KEY_OBJECT;
    else if (n->kind == PICKLE_LIST || n->kind == PICKLE_TUPLE)
        for (size_t i = 0; i < n->n_items && i < 2; i++)
            if (rebuilt(r, item(r, n, i))) key.kind = KEY_NAMELESS;
    if (f->n_keys == KEYS_MAX || (!top && key.kind != KEY_NAMELESS && key.kind != KEY_OBJECT))
        return OK;
    status st = memory_grow(&f->keys, &capacity, f->n_keys + 1, sizeof *f->keys);
    if (st == OK) st = memory_strdup(&key.path, path);
    if (st == OK) f->keys[f->n_keys++] = key;
    return st;
}

static status list_tensors(reading *r, key_path *path, const pickle_node *n, int depth);

/* Visits one item of a dictionary or list, whose key ends the path. keys: bytes before that key. */
static status visit_value(reading *r, key_path *path, size_t keys, const pickle_node *value,
                          int depth)
{
    const pickle_node *rebuild = rebuilt(r, value);
    status st = note_key(r, path->name, depth == 0, value);
    if (st != OK) return st;
    if (rebuild) return add_tensor(r, path, keys, rebuild);
    if (depth == MAX_DEPTH) return OK;
    st = add_key(r, path, (pickle_span){".", 1});
    return st == OK ? list_tensors(r, path, value, depth + 1) : st;
}

/* *key = a dictionary's key if it is a text, or a float, such as the decay of an average; room
 * holds a float's text. False for other keys: integer keys are those of an optimizer's states. */
static bool key_text(pickle_span *key, char room[32], const pickle_node *n)
{
    if (n->kind == PICKLE_TEXT) *key = n->text;
    if (n->kind == PICKLE_FLOAT)
        *key = (pickle_span){room, (size_t)snprintf(room, 32, "%.15g", n->number)};
    return n->kind == PICKLE_TEXT || n->kind == PICKLE_FLOAT;
}

/* Adds every tensor in n or below it. Tensors of a list have no names of their own. */
static status list_tensors(reading *r, key_path *path, const pickle_node *n, int depth)
{
    const size_t keys = path->length;
    bool dictionary = is_dictionary(n), list = n->kind == PICKLE_LIST || n->kind == PICKLE_TUPLE;
    status st = OK;
    if (!dictionary && !list) return OK;
    for (size_t i = 0; st == OK && i + dictionary < n->n_items; i += 1 + dictionary) {
        char number[32];
        pickle_span key;
        const pickle_node *value = item(r, n, i + dictionary);
        /* a dictionary may occur several times, or contain itself */
        if (++r->visits > 4 * (r->p.n_items + TENSORS_MAX))
            return fail(ERR_FORMAT, "%s: pickle: holds too many values", r->path);
        if (dictionary ? !key_text(&key, number, item(r, n, i)) : rebuilt(r, value) != NULL)
            continue;
        if (list && !is_dictionary(value) && value->kind != PICKLE_LIST &&
            value->kind != PICKLE_TUPLE)
            continue;
        if (list) key = (pickle_span){number, (size_t)snprintf(number, sizeof number, "%zu", i)};
        st = add_key(r, path, key);
        if (st == OK) st = visit_value(r, path, keys, value, depth);
        cut_key(path, keys);
    }
    return st;
}

/* Stores the checkpoint's args, a Namespace or a dictionary, as notes "args.NAME": facts that the
 * tensors do not tell. */
static status read_args(reading *r)
{
    static const char *const names[] = {"num_classes", "class_dropout_prob"};
    const pickle_node *root = node(r, r->p.root);
    const pickle_node *args = is_dictionary(root) ? get(r, root, "args") : NULL;
    status st = OK;
    if (args && args->kind == PICKLE_CALL && !args->n_items) args = node(r, args->attributes);
    for (size_t i = 0; args && is_dictionary(args) && i < sizeof names / sizeof *names; i++) {
        const pickle_node *value = get(r, args, names[i]);
        bool whole = value && value->kind == PICKLE_INT;
        char key[40], number[40];
        if (!whole && !(value && value->kind == PICKLE_FLOAT)) continue;
        snprintf(key, sizeof key, "args.%s", names[i]);
        if (whole)
            snprintf(number, sizeof number, "%lld", (long long)value->integer);
        else
            snprintf(number, sizeof number, "%.17g", value->number);
        TRY(tensor_file_add_note(r->file, key, number));
    }
done:
    return st;
}

static status read_tensors(reading *r)
{
    char class[64];
    key_path path = {.length = 0};
    const pickle_node *root = node(r, r->p.root);
    status st = list_tensors(r, &path, root, 0);
    if (st != OK) return st;
    if (r->file->n_tensors || r->file->n_keys) {
        st = read_args(r);
        return st == OK ? tensor_file_sort(r->file) : st;
    }
    if (object_class(r, class, root))
        fail(ERR_FORMAT, "%s: has no state dictionary, only a pickled %s", r->path, class);
    else
        fail(ERR_FORMAT, "%s: has no state dictionary (tensors by name)", r->path);
    fail_hint("save the state dictionary, not the module: torch.save(model.state_dict(), ...)");
    return ERR_FORMAT;
}

static void reading_free(reading *r)
{
    pickle_free(&r->p);
    free(r->storages);
}

/* ---- the archive ---- */

bool torch_is_archive(const file_map *map)
{
    return map->size >= 4 && memcmp(map->data, "PK\3\4", 4) == 0;
}

/* Finds the only entry FOLDER/data.pkl. *prefix = the bytes of FOLDER/. */
static status find_pickle(const zip *z, const zip_entry **found, size_t *prefix, const char *path)
{
    static const char name[] = "data.pkl";
    const size_t n = sizeof name - 1;
    *found = NULL;
    for (size_t i = 0; i < z->n; i++) {
        const zip_entry *e = &z->entries[i];
        if (e->name_length < n || memcmp(e->name + e->name_length - n, name, n) != 0) continue;
        if (e->name_length > n && e->name[e->name_length - n - 1] != '/') continue;
        if (*found) return fail(ERR_FORMAT, "%s: zip archive: two entries %s", path, name);
        *found = e;
        *prefix = e->name_length - n;
    }
    if (!*found)
        return fail(ERR_FORMAT, "%s: zip archive without data.pkl: not from torch.save", path);
    if ((*found)->size > MAX_PICKLE)
        return fail(ERR_FORMAT, "%s: zip archive: data.pkl has %zu bytes, expected at most %d",
                    path, (*found)->size, MAX_PICKLE);
    return OK;
}

/* Finds the entry PREFIX/folder/key, or null. */
static status find_part(const zip *z, const zip_entry **found, const zip_entry *beside,
                        size_t prefix, const char *folder, pickle_span key)
{
    char *name;
    size_t n = strlen(folder);
    status st = memory_alloc(&name, prefix + n + key.length, 1);
    if (st != OK) return st;
    memcpy(name, beside->name, prefix);
    memcpy(name + prefix, folder, n);
    memcpy(name + prefix + n, key.at, key.length);
    *found = zip_find(z, name, prefix + n + key.length);
    free(name);
    return OK;
}

static status place_storages(reading *r, const zip *z, const zip_entry *pickled, size_t prefix)
{
    for (size_t i = 0; i < r->n_storages; i++) {
        storage *s = &r->storages[i];
        const zip_entry *e;
        status st = find_part(z, &e, pickled, prefix, "data/", s->key);
        if (st != OK) return st;
        if (e && e->size != s->bytes)
            return fail(ERR_FORMAT, "%s: zip archive: entry data/%.*s has %zu bytes, expected %zu",
                        r->path, TEXT(s->key), e->size, s->bytes);
        if (e) s->data = e->data;
    }
    return OK;
}

status torch_read_archive(tensor_file *file, const file_map *map, const char *path)
{
    reading r = {.file = file, .path = path};
    zip z;
    const zip_entry *pickled, *order;
    size_t prefix = 0;
    status st = OK;
    TRY(zip_read(&z, map, path));
    TRY(find_pickle(&z, &pickled, &prefix, path));
    TRY(find_part(&z, &order, pickled, prefix, "byteorder", (pickle_span){"", 0}));
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        TRY(fail(ERR_FORMAT, "%s: its byte order is not little-endian", path));
    TRY(pickle_read(&r.p, pickled->data, pickled->size, path, NULL));
    TRY(list_storages(&r));
    TRY(place_storages(&r, &z, pickled, prefix));
    TRY(read_tensors(&r));
done:
    reading_free(&r);
    zip_free(&z);
    return st;
}

/* ---- the older format ---- */

/* The pickle of the number 0x1950a86a20f9469cfc6c, in protocol 2 or above. */
static const unsigned char magic[] = {0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                      0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

/* Bytes of that pickle at the beginning of the file, or 0. From protocol 4 on it is in a frame. */
static size_t magic_bytes(const file_map *map)
{
    const unsigned char *p = map->data;
    size_t before = map->size > 2 && p[2] == 0x95 ? 11 : 2;
    if (map->size < before + sizeof magic || p[0] != 0x80) return 0;
    return memcmp(p + before, magic, sizeof magic) == 0 ? before + sizeof magic : 0;
}

bool torch_is_legacy(const file_map *map)
{
    return magic_bytes(map) != 0;
}

/* Reads the pickle at *at and advances *at. */
static status next_pickle(pickle *p, const file_map *map, size_t *at, const char *path)
{
    size_t used = 0, left = map->size - *at;
    status st = pickle_read(p, map->data + *at, left < MAX_PICKLE ? left : MAX_PICKLE, path, &used);
    *at += used;
    return st;
}

/* Checks the version of the format, and the byte order of the machine that wrote the file. */
static status check_system(const file_map *map, size_t *at, const char *path)
{
    reading r = {.path = path};
    status st = OK;
    TRY(next_pickle(&r.p, map, at, path));
    if (node(&r, r.p.root)->kind != PICKLE_INT || node(&r, r.p.root)->integer != 1001)
        TRY(fail(ERR_FORMAT, "%s: the format of torch.save is not version 1001", path));
    pickle_free(&r.p);
    TRY(next_pickle(&r.p, map, at, path));
    const pickle_node *system = node(&r, r.p.root);
    const pickle_node *little = is_dictionary(system) ? get(&r, system, "little_endian") : NULL;
    if (!little || little->kind != PICKLE_INT || little->integer != 1)
        TRY(fail(ERR_FORMAT, "%s: its byte order is not little-endian", path));
done:
    pickle_free(&r.p);
    return st;
}

/* After the list of keys come, for each key, the number of elements and the elements. */
static status place_stream(reading *r, const reading *keys, const file_map *map, size_t at)
{
    const pickle_node *list = node(keys, keys->p.root);
    if (list->kind != PICKLE_LIST)
        return fail(ERR_FORMAT, "%s: pickle: the keys of its storages are not a list", r->path);
    for (size_t i = 0; i < list->n_items; i++) {
        const pickle_node *key = item(keys, list, i);
        storage *s = key->kind == PICKLE_TEXT ? find_storage(r, key->text) : NULL;
        if (!s || s->data)
            return fail(ERR_FORMAT, "%s: storage %zu of the file is not in the pickle", r->path, i);
        if (map->size - at < 8 || map->size - at - 8 < s->bytes)
            return fail(ERR_FORMAT, "%s: storage %.*s exceeds the file; cut short?", r->path,
                        TEXT(s->key));
        uint64_t count = 0;
        for (int k = 7; k >= 0; k--) count = count << 8 | map->data[at + (size_t)k];
        if (count != s->count)
            return fail(ERR_FORMAT, "%s: storage %.*s has %llu elements, expected %zu", r->path,
                        TEXT(s->key), (unsigned long long)count, s->count);
        s->data = map->data + at + 8;
        at += 8 + s->bytes;
    }
    if (at != map->size)
        return fail(ERR_FORMAT, "%s: %zu bytes are left over after the last storage", r->path,
                    map->size - at);
    return OK;
}

status torch_read_legacy(tensor_file *file, const file_map *map, const char *path)
{
    reading r = {.file = file, .path = path}, keys = {.path = path};
    size_t at = magic_bytes(map);
    status st = OK;
    TRY(check_system(map, &at, path));
    TRY(next_pickle(&r.p, map, &at, path));
    TRY(list_storages(&r));
    TRY(next_pickle(&keys.p, map, &at, path));
    TRY(place_stream(&r, &keys, map, at));
    TRY(read_tensors(&r));
done:
    reading_free(&r);
    reading_free(&keys);
    return st;
}
