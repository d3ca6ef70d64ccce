/* Writes a model in another layout: a diffusers folder, or one file with the original names. Values
 * are read, rounded and written in pieces. The output appears only when all of it is written. */
#ifndef DITCL_MODEL_CONVERT_H
#define DITCL_MODEL_CONVERT_H

#include "checkpoint/model.h"
#include "files/tensors.h"

/* type: of all written tensors; DTYPE_OTHER: each keeps its type, but float64 becomes float32. */

/* Writes the transformer as one safetensors file with the original names. Its metadata has what
 * tensors cannot say: heads, arithmetic, schedule, names of classes. */
status convert_to_file(model *m, const char *out, dtype type);

/* Writes a new folder: model_index.json, transformer/, scheduler/, and vae/ if the model has one.
 */
status convert_to_folder(model *m, const char *out, dtype type);

#endif
