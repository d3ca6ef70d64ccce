# Writes OUT, a C file with the commit of SOURCE, or "" if SOURCE is not the top of a git working tree.
# The commit ends with -dirty if files differ from it. OUT is written only if its text changes.
find_program(GIT git)
set(COMMIT "")
if(GIT)
  execute_process(COMMAND ${GIT} rev-parse --show-prefix WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE PREFIX ERROR_QUIET RESULT_VARIABLE FAILED
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT FAILED AND PREFIX STREQUAL "")
    execute_process(COMMAND ${GIT} describe --always --exclude=* --dirty --abbrev=12
                    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT ERROR_QUIET
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
endif()
if(NOT COMMIT MATCHES "^[0-9a-f]+(-dirty)?$")
  set(COMMIT "")
endif()
set(TEXT "#include \"base/version.h\"\n\nconst char version_commit[] = \"${COMMIT}\";\n")
set(OLD "")
if(EXISTS ${OUT})
  file(READ ${OUT} OLD)
endif()
if(NOT OLD STREQUAL TEXT)
  file(WRITE ${OUT} "${TEXT}")
endif()
