"""The Python package as its users get it: tests/python_package.sh runs this in a clean environment.

usage: python_package.py PICTURE.png MODEL
PICTURE: of `ditcl sample emoji --class cat -n 2 --steps 10 --seed 7 --cfg 3`, the first one. MODEL: a
small model.
"""
import sys
import threading

import numpy
import near
import ditcl

wanted_path, small = sys.argv[1:]


def raises(kind, parts, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as raised:
        for part in parts:
            assert part in str(raised), (part, str(raised))
        return raised
    raise AssertionError(f"expected {kind.__name__}")


assert ditcl.version().count(".") >= 1
found = ditcl.devices()
assert found and found[0].compute_units > 0 and found[0].type in ("cpu", "gpu", "accelerator"), found

phases, previews, lines = [], [], []
with ditcl.Ditcl("emoji", log=lambda warning, line: lines.append(line)) as emoji:
    model = emoji.model
    assert (model.width, model.height) == (64, 64), model
    assert emoji.classes[0] and len(emoji.classes) == model.n_classes
    drawn = emoji.sample(classes=["cat"], per_class=2, steps=10, seed=7, guidance=3.0,
                         progress=lambda *now: phases.append(now),
                         preview=lambda step, picture, pixels: previews.append((step, picture, pixels.shape)),
                         preview_every=5)
    width, height, wanted = near.read_png(wanted_path)
    assert drawn.shape == (2, height, width, 3) and drawn.dtype == numpy.uint8, drawn.shape
    assert drawn[0].tobytes() == bytes(wanted), "the picture is not that of ditcl sample"
    assert ("sampling", 10, 10) in phases and phases[-1] == ("decoding", 2, 2), phases
    assert previews == [(step, picture, (64, 64, 3)) for step in (5, 10) for picture in (0, 1)], previews

    # other arguments reach the library
    seeds = emoji.sample(classes=[emoji.classes[0]], seeds=[5, 9], steps=4)
    assert len(seeds) == 2 and (seeds[0] != seeds[1]).any()
    again = emoji.sample(classes=0, seed=9, steps=4)
    assert (again[0] == seeds[1]).all(), "a picture of seeds is that of its seed"
    frames = emoji.sample(classes=0, seed=5, seed_to=9, frames=3, steps=4)
    assert (frames[[0, 2]] == seeds).all() and (frames[1] != seeds[0]).any(), "frames end at both seeds"
    pictures, latents = emoji.sample(classes=[0], steps=4, latents_too=True)
    assert (emoji.decode(latents) == pictures).all(), "decoded latents are the picture"
    encoded = emoji.encode(pictures[0])
    assert encoded.shape == latents.shape[1:] and numpy.isfinite(encoded).all()
    mask = numpy.zeros((64, 64, 3), numpy.uint8)
    mask[:32] = 255
    mended = emoji.sample(classes=[1], steps=4, image=pictures[0], mask=mask)
    assert (mended[0][32:] == pictures[0][32:]).all() and (mended[0][:32] != pictures[0][:32]).any()
    noise = numpy.random.default_rng(1).standard_normal(latents.shape).astype(numpy.float32)
    assert (emoji.sample(classes=[0], steps=4, latents=noise) != pictures).any()
    assert emoji.memory(classes=[0], steps=4) > 1e6

    # failures
    raised = raises(ditcl.Error, ["dmp", "ddim"], emoji.sample, classes=[0], sampler="dmp")
    assert raised.code == 1
    raises(TypeError, ["stepz"], emoji.sample, classes=[0], stepz=4)
    raises(ValueError, ["image"], emoji.sample, classes=[0], image=numpy.zeros((3, 3, 3)))

    def interrupt(phase, done, total):
        if phase == "sampling" and done == 2:
            raise KeyboardInterrupt
    raises(KeyboardInterrupt, [], emoji.sample, classes=[0], steps=50, progress=interrupt)

    def cancel(phase, done, total):
        if phase == "sampling" and done == 2:
            other = threading.Thread(target=emoji.cancel)
            other.start()
            other.join()
    raises(ditcl.Cancelled, ["cancelled"], emoji.sample, classes=[0], steps=50, progress=cancel)
    assert len(emoji.sample(classes=[0], steps=2)) == 1, "the next call is not cancelled"
raises(ValueError, ["closed"], emoji.sample, classes=[0])
raises(ditcl.Error, ["no/such"], ditcl.Ditcl, "no/such")
raises(ditcl.Error, ["no such device"], ditcl.Ditcl, small, device="no such device")

# several at once, each in its thread
drawings = {}


def draw(seed):
    drawings[seed] = ditcl.Ditcl(small).sample(classes=[0], steps=3, seed=seed)


threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert all((drawings[seed] == ditcl.Ditcl(small).sample(classes=[0], steps=3, seed=seed)).all()
           for seed in range(3)), "threads do not change pictures"
print("the package holds")
