/* A model in another layout: a folder as diffusers has it, or one file in the original naming.
 * Values are read, rounded and written piece by piece; nothing appears before all is written. */
#ifndef DITCL_MODEL_CONVERT_H
#define DITCL_MODEL_CONVERT_H

#include "checkpoint/model.h"
#include "files/tensors.h"

/* type: of all values written; DTYPE_OTHER: each tensor's own, float64 becoming float32. */

/* The transformer as one safetensors file in the original naming. What tensors cannot say (heads,
 * whose arithmetic, schedule, names of classes) is in its notes. */
status convert_to_file(model *m, const char *out, dtype type);

/* A new folder: model_index.json, transformer/, scheduler/, and vae/ where the model has one. */
status convert_to_folder(model *m, const char *out, dtype type);

#endif
