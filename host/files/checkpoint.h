/* A file of weights in any known format, or several files named by an index. */
#ifndef DITCL_FILES_CHECKPOINT_H
#define DITCL_FILES_CHECKPOINT_H

#include "files/tensors.h"

/* Lists every tensor of a safetensors file, of either format of torch.save (the first bytes tell),
 * or of the files beside an index (*.json). Close it with tensor_file_close. */
status checkpoint_open(tensor_file *file, const char *path);

#endif
