"""Pictures of classes by diffusion transformers, on any OpenCL device: ditcl.h for Python.

    from ditcl import Ditcl
    pictures = Ditcl("emoji").sample(classes=["cat", "heart"], seed=7)

pictures is an array of uint8, [n, height, width, 3]. The arguments are those of ditcl.h and of
`ditcl sample`. One object is used by one thread at a time; cancel() may be called from any thread.
"""
import ctypes
import weakref
from collections import namedtuple

import numpy

from ditcl import _interface as c

__all__ = ["Cancelled", "Device", "Ditcl", "Error", "Model", "devices", "version"]

Device = namedtuple("Device", "index name platform driver type compute_units memory_bytes")
Model = namedtuple("Model", "n_classes has_null_class width height latent_channels latent_scale")
PHASES = ("loading", "sampling", "decoding")


class Error(Exception):
    """A failure: one line. code: its number in ditcl.h; hint: what to do, or ''."""

    def __init__(self, code, line, hint):
        super().__init__(f"{line} ({hint})" if hint else line)
        self.code, self.line, self.hint = code, line, hint


class Cancelled(Error):
    """cancel() was called."""


def version():
    return c.library.ditcl_version().decode()


def _text(value):
    return None if value is None else str(value).encode()


def _check(context, code):
    if code:
        line = c.library.ditcl_error(context).decode(errors="replace")
        hint = c.library.ditcl_error_hint(context).decode(errors="replace")
        raise (Cancelled if code == c.CANCELLED else Error)(code, line, hint)


def _create():
    context = c.library.ditcl_create()
    if not context:
        raise MemoryError
    return context


def _filled(struct, **values):
    """An initialised struct in which the values that are not None are set."""
    struct.initialise(ctypes.byref(struct), ctypes.sizeof(struct))
    for name, value in values.items():
        if value is not None:
            setattr(struct, name, value)
    return struct


def devices():
    """The OpenCL devices, a list of Device."""
    context, n, found = _create(), ctypes.c_int(), []
    try:
        _check(context, c.library.ditcl_device_count(context, ctypes.byref(n)))
        for i in range(n.value):
            info = _filled(c.DeviceInfo())
            _check(context, c.library.ditcl_device_describe(context, i, ctypes.byref(info)))
            values = (getattr(info, name) for name in Device._fields)
            found.append(Device(*(v.decode(errors="replace") if isinstance(v, bytes) else v for v in values)))
    finally:
        c.library.ditcl_destroy(context)
    return found


