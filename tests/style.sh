#!/bin/bash
# Checks the rules that no compiler checks. Prints every line that breaks one.
#
#     tests/style.sh
set -u
shopt -s lastpipe # rule() runs in this shell and can count
cd "$(dirname "$0")/.."
broken=0

# rule NAME: the lines on stdin break this rule.
rule()
{
    local lines
    lines=$(cat)
    if [ -n "$lines" ]; then
        echo "--- $1"
        echo "$lines"
        broken=1
    fi
}

code=$(find host cl tests -name data -prune -o \( -name '*.c' -o -name '*.h' -o -name '*.cl' \
    -o -name '*.clh' -o -name '*.def' \) -print | sort)

# ---- layers: each folder of host/ may include these. cl: lists that kernels read, too ----
layers()
{
    case $1 in
    base) echo base ;;
    files) echo base files ;;
    device) echo base device ;;
    ops) echo base device ops cl ;;
    optest) echo base device ops optest ;;
    tune) echo base device ops optest tune ;;
    checkpoint) echo base files device checkpoint ;;
    model) echo base files device ops checkpoint model ;;
    sample) echo base files device ops checkpoint model sample cl ;;
    bench) echo base device ops optest tune checkpoint model sample bench ;;
    check) echo base device ops optest checkpoint model sample check ;;
    library) echo base files device ops tune checkpoint model sample check library ;;
    report) echo base files device ops optest tune checkpoint model sample bench check report ;;
    cli) echo base files device ops optest tune checkpoint model sample bench check report cli ;;
    esac
}

for folder in host/*/; do
    layer=$(basename "$folder")
    allowed=$(layers "$layer")
    if [ -z "$allowed" ]; then
        echo "$folder" | rule "a folder without a layer in tests/style.sh"
        continue
    fi
    grep -nE '^#include "' "$folder"* | grep -vE "#include \"(${allowed// /|})/" |
        rule "$layer/ may include ${allowed// /\/, }/ only, as written from host/"
done
grep -nE '^#include "' host/main.c | grep -vE '"(base|cli)/' | rule "main.c may include base/, cli/"
# an operator of several files has a header of its own: gemm_cpu.c may include gemm.h
grep -nE '^#include "ops/' host/ops/*.c | grep -vE '"ops/(op|ops|impl|configuration|choices|first_use)\.h"' |
    grep -vE '^host/ops/([a-z0-9]+)(_[a-z0-9_]+)?\.c:.*"ops/\1\.h"' |
    rule "no operator includes another"
grep -rnE '#include <(CL/|clblast)' host cl tests | grep -vE '^(host/device/|tests/(faults|offline_driver(_[a-z]+)?|opencl_layer(_[a-z]+)?)\.[ch])' |
    rule "only host/device/ and the test drivers include headers of OpenCL and CLBlast"
grep -rn 'jansson\.h\|json_\(pack\|vpack\|dump\|load\|sprintf\|[a-z_]*_\(new\|append\|insert\|set\|update\)\)' host |
    grep -v '^host/files/json\(_build\)\?\.' | rule "only json_read reads JSON, and only json_put_* build it"

# a launch in slices would change these numbers
grep -nE 'get_(group_id|num_groups|global_size|local_size) *\(' cl/*.cl cl/*.clh |
    grep -v '^cl/prelude.clh:' | rule "kernels number work-groups by GROUP_ID, and take counts as arguments"

# ---- vendors are data in cl/devices/, so the code does not name them, except in names of extensions, options and
# packages. The tests name the OpenCL implementations that they run on ----
vendors='nvidia|geforce|amd|radeon|intel|adreno|qualcomm|mali|apple|powervr|imagination'
vendors="\\b($vendors|pocl|mesa|rusticl|llvmpipe|oclgrind|clover)\\b"
grep -niE "$vendors" $(echo "$code" | grep -v '^tests/') |
    sed -E 's/(cl|CL)_(intel|nv|amd|arm|qcom)_[a-zA-Z0-9_]+//g; s/[a-z]+-opencl-icd//g; s/-cl-intel-[a-zA-Z0-9-]+//g' |
    grep -iE ":.*$vendors" | rule "a vendor's name outside cl/devices/"

# ---- layout: .clang-format with clang-format 14, since versions differ ----
if command -v clang-format-14 >/dev/null; then
    clang-format-14 --dry-run $code 2>&1 | grep -a 'warning:' |
        rule "not laid out as by clang-format-14 -i"
else
    echo "*** SKIPPED: the layout is not checked: apt install clang-format-14 ***" >&2
fi

# ---- sizes ----
for file in $code; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 700 ]; then echo "$file: $lines lines"; fi
done | rule "a file of more than 700 lines"
# in characters, not bytes
LC_ALL=C.UTF-8 grep -nE '^.{101,}$' $code | rule "a line of more than 100 columns"
grep -nP '\t| +$' $code | rule "a tab, or blanks at the end of a line"

# ---- names ----
git ls-files | grep -iE '(^|/)(utils?|common|misc|helpers?|core)(\.[a-z]+|/)' |
    rule "a name that says nothing about the content"

# ---- words: tests/old_words.txt has patterns, and what to write instead ----
texts=$(git ls-files -co --exclude-standard -- host cl tests scripts docs .github .ci '*.md' CMakeLists.txt \
    ':!tests/data' ':!tests/old_words.txt' ':!docs/reports' ':!docs/*.png')
while IFS=$'\t' read -r pattern instead; do
    if [ -z "$pattern" ] || [ "${pattern#\#}" != "$pattern" ]; then continue; fi
    grep -qE -- "$pattern" /dev/null
    if [ $? -gt 1 ] || [ -z "$instead" ]; then
        echo "$pattern" | rule "tests/old_words.txt: expected a regular expression, a tab, what to write"
    fi
    # -s: git also lists files that were removed
    grep -sInE -- "$pattern" $texts | rule "an old word; write instead: $instead"
done <tests/old_words.txt

# ---- quirks ----
for quirk in $(sed -n 's/^QUIRK(\([A-Z_]*\),.*/\1/p' host/device/quirks.def); do
    if ! grep -rq --include='*.c' "QUIRK_$quirk\b" host && ! grep -rq "QUIRK_$quirk\b" cl; then
        echo "host/device/quirks.def: $quirk"
    fi
