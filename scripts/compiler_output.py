"""Reads what compilers report of a program, for scripts/compile_gpu: {kernel: {"registers": ...,
"spills": ..., "local": ..., ...}}."""
import collections
import re


def read_patch_tokens(path):
    """Reads Intel's list of a binary's tokens. Token 15 is local memory, 18 the scratch memory of a
    thread (spilled registers and private arrays), 23 the execution environment."""
    kernels, name, token = {}, None, None
    for line in path.read_text(errors="replace").splitlines():
        line = line.strip()
        if line.startswith("KernelName "):
            name = line.split(" ", 1)[1].strip("\0 ")
            kernels[name] = {"local": 0, "scratch": 0}
        elif line.startswith("4 Token "):
            token = int(line.split()[2])
        elif line.startswith("Hex ") and name:
            data = bytes(int(x, 16) for x in line.split()[1:])
            words = [int.from_bytes(data[i:i + 4], "little") for i in range(0, len(data) - 3, 4)]
            if token == 15 and len(words) > 1:
                kernels[name]["local"] = words[1]
            elif token == 18 and len(words) > 1:
                kernels[name]["scratch"] = words[1]
            elif token == 23 and len(words) > 3:
                kernels[name]["lanes"] = words[3]
    return kernels


def read_ze_info(text):
    """Reads .ze_info of Intel's newer binaries: YAML with a list of kernels."""
    kernels = {}
    for block in re.split(r"\n  - name: +", text[:text.find("\nkernels_misc_info")])[1:]:
        def value(key):
            found = re.search(r"^ +%s: +(\d+)" % key, block, re.M)
            return int(found.group(1)) if found else 0
        scratch = re.findall(r"type: +scratch.*\n(?: +\w+: .*\n)*? +size: +(\d+)", block)
        kernels[block.split("\n")[0].strip()] = {
            "local": value("slm_size"), "lanes": value("simd_size"),
            # bytes of a hardware thread, spilled or not, as token 18 of the older binaries
            "scratch": max(sum(map(int, scratch)), value("spill_size"))}
    return kernels


def read_amd(text, waves):
    kernels = {}
    metadata = text[text.index(".amdgpu_metadata"):]
    for block in re.split(r"\n  - (?=\.)", metadata)[1:]:
        def value(key):
            found = re.search(r"^ *\.%s: +(\S+)" % key, block, re.M)
            return found.group(1) if found else "0"
        name = value("name")
        occupancy = re.search(r"^%s:.*?^; Occupancy: (\d+)" % re.escape(name), text, re.M | re.S)
        kernels[name] = {
            "registers": int(value("vgpr_count")),
            "spills": int(value("vgpr_spill_count")) + int(value("sgpr_spill_count")),
            "scratch": int(value("private_segment_fixed_size")),
            "local": int(value("group_segment_fixed_size")),
            "group": int(value("max_flat_workgroup_size")),
            "occupancy": min(int(occupancy.group(1)), waves) / waves if occupancy else None,
        }
    return kernels


def read_ptxas(text):
    kernels, name = {}, None
    for line in text.splitlines():
        found = re.search(r"Compiling entry function '(\w+)'", line)
        if found:
            name = found.group(1)
            kernels[name] = {"registers": 0, "spills": 0, "scratch": 0, "local": 0}
        found = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", line)
        if found and name:
            kernels[name]["scratch"] = int(found.group(1))
            kernels[name]["spills"] = int(found.group(2))
        found = re.search(r"Used (\d+) registers", line)
        if found and name:
            kernels[name]["registers"] = int(found.group(1))
            shared = re.search(r"(\d+) bytes smem", line)
            kernels[name]["local"] = int(shared.group(1)) if shared else 0
    return kernels


def read_messages(text):
    """Reads the assembly that IGC writes of a kernel: its name, and how many DPAS instructions and
    messages it has. Newer targets say load.slm and store.ugm; older ones send to the data cache, where
    the lowest byte of the descriptor, 0xfe, means local memory, and a comment says what is done."""
    counts = collections.Counter()
    for line in text.splitlines():
        found = re.match(r"//\.spill size (\d+)", line)
        if found:
            counts["spilled"] = int(found.group(1))
        if line.startswith("//"):
            continue
        counts["dpas"] += bool(re.search(r"\bdpasw?\.", line))
        found = re.search(r"\b(load|store)\.(slm|ugm)\b", line)
        if found:
            counts[("local_" if found.group(2) == "slm" else "global_") +
                   ("reads" if found.group(1) == "load" else "writes")] += 1
            continue
        found = re.search(r"\bsends?c?\.dc[01] .*\b0x([0-9A-Fa-f]{8}) +{?.*// .*\b(read|write)", line)
        if found:
            counts[("local_" if int(found.group(1), 16) & 0xff == 0xfe else "global_") +
                   found.group(2) + "s"] += 1
    return re.search(r'//\.kernel "?(\w+)', text).group(1), counts
