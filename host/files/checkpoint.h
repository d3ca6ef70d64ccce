/* A file of weights in any format that is known, or several files that an index names. */
#ifndef DITCL_FILES_CHECKPOINT_H
#define DITCL_FILES_CHECKPOINT_H

#include "files/tensors.h"

/* safetensors, either format of torch.save (the first bytes tell), or an index of such files beside
 * it (*.json): every tensor that the file holds. Closed with tensor_file_close. */
status checkpoint_open(tensor_file *file, const char *path);

#endif
