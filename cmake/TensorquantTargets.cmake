# How every library, test and program of this project is compiled.

# Numbers must not depend on the compiler's mood: no fused multiply-add that the source did not ask for.
set(TENSORQUANT_COMPILE_OPTIONS -ffp-contract=off)
set(TENSORQUANT_WARNINGS -Wall -Wextra -Wpedantic)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND TENSORQUANT_WARNINGS -Wno-restrict)  # GCC 12 warns of its own std::string: GCC bug 105651
endif()
if(TENSORQUANT_WERROR)
  list(APPEND TENSORQUANT_WARNINGS -Werror)
endif()

function(tensorquant_configure target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE ${TENSORQUANT_COMPILE_OPTIONS} ${TENSORQUANT_WARNINGS})
endfunction()

# tensorquant_library(<part>): the library target tensorquant_<part>, known to users as tensorquant::<part>.
function(tensorquant_library part)
  add_library(tensorquant_${part} STATIC)
  add_library(tensorquant::${part} ALIAS tensorquant_${part})
  set_target_properties(tensorquant_${part} PROPERTIES EXPORT_NAME ${part})
  tensorquant_configure(tensorquant_${part})
  target_include_directories(tensorquant_${part} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_property(GLOBAL APPEND PROPERTY TENSORQUANT_LIBRARIES tensorquant_${part})
endfunction()

# Compiles the sources of a target a dozen at a time: of the seconds that one with the headers of libtorch, or GoogleTest and JSON, takes,
# most go to these. Their names share a namespace then, the anonymous ones too.
function(tensorquant_unity_build target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${TENSORQUANT_UNITY} UNITY_BUILD_BATCH_SIZE 12)
endfunction()

# tensorquant_test(<name> [LIBTORCH] [APART] SOURCES ... LIBRARIES ... LABELS ...): one GoogleTest program, one CTest test.
# LIBTORCH: its sources include libtorch's headers; the tests' own code runs for less than it is optimized. APART: its sources use a name for
# different things and are compiled one by one.
# Tests find the repository in TENSORQUANT_SOURCE_DIR and the developers' data, where they exist, beside it in ../shared.
function(tensorquant_test name)
  if(NOT TENSORQUANT_TESTS)
    return()
  endif()
  cmake_parse_arguments(TEST "LIBTORCH;APART" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  tensorquant_configure(${name})
  target_compile_definitions(${name} PRIVATE TENSORQUANT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${TEST_LIBRARIES} GTest::gmock GTest::gtest_main)
  if(NOT TEST_APART)
    tensorquant_unity_build(${name})
  endif()
  if(TEST_LIBTORCH)
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 1800)
endfunction()

# find_package that says what to install where it finds nothing.
macro(tensorquant_find_package package title debian)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${title} was not found. Please install it: the package ${debian} on Debian and Ubuntu; "
                        "elsewhere any installation that find_package(${package}) finds, if need be by CMAKE_PREFIX_PATH.")
  endif()
endmacro()
