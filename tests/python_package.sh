#!/bin/bash
# The wheel of scripts/python/make_wheel, in a clean virtual environment: the same pictures as those of
# `ditcl sample`, callbacks, exceptions. Skipped without numpy.
#
#     tests/python_package.sh BUILD_FOLDER
set -u
build=$(readlink -f "${1:?usage: $0 BUILD_FOLDER}")
source "$(dirname "$0")/cli/expect.sh" "$build/ditcl"
tests=$(readlink -f "$data/..")

skip()
{
    echo "*** SKIPPED: the Python package is not tested: $1 ***" >&2
    exit 77
}

python3 -m venv keep/venv >keep/log 2>&1 || skip "apt install python3-venv"
python=$work/keep/venv/bin/python
"$python" -m pip install -q --disable-pip-version-check numpy >keep/log 2>&1 || skip "pip cannot install numpy"
wheel=$("$tests/../scripts/python/make_wheel" "$build" keep) || problem "no wheel"
"$python" -m pip install -q --disable-pip-version-check --no-index "$wheel" >keep/log 2>&1 || problem "$(cat keep/log)"

expect 0 "" sample emoji --class cat -n 2 --steps 10 --seed 7 --cfg 3 -q --out 'keep/wanted-%d.png'
# in a folder without models: the wheel has its own
mkdir keep/empty && cd keep/empty || exit 1
if env -u DITCL_MODELS PYTHONPATH="$tests" "$python" "$tests/library/python_package.py" ../wanted-0.png tiny \
    >../log 2>&1 && [ "$(cat ../log)" = "the package holds" ]; then
    passed=$((passed + 1))
else
    problem "$(cat ../log)"
fi
# its helper program checks what runs for the first time
if env -u DITCL_FIRST_USE "$python" -c 'import ditcl; ditcl.Ditcl("tiny").sample(classes=[0], steps=2)' >../log 2>&1 &&
    [ ! -s ../log ] && [ -s "$XDG_CACHE_HOME/ditcl/checked.txt" ]; then
    passed=$((passed + 1))
else
    problem "first use was not checked: $(cat ../log)"
fi
finish
