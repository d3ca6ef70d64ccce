#!/bin/bash
# libditcl as its users get it: installed to a new prefix; the examples built against it in each way; the
# same pictures as those of `ditcl sample`; what ditcl.h promises (tests/library/contract.c).
#
#     tests/library.sh BUILD_FOLDER
set -u
build=$(readlink -f "${1:?usage: $0 BUILD_FOLDER}")
source "$(dirname "$0")/cli/expect.sh" "$build/ditcl"
tests=$(readlink -f "$data/..")
examples=$(readlink -f "$tests/../docs/examples")
prefix=$work/keep/prefix
cc=${CC:-cc} cxx=${CXX:-c++}

# run NAME COMMAND...: must succeed
run()
{
    local name=$1
    shift
    if "$@" >keep/run.log 2>&1; then passed=$((passed + 1)); else problem "$name: $(tail -n 20 keep/run.log)"; fi
}

run "the installation" cmake --install "$build" --prefix "$prefix"
libdir=$(dirname "$(find "$prefix" -name libditcl.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
for file in include/ditcl.h bin/ditcl share/ditcl/models/emoji/model_index.json; do
    if [ ! -f "$prefix/$file" ]; then problem "not installed: $file"; fi
done
for name in LICENSE library.md sample.c; do
    if [ -z "$(find "$prefix/share/doc" -name "$name")" ]; then problem "not installed: $name"; fi
done

# ---- symbols: those of the header, and no others ----
grep -E '^DITCL_API|^    .*\);$' "$prefix/include/ditcl.h" | grep -oE '\bditcl_[a-z_]+\(' | tr -d '(' |
    sort -u >keep/header
nm -D --defined-only "$libdir/libditcl.so" | sed -n 's/.* T \(.*\)@@DITCL_0.2$/\1/p' | sort >keep/shared
nm -D --defined-only "$libdir/libditcl.so" | grep -v ' [TA] ' >keep/others
nm -g --defined-only "$libdir/libditcl.a" | sed -n 's/^[0-9a-f]* . //p' | sort >keep/static
for kind in shared static; do
    if diff keep/header "keep/$kind" >keep/diff; then
        passed=$((passed + 1))
    else
        problem "the symbols of the $kind library are not those of ditcl.h: $(cat keep/diff)"
    fi
done
if [ -s keep/others ]; then problem "other symbols: $(cat keep/others)"; fi
if [ "$(wc -l <keep/header)" -lt 25 ]; then problem "functions in ditcl.h: $(cat keep/header)"; fi
# what the library must not do, it cannot even call
nm -D --undefined-only "$libdir/libditcl.so" | sed 's/.* U //; s/@.*//' |
    grep -xE 'setenv|unsetenv|putenv|sigaction|signal|exit|printf|__printf_chk|puts|putchar|stdout' >keep/calls
if [ -s keep/calls ]; then problem "libditcl.so calls $(tr '\n' ' ' <keep/calls)"; else passed=$((passed + 1)); fi

# ---- builds ----
flags=(-Wall -Wextra -Wpedantic -Werror)
run "C by pkg-config" sh -c "$cc -std=c11 ${flags[*]} $examples/sample.c \$(pkg-config --cflags --libs ditcl) \
    -Wl,-rpath,$libdir -o keep/c"
run "C++ by pkg-config" sh -c "$cxx -std=c++17 ${flags[*]} $examples/sample.cpp \
    \$(pkg-config --cflags --libs ditcl) -Wl,-rpath,$libdir -o keep/cpp"
run "static by pkg-config" sh -c "$cc -std=c11 ${flags[*]} $examples/sample.c \$(pkg-config --cflags ditcl) \
    $libdir/libditcl.a \$(pkg-config --static --libs ditcl | sed 's/-lditcl//') -o keep/static-c"
# the program's own functions have names that the library uses inside
cat >keep/names.c <<'C'
#include <ditcl.h>
int fail(void);
int buffer_create(void);
int fail(void) { return 0; }
int buffer_create(void) { return 0; }
int main(void)
{
    ditcl *c = ditcl_create();
    ditcl_model *model;
    int code = ditcl_model_open(c, &model, "no/such/model", 0);
    ditcl_destroy(c);
    return code == DITCL_ERROR_FILE ? fail() + buffer_create() : 1;
}
C
run "names of the program" sh -c "$cc -std=c11 keep/names.c \$(pkg-config --cflags ditcl) $libdir/libditcl.a \
    \$(pkg-config --static --libs ditcl | sed 's/-lditcl//') -o keep/names && keep/names"
run "find_package" cmake -S "$examples" -B keep/cmake -DCMAKE_PREFIX_PATH="$prefix"
run "the build by find_package" cmake --build keep/cmake
if ldd keep/static-c | grep -q libditcl || ldd keep/cmake/sample-static | grep -q libditcl; then
    problem "the static examples need libditcl.so"
fi

# as a part of another project: configured here, since a build takes minutes
mkdir keep/parent
cat >keep/parent/CMakeLists.txt <<CMAKE
cmake_minimum_required(VERSION 3.20)
project(parent LANGUAGES C)
add_subdirectory($tests/.. ditcl)
foreach(kind shared static)
  add_executable(\${kind} $examples/sample.c)
  target_link_libraries(\${kind} PRIVATE ditcl::\${kind})
endforeach()
if(TEST unit OR CMAKE_BUILD_TYPE)
  message(FATAL_ERROR "ditcl set something for its parent")
endif()
CMAKE
run "add_subdirectory" cmake -S keep/parent -B keep/parent/build

# ---- the same pixels as ditcl sample ----
expect 0 "" sample emoji --class cat,heart --steps 10 --seed 7 --cfg 3 -q --out 'keep/wanted-%d.png'
for how in c cpp static-c cmake/sample-c cmake/sample-cpp cmake/sample-static; do
    rm -f keep/got-*
    run "$how" env DITCL_MODELS="$prefix/share/ditcl/models" "keep/$how" emoji keep/got cat heart
    run "$how: the pixels" env PYTHONPATH="$tests" python3 -c '
import near
for i in range(2):
    width, height, wanted = near.read_png(f"keep/wanted-{i}.png")
    head, got = open(f"keep/got-{i}.ppm", "rb").read().split(b"255\n", 1)
    assert head == b"P6 %d %d " % (width, height), head
    assert got == bytes(wanted), f"picture {i} differs"'
done
# models beside the shared library
run "a model by its name" env -u DITCL_MODELS keep/c emoji keep/got heart

# ---- the contract ----
run "the contract program" sh -c "$cc -std=c11 -D_GNU_SOURCE ${flags[*]} $tests/library/contract.c \
    \$(pkg-config --cflags --libs ditcl) -Wl,-rpath,$libdir -lpthread -o keep/contract"
tiny=$prefix/share/ditcl/models/tiny
keep/contract all "$tiny" >out 2>err
code=$?
if [ $code -ne 0 ] || [ -s out ] || [ -s err ]; then problem "the contract: $code: $(cat out err)"; else passed=$((passed + 1)); fi
run "memory of runs" keep/contract grow "$tiny"
# with first-use checks, whose child is the installed program
run "first-use checks" env -u DITCL_FIRST_USE keep/contract runs 1 "$tiny"
if [ ! -s "$XDG_CACHE_HOME/ditcl/checked.txt" ]; then problem "first use was not checked"; fi

if command -v valgrind >/dev/null; then
    leaks=(valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect
        --errors-for-leak-kinds=definite)
    run "300 contexts under valgrind" "${leaks[@]}" keep/contract loop 300 "$tiny"
else
    echo "*** SKIPPED: leaks are not checked: apt install valgrind ***" >&2
fi
finish
