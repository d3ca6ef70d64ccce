#!/bin/bash
# Device reports: their content, what they leave out, and that a bad device affects only its own part.
# usage: tests/cli/report.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

root=$(readlink -f "$data/../..")
layer=$(dirname "$ditcl")/libopencl_layer.so
faults=$(dirname "$ditcl")/libfile_faults.so
loud() { echo "*** SKIPPED: $* ***" >&2; }
quick=(check fill blend --quick)
# report FILE "CONDITION": the condition must hold for r, the report, and d, its last device
report()
{
    if python3 - "$1" "$2" <<'END'; then passed=$((passed + 1)); else problem "$1: not $2"; fi
import json, sys
r = json.load(open(sys.argv[1]))
d = r["devices"][-1]
checks = {c["operator"]: c for c in d["checks"]}
skipped = {s["what"]: s["why"] for s in d["skipped"]}
sys.exit(not eval(sys.argv[2]))
END
}

# ---- errors before any work ----
for name in r r.txt json .json; do expect 2 "ends in .json or .html" "${quick[@]}" --report $name; done
expect 1 "missing: No such file" "${quick[@]}" --report missing/r.json
expect 2 "--all" check --all --device 0
expect 2 "no operator is called fil" check fil --report r.json
expect 2 "no such device" check --device nothing-like-this --report r.json
expect 0 "ditcl check --all --report devices.json" check --help

# ---- a quick report: every field, and what was skipped ----
expect 0 "12 checks passed" "${quick[@]}" --report keep/r.json
report keep/r.json 'r["ditcl_report"] == 1 and r["version"] and len(r["date"]) == 20 and len(r["hash"]) == 32'
report keep/r.json 'set(r) == set("ditcl_report date version commit system platforms_without_device devices hash".split())'
report keep/r.json 'set(r["system"]) == set("os kernel kernel_version machine icd_loader".split()) and r["system"]["icd_loader"]'
report keep/r.json 'len(r["devices"]) == 1 and d["passed"] and d["ended"] is None'
report keep/r.json 'all(d[k] for k in "id name platform vendor driver version type properties settings features".split())'
report keep/r.json 'all(k in d["properties"] for k in "opencl_c_version global_memory_bytes largest_allocation_bytes local_memory_bytes local_memory_type constant_buffer_bytes work_group_items work_item_sizes fp32 extensions cooperative_matrices".split())'
report keep/r.json 'set(d["features"]["images"]) >= {"claimed", "tried", "compiled", "right"}'
report keep/r.json 'checks["fill"]["cases"] == 6 and checks["blend"]["failed"] == 0 and 0 < checks["blend"]["worst_error_over_tolerance"] < 1'
report keep/r.json 'set(checks["fill"]["kernels"][0]) == set("name file configuration variants build_seconds longest_build_seconds".split()) and checks["fill"]["kernels"][0]["name"] == "fill"'
report keep/r.json '"gemm" in skipped and "network, peaks, models, largest buffer" in skipped and d["peaks"] is None and d["models"] == []'
expect 0 "" check gemm --quick --report keep/g.json
report keep/g.json 'checks["gemm"]["arithmetic"] and checks["gemm"]["worst_case"]'
report keep/g.json 'any(k["name"].startswith("gemm") and "-DVEC=" in k["configuration"] and "-DK=" not in k["configuration"] and k["variants"] > 9 for k in checks["gemm"]["kernels"])'

# ---- a full report ----
expect 0 "8 checks passed" check fill --report keep/w.json --model-seconds 20
report keep/w.json 'd["network"]["two_runs_same_bits"] and d["network"]["right"] and 0 < d["network"]["error"] < 1e-4'
report keep/w.json 'd["peaks"]["fp32_gflops"] > 0 and d["peaks"]["copy_gbs"] > 0'
report keep/w.json 'd["largest_buffer"]["reported_bytes"] >= d["largest_buffer"]["obtained_bytes"] > 1e6'
report keep/w.json '{m["model"] for m in d["models"]} | set(skipped) >= {"DiT-S/2", "DiT-B/2", "DiT-XL/2"}'
report keep/w.json 'all(m["pass_ms"] > 0 and any(o["name"] == "qkv" and o["kernels"][0].startswith("gemm") for o in m["operators"]) for m in d["models"])'
report keep/w.json 'len(d["convolutions"]) == 9 and all(c["implementation"] for c in d["convolutions"])'
expect 0 "8 checks passed" check fill --report keep/w.html --model-seconds 0
says "fp32 peak" keep/w.html
[ "$(stat -c %s keep/w.json)" -lt 40000 ] || problem "a report of $(stat -c %s keep/w.json) bytes"

# ---- the hash ----
expect 0 "as it was written" check --verify-report keep/w.json
"$root/scripts/devices_table" keep/w.json >out 2>err || problem "devices_table: $(cat err)"
says "7 pass" out
sed 's/"failed": 0/"failed": 1/' keep/r.json >keep/edited.json
expect 1 "it was changed" check --verify-report keep/edited.json
"$root/scripts/devices_table" keep/edited.json >out 2>err && problem "devices_table takes an edited report"
says "it was changed" err
python3 -c 'import json, sys; json.dump(json.load(open("keep/r.json")), open("keep/same.json", "w"), indent=7)'
expect 0 "as it was written" check --verify-report keep/same.json # whitespace does not matter
expect 1 "is no report" check --verify-report "$data/models/plain32/model_index.json"

