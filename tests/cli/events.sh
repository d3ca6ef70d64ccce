#!/bin/bash
# --json of commands that take long: one object per line on stdout while they run, and nothing else there.
# usage: tests/cli/events.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

plain="$data/models/plain32"
cat >keep/events.py <<'END2'
"""events.py CODE 'EXPRESSION'... -- COMMAND...: runs the command. It must end with this code. Each line of
its stdout must be a JSON object with "event", and arrive while it runs, and each expression must hold;
`said` are the objects, `of(kind)` those of a kind, `kinds` the order of different kinds."""
import json, subprocess, sys
at = sys.argv.index("--")
child = subprocess.Popen(sys.argv[at + 1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
said, alive = [], 0
for line in child.stdout:
    alive += child.poll() is None
    assert line.endswith(b"\n"), line
    said.append(json.loads(line))
    assert isinstance(said[-1], dict) and said[-1]["event"], line
message = child.stderr.read().decode()
assert child.wait() == int(sys.argv[1]), f"exit code {child.returncode}: {message}"
assert not said or alive > len(said) // 2, "the lines come at the end"
of = lambda kind: [e for e in said if e["event"] == kind]
kinds = [e["event"] for i, e in enumerate(said) if not i or said[i - 1]["event"] != e["event"]]
names = dict(said=said, of=of, kinds=kinds, message=message)
for expression in sys.argv[2:at]:
    assert eval(expression, names), f"{expression}: {kinds} {said[-3:]}"
END2

# events CODE EXPRESSION... -- ARGUMENT...
events()
{
    local before=()
    while [ "$1" != -- ]; do before+=("$1") && shift; done
    shift
    if python3 keep/events.py "${before[@]}" -- "$ditcl" "$@" 2>why; then passed=$((passed + 1))
    else problem "$*: $(tail -1 why)"; fi
    rm -f why
}

# ---- sample ----
events 0 'kinds[:2] == ["building", "loading"]' 'kinds[2:] == ["building", "sampling", "step", "decoding", "decoded", "wrote", "done"]' \
    'len(of("building")) > 5 and of("building")[2]["kernel"] == 3' \
    '[(e["step"], e["of"]) for e in of("step")] == [(i, 6) for i in range(1, 7)]' \
    'all(a["seconds"] < b["seconds"] for a, b in zip(of("step"), of("step")[1:]))' \
    'of("step")[-1]["seconds_left"] == 0 and of("step")[0]["seconds_left"] > 0' \
    '[e["path"] for e in of("wrote")] == ["keep/0.png", "keep/1.png", "keep/l.npy"]' \
    'of("done")[0]["seconds"] > of("step")[-1]["seconds"]' \
    -- sample "$plain" -c 0,1 --steps 6 --no-cache --out keep/%d.png --latents-out keep/l.npy --json -q
events 0 '[e["path"] for e in of("wrote")] == ["keep/strip.png", "keep/s.png"]' \
    '[e["step"] for e in of("preview")] == [2, 4, 5]' \
    -- sample "$plain" -c 0,1 --steps 5 --out keep/s.png --strip keep/strip.png --preview keep/p.png \
    --preview-every 2 --json -v
events 1 'kinds == ["failed"] and "nowhere" in of("failed")[0]["message"]' \
    'of("failed")[0]["message"] in message' -- sample "$plain" -c 0 --out nowhere/a.png --json
events 2 'not said' -- sample "$plain" -c 0 --jsen

# ---- check ----
events 0 'kinds[-3:] == ["case", "checked", "done"]' 'len(of("case")) == of("checked")[0]["cases"] > 5' \
    'all(e["ok"] and e["error"] <= e["tolerance"] for e in of("case"))' \
    '{e["operator"] for e in of("case")} == {"blend", "modulate"}' 'of("checked")[0]["failed"] == 0' \
    -- check blend modulate --quick --json
mkdir keep/cl
cp "$data"/../../cl/*.cl "$data"/../../cl/*.clh keep/cl
sed -i 's/signal \*/1.01f * signal */' keep/cl/blend.cl
export DITCL_CL_DIR=keep/cl
events 1 'kinds[-1] == "failed"' 'of("checked")[0]["failed"] == sum(not e["ok"] for e in of("case")) > 0' \
    -- check blend --quick --json
unset DITCL_CL_DIR
events 0 'kinds == ["device", "line", "checked", "done"]' \
    -- check blend --quick --json --all
events 2 'not said' -- check --verify-report x.json --json

# ---- tune ----
events 0 'len(of("try")) > 3' 'len({(e["operator"], e["shape"]) for e in of("result")}) == len(of("result")) > 0' \
    'all(e["operator"] == "attention" for e in of("result"))' \
    'of("result")[0]["ms"] > 0 and of("result")[0]["implementation"]' \
    'kinds[-2:] == ["forward", "done"] and of("forward")[0]["tuned_ms"] > 0' \
    -- tune "$plain" --only attention --budget 3s --json -v
events 2 'kinds == ["failed"]' -- tune --show --json
finish
