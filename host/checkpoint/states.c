/* Chooses a state dictionary. See states.h.
 *
 * A tensor's full name has two parts: the key of its state dictionary, and a known name, called the
 * bare name. Tensors with the same key form a group. */
#include "checkpoint/states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/states_parts.h"

/* ---- names ---- */

/* out = name without the words that PyTorch's wrappers insert anywhere. out has room. */
static void drop_wrappers(char *out, const char *name)
{
    static const char *const wrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                           "_checkpoint_wrapped_module.", "_forward_module.",
                                           "module."};
    enum { N = sizeof wrappers / sizeof *wrappers };
    while (*name) {
        size_t skipped = 0;
        for (int i = 0; i < N && !skipped; i++)
            if (strncmp(name, wrappers[i], strlen(wrappers[i])) == 0) skipped = strlen(wrappers[i]);
        if (skipped) {
            name += skipped;
            continue;
        }
        size_t n = strcspn(name, ".");
        n += name[n] == '.';
        memmove(out, name, n);
        out += n;
        name += n;
    }
    *out = 0;
}

/* *bare = the place where a known name begins in s, or null. */
static const char *find_known(const char *s, const state_kind *kind)
{
    for (; s; s = strchr(s, '.') ? strchr(s, '.') + 1 : NULL)
        if (kind->known(s)) return s;
    return NULL;
}

/* Finds a known name without dots, as averages have them. It may be the end of the last word. */
static const char *find_dotless(char out[NAME_BYTES], const char *s, const state_kind *kind)
{
    const char *last = strrchr(s, '.');
    if (!kind->dotless || !last || state_class_of(s, (size_t)(last - s)) != STATE_AVERAGED)
        return NULL;
    for (s = last + 1; *s; s++)
        if (kind->dotless(out, s)) return s;
    return NULL;
}

/* Fills the entry of tensor `at`. */
static status split_name(state_entry *e, const tensor *t, size_t at, const state_kind *kind)
{
    char dotted[NAME_BYTES];
    size_t keys = t->key_length;
    *e = (state_entry){.at = at, .keys = keys};
    status st = memory_strdup(&e->full, t->name);
    if (st != OK) return st;
    drop_wrappers(e->full + keys, t->name + keys);
    const char *bare = find_known(e->full + keys, kind), *name = bare;
    if (!bare) {
        bare = find_dotless(dotted, e->full + keys, kind);
        name = bare ? dotted : NULL;
    }
    e->known = bare != NULL;
    if (!bare) bare = name = e->full + keys;
    e->group = (size_t)(bare - e->full);
    if (e->group && e->full[e->group - 1] == '.') e->group--;
    return memory_strdup(&e->name, name);
}

/* ---- groups ---- */

static int compare_groups(const state_entry *a, const state_entry *b)
{
    size_t n = a->group < b->group ? a->group : b->group;
    int order = memcmp(a->full, b->full, n);
    return order ? order : a->group < b->group ? -1 : a->group > b->group;
}

static int by_group(const void *a, const void *b)
{
    const state_entry *x = a, *y = b;
    int order = compare_groups(x, y);
    return order ? order : strcmp(x->name, y->name);
}

static bool is_anchor(const state_kind *kind, const char *name)
{
    for (int i = 0; i < 2; i++)
        if (kind->anchors[i] && strcmp(kind->anchors[i], name) == 0) return true;
    return false;
}

static status add_group(states *s, size_t first, size_t end)
{
    const state_entry *e = &s->entries[first];
    state_group g = {.first = first, .n = end - first, .keys = e->keys};
    bool known = false;
    for (size_t i = first; i < end; i++) {
        known |= s->entries[i].known;
        g.whole |= s->entries[i].known && is_anchor(s->kind, s->entries[i].name);
    }
    if (!known) return OK;
    status st = memory_alloc(&g.key, e->group + 1, 1);
    if (st != OK) return st;
    memcpy(g.key, e->full, e->group);
    g.class = state_class(s->file, g.key);
    g.rank = state_rank(g.key);
    if (g.class == STATE_NEVER || (!g.whole && g.class != STATE_AVERAGED)) {
        free(g.key);
        return OK;
    }
    if (s->n_groups == STATES_MAX) {
        free(g.key);
        return fail(ERR_FORMAT, "%s: holds more than %d state dictionaries", s->file->path,
                    STATES_MAX);
    }
    s->groups[s->n_groups++] = g;
    return OK;
}

