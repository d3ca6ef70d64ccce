# libditcl, shared and static: only the functions of ditcl.h are visible in either.
#
# Targets, also for add_subdirectory: ditcl::shared, ditcl::static, and ditcl::ditcl for the shared
# one.
set(LIBRARY ${PROJECT_SOURCE_DIR}/host/library)
file(GLOB LIBRARY_SOURCES CONFIGURE_DEPENDS ${LIBRARY}/*.c)
add_library(ditcl_interface OBJECT ${LIBRARY_SOURCES})
target_link_libraries(ditcl_interface PRIVATE ditcl_core ditcl_flags)
target_compile_definitions(ditcl_interface PRIVATE
                           DITCL_PROGRAM_FROM_LIBRARY="${PROGRAM_FROM_LIBRARY}"
                           DITCL_PROGRAM="${CMAKE_INSTALL_FULL_BINDIR}/ditcl")
set_target_properties(ditcl_interface PROPERTIES POSITION_INDEPENDENT_CODE ON
                                                 C_VISIBILITY_PRESET hidden)

add_library(ditcl_shared SHARED $<TARGET_OBJECTS:ditcl_interface>)
target_link_libraries(ditcl_shared PRIVATE ditcl_core ${CMAKE_DL_LIBS})
target_link_options(ditcl_shared PRIVATE -Wl,--version-script=${LIBRARY}/ditcl.map
                    -Wl,--gc-sections)
if(NOT DITCL_SANITIZE AND NOT DITCL_FUZZ) # clang leaves the sanitizers' functions to the program
  target_link_options(ditcl_shared PRIVATE -Wl,-z,defs)
endif()
target_include_directories(ditcl_shared INTERFACE ${LIBRARY})
set_target_properties(ditcl_shared PROPERTIES OUTPUT_NAME ditcl VERSION ${PROJECT_VERSION}
                      SOVERSION 0 LINKER_LANGUAGE C LINK_DEPENDS ${LIBRARY}/ditcl.map)
# what it finds beside itself: the program that checks devices, and the models
add_dependencies(ditcl_shared ditcl)
add_library(ditcl::shared ALIAS ditcl_shared)
add_library(ditcl::ditcl ALIAS ditcl_shared)

# one object of all that is needed, whose other names become local
set(STATIC_LIBRARY ${PROJECT_BINARY_DIR}/libditcl.a)
set(WHOLE ${PROJECT_BINARY_DIR}/ditcl_whole.o)
add_custom_command(OUTPUT ${STATIC_LIBRARY}
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${WHOLE} $<TARGET_OBJECTS:ditcl_interface>
          $<TARGET_FILE:ditcl_core>
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=ditcl_* ${WHOLE}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${STATIC_LIBRARY}
  COMMAND ${CMAKE_AR} rcs ${STATIC_LIBRARY} ${WHOLE}
  DEPENDS ditcl_interface ditcl_core $<TARGET_OBJECTS:ditcl_interface>
  COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(ditcl_static_file ALL DEPENDS ${STATIC_LIBRARY})
add_library(ditcl_static INTERFACE)
add_dependencies(ditcl_static ditcl_static_file)
target_include_directories(ditcl_static INTERFACE ${LIBRARY})
target_link_libraries(ditcl_static INTERFACE ${STATIC_LIBRARY} ${OpenCL_LIBRARIES}
                      ${CLBLAST_LIBRARY} PkgConfig::JANSSON
                      PkgConfig::JPEG PkgConfig::WEBP ${ZLIB_LIBRARIES}
                      ${CMAKE_THREAD_LIBS_INIT} ${CMAKE_DL_LIBS} m)
add_library(ditcl::static ALIAS ditcl_static)

if(DITCL_INSTALL)
  foreach(folder INCLUDEDIR LIBDIR)
    file(RELATIVE_PATH RELATIVE_${folder} ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
         ${CMAKE_INSTALL_FULL_${folder}})
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/scripts/ditcl.pc.in ${PROJECT_BINARY_DIR}/ditcl.pc @ONLY)
  include(CMakePackageConfigHelpers)
  set(PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/ditcl)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/scripts/ditclConfig.cmake.in
    ${PROJECT_BINARY_DIR}/ditclConfig.cmake INSTALL_DESTINATION ${PACKAGE}
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ditclConfigVersion.cmake
                                   COMPATIBILITY SameMajorVersion)
  install(TARGETS ditcl_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${STATIC_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${LIBRARY}/ditcl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES ${PROJECT_BINARY_DIR}/ditcl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(FILES ${PROJECT_BINARY_DIR}/ditclConfig.cmake
                ${PROJECT_BINARY_DIR}/ditclConfigVersion.cmake DESTINATION ${PACKAGE})
  install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs PATTERN results EXCLUDE
          PATTERN reports EXCLUDE)
endif()
