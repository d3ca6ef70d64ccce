/* Files of torch.save: tensors only, nothing is executed. Both formats are read: the zip archive
 * (.pt, .pth, .bin, .ckpt since PyTorch 1.6) and the older stream of pickles. Every tensor
 * in nested dictionaries is listed; its name is the keys that lead to it, joined by dots. Keys that
 * are not text, as optimizers have them, are ignored. */
#ifndef DITCL_FILES_TORCH_H
#define DITCL_FILES_TORCH_H

#include "files/tensors.h"

/* Does a file that begins so belong to this format? */
bool torch_is_archive(const file_map *map);
bool torch_is_legacy(const file_map *map);

/* The tensors of a mapped file, map being the file's last; file holds no others. On failure the
 * caller closes. path: for messages. */
status torch_read_archive(tensor_file *file, const file_map *map, const char *path);
status torch_read_legacy(tensor_file *file, const file_map *map, const char *path);

#endif
