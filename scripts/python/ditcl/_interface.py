"""ditcl.h for ctypes: structs, in the header's order, and functions."""
import ctypes
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_size_t, c_uint, c_uint64, c_ubyte, c_void_p

CANCELLED = 10
BYTES, FLOATS = POINTER(c_ubyte), POINTER(c_float)
LOG = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)
PROGRESS = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, c_int)
PREVIEW = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, BYTES, c_int, c_int)

# the library of the wheel, or the one that is installed
_own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libditcl.so.0")
library = ctypes.CDLL(_own if os.path.exists(_own) else "libditcl.so.0")


def _struct(name, *members):
    """A class of this struct of ditcl.h. members: pairs of a type and the names that have it."""
    fields = [("size", c_size_t)] + [(each, kind) for kind, names in members for each in names.split()]
    types = dict(fields)
    made = type(name, (ctypes.Structure,), {
        "_fields_": fields,
        "names": set(types) - {"size"},
        "is_text": staticmethod(lambda each: types[each] is c_char_p),
    })
    initialise = getattr(library, name + "_init")
    initialise.argtypes, initialise.restype = [POINTER(made), c_size_t], None
    made.initialise = staticmethod(initialise)
    return made


DeviceInfo = _struct("ditcl_device_info", (c_int, "index"), (c_char_p, "name platform driver type"),
                     (c_uint, "compute_units"), (c_uint64, "memory_bytes"))
DeviceOptions = _struct("ditcl_device_options", (c_char_p, "device precision kernels"),
                        (c_int, "no_cache measure check"), (c_char_p, "program"))
ModelOptions = _struct("ditcl_model_options", (c_char_p, "vae weights variant compat"),
                       (c_int, "heads n_classes"), (c_char_p, "type path prediction"),
                       (c_int, "vae_only map_files"))
ModelInfo = _struct("ditcl_model_info", (c_int, "n_classes has_null_class width height latent_channels"),
                    (c_int, "latent_scale"))
Request = _struct("ditcl_request", (POINTER(c_char_p), "classes"), (c_int, "n_classes per_class"),
                  (c_uint64, "seed"), (POINTER(c_uint64), "seeds"),
                  (c_char_p, "rng sampler steps"), (c_double, "guidance"),
                  (c_char_p, "interval guided_channels"), (c_double, "eta"), (c_char_p, "diffusion"),
                  (c_int, "batch frames"), (POINTER(c_uint64), "seed_to"),
                  (BYTES, "image mask"), (c_double, "strength"), (FLOATS, "latents"),
                  (c_void_p, "context"), (PROGRESS, "progress"), (PREVIEW, "preview"),
                  (c_int, "preview_every preview_exact"))

for _name, _result, _arguments in (
        ("version", c_char_p, []),
        ("create", c_void_p, []),
        ("destroy", None, [c_void_p]),
        ("error", c_char_p, [c_void_p]),
        ("error_hint", c_char_p, [c_void_p]),
        ("set_log", None, [c_void_p, LOG, c_void_p]),
        ("cancel", None, [c_void_p, c_int]),
        ("device_count", c_int, [c_void_p, POINTER(c_int)]),
        ("device_describe", c_int, [c_void_p, c_int, POINTER(DeviceInfo)]),
        ("device_open", c_int, [c_void_p, POINTER(c_void_p), POINTER(DeviceOptions)]),
        ("device_close", None, [c_void_p]),
        ("model_open", c_int, [c_void_p, POINTER(c_void_p), c_char_p, POINTER(ModelOptions)]),
        ("model_close", None, [c_void_p]),
        ("model_describe", c_int, [c_void_p, POINTER(ModelInfo)]),
        ("model_class", c_char_p, [c_void_p, c_int]),
        ("memory", c_int, [c_void_p, c_void_p, POINTER(Request), POINTER(c_uint64)]),
        ("sample", c_int, [c_void_p, c_void_p, POINTER(Request), POINTER(c_void_p)]),
        ("encode", c_int, [c_void_p, c_void_p, BYTES, c_int, c_int, FLOATS]),
        ("decode", c_int, [c_void_p, c_void_p, FLOATS, c_int, c_int, c_int, POINTER(c_void_p)]),
        ("pictures_free", None, [c_void_p]),
        ("pictures_count", c_int, [c_void_p]),
        ("pictures_width", c_int, [c_void_p]),
        ("pictures_height", c_int, [c_void_p]),
        ("pictures_rgb", BYTES, [c_void_p, c_int]),
        ("pictures_latents", FLOATS, [c_void_p, c_int]),
        ("pictures_note", c_char_p, [c_void_p])):
    _function = getattr(library, "ditcl_" + _name)
    _function.restype, _function.argtypes = _result, _arguments
