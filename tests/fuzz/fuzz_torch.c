/* Reads any bytes as a file of torch.save. They must be refused with a message, or all values can
 * be read, also those of a DiT's state dictionary in the file. If the first byte is 'p', the rest
 * is a pickle, and an archive with three storages is made around it. Otherwise the rest is the
 * whole file. To build and run it, see fuzz_safetensors.c. */
#include <string.h>

#include "checkpoint/states.h"
#include "files/checkpoint.h"
#include "input.h"

enum { MOST = 1 << 20 };

typedef struct {
    uint8_t bytes[MOST], directory[4096];
    size_t n, n_directory;
    int entries;
} archive;

static void put(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* Adds an uncompressed entry, and its line of the directory. */
static void add(archive *a, const char *name, const uint8_t *data, size_t size)
{
    size_t n = strlen(name);
    uint8_t *local = a->bytes + a->n, *central = a->directory + a->n_directory;
    memcpy(local, "PK\3\4", 4);
    memset(local + 4, 0, 26);
    memcpy(central, "PK\1\2", 4);
    memset(central + 4, 0, 42);
    put(central + 20, size, 4);
    put(central + 24, size, 4);
    put(local + 26, n, 2);
    put(central + 28, n, 2);
    put(central + 42, a->n, 4);
    memcpy(local + 30, name, n);
    memcpy(central + 46, name, n);
    if (size) memcpy(local + 30 + n, data, size);
    a->n += 30 + n + size;
    a->n_directory += 46 + n;
    a->entries++;
}

static void finish(archive *a)
{
    uint8_t *end = a->bytes + a->n + a->n_directory;
    memcpy(a->bytes + a->n, a->directory, a->n_directory);
    memset(end, 0, 22);
    memcpy(end, "PK\5\6", 4);
    put(end + 10, (uint64_t)a->entries, 2);
    put(end + 12, a->n_directory, 4);
    put(end + 16, a->n, 4);
    a->n += a->n_directory + 22;
}

static void read_all(const tensor_file *file)
{
    volatile float sum = 0;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const tensor *t = &file->tensors[i];
        if (tensor_find(file, t->name) != t) abort();
        if (t->type == DTYPE_OTHER) continue;
        if (t->count > MOST) abort(); /* more than the file holds */
        for (size_t k = 0; k < t->count; k++) {
            float value;
            tensor_to_float(&value, t, k, 1);
            sum = sum + value;
        }
        tensor_forget(file, t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static archive a;
    static const uint8_t zeros[128];
    tensor_file file;
    if (size < 1 || size > MOST / 2) return 0;
    const uint8_t *whole = bytes + 1;
    size_t n = size - 1;
    if (bytes[0] == 'p') {
        a.n = a.n_directory = 0;
        a.entries = 0;
        add(&a, "a/data.pkl", whole, n);
        add(&a, "a/data/0", zeros, 48); /* as the corpus's */
        add(&a, "a/data/1", zeros, 8);
        add(&a, "a/data/2", zeros, 48);
        finish(&a);
        whole = a.bytes;
        n = a.n;
    }
    fail_clear();
    if (checkpoint_open(&file, input_file(whole, n)) != OK) {
        if (file.n_tensors || file.n_maps || !*fail_line()) abort();
        return 0;
    }
    read_all(&file);
    state_taken taken;
    fail_clear();
    if (states_take(&taken, &file, &state_dit, n % 2 ? "raw" : NULL) != OK) {
        if (taken.key || taken.note || !*fail_line()) abort();
    } else if (!file.n_tensors || !taken.key) {
        abort();
    }
    read_all(&file);
    state_taken_free(&taken);
    tensor_file_close(&file);
    return 0;
}
