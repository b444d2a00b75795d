# libgraphopt_rt: the native core for programs without Python, shared and static, with what other builds need to
# find it: CMake's package graphopt_rt and pkg-config's graphopt_rt.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Programs that were linked against one ABI never load another.
file(STRINGS include/graphopt/graphopt.h line REGEX "^#define GK_ABI_VERSION ")
string(REGEX REPLACE "[^0-9]" "" abi "${line}")

get_target_property(level_objects graphopt_kernels GRAPHOPT_LEVEL_OBJECTS)
add_library(graphopt_rt SHARED $<TARGET_OBJECTS:graphopt_kernels> ${level_objects})
add_library(graphopt_rt_static STATIC $<TARGET_OBJECTS:graphopt_kernels> ${level_objects})
foreach(library graphopt_rt graphopt_rt_static)
  add_library(graphopt_rt::${library} ALIAS ${library})
  set_target_properties(${library} PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME graphopt_rt)
  target_include_directories(${library} INTERFACE "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>")
endforeach()

# Only gk_* leaves the library, under the name of its ABI, and nothing outside replaces what it calls itself.
set(exports "${CMAKE_CURRENT_SOURCE_DIR}/cmake/exports.map")
set(versioned "${CMAKE_CURRENT_BINARY_DIR}/generated/exports.map")
set(GRAPHOPT_ABI ${abi})
configure_file("${exports}" "${versioned}" @ONLY)
set_target_properties(
  graphopt_rt PROPERTIES SOVERSION ${abi} VERSION ${abi}.${PROJECT_VERSION} LINK_DEPENDS "${versioned}"
)
target_link_options(graphopt_rt PRIVATE "LINKER:--version-script=${versioned}" LINKER:-Bsymbolic-functions)
target_link_libraries(graphopt_rt PRIVATE graphopt_options Threads::Threads)
# A program in C does not know that the archive needs the C++ library.
target_link_libraries(graphopt_rt_static PRIVATE $<BUILD_INTERFACE:graphopt_options> Threads::Threads stdc++ m)

# Beside the Python module it is installed by name only: cmake --install BUILD --component graphopt_rt.
set(component COMPONENT graphopt_rt)
if(GRAPHOPT_BUILD_PYTHON)
  list(APPEND component EXCLUDE_FROM_ALL)
endif()
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/graphopt_rt")
install(
  TARGETS graphopt_rt graphopt_rt_static EXPORT graphopt_rt
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" NAMELINK_COMPONENT graphopt_rt ${component}
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${component}
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
)
install(FILES include/graphopt/graphopt.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/graphopt" ${component})
install(
  EXPORT graphopt_rt NAMESPACE graphopt_rt:: FILE graphopt_rt-targets.cmake DESTINATION "${package}" ${component}
)
configure_package_config_file(
  cmake/graphopt_rt-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt-config.cmake"
  INSTALL_DESTINATION "${package}"
)
write_basic_package_version_file(
  "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt-config-version.cmake" COMPATIBILITY SameMinorVersion
)
install(
  FILES "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt-config.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt-config-version.cmake"
  DESTINATION "${package}" ${component}
)
# Relative to itself: an installed tree may be moved.
file(RELATIVE_PATH GRAPHOPT_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/graphopt_rt.pc.in "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt.pc" @ONLY)
install(
  FILES "${CMAKE_CURRENT_BINARY_DIR}/graphopt_rt.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" ${component}
)
