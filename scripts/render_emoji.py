#!/usr/bin/env python3
"""Make the training pictures of the emoji model: 128 x 128 RGB on white, from five freely licensed emoji sets.

Input: the npm packages @iconify-json/noto, noto-v1, fluent-emoji, fluent-emoji-flat and fxemoji, unpacked
(`npm pack @iconify-json/noto && tar xf ...`, or node_modules/@iconify-json after `npm install`), and Unicode's
emoji-test.txt (Debian: package unicode-data). Output: one .npz with images, labels, names, sets, classes, sources.
Needs numpy, Pillow and CairoSVG (pip) or rsvg-convert (Debian: librsvg2-bin)."""
import argparse
import io
import json
import os
import re
import shutil
import subprocess
import unicodedata

import numpy as np
from PIL import Image

SETS = {"noto": "Apache-2.0", "noto-v1": "Apache-2.0", "fluent-emoji": "MIT", "fluent-emoji-flat": "MIT",
        "fxemoji": "Apache-2.0"}
OVERSAMPLE = 256  # rendered size, reduced by a box filter to the stored 128

HEAD_NAMES = set("bear,polar bear,koala,panda,fox,wolf,lion,raccoon,boar,hamster,frog".split(","))
SKY_EXTRA = ("globe showing Europe-Africa", "globe showing Americas", "globe showing Asia-Australia", "ringed planet")
VIEWS = ("foggy", "night with stars", "cityscape", "sunrise", "sunrise over mountains", "cityscape at dusk", "sunset",
         "bridge at night", "milky way", "fireworks", "sparkler", "rainbow")
BALLS = ("soccer ball", "baseball", "softball", "basketball", "volleyball", "american football", "rugby football",
         "pool 8 ball", "crystal ball", "tennis")


def is_head(name):
    return name in HEAD_NAMES or re.search(r"\bface\b", name) is not None


def rule(groups=(), names=(), only=None, never=None):
    """A class: emoji of some Unicode subgroups (kept by `only`, dropped by `never`), plus single names."""
    def match(group, name):
        if name in names:
            return True
        return group in groups and (only is None or re.search(only, name) is not None) and not (
            never and re.search(never, name))
    return match


# First match wins, so the order matters.
RULES = [
    ("happy face", rule(("face-smiling", "face-affection", "face-tongue", "face-glasses"))),
    ("sad face", rule(("face-concerned",))),
    ("cat face", rule(("cat-face",), ("cat face",))),
    ("animal head", lambda g, n: n == "frog" or g == "animal-mammal" and is_head(n)),
    ("animal", lambda g, n: g == "animal-mammal" and not is_head(n) and not re.search("nose|paw", n)),
    ("bird", rule(("animal-bird",), never="^(feather|wing)$")),
    ("sea animal", rule(("animal-marine", "food-marine"))),
    ("reptile", rule(("animal-reptile",))),
    ("insect", rule(("animal-bug",), never="^(cricket|microbe|spider web)$")),
    ("flower", rule(("plant-flower",))),
    ("tree or leaf", rule(("plant-other",), never="nest")),
    ("fruit", rule(("food-fruit",))),
    ("vegetable", rule(("food-vegetable",))),
    ("dish", rule(("food-prepared", "food-asian"))),
    ("sweet", rule(("food-sweet",))),
    ("drink", rule(("drink",))),
    ("building", rule(("place-building", "place-religious"))),
    ("landscape", rule(("place-geographic",), VIEWS)),
    ("road vehicle", rule(("transport-ground",), never="light|stop|wheel|motorway|railway track|fuel|construction|"
                          "skate|scooter|bicycle|motorcycle|oil|tire")),
    ("boat", rule(("transport-water",), never="^(anchor|ring buoy)$")),
    ("aircraft", rule(("transport-air",), never="seat|satellite|cable|railway|tramway|parachute")),
    ("clock", rule(("time",))),
    ("moon or sun", rule(("sky & weather",), SKY_EXTRA, only="moon|^sun$|sun with face|star")),
    ("weather", rule(("sky & weather",), only="cloud|rain|snow|sun behind|tornado|lightning|wind|umbrella|voltage|fog")),
    ("heart", rule(("heart",))),
    ("ball", rule((), BALLS)),
]


