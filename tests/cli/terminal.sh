#!/bin/bash
# Text from files, names and the environment may contain control characters, which move the cursor, reverse
# text or forge a line. None of them may reach stdout or stderr; --json escapes them. tests/test_json.c tests
# each character. usage: tests/cli/terminal.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"
export PYTHONPATH=$data/.. # tests/terminal.py

cat >keep/hostile.py <<'END'
"""hostile.py make FOLDER: puts control characters into names of a model. hostile.py check FILE...: fails if
a file has bytes that a terminal must not get. hostile.py tty COMMAND...: runs the command on a terminal."""
import json, os, pty, re, struct, sys

BAD = "\x1b[2J\x07\x7f\x9b31m\u202egnp\u2066\u2028\u200b\ufeff\nditcl: done\r"
HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
                    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]|^ditcl: done", re.M)


def edit(path, change):
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    change(content)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=True)


def rename(path, old, new):
    """Renames a tensor, or without `old` adds an empty one. Also adds hostile metadata."""
    with open(path, "rb") as file:
        raw = file.read()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + n])
    header["__metadata__"] = {"format": "pt", BAD: BAD}
    header[new] = header.pop(old) if old else {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + raw[8 + n:])


def make(folder):
    weights = "/diffusion_pytorch_model.safetensors"
    edit(folder + "/model_index.json",
         lambda c: c.update(id2label={"0": BAD + "first", "1": "中文 é" + BAD}, extra=BAD))
    edit(folder + "/scheduler/scheduler_config.json", lambda c: c.update(_class_name=BAD))
    rename(folder + "/vae" + weights, None, "encoder." + BAD)
    rename(folder + "/vae" + weights, None, BAD)


def check(paths):
    for path in paths:
        with open(path, "rb") as file:
            raw = file.read()
        found = HIDDEN.search(raw.decode("utf-8"))  # fails if it is not UTF-8
        if found:
            sys.exit(f"{path}: {raw[max(0, found.start() - 60):][:200]!r}")


def tty(command):
    said = b""

    def read(descriptor):
        nonlocal said
        said += (got := os.read(descriptor, 4096))
        return got

    code = pty.spawn(command, read)
    said = said.replace(b"\r", b"").replace(b"\x1b[K", b"")  # a progress bar prints these
    said = re.sub(rb"\x1b\[\d+m", b"", said)  # colours
    with open("tty", "wb") as file:
        file.write(said)
    sys.exit(os.waitstatus_to_exitcode(code))


if sys.argv[1] == "make":
    make(sys.argv[2])
elif sys.argv[1] == "check":
    check(sys.argv[2:])
elif sys.argv[1] == "rename":
    rename(sys.argv[2], sys.argv[3], BAD)
elif sys.argv[1] == "config":
    edit(sys.argv[2], lambda c: c.update({sys.argv[3]: BAD}))
else:
    tty(sys.argv[2:])
END

hostile() { python3 "$work/keep/hostile.py" "$@"; }

# shown CODE ARGUMENT...: ditcl must end with this code and print no control character
shown()
{
    local code=$1 got
    shift
    "$ditcl" "$@" >out 2>err </dev/null
    got=$?
    if [ $got -ne "$code" ]; then
        problem "ditcl ${*@Q}: exit code $got, expected $code: $(cat -v err)"
    elif ! hostile check out err 2>why; then
        problem "ditcl ${*@Q}: $(cat why)"
    else
        passed=$((passed + 1))
    fi
    mv out err why keep/ 2>/dev/null
}

bad=$'\e[2J\x07\xc2\x9b31m\xe2\x80\xaegnp\xe2\x80\xa8\nditcl: done\r\xff'
model="$work/keep/m$bad"
weights=diffusion_pytorch_model.safetensors
cp -r "$data/models/plain32" "$model"
hostile make "$model"

# ---- a model with hostile names ----
shown 0 info "$model"
says "中文 é" keep/out
shown 0 info "$model" --json
says '\u202e' keep/out
python3 - keep/out <<'END' || problem "info --json does not give the names unchanged"
import json, sys
said = json.load(open(sys.argv[1], encoding="utf-8"))
sys.exit("\x1b[2J\x07\x7f\x9b31m\u202egnp" not in said["class_names"]["0"] or
         not said["class_names"]["1"].startswith("中文 é") or "\ufffd" not in said["model"])
