/* Files of torch.save. Only tensors are read and nothing is executed. Both formats are read: the
 * zip archive (.pt, .pth, .bin, .ckpt since PyTorch 1.6) and the older stream of pickles. Every
 * tensor in nested dictionaries is listed; its name is the keys that lead to it, joined by dots.
 * Keys that are not text, such as an optimizer's, are ignored. */
#ifndef DITCL_FILES_TORCH_H
#define DITCL_FILES_TORCH_H

#include "files/tensors.h"

/* True if the file begins like this format. */
bool torch_is_archive(const file_map *map);
bool torch_is_legacy(const file_map *map);

/* Reads a file that is mapped already as the last mapping of `file`, which has no tensors yet. On
 * failure the caller closes it. path: for messages. */
status torch_read_archive(tensor_file *file, const file_map *map, const char *path);
status torch_read_legacy(tensor_file *file, const file_map *map, const char *path);

#endif