const state_entry *state_find(const states *s, const state_group *g, const char *name)
{
    size_t low = g->first, high = g->first + g->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, s->entries[middle].name);
        if (order == 0) return &s->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool same_shape(const tensor *a, const tensor *b)
{
    return a->n_dims == b->n_dims &&
           memcmp(a->dims, b->dims, (size_t)a->n_dims * sizeof *a->dims) == 0;
}

/* True if `part` holds averages of some weights of a complete group. Such a part may be taken. */
static bool is_part(const states *s, const state_group *part)
{
    for (size_t k = 0; k < s->n_groups; k++) {
        const state_group *g = &s->groups[k];
        bool all = g->whole && g->class != STATE_AVERAGED;
        for (size_t i = part->first; i < part->first + part->n && all; i++) {
            const state_entry *e = &s->entries[i];
            const state_entry *raw = e->known ? state_find(s, g, e->name) : NULL;
            all = !e->known ||
                  (raw && same_shape(&s->file->tensors[raw->at], &s->file->tensors[e->at]));
        }
        if (all) return true;
    }
    return false;
}

static int by_preference(const void *a, const void *b)
{
    const state_group *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    if (x->whole != y->whole) return x->whole ? -1 : 1;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* Lists every group that may be taken, the preferred one first. */
static status find_groups(states *s)
{
    status st = OK;
    size_t n = s->file->n_tensors, kept = 0;
    TRY(memory_alloc(&s->entries, n, sizeof *s->entries));
    for (size_t i = 0; i < n; i++, s->n++)
        TRY(split_name(&s->entries[i], &s->file->tensors[i], i, s->kind));
    if (n) qsort(s->entries, n, sizeof *s->entries, by_group);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n; end++)
            if (compare_groups(&s->entries[first], &s->entries[end])) break;
        TRY(add_group(s, first, end));
    }
    for (size_t i = 0; i < s->n_groups; i++) {
        if (s->groups[i].whole || is_part(s, &s->groups[i]))
            s->groups[kept++] = s->groups[i];
        else
            free(s->groups[i].key);
    }
    s->n_groups = kept;
    qsort(s->groups, kept, sizeof *s->groups, by_preference);
done:
    return st;
}

/* ---- taking one ---- */

/* True if the entry, whose name is unknown, is below this group, and no other group is nearer. */
static bool is_below(const states *s, const state_entry *e, const state_group *g)
{
    const state_group *nearest = NULL;
    for (size_t i = 0; i < s->n_groups; i++) {
        const state_group *each = &s->groups[i];
        size_t n = strlen(each->key);
        if (each->keys != e->keys || strncmp(e->full, each->key, n) != 0) continue;
        if (n && e->full[n] != '.') continue;
        if (!nearest || n > strlen(nearest->key)) nearest = each;
    }
    return nearest == g;
}

