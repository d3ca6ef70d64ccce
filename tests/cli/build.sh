#!/bin/bash
# The CMake build: installed, moved, and inside another project, in folders whose names have blanks.
# usage: tests/cli/build.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

root=$(readlink -f "$(dirname "$data")/..")

# installed through a staging folder and moved: models are found by relative paths
tree=$(dirname "$ditcl")
DESTDIR="$work/keep/stage" cmake --install "$tree" --prefix /opt/one >out 2>err ||
    problem "cmake --install: $(cat err)"
[ -s keep/stage/opt/one/share/man/man1/ditcl.1 ] || problem "the manual page is not installed"
mv keep/stage/opt/one "keep/moved here"
built=$ditcl
ditcl="$work/keep/moved here/bin/ditcl"
expect 0 "parameters" info emoji
expect 0 "moved here/bin/../share/ditcl/models/emoji" info emoji
expect 1 "did you mean emoji?" info emojii
strings -n 8 "$ditcl" 2>/dev/null | grep -F "$root/models" && problem "the program has the source's path"
ditcl=$built

# a part of another project: it builds, has no tests, installs nothing, sets no build type
mkdir -p "keep/a parent" && ln -s "$root" "keep/a parent/a part"
cat >"keep/a parent/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.20)
project(parent LANGUAGES C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/programs)
add_subdirectory("a part")
get_directory_property(options COMPILE_OPTIONS)
get_directory_property(definitions COMPILE_DEFINITIONS)
if(CMAKE_BUILD_TYPE OR CMAKE_C_STANDARD OR options OR definitions OR TARGET ditcl-tests)
  message(FATAL_ERROR "set: '${CMAKE_BUILD_TYPE}' '${CMAKE_C_STANDARD}' '${options}' '${definitions}'")
endif()
add_executable(parent main.c)
target_link_libraries(parent PRIVATE ditcl_core)
install(TARGETS parent)
END
cat >"keep/a parent/main.c" <<'END'
#include <stdio.h>
#include "base/text.h"
int main(void)
{
    printf("kitten and sitting are %d apart\n", text_distance("kitten", "sitting"));
    return 0;
}
END
unset CMAKE_BUILD_TYPE CMAKE_GENERATOR
if cmake -S "keep/a parent" -B "keep/a build" >out 2>&1 &&
    cmake --build "keep/a build" --parallel 2 >out 2>&1; then
    passed=$((passed + 1))
else
    problem "as a part of another project: $(tail -n 20 out)"
fi
"keep/a build/programs/parent" >out 2>&1
says "are 3 apart" out
ditcl="$work/keep/a build/programs/ditcl"
expect 0 "a build/programs/share/ditcl/models/emoji" info emoji
cmake --install "keep/a build" --prefix "$work/keep/parts" >out 2>&1
[ "$(cd keep/parts && find . -type f)" = ./bin/parent ] || problem "installed $(find keep/parts -type f)"

finish