done | rule "a quirk that nobody reads"

# ---- kernels: what every compiler accepts ----
grep -nP '\bdouble\b(?!-buffer)|\bprintf *\(|\bhalf +[a-z]' cl/*.cl cl/*.clh |
    rule "not every OpenCL 1.2 has double, half arithmetic or printf"
gpu_files=$(ls cl/*.cl cl/*.clh | grep -vE '(_cpu|_matrix|conv_winograd)\.cl$')
grep -nE '\b(native_|half_)?(sin|cos|tan|sincos|sinpi|cospi|tanpi|fma)\b *\(' $gpu_files |
    grep -v '#define mad(a, b, c) fma(a, b, c)$' |
    rule "not every GPU compiler can link sin, cos and fma"
# the compiler of one phone GPU ends the process if a kernel combines a size of the range with a uniform,
# even if only after optimisation (qualcomm/GenieX#1284, #1438); so sizes are arguments or constants
grep -nE '\bget_(global_size|local_size|enqueued_local_size|num_groups) *\(' cl/*.cl cl/*.clh |
    rule "kernels take the sizes of their range and work-group as arguments"
for stem in $(ls host/optest/*.c | xargs -n 1 basename | sed 's/\.c$//'); do
    case $stem in optest | compare | factors | workload) continue ;; esac
    for file in host/ops/$stem.c; do
        if [ ! -f "$file" ]; then echo "host/optest/$stem.c has no $file"; fi
    done
done | rule "an operator has one stem everywhere"
for file in cl/*.cl; do
    if ! grep -q "\"$(basename "$file")\"" host/ops/*.c host/bench/peak.c host/device/probe.c; then
        echo "$file"
    fi
done | rule "a kernel file that no operator launches"
for file in host/ops/*.c; do
    stem=$(basename "$file" .c)
    case $stem in impl | configuration | op | choices | first_use | waves) continue ;; esac
    if [ ! -f "host/optest/${stem%%_*}.c" ]; then echo "$file"; fi
done | rule "an operator without an operator test"
for file in $(grep -lE '^status op_' host/ops/*.c); do
    if ! grep -q 'plan_begin(' "$file"; then echo "$file"; fi
done | rule "an operator whose plan does not say its work (plan_begin)"

exit $broken