END
shown 0 sample "$model" --class 1 --steps 1 -v --out "o$bad.png"
shown 1 sample "$model" --class 1 --steps 1 --out "o$bad.jpg/x.png"
shown 2 sample "$model" --class 1 --steps 1 --out "o$bad.gif"
shown 2 sample "$model" --class "x$bad"
shown 2 sample "$model" --class 99999999999999999999
shown 2 sample "$model" --class 1 --sampler "$bad"
shown 2 sample "$model" --class 1 "--$bad"
shown 2 sample "$model" --class 1 --device "$bad"
shown 2 "$bad"
shown 0 convert "$model" "n$bad.safetensors"
shown 0 info "n$bad.safetensors"
shown 0 info "n$bad.safetensors" --json
shown 0 convert "n$bad.safetensors" "f$bad" --vae "$model"
shown 0 info "f$bad"
shown 1 encode "o$bad.png" "l$bad.npy" --vae "$model"
cp "$data/models/plain32-z.npy" "l$bad.npy"
shown 0 decode "$model" --latents "l$bad.npy" -v --out "d$bad.png"
shown 1 decode "$model" --latents "o$bad.png" --out "d$bad.png"
shown 0 bench "$model" --only step --repeat 2 --html "h$bad.html"
cp "h$bad.html" keep/page.html
if hostile check keep/page.html; then passed=$((passed + 1)); else problem "the page of bench"; fi
shown 0 bench "$model" --only step --repeat 2 --json
rm -rf ./*"$bad"*

# ---- on a terminal: a progress bar, and the names of outputs ----
hostile tty "$ditcl" sample "$model" --class 1 --steps 2 --out "t$bad.png" >out 2>err
if [ $? -eq 0 ] && hostile check tty && grep -q 'wrote t' tty; then passed=$((passed + 1))
else problem "on a terminal: $(cat -v tty err)"; fi
rm -f tty "t$bad.png"

# ---- the bar fits the terminal's width, and messages stand above it ----
cat >keep/widths.py <<'END'
"""widths.py COLUMNS COMMAND...: runs the command on a terminal of this width. Each line that it draws must fit,
and no message may stand on the line of a bar."""
import re, sys
from terminal import run

columns = int(sys.argv[1])
said, code = run(24, columns, sys.argv[2:])
shown = re.sub(r"\x1b\[\d+m", "", said.decode().replace("\r\n", "\n"))
bars = [line for line in re.split("\r|\n", shown) if "\x1b[K" in line]
for line in bars:
    if len(line.replace("\x1b[K", "")) >= columns:
        sys.exit(f"{columns} columns: {line!r}")
for line in shown.split("\n"):
    if re.search("\\x1b\\[K.+$", line) and not line.split("\x1b[K")[-1].startswith(("\r", "ditcl: ", "wrote", "  ")):
        sys.exit(f"a message on a bar: {line!r}")
for part in "loading: ", "sampling", "2/2":
    if not any(part in line for line in bars):
        sys.exit(f"no {part!r} in {bars}")
sys.exit(code)
END
for columns in 45 80 200; do
    if python3 keep/widths.py $columns "$ditcl" sample "$data/models/plain32" --class 1 --steps 2 \
        --out wide.png >out 2>err; then
        passed=$((passed + 1))
    else
        problem "$columns columns: $(cat -v out err)"
    fi
done
rm -f wide.png

# ---- stdout is full or closed ----
for command in --version "info $data/models/plain32" "info $data/models/plain32 --json" \
    "devices --json" "sample --help"; do
    for to in full closed; do
        if [ $to = full ]; then "$ditcl" $command >/dev/full 2>err; else "$ditcl" $command >&- 2>err; fi
        if [ $? -eq 1 ] && grep -q "^ditcl: cannot write to standard output: [NB]" err; then
            passed=$((passed + 1))
        else
            problem "ditcl $command, stdout $to: $(cat -v err)"
        fi
    done
done

# ---- errors that quote what they found ----
for key in _class_name norm_type activation_fn num_layers out_channels; do
    rm -rf keep/broken && cp -r "$data/models/plain32" keep/broken
    hostile config keep/broken/transformer/config.json $key
    shown 1 info keep/broken
done
for key in prediction_type beta_schedule timestep_spacing; do
    rm -rf keep/broken && cp -r "$data/models/plain32" keep/broken
    hostile config keep/broken/scheduler/scheduler_config.json $key
    shown 1 sample keep/broken --class 1 --steps 1
done
rm -rf keep/broken && cp -r "$data/models/plain32" keep/broken
hostile rename keep/broken/transformer/$weights pos_embed.proj.bias
shown 1 info keep/broken
rm -rf keep/broken && cp -r "$data/models/plain32" keep/broken
printf '{"a\x1b":' >keep/broken/transformer/config.json
shown 1 info keep/broken
printf '{"\xe2\x80\xae": 1, "\xe2\x80\xae": 2}' >keep/broken/transformer/config.json
shown 1 info keep/broken

# ---- the environment, settings and kernels ----
DITCL_DEVICE=$bad shown 2 sample "$model" --class 1
DITCL_FEATURES=$bad shown 2 sample "$model" --class 1
DITCL_MODELS=$bad shown 2 info nowhere
XDG_CONFIG_HOME=$bad HOME=$bad shown 1 tune --forget
printf 'match %s\ntune %s\n%s\n' "$bad" "$bad" "$bad" >keep/lines.conf
shown 1 tune --import keep/lines.conf
shown 0 tune --show
cp -r "$data/../../cl" keep/cl
for file in keep/cl/*.cl; do printf '#error "%s"\n' $'\e[2J\xc2\x9b31m' >"$file"; done
DITCL_CL_DIR=keep/cl DITCL_BUILD_LOG=1 shown 1 sample "$model" --class 1 --steps 1
says "building cl/" keep/err
finish
