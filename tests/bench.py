"""Checks what `ditcl bench --json --html` printed for tests/data/models/separate48. This file counts
the FLOP from the model's sizes. It checks no times.

usage: bench.py report OUT.json PAGE.html MODEL | names OUT.json | same A.json B.json
"""
import html.parser
import json
import math
import sys

WIDTH, HEADS_WIDTH, DEPTH, PATCH_IN, PATCH_OUT = 48, 48, 2, 16, 32
TOKENS, BATCH, STEPS, LABELS, FREQUENCIES = 16, 2, 50, 2, 256
COPIES = 2  # each block of this model has its own embedders


def gemm_flop(*shapes):
    return sum(2 * m * n * k for m, n, k in shapes)


ROWS, RUN = BATCH * TOKENS, STEPS * LABELS
QKV = gemm_flop((ROWS, 3 * WIDTH, WIDTH))
ATTENTION = 2 * gemm_flop((ROWS, TOKENS, HEADS_WIDTH))
FORWARD = (DEPTH * (QKV + ATTENTION + gemm_flop((ROWS, WIDTH, WIDTH), (ROWS, 4 * WIDTH, WIDTH),
                                               (ROWS, WIDTH, 4 * WIDTH)))
           + gemm_flop((ROWS, WIDTH, PATCH_IN), (ROWS, PATCH_OUT, WIDTH)))
MODULATION = (DEPTH * gemm_flop((RUN, 6 * WIDTH, WIDTH)) + gemm_flop((RUN, 2 * WIDTH, WIDTH))
              + COPIES * gemm_flop((RUN, WIDTH, FREQUENCIES), (RUN, WIDTH, WIDTH)))

OPERATIONS = {"forward": FORWARD, "step": FORWARD, "modulation": MODULATION, "qkv": QKV,
              "attention": ATTENTION}
CALLS = {"forward": 1, "modulate": 2 * DEPTH + 1, "qkv": DEPTH, "attention": DEPTH, "proj": DEPTH,
         "fc1": DEPTH, "fc2": DEPTH, "patchify": 1, "unpatchify": 1, "patch_embed": 1, "final": 1,
         "update": 1, "vae_attention": 1, "vae_to_pixels": 1}
FIELDS = {"name": str, "shape": str, "ms": float, "gflops": float, "fraction_of_peak": float}


def load(path):
    with open(path) as file:
        return json.load(file)


def check_json(report):
    assert isinstance(report["device"], str) and report["device"], report["device"]
    assert report["precision"] == "fp32", report["precision"]
    for name in ("fp32_gflops", "copy_gbs", "launch_us", "finish_us"):
        assert 0 < report["peak"][name] < math.inf, (name, report["peak"])
    rows = {}
    for row in report["results"]:
        for field, kind in FIELDS.items():
            assert isinstance(row[field], kind), (field, row)
        assert row["ms_best"] <= row["ms"] and row["ms_low"] <= row["ms"] <= row["ms_high"], row
        assert 0 < row["ms"] < math.inf and 0 <= row["fraction_of_peak"] < math.inf, row
        rows.setdefault(row["name"], row)
    for name in ("forward", "modulation", "step", "vae_decode"):
        assert rows[name]["whole"] and rows[name]["gflops"] > 0, rows[name]
    for name, count in OPERATIONS.items():
        counted = rows[name]["gflops"] * rows[name]["ms"] * 1e6
        assert math.isclose(counted, count, rel_tol=1e-4), (name, counted, count)
    for name, count in CALLS.items():
        assert rows[name]["calls"] == count, (name, rows[name]["calls"], count)
    peak, forward = report["peak"]["fp32_gflops"], rows["forward"]
    assert math.isclose(forward["fraction_of_peak"], forward["executed_gflops"] / peak,
                        rel_tol=1e-3), forward


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and that nothing is loaded from outside the page."""
    OPEN_ENDED = {"meta", "th", "path", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.words = [], {}, []

    def handle_starttag(self, tag, attributes):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        for name, value in attributes:
            assert name not in ("src", "href") and "url(" not in (value or ""), (tag, name, value)
        if tag not in self.OPEN_ENDED:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen[tag] = self.seen.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        self.words.append(data)


def check_page(text, report, model):
    page = Page()
    page.feed(text)
    page.close()
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n") and not page.open
    assert page.seen["svg"] == 1 and page.seen["tr"] == 1 + len(report["results"]), page.seen
    assert page.seen["b"] == text.count("<div><span>"), page.seen  # only cards have <b>
    assert model in page.words, model
    for row in report["results"]:
        assert row["name"] in page.words and row["shape"] in page.words, row
    assert not {"nan", "-nan", "inf", "-inf"} & set(text.lower().replace("=", " ").split())


def main(what, *paths):
    if what == "names":
        print(",".join(sorted({row["name"] for row in load(paths[0])["results"]})))
    elif what == "same":
        a, b = ([(row["name"], row["shape"]) for row in load(path)["results"]] for path in paths)
        assert a == b, set(a) ^ set(b)
    else:
        report = load(paths[0])
        check_json(report)
        with open(paths[1]) as file:
            check_page(file.read(), report, paths[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