def read_emoji_test(path):
    """(subgroup, name, code points) of every fully-qualified emoji without a skin tone."""
    group, out = None, []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("# subgroup:"):
                group = line.split(":", 1)[1].strip()
            m = re.match(r"([0-9A-F ]+?)\s*;\s*fully-qualified\s*#\s*\S+\s+E\d+\.\d+\s+(.*)", line)
            if not m:
                continue
            points = [int(p, 16) for p in m.group(1).split()]
            if not any(0x1F3FB <= p <= 0x1F3FF for p in points):
                out.append((group, m.group(2).strip(), points))
    return out


def slug(name):
    """The packages name icons by the emoji's English name in lower case with hyphens."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.replace("&", "and").replace("'", "")).strip("-")


class IconSet:
    def __init__(self, folder):
        def load(name):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                return json.load(f)

        self.version = load("package.json")["version"]
        sheet = load("icons.json")
        self.icons, self.aliases = sheet["icons"], sheet.get("aliases", {})
        self.width, self.height = sheet.get("width", 16), sheet.get("height", 16)
        self.chars = load("chars.json")
        self.loose = {k.replace("-", ""): k for k in [*self.aliases, *self.icons]}

    def find(self, name, points):
        """Key of the icon: by code points, with and without variation selectors, else by name."""
        full = "-".join(f"{p:x}" for p in points)
        bare = "-".join(f"{p:x}" for p in points if p != 0xFE0F)
        s = slug(name)
        for key in (self.chars.get(full), self.chars.get(bare), s, self.loose.get(s.replace("-", ""))):
            if key in self.icons or key in self.aliases:
                while key not in self.icons:
                    key = self.aliases[key]["parent"]
                return key
        return None

    def svg(self, key):
        """The icon centred in a square."""
        e = self.icons[key]
        w, h = e.get("width", self.width), e.get("height", self.height)
        side = max(w, h)
        x, y = e.get("left", 0) - (side - w) / 2, e.get("top", 0) - (side - h) / 2
        return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{OVERSAMPLE}" '
                f'height="{OVERSAMPLE}" viewBox="{x:g} {y:g} {side:g} {side:g}">{e["body"]}</svg>')


def rasterise(svg):
    if shutil.which("rsvg-convert"):
        run = subprocess.run(["rsvg-convert", "-w", str(OVERSAMPLE), "-h", str(OVERSAMPLE)], input=svg.encode(),
                             capture_output=True)
        if run.returncode:
            return None
        png = run.stdout
    else:
        import cairosvg

        png = cairosvg.svg2png(svg.encode(), output_width=OVERSAMPLE, output_height=OVERSAMPLE)
    im = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", im.size, "white")
    ground.alpha_composite(im)
    return np.asarray(ground.convert("RGB").resize((128, 128), Image.BOX))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("packages", help="folder that holds one folder per set: noto, noto-v1, fluent-emoji, ...")
    p.add_argument("emoji_test", help="Unicode's emoji-test.txt")
    p.add_argument("out", help="file to write, e.g. emoji128.npz")
    args = p.parse_args()

    emoji = read_emoji_test(args.emoji_test)
    images, labels, names, sets, sources = [], [], [], [], []
    for name_of_set, licence in SETS.items():
        icons = IconSet(os.path.join(args.packages, name_of_set))
        sources.append(f"@iconify-json/{name_of_set} {icons.version} ({licence})")
        seen = set()
        for group, name, points in emoji:
            label = next((i for i, (_, match) in enumerate(RULES) if match(group, name)), None)
            key = None if label is None else icons.find(name, points)
            if key is None or key in seen:
                continue
            seen.add(key)
            picture = rasterise(icons.svg(key))
            if picture is None or picture.std() < 2:  # failed, or nothing but ground
                continue
            images.append(picture), labels.append(label), names.append(name), sets.append(name_of_set)
        print(f"{sources[-1]}: {sets.count(name_of_set)} pictures", flush=True)
    np.savez_compressed(args.out, images=np.stack(images), labels=np.array(labels, np.int32), names=np.array(names),
                        sets=np.array(sets), classes=np.array([c for c, _ in RULES]), sources=np.array(sources))


if __name__ == "__main__":
    main()
