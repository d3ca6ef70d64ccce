/* The content of a file of weights in any format: tensors by name. Their values stay in the mapped
 * file. */
#ifndef DITCL_FILES_TENSORS_H
#define DITCL_FILES_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

typedef enum { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_OTHER } dtype;

/* The most tensors of a file, or of files that belong together. Published models have a few
 * thousand; the largest has 92000 in many files. */
enum { TENSOR_MAX_DIMS = 8, TENSORS_MAX = 100000 };

typedef struct {
    /* the keys of the dictionaries that lead to the tensor, and its own name, joined by dots */
    char *name;
    size_t key_length; /* bytes of the name that are dictionaries' keys, including the last dot */
    dtype type;
    char type_name[20]; /* as spelled in the file, for messages */
    int n_dims;
    size_t dims[TENSOR_MAX_DIMS];
    size_t count;                    /* elements */
    const unsigned char *data;       /* inside a mapping; unaligned */
    bool strided;                    /* the elements are not in row-major order: */
    size_t strides[TENSOR_MAX_DIMS]; /* in elements; only if strided */
} tensor;

/* A note in a file: an entry of safetensors' __metadata__, or args.num_classes and
 * args.class_dropout_prob of a checkpoint of torch.save. */
typedef struct {
    char *key, *value;
} tensor_note;

/* What a file has under a key of its dictionaries. */
typedef enum {
    KEY_DICTIONARY,
    KEY_TENSOR,
    KEY_NAMELESS, /* a list of tensors */
    KEY_OBJECT,   /* an object of an unknown class, such as a whole module */
    KEY_OTHER     /* numbers, text, ... */
} key_kind;

typedef struct {
    char *path; /* keys joined by dots */
    key_kind kind;
    bool top;       /* the key is at the top level */
    char class[64]; /* the object's class, for KEY_OBJECT */
} tensor_key;

enum { KEYS_MAX = 200 };

typedef struct {
    char *path;
    file_map *maps;
    size_t n_maps;
    tensor *tensors; /* sorted by name */
    size_t n_tensors;
    tensor_note *notes;
    size_t n_notes;
    /* all keys at the top level, and deeper keys of lists of tensors and of objects, at most
     * KEYS_MAX; none if the format has no dictionaries */
    tensor_key *keys;
    size_t n_keys;
} tensor_file;

/* Maps one more file. */
status tensor_file_map(tensor_file *file, const char *path);
/* Sorts by name. Two tensors of one name are an error. */
status tensor_file_sort(tensor_file *file);
void tensor_file_close(tensor_file *file);

/* Null if there is none. */
const tensor *tensor_find(const tensor_file *file, const char *name);
const char *tensor_file_note(const tensor_file *file, const char *key);
status tensor_file_add_note(tensor_file *file, const char *key, const char *value);

/* Releases the pages of the tensor's values. */
void tensor_forget(const tensor_file *file, const tensor *t);

/* Bytes of one element; the type must not be DTYPE_OTHER. */
size_t dtype_bytes(dtype type);
/* From the beginning of the first element to the end of the last one in the file. */
size_t tensor_bytes(const tensor *t);

/* out[0..count) = elements first..first+count of t as float32. The type must not be DTYPE_OTHER. */
void tensor_to_float(float *out, const tensor *t, size_t first, size_t count);

#endif