# ---- a wrong kernel, and one that does not compile ----
cp -r "$root/cl" keep/cl
sed -i 's/= bits;/= bits + 1;/' keep/cl/fill.cl
cmp -s keep/cl/fill.cl "$root/cl/fill.cl" && problem "cl/fill.cl does not have the text that this test replaces"
DITCL_CL_DIR=keep/cl expect 1 "failed its check" "${quick[@]}" --report keep/f.json
report keep/f.json 'not d["passed"] and checks["fill"]["failed"] == 6 and "expected" in checks["fill"]["first_failure"] and checks["blend"]["failed"] == 0'
"$root/scripts/devices_table" keep/f.json >out || problem "devices_table: a report with failures"
says "6 of 12 fail" out

# ---- private names in texts of the driver and the compiler do not reach the report ----
export USER=wanda HOME=$work/keep/wandas\ home
mkdir "$HOME"
sed -i '1i #error no wanda' keep/cl/fill.cl
run=("${quick[@]}")
if [ -f "$layer" ]; then
    export OPENCL_LAYERS=$layer
    export DITCL_LAYER="driver=1.2 made by wanda@$(hostname) in $HOME/src and $PWD/x.c, -I/opt/place/inc C:\\Users\\w"
fi
for file in keep/p.json keep/p.html; do
    DITCL_CL_DIR=$work/keep/cl expect 1 "failed its check" "${run[@]}" --report $file
    for word in wanda wandas "$(hostname)" "$work" /tmp "$PWD" keep "$root" /opt place Users; do
        grep -qwF -- "$word" $file && problem "$file says $word"
    done
    says "building cl/fill.cl" $file
    if [ -f "$layer" ]; then says "1.2 made by" $file; fi
done

# ---- text that is markup for a page, a terminal or a table ----
if [ -f "$layer" ]; then
    hostile=$'<script>alert(1)</script>\e[31m"&|x'
    for what in name vendor driver version platform; do hostiles="${hostiles:-}$what=$what$hostile;"; done
    DITCL_LAYER=$hostiles expect 0 "" "${quick[@]}" --report keep/h.json
    report keep/h.json 'all(d[k].startswith(k + "<script>") and d[k].isprintable() for k in "name vendor driver version platform".split())'
    "$root/scripts/devices_table" keep/h.json >out || problem "devices_table: a hostile report"
    says not "<script" out
    DITCL_LAYER=$hostiles expect 0 "" "${quick[@]}" --report keep/h.html
    says "name&lt;script&gt;alert(1)" keep/h.html
    says not "<script" keep/h.html
    grep -qP '\x1b' keep/h.json keep/h.html out && problem "an escape character in a report"
fi
unset OPENCL_LAYERS DITCL_LAYER
expect 0 "" "${quick[@]}" --report keep/r.html
name=$(python3 -c 'import json; print(json.load(open("keep/r.json"))["devices"][0]["name"])')
says "<h1>$name</h1>" keep/r.html
says "All checks passed" keep/r.html
for not in "<script" "<link" "http:" "https:" "src="; do says not "$not" keep/r.html; done
says not NaN keep/r.html
# whole FILE: the elements of the page are closed in order, and it loads nothing from outside
whole()
{
    if python3 - "$root/tests" "$1" <<'END'; then passed=$((passed + 1)); else problem "$1: not a complete page"; fi
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import bench
text, page = open(sys.argv[2]).read(), bench.Page()
page.feed(text)
page.close()
assert text.startswith("<!doctype html>") and text.endswith("</html>\n") and not page.open
assert page.seen["h1"] >= 1 and page.seen["table"] >= 4, page.seen
END
}
for page in keep/r.html keep/w.html; do whole $page; done
if [ -f "$layer" ]; then whole keep/h.html; fi

# ---- a device that crashes, hangs or cannot be opened ends only its own part of the report ----
export POCL_DEVICES="pthread basic"
if [ -f "$layer" ] && [ "$("$ditcl" devices --json | grep -c '"index"')" -eq 2 ]; then
    export OPENCL_LAYERS=$layer
    DITCL_LAYER="crash=clEnqueueNDRangeKernel:9;only=basic" expect 1 "1 of 2 devices failed" \
        "${quick[@]}" --all --report keep/c.json
    says "ended by signal 11" out
    says "12 checks passed" out
    report keep/c.json '[x["passed"] for x in r["devices"]] == [x["name"][:5] != "basic" for x in r["devices"]]'
    report keep/c.json '[x["ended"]["during"] for x in r["devices"] if x["ended"]] == ["checking blend"]'
    report keep/c.json 'all(x["properties"] and x["checks"][0]["failed"] == 0 for x in r["devices"])'
    "$root/scripts/devices_table" keep/c.json >out || problem "devices_table: a device that crashed"
    says "ended while checking blend" out
    DITCL_LAYER="hang=clEnqueueNDRangeKernel:9;only=basic" expect 1 "1 of 2 devices failed" \
        "${quick[@]}" --all --silence 4
    says "said nothing for 4 s" out
    DITCL_LAYER="fail=clCreateContext:1;only=basic" expect 1 "1 of 2 devices failed" "${quick[@]}" --all
    says "clCreateContext" out
    DITCL_LAYER="fail=clCreateContext:1" expect 1 "2 of 2 devices failed" "${quick[@]}" --all
    unset OPENCL_LAYERS
    expect 0 "device 1: 12 checks passed" "${quick[@]}" --all
else
    loud "no layer, or no two devices of this driver: --all"
fi
unset POCL_DEVICES

# ---- a full disk: the old file stays, and no other file is left ----
if [ -f "$faults" ]; then
    echo old >keep/old.json
    for file in keep/old.json new.html; do
        export LD_PRELOAD=$faults FILE_FAULTS="write ENOSPC ${file#*.}"
        expect 1 "$file: cannot write" "${quick[@]}" --report $file
        unset LD_PRELOAD FILE_FAULTS
        says "No space left" err
    done
    says old keep/old.json
else
    loud "no libfile_faults.so: full disks"
fi
finish
