# The levels: the same kernel sources, once for each instruction set. One line per level, slowest
# first: gk_isa enumerator, namespace, namespace of its vector level, flags. What the flags allow is what
# cpu/isa.cpp asks the CPU for. Levels that differ only in dot products share the code of their vector level
# for every kernel that has none.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(GRAPHOPT_ARCH x86)
  set(GRAPHOPT_BASELINE_FLAGS -march=x86-64 -mtune=generic)
  set(avx512 -march=x86-64-v4,-mprefer-vector-width=512)
  set(GRAPHOPT_LEVELS
      "GK_ISA_X86_64|x86_64|x86_64|-march=x86-64"
      "GK_ISA_AVX2|avx2|avx2|-march=x86-64-v3"
      "GK_ISA_AVX2_VNNI|avx2_vnni|avx2|-march=x86-64-v3,-mavxvnni"
      "GK_ISA_AVX512|avx512|avx512|${avx512}"
      "GK_ISA_AVX512_VNNI|avx512_vnni|avx512|${avx512},-mavx512vnni"
      "GK_ISA_AVX512_VNNI_BF16|avx512_vnni_bf16|avx512|${avx512},-mavx512vnni,-mavx512bf16"
  )
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(GRAPHOPT_ARCH aarch64)
  set(GRAPHOPT_BASELINE_FLAGS -march=armv8-a)
  set(GRAPHOPT_LEVELS
      "GK_ISA_NEON|neon|neon|-march=armv8-a"
      "GK_ISA_NEON_DOTPROD|neon_dotprod|neon|-march=armv8.2-a+dotprod"
      "GK_ISA_NEON_DOTPROD_BF16|neon_dotprod_bf16|neon|-march=armv8.2-a+dotprod+bf16"
  )
else()
  message(FATAL_ERROR "graphopt's kernels know x86-64 and aarch64, not ${CMAKE_SYSTEM_PROCESSOR}")
endif()
set(GRAPHOPT_LEVELS_ONLY "" CACHE STRING "Build only these levels besides the baseline, such as avx2;avx512")

# Builds VECTOR sources once per vector level and DOT sources once per level, as far as the compiler knows
# them, appends the objects to TARGET and writes built_levels.inc, which cpu/isa.cpp reads.
function(graphopt_add_levels TARGET)
  cmake_parse_arguments(PARSE_ARGV 1 source "" "" "VECTOR;DOT")
  set(built "")
  foreach(line IN LISTS GRAPHOPT_LEVELS)
    string(REPLACE "|" ";" fields "${line}")
    list(GET fields 0 enumerator)
    list(GET fields 1 level)
    list(GET fields 2 vector_level)
    list(GET fields 3 flags)
    set(baseline "x86_64;neon")
    if(GRAPHOPT_LEVELS_ONLY AND NOT level IN_LIST baseline AND NOT level IN_LIST GRAPHOPT_LEVELS_ONLY)
      continue()
    endif()
    string(REPLACE "," " " check "${flags}")
    check_cxx_compiler_flag("${check}" GRAPHOPT_COMPILES_${level})
    if(NOT GRAPHOPT_COMPILES_${level})
      message(WARNING "this compiler does not know ${check}: no ${level} kernels; a newer one gives them")
      continue()
    endif()
    string(REPLACE "," ";" flags "${flags}")
    set(sources ${source_DOT})
    if(level STREQUAL vector_level)
      list(APPEND sources ${source_VECTOR})
    endif()
    add_library(${TARGET}_${level} OBJECT ${sources})
    target_compile_options(${TARGET}_${level} PRIVATE ${flags})
    target_compile_definitions(
      ${TARGET}_${level} PRIVATE GK_LEVEL=level_${level} GK_VECTOR_LEVEL=level_${vector_level}
    )
    target_include_directories(${TARGET}_${level} PRIVATE . "${CMAKE_CURRENT_BINARY_DIR}/generated")
    target_link_libraries(${TARGET}_${level} PRIVATE graphopt_options)
    target_sources(${TARGET} PRIVATE $<TARGET_OBJECTS:${TARGET}_${level}>)
    set_property(TARGET ${TARGET} APPEND PROPERTY GRAPHOPT_LEVEL_OBJECTS $<TARGET_OBJECTS:${TARGET}_${level}>)
    string(APPEND built "GK_BUILT(${enumerator}, level_${level})\n")
  endforeach()
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/generated/built_levels.inc" CONTENT "${built}")
endfunction()

# Writes generated/<NAME>.def: one line for each source file, from its name.
function(graphopt_write_def NAME)
  set(lines "")
  foreach(line IN LISTS ARGN)
    string(APPEND lines "${line}\n")
  endforeach()
  file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/generated/${NAME}.def" CONTENT "${lines}" @ONLY)
endfunction()
