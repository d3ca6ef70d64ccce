"""Writes what scripts/compile_gpu found as docs/gpu-compilers.tsv, and a short page beside it."""
import collections
import pathlib
import re

LEADING = ["file", "kernel", "options", "devices", "work_group", "local_bytes"]

HEAD = """# What compilers for GPUs make of the kernels

`scripts/compile_gpu --table docs/gpu-compilers.tsv` writes this page and [gpu-compilers.tsv](gpu-compilers.tsv). It
compiles every kernel that an untuned device uses, for GPUs that need not be present. Nothing here ran on a GPU.

## The data file

Lines that begin with `#` name the compilers and their versions. Then comes a line of column names, and one line for each
program. Columns are separated by tabs:

| column | meaning |
| --- | --- |
| `file`, `kernel`, `options` | the kernel and the options that it is built with |
| `devices` | the profiles of devices that use the program before tuning |
| `work_group`, `local_bytes` | work-items of a work-group; bytes of local memory |
| one for each target | what the compiler reports |

A target's cell holds, separated by commas, what its compiler reports:

| text | meaning |
| --- | --- |
| a number | vector registers of a work-item (AMD), registers of a thread (NVIDIA) |
| `N lanes` | work-items of a hardware thread (Intel) |
| `N spilled`, `N B scratch` | registers that went to memory; bytes of private memory that the kernel uses |
| `N %` | occupancy that registers and local memory allow: the compiler's figure (AMD); computed from the limits of a multiprocessor (NVIDIA) |
| `ok` | the program compiles, and the compiler reports nothing more |
| `fails` | the program does not compile |

Kernels that read images (`IMAGE=1`) are not in the data file, since no untuned device uses them. `--configs default`
compiles them, but not for NVIDIA, where libclc has no images.
"""


def write_tsv(path, versions, targets, rows):
    """rows: [(file, kernel, options, devices, work-group, local bytes, cells by target), ...]"""
    lines = ["# %s\t%s" % (name, version.strip()) for name, version in versions.items()]
    lines.append("\t".join(LEADING + list(targets)))
    lines += ["\t".join([*map(str, row[:6]), *row[6]]) for row in rows]
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def lowest(cells):
    found = [int(n) for cell in cells for n in re.findall(r"(\d+) %", cell)]
    return "%d %%" % min(found) if found else ""


def summary(targets, rows, families):
    """A line for each kernel file."""
    files = collections.OrderedDict()
    for row in rows:
        files.setdefault(row[0], []).append(row)
    for file, its in files.items():
        column = {t: [row[6][i] for row in its] for i, t in enumerate(targets)}
        memory = [t for t in targets if any("spilled" in c or "scratch" in c for c in column[t])]
        failing = [t for t in targets if "fails" in column[t]]
        by_family = [lowest([c for t in targets if t in families[f] for c in column[t]])
                     for f in ("amd", "nvidia")]
        yield [file, str(len(its)), ", ".join(failing) or "none", ", ".join(memory) or "none",
               *by_family]


def served(kind, families):
    """The targets of a vendor: of its family and of the families for newer compilers, such as intel and intel26."""
    return [t for f, targets in families.items() if f.rstrip("0123456789") == kind for t in targets]


def write_page(path, versions, targets, rows, families, profiles):
    lines = [HEAD, "## Compilers", "", "| compiler | version |", "| --- | --- |"]
    lines += ["| %s | %s |" % (name, version.strip()) for name, version in versions.items()]
    lines += ["", "## Profiles of devices", "",
              "| profile | local memory | work-items of a work-group | features | targets |",
              "| --- | --- | --- | --- | --- |"]
    for name, p in profiles.items():
        lines.append("| %s | %d KB | %d | %s | %s |" % (
            name, p["local"], p["group"], ", ".join(p["features"]),
            ", ".join(p.get("targets") or served(name, families) or ["all"])))
    lines += ["", "## Summary", "",
              "| kernel file | programs | fail on | use scratch memory on | lowest occupancy, AMD | "
              "lowest occupancy, NVIDIA |", "| --- | --- | --- | --- | --- | --- |"]
    lines += ["| %s |" % " | ".join(cells) for cells in summary(targets, rows, families)]
    pathlib.Path(path).write_text("\n".join(lines) + "\n")