/* True for counters of averages and trainers, which are no weights. */
static bool is_counter(const state_entry *e, const tensor *t)
{
    static const char *const names[] = {"n_averaged", "num_updates", "decay",
                                        "steps",      "step",        "initted",
                                        "epoch",      "global_step", "iteration"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (t->count == 1 && strcmp(e->name, names[i]) == 0) return true;
    return false;
}

/* Takes the entry's tensor, unless only training needs it. */
static status take_entry(states *s, state_entry *e, const state_group *g)
{
    const tensor *t = &s->file->tensors[e->at];
    const char *skipped = s->kind->skipped;
    if (e->known) {
        e->taken = true;
        return OK;
    }
    size_t n = strlen(g->key); /* an unknown name still begins with the group's key */
    const char *rest = e->full + (n ? n + 1 : 0);
    char *copy;
    status st = memory_strdup(&copy, rest);
    if (st != OK) return st;
    free(e->name);
    e->name = copy;
    if (skipped && strncmp(rest, skipped, strlen(skipped)) == 0)
        s->n_skipped++;
    else
        e->taken = !is_counter(e, t);
    return OK;
}

/* A group of averages lacks the tensors that were not trained. Adds their raw values. */
static void fill_from_raw(states *s, const state_group *g, const state_group *raw)
{
    for (size_t i = raw->first; i < raw->first + raw->n; i++) {
        state_entry *e = &s->entries[i];
        if (!e->known || state_find(s, g, e->name)) continue;
        e->taken = true;
        if (s->n_filled++ == 0) s->filled = e->name;
        s->filled_from = raw;
    }
}

static status mark_taken(states *s)
{
    const state_group *g = s->taken, *raw = NULL;
    status st = OK;
    for (size_t i = 0; i < s->n && st == OK; i++) {
        state_entry *e = &s->entries[i];
        /* a known name in a group that may not be taken belongs to another network, so it counts as
         * unknown */
        if (e->known && !state_is_offered(s, e)) e->known = false;
        bool in = e->known ? i >= g->first && i < g->first + g->n : is_below(s, e, g);
        if (in) st = take_entry(s, e, g);
    }
    for (size_t i = 0; i < s->n_groups && !raw; i++)
        if (s->groups[i].whole && s->groups[i].class != STATE_AVERAGED) raw = &s->groups[i];
    if (st == OK && g->class == STATE_AVERAGED && raw) fill_from_raw(s, g, raw);
    return st;
}

static int entry_by_name(const void *a, const void *b)
{
    const state_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static status check_types(const states *s)
{
    const state_entry *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const state_entry *e = &s->entries[i];
        if (!e->taken || !e->known || s->file->tensors[e->at].type != DTYPE_OTHER) continue;
        if (n++ == 0) first = e;
    }
    if (!n) return OK;
    char more[64] = "";
    if (n > 1) snprintf(more, sizeof more, ", as are %zu others", n - 1);
    return fail(ERR_FORMAT,
                "%s: tensor %.200s is of type %s%s, which is not supported; expected "
                "F32, F16, BF16 or F64",
                s->file->path, first->name, s->file->tensors[first->at].type_name, more);
}

static status check_names(const states *s, const state_entry **order, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            return fail(ERR_FORMAT, "%s: tensors %.200s and %.200s are both %.200s", s->file->path,
                        s->file->tensors[order[i - 1]->at].name,
                        s->file->tensors[order[i]->at].name, order[i]->name);
    return OK;
}

/* Keeps the marked tensors, sorted by their bare names, and drops the others. */
static status keep_marked(states *s)
{
    const state_entry **order = NULL;
    tensor *kept = NULL;
    tensor_file *f = s->file;
    size_t n = 0;
    status st = OK;
    TRY(check_types(s));
    TRY(memory_alloc(&order, s->n, sizeof *order));
    for (size_t i = 0; i < s->n; i++)
        if (s->entries[i].taken) order[n++] = &s->entries[i];
    qsort(order, n, sizeof *order, entry_by_name);
    TRY(check_names(s, order, n));
    TRY(memory_alloc(&kept, n, sizeof *kept));
    for (size_t i = 0; i < n; i++) {
        state_entry *e = &s->entries[order[i] - s->entries];
        tensor *t = &f->tensors[e->at];
        kept[i] = *t;
        kept[i].key_length = 0;
        kept[i].name = e->name;
        e->name = t->name; /* the entry owns the name now */
        t->name = NULL;
    }
    for (size_t i = 0; i < f->n_tensors; i++) free(f->tensors[i].name);
    free(f->tensors);
    f->tensors = kept;
    f->n_tensors = n;
done:
    free(order);
    return st;
}

/* ---- the public function ---- */

static void free_states(states *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->entries[i].full);
        free(s->entries[i].name);
    }
    for (size_t i = 0; i < s->n_groups; i++) free(s->groups[i].key);
    free(s->entries);
}

status states_take(state_taken *taken, tensor_file *file, const state_kind *kind,
                   const char *wanted)
{
    states s = {.file = file, .kind = kind, .wanted = wanted};
    char cleaned[256] = "";
    status st = OK;
    *taken = (state_taken){0};
    if (wanted && strlen(wanted) < sizeof cleaned - 1) {
        snprintf(cleaned, sizeof cleaned, "%s.", wanted);
        drop_wrappers(cleaned, cleaned);
        if (*cleaned) cleaned[strlen(cleaned) - 1] = 0;
    }
    s.wanted_cleaned = cleaned;
    TRY(find_groups(&s));
    TRY(state_choose(&s));
    TRY(mark_taken(&s));
    TRY(state_describe(taken, &s));
    TRY(keep_marked(&s));
done:
    if (st != OK) state_taken_free(taken);
    free_states(&s);
    return st;
}

void state_taken_free(state_taken *taken)
{
    for (size_t i = 0; i < taken->n_others; i++) free(taken->others[i]);
    free(taken->others);
    free(taken->key);
    free(taken->note);
    *taken = (state_taken){0};
}
