# Writes OUT, a C file with every file of FILES as a byte array and a table of them: names as in
# cl/ ("gemm.cl", "devices/amd.conf"). Byte arrays, since one compiler refuses long strings.
set(table "")
set(arrays "")
set(i 0)
foreach(path IN LISTS FILES)
  string(REGEX REPLACE "^.*/cl/" "" name "${path}")
  file(READ "${path}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${i}[] = {\n${bytes}0};\n")
  string(APPEND table "    {\"${name}\", (const char *)file_${i}, ${size}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE "${OUT}" "/* Generated from cl/ by cl/embed.cmake. */\n#include \"device/source.h\"\n\n"
  "${arrays}\nconst embedded_file embedded_files[] = {\n${table}    {0, 0, 0}};\n")
