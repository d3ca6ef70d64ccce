/* A file of weights in any known format. See checkpoint.h. */
#include "files/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "files/torch.h"

enum { PATH_BYTES = 4096, INDEX_BYTES = 16 << 20, MAX_SHARDS = 1000 };

static status open_one(tensor_file *file, const char *path)
{
    *file = (tensor_file){0};
    status st = OK;
    TRY(memory_strdup(&file->path, path));
    TRY(tensor_file_map(file, path));
    const file_map *map = &file->maps[0];
    if (torch_is_archive(map))
        TRY(torch_read_archive(file, map, path));
    else if (torch_is_legacy(map))
        TRY(torch_read_legacy(file, map, path));
    else
        TRY(safetensors_read(file, map, path));
done:
    if (st != OK) tensor_file_close(file);
    return st;
}

/* ---- several files ---- */

/* Appends an array of m elements to one of n. Frees nothing on failure. */
static status join(void *p, size_t n, const void *more, size_t m, size_t item_size)
{
    unsigned char *all;
    size_t capacity = n;
    status st = memory_grow(p, &capacity, n + m, item_size);
    if (st != OK || !m) return st;
    memcpy(&all, p, sizeof all);
    memcpy(all + n * item_size, more, m * item_size);
    return OK;
}

/* Moves the tensors and mappings of `from` into file. `from` is empty afterwards. */
static status take_over(tensor_file *file, tensor_file *from)
{
    status st = OK;
    if (from->n_tensors > TENSORS_MAX - file->n_tensors)
        st = fail(ERR_FORMAT, "%s: its files hold more than %d tensors", file->path, TENSORS_MAX);
    if (st == OK)
        st = join(&file->maps, file->n_maps, from->maps, from->n_maps, sizeof *from->maps);
    if (st == OK) {
        file->n_maps += from->n_maps;
        from->n_maps = 0;
        st = join(&file->tensors, file->n_tensors, from->tensors, from->n_tensors,
                  sizeof *from->tensors);
    }
    if (st == OK) {
        file->n_tensors += from->n_tensors;
        from->n_tensors = 0;
    }
    tensor_file_close(from);
    return st;
}

/* Accepts only names in the folder of the index: an index from outside must not lead elsewhere. */
static status check_name(const char *name, const char *path)
{
    if (name && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..")) return OK;
    return fail(ERR_FORMAT, "%s: weight_map names \"%.100s\", expected a file in the same folder",
                path, name ? name : "");
}

static status open_shard(tensor_file *file, const char *name)
{
    char path[PATH_BYTES];
    tensor_file shard;
    const char *slash = strrchr(file->path, '/');
    int folder = slash ? (int)(slash - file->path) + 1 : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, file->path, name) >= (int)sizeof path)
        return fail(ERR_LIMIT, "%.80s...: path too long", path);
    status st = open_one(&shard, path);
    return st == OK ? take_over(file, &shard) : st;
}

/* Opens each file that the map names, once. */
static status open_shards(tensor_file *file, json_t *map)
{
    const char *names[MAX_SHARDS];
    int n = 0;
    for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i)) {
        const char *name = json_string_value(json_object_iter_value(i));
        int known = 0;
        status st = check_name(name, file->path);
        if (st != OK) return st;
        while (known < n && strcmp(names[known], name)) known++;
        if (known < n) continue;
        if (n == MAX_SHARDS)
            return fail(ERR_FORMAT, "%s: weight_map names more than %d files", file->path, n);
        names[n++] = name;
        st = open_shard(file, name);
        if (st != OK) return st;
    }
    return OK;
}

static status open_index(tensor_file *file, const char *path)
{
    status st = OK;
    char *json = NULL;
    json_t *root = NULL;
    *file = (tensor_file){0};
    TRY(memory_strdup(&file->path, path));
    TRY(file_read_text(&json, path, INDEX_BYTES));
    TRY(json_read(&root, json, strlen(json), path, NULL));
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        TRY(fail(ERR_FORMAT, "%s: has no weight_map, expected an index of weights", path));
    TRY(open_shards(file, map));
    TRY(tensor_file_sort(file));
    for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i))
        if (!tensor_find(file, json_object_iter_key(i)))
            TRY(fail(ERR_FORMAT, "%s: tensor %.200s is in none of its files", path,
                     json_object_iter_key(i)));
done:
    json_decref(root);
    free(json);
    if (st != OK) tensor_file_close(file);
    return st;
}

status checkpoint_open(tensor_file *file, const char *path)
{
    static const char index[] = ".json";
    size_t n = strlen(path), m = sizeof index - 1;
    bool several = n > m && strcmp(path + n - m, index) == 0;
    return several ? open_index(file, path) : open_one(file, path);
}
