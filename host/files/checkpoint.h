/* A file of weights in any known format, or several files named by an index. */
#ifndef DITCL_FILES_CHECKPOINT_H
#define DITCL_FILES_CHECKPOINT_H

#include "files/tensors.h"

/* Lists every tensor of a safetensors file, of a file of torch.save in either format, or of the
 * files of an index (*.json). The first bytes of a file tell its format. Close with
 * tensor_file_close. */
status checkpoint_open(tensor_file *file, const char *path);

#endif