class Ditcl:
    """A model on a device. model: a name such as "emoji", a folder, or a file.

    device, precision, kernels, no_cache, measure, check, program: ditcl_device_options.
    vae, weights, variant, compat, heads, n_classes, type, path, prediction, vae_only, map_files:
    ditcl_model_options.
    log(is_warning, line) gets lines about what happens.
    """

    def __init__(self, model, *, device=None, precision=None, kernels=None, no_cache=None, measure=None,
                 check=None, program=None, log=None, **options):
        for name, value in options.items():
            if name not in c.ModelOptions.names:
                raise TypeError(f"Ditcl() has no argument {name!r}")
            options[name] = _text(value) if c.ModelOptions.is_text(name) else value
        self._context = _create()
        self._model, self._device = ctypes.c_void_p(), ctypes.c_void_p()
        self._close = weakref.finalize(self, _close, self._context, self._model, self._device)
        self._log = c.LOG(self._catching(lambda _, level, line: log(level > 0, line.decode(errors="replace"))))
        self._raised = None
        if log:
            c.library.ditcl_set_log(self._context, self._log, None)
        of_model = _filled(c.ModelOptions(), **options)
        of_device = _filled(c.DeviceOptions(), device=_text(device), precision=_text(precision),
                            kernels=_text(kernels), no_cache=no_cache, measure=measure, check=check,
                            program=_text(program))
        self._call("ditcl_model_open", self._context, ctypes.byref(self._model), _text(model),
                   ctypes.byref(of_model))
        self._call("ditcl_device_open", self._context, ctypes.byref(self._device), ctypes.byref(of_device))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Frees the memory on the device. The object cannot be used any more."""
        self._close()

    def cancel(self):
        """Ends the call that runs now, in any thread, or else the next one: it raises Cancelled."""
        if self._close.alive:
            c.library.ditcl_cancel(self._context, 1)

    @property
    def model(self):
        info = _filled(c.ModelInfo())
        self._call("ditcl_model_describe", self._model, ctypes.byref(info))
        return Model(*(getattr(info, name) for name in Model._fields))

    @property
    def classes(self):
        """The names of all classes; None for those without a name."""
        names = [c.library.ditcl_model_class(self._model, i) for i in range(self.model.n_classes)]
        return [name and name.decode(errors="replace") for name in names]

    def sample(self, classes=None, *, latents_too=False, **request):
        """Draws pictures: uint8, [n, height, width, 3]; with latents_too, also their latents.

        classes: names or numbers; None: all. per_class, seed, seeds, rng, sampler, steps, guidance,
        guided_channels, interval, eta, diffusion, batch, frames, seed_to, image, mask, strength,
        latents: ditcl_request.
        progress(phase, done, total), with phase "loading", "sampling" or "decoding".
        preview(step, picture, pixels), every preview_every steps; preview_exact.
        """
        asked, kept = self._request(classes, request)
        pictures = ctypes.c_void_p()
        try:
            self._call("ditcl_sample", self._model, self._device, ctypes.byref(asked), ctypes.byref(pictures))
            drawn = self._pixels(pictures)
            return (drawn, self._latents(pictures)) if latents_too else drawn
        finally:
            c.library.ditcl_pictures_free(pictures)
            del kept  # what the request points to

    def memory(self, classes=None, **request):
        """Bytes that sample() with these arguments takes on the device."""
        asked, kept = self._request(classes, request)
        size = ctypes.c_uint64()
        self._call("ditcl_memory", self._model, self._device, ctypes.byref(asked), ctypes.byref(size))
        del kept
        return size.value

    def encode(self, picture):
        """The latents, float32 [channels, h, w], of a picture, uint8 [height, width, 3]."""
        pixels = _array(picture, numpy.uint8, "picture", 3)
        height, width, of = pixels.shape
        if of != 3:
            raise ValueError(f"picture: found shape {pixels.shape}, expected [height, width, 3]")
        model = self.model
        shape = model.latent_channels, height // model.latent_scale, width // model.latent_scale
        latents = numpy.empty(shape, numpy.float32)
        self._call("ditcl_encode", self._model, self._device, pixels.ctypes.data_as(c.BYTES), width, height,
                   latents.ctypes.data_as(c.FLOATS))
        return latents

    def decode(self, latents):
        """The pictures, uint8 [n, height, width, 3], of latents, float32 [n, channels, h, w]."""
        values = _array(latents, numpy.float32, "latents", 4)
        n, channels, height, width = values.shape
        if channels != self.model.latent_channels:
            raise ValueError(f"latents: found {channels} channels, expected {self.model.latent_channels}")
        pictures = ctypes.c_void_p()
        try:
            self._call("ditcl_decode", self._model, self._device, values.ctypes.data_as(c.FLOATS), n, width,
                       height, ctypes.byref(pictures))
            return self._pixels(pictures)
        finally:
            c.library.ditcl_pictures_free(pictures)

    # ---- inside ----

    def _call(self, name, *arguments):
        if not self._close.alive:
            raise ValueError("this Ditcl is closed")
        self._raised = None
        code = getattr(c.library, name)(*arguments)
        if self._raised:
            c.library.ditcl_cancel(self._context, 0)
            raise self._raised
        _check(self._context, code)

    def _catching(self, function):
        """A callback whose exception cancels the call, which then raises it."""
        this = weakref.ref(self)

        def call(*arguments):
            try:
                function(*arguments)
            except BaseException as raised:  # KeyboardInterrupt, too
                this()._raised = raised
                this().cancel()

        return call

    def _request(self, classes, given):
        """A ditcl_request, and what must live as long as it does."""
        request, kept, model = _filled(c.Request()), [], self.model
        progress, preview = given.pop("progress", None), given.pop("preview", None)
        if isinstance(classes, (str, int)):
            classes = [classes]
        if classes is not None:
            names = (ctypes.c_char_p * len(classes))(*(_text(name) for name in classes))
            given = dict(given, classes=names, n_classes=len(classes))
        shapes = {"image": (model.height, model.width, 3), "mask": (model.height, model.width, 3)}
        for name, value in given.items():
            if value is None:
                continue
            if name not in c.Request.names:
                raise TypeError(f"a request has no argument {name!r}")
            if name == "seeds":
                given_seeds = [int(seed) for seed in value]
                if len(given_seeds) != given.get("per_class", len(given_seeds)):
                    raise ValueError(f"seeds: found {len(given_seeds)}, expected per_class")
                request.per_class = len(given_seeds)
                value = (ctypes.c_uint64 * len(given_seeds))(*given_seeds)
            elif name == "seed_to":
                value = (ctypes.c_uint64 * 1)(value)
            elif name in shapes:
                array = _array(value, numpy.uint8, name, 3)
                if array.shape != shapes[name]:
                    raise ValueError(f"{name}: found shape {array.shape}, expected {shapes[name]}")
                kept.append(array)
                value = array.ctypes.data_as(c.BYTES)
            elif name == "latents":
                value = self._noise(value, classes, given, kept)
            elif c.Request.is_text(name):
                value = _text(value)
            kept.append(value)
            setattr(request, name, value)
        # there is always a callback, so that Python sees interrupts
        request.progress = c.PROGRESS(self._catching(
            lambda _, phase, done, total: progress and progress(PHASES[phase], done, total)))
        if preview:
            request.preview = c.PREVIEW(self._catching(
                lambda _, step, picture, rgb, width, height: preview(
                    step, picture, numpy.ctypeslib.as_array(rgb, (height, width, 3)).copy())))
        return request, kept

    def _noise(self, value, classes, given, kept):
        model = self.model
        array = _array(value, numpy.float32, "latents", 4)
        side = model.width // model.latent_scale
        n = (len(classes) if classes is not None else model.n_classes) * given.get("per_class", 1)
        wanted = n, model.latent_channels, side, side
        if array.shape != wanted:
            raise ValueError(f"latents: found shape {array.shape}, expected {wanted}")
        kept.append(array)
        return array.ctypes.data_as(c.FLOATS)

    def _pixels(self, pictures):
        shape = (c.library.ditcl_pictures_count(pictures), c.library.ditcl_pictures_height(pictures),
                 c.library.ditcl_pictures_width(pictures), 3)
        return numpy.ctypeslib.as_array(c.library.ditcl_pictures_rgb(pictures, 0), shape).copy()

    def _latents(self, pictures):
        model = self.model
        side = model.width // model.latent_scale
        shape = c.library.ditcl_pictures_count(pictures), model.latent_channels, side, side
        return numpy.ctypeslib.as_array(c.library.ditcl_pictures_latents(pictures, 0), shape).copy()


def _close(context, model, device):
    c.library.ditcl_set_log(context, c.LOG(), None)
    c.library.ditcl_device_close(device)
    c.library.ditcl_model_close(model)
    c.library.ditcl_destroy(context)


def _array(value, kind, name, n_dims):
    array = numpy.ascontiguousarray(value, kind)
    if array.ndim != n_dims:
        raise ValueError(f"{name}: found {array.ndim} dimensions, expected {n_dims}")
    return array
