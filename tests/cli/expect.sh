# The tests of commands source this file. They run ditcl as a user does, in a new work folder, and count
# what passes. Sets ditcl, data (tests/data) and work. A test ends with `finish`.
set -u
ditcl=$(readlink -f "${1:?usage: $0 PATH/ditcl}")
data=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../data")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
mkdir keep
# all tests share the caches of drivers; ditcl's cache is new in each test
export POCL_CACHE_DIR=$(dirname "$ditcl")/driver-cache/pocl
export MESA_SHADER_CACHE_DIR=$(dirname "$ditcl")/driver-cache/mesa
mkdir -p "$POCL_CACHE_DIR" "$MESA_SHADER_CACHE_DIR"
export XDG_CACHE_HOME=$work/keep/cache XDG_CONFIG_HOME=$work/keep/config DITCL_FIT=off DITCL_FIRST_USE=off

problem()
{
    echo "WRONG: $1"
    failed=$((failed + 1))
}

# contains "PART ... PART" FILE...: whether the files contain each part, in any case
contains()
{
    local rest="$1 ... " part
    shift
    while [ -n "$rest" ]; do
        part=${rest%% ... *} rest=${rest#* ... }
        if ! grep -qiF -- "$part" "$@"; then return 1; fi
    done
}

# expect CODE "PART ... PART" ARGUMENT...: runs ditcl. It must end with this exit code and print each part:
# key words, such as names and numbers, not whole sentences. If it fails, it must print one line, perhaps
# with a hint, and leave no file.
expect()
{
    local code=$1 part=$2 got lines
    shift 2
    "$ditcl" "$@" >out 2>err
    got=$?
    lines=$(grep -vc '^device [0-9]*: ' err)
    if [ "$got" -ne "$code" ]; then
        problem "ditcl $*: exit code $got, expected $code: $(cat err)"
    elif [ "$code" -ne 0 ] && { [ "$lines" -lt 1 ] || [ "$lines" -gt 2 ]; }; then
        problem "ditcl $*: $lines lines on stderr: $(cat err)"
    elif [ -n "$part" ] && ! contains "$part" out err; then
        problem "ditcl $*: does not say \"$part\": $(cat err)"
    elif [ "$code" -ne 0 ] && [ -n "$(find . -type f ! -name out ! -name err ! -path './keep/*')" ]; then
        problem "ditcl $*: left files: $(find . -type f)"
        find . -type f ! -name out ! -name err ! -path './keep/*' -delete
    else
        passed=$((passed + 1))
    fi
}

# made NAME...: exactly these files must exist now; removes them
made()
{
    local found
    found=$(find . -type f ! -name out ! -name err ! -path './keep/*' -printf '%P\n' | sort | tr '\n' ' ')
    if [ "$found" != "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ]; then
        problem "files \"$found\", expected \"$*\""
    else
        passed=$((passed + 1))
    fi
    find . -type f ! -name out ! -name err ! -path './keep/*' -delete
}

# says TEXT FILE: the file must contain the text; says not TEXT FILE: it must not
says()
{
    local want=0 not=
    if [ "$1" = not ]; then want=1 not=1 && shift; fi
    grep -qF -- "$1" "$2"
    if [ $? -eq $want ]; then passed=$((passed + 1)); else problem "$2: expected ${not:+no }\"$1\": $(cat "$2")"; fi
}

finish()
{
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ]
    exit
}
