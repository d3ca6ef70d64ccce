#!/usr/bin/env python3
"""Small pictures of every kind but PNG, and their pixels as Pillow reads them.

usage: oracle_kinds.py tests/data/pictures/kinds

Writes NAME.jpg, NAME.webp and NAME.bmp, and beside each its pixels, NAME-rgb.png: turned as exif_transpose
turns them, transparent pixels blended with white. Pillow 13.0. Pillow does not write some kinds of BMP, which
are packed here; Pillow reads them like the others.
"""
import os
import struct
import sys

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 17, 23


def picture(channels):
    """Smooth colours with some detail, and noise."""
    g = np.random.default_rng(channels)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    waves = [np.sin(5 * x + 3 * y * (c + 1) + c) * 90 + 128 for c in range(channels)]
    noisy = np.stack(waves, -1) + g.normal(0, 12, (HEIGHT, WIDTH, channels))
    return np.clip(noisy, 0, 255).astype("u1")


def exif(orientation):
    e = Image.Exif()
    e[0x112] = orientation
    return e.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'


def bmp(bits, rows, compression=0, masks=b"", palette=b"", height=HEIGHT, head=40, colours=0):
    """A BMP file of rows of bytes, the lowest one first unless the height is negative."""
    rows = [r + bytes(-len(r) % 4) for r in rows]
    body = struct.pack("<iiHHIIiiII", WIDTH, height, 1, bits, compression, 0, 2835, 2835, colours, 0)
    body = struct.pack("<I", head) + body + masks
    body = body.ljust(head, b"\0") + palette
    pixels = b"".join(rows)
    at = 14 + len(body)
    return struct.pack("<2sIHHI", b"BM", at + len(pixels), 0, 0, at) + body + pixels


def packed_bmps():
    g = np.random.default_rng(7)
    rgb = picture(3)
    colours = b"".join(bytes((*c, 0)) for c in g.integers(0, 256, (16, 3), "u1"))
    index = g.integers(0, 16, (HEIGHT, WIDTH + 1), "u1")
    yield "bmp-4-bit", bmp(4, [(r[0::2] << 4 | r[1::2]).tobytes() for r in index], palette=colours)
    yield "bmp-short-palette", bmp(8, [r[:WIDTH].tobytes() for r in index], palette=colours, colours=16)
    deep = g.integers(0, 1 << 16, (HEIGHT, WIDTH), "u2")
    yield "bmp-16-bit", bmp(16, [r.tobytes() for r in deep])
    yield "bmp-565", bmp(16, [r.tobytes() for r in deep], 3, struct.pack("<III", 0xf800, 0x7e0, 0x1f))
    yield "bmp-downward", bmp(24, [r[:, ::-1].tobytes() for r in rgb], height=-HEIGHT)
    wide = np.concatenate([rgb[:, :, ::-1], g.integers(0, 256, (HEIGHT, WIDTH, 1), "u1")], -1)
    yield "bmp-32-bit", bmp(32, [r.tobytes() for r in wide])
    masks = struct.pack("<IIII", 0xff0000, 0xff00, 0xff, 0xff000000)
    yield "bmp-alpha", bmp(32, [r.tobytes() for r in wide], 3, masks, head=108)
    old = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    pixels = b"".join(r.tobytes() + bytes(-3 * WIDTH % 4) for r in rgb)
    yield "bmp-old", struct.pack("<2sIHHI", b"BM", 26 + len(pixels), 0, 0, 26) + old + pixels



def expected(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode != "RGBA":
        return np.array(image.convert("RGB"))
    wide = np.array(image).astype("u4")
    value, alpha = wide[:, :, :3], wide[:, :, 3:]
    return ((value * alpha + 255 * (255 - alpha) + 127) // 255).astype("u1")


def main():
    root = sys.argv[1]
    os.makedirs(root, exist_ok=True)
    rgb, grey = Image.fromarray(picture(3)), Image.fromarray(picture(1)[:, :, 0])
    alpha, inks = Image.fromarray(picture(4)), Image.fromarray(picture(4), "CMYK")
    rgb.save(f"{root}/jpeg.jpg", quality=80)
    rgb.save(f"{root}/jpeg-444.jpg", quality=95, subsampling=0)
    rgb.save(f"{root}/jpeg-422.jpg", quality=50, subsampling=1)
    rgb.save(f"{root}/jpeg-progressive.jpg", quality=75, progressive=True)
    rgb.save(f"{root}/jpeg-restart.jpg", quality=75, restart_marker_blocks=1)
    grey.save(f"{root}/jpeg-grey.jpg", quality=80)
    inks.save(f"{root}/jpeg-cmyk.jpg", quality=80)
    rgb.save(f"{root}/jpeg-orientation.jpg", quality=80, exif=exif(6))
    rgb.save(f"{root}/jpeg-xmp.jpg", quality=80, xmp=XMP)
    rgb.save(f"{root}/webp.webp", quality=80)
    rgb.save(f"{root}/webp-lossless.webp", lossless=True)
    alpha.save(f"{root}/webp-alpha.webp", quality=80)
    alpha.save(f"{root}/webp-alpha-lossless.webp", lossless=True, exact=True)
    rgb.save(f"{root}/webp-orientation.webp", quality=80, exif=exif(5))
    rgb.save(f"{root}/webp-xmp.webp", lossless=True, xmp=XMP)
    rgb.save(f"{root}/bmp-24-bit.bmp")
    grey.save(f"{root}/bmp-grey.bmp")
    grey.convert("1").save(f"{root}/bmp-1-bit.bmp")
    rgb.quantize(50).save(f"{root}/bmp-palette.bmp")
    for name, content in packed_bmps():
        with open(f"{root}/{name}.bmp", "wb") as file:
            file.write(content)
    for name in sorted(os.listdir(root)):
        stem, ending = os.path.splitext(name)
        if ending != ".png":
            Image.fromarray(expected(f"{root}/{name}")).save(f"{root}/{stem}-rgb.png")


main()
