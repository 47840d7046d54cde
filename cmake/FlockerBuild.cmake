# How every target of this project is compiled: one language level, one set of warnings, one place for sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(FLOCKER_CCACHE ccache)
if(FLOCKER_CCACHE)
  # A clone elsewhere compiles the same code: paths are made relative before hashing, so the cache is shared.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${FLOCKER_CCACHE})
endif()
find_program(FLOCKER_LLD ld.lld)
if(FLOCKER_LLD)
  add_link_options(-fuse-ld=lld)
endif()

find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(spdlog REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(flocker_options INTERFACE)
target_include_directories(flocker_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(flocker_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(flocker_options INTERFACE -Wthread-safety)
  # Or no two clones' precompiled headers are alike, and the cache is of no use.
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
else()
  # g++ 12 reports these from inside inlined library code (absl::StatusOr, std::string) where nothing is wrong, and the
  # missing fields of designated initializers, whose very point is to leave members at their defaults.
  target_compile_options(flocker_options INTERFACE -Wno-missing-field-initializers -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overread)
endif()
target_compile_definitions(flocker_options INTERFACE FLOCKER_VERSION="${PROJECT_VERSION}" _FILE_OFFSET_BITS=64)
# -pthread, as some packages ask for it: a precompiled header serves only files that are compiled like it.
target_compile_options(flocker_options INTERFACE -pthread)
target_link_libraries(flocker_options INTERFACE Threads::Threads)

set(FLOCKER_SANITIZE "" CACHE STRING "Sanitizers for every target, as in -fsanitize=")
if(FLOCKER_SANITIZE)
  add_compile_options(-fsanitize=${FLOCKER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${FLOCKER_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Under a sanitizer g++ 12 warns of more that is not there (-Warray-bounds, -Wstringop-overflow in std::string's
    # operator+). The other presets stop at warnings.
    target_compile_options(flocker_options INTERFACE -Wno-error)
  endif()
  if(FLOCKER_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID MATCHES Clang)
    add_compile_definitions(__SANITIZE_ADDRESS__)  # as g++ says it
  endif()
  if(FLOCKER_SANITIZE MATCHES thread)
    # ThreadSanitizer knows no fences, and g++ says so for each of Asio's, which our one thread per context does without.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

option(FLOCKER_FUZZ "Build the fuzz targets as well (clang)" OFF)
if(FLOCKER_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

option(FLOCKER_FAULTS "Compile in the fault points of engine/base/fault_points.h: for tests, never for a release" OFF)
function(flocker_fault_points target)
  if(FLOCKER_FAULTS)
    target_compile_definitions(${target} PRIVATE FLOCKER_FAULTS)
  endif()
endfunction()

# What most files of the project begin with, precompiled. A room that owns a precompiled header (OWNS) has this in it.
set(FLOCKER_COMMON_HEADERS
  <algorithm> <cerrno> <cstdint> <deque> <filesystem> <functional> <map> <memory> <optional> <set> <string> <string_view>
  <thread> <utility> <vector> <spdlog/spdlog.h>
  <absl/status/status.h> <absl/status/statusor.h> <absl/strings/match.h> <absl/strings/numbers.h>
  <absl/strings/str_cat.h> <absl/strings/str_join.h> <absl/strings/str_split.h> <absl/time/clock.h> <absl/time/time.h>)

# flocker_precompile(target OWNER): the target's files begin with the precompiled header of flocker_OWNER, made once.
# flocker_precompile(target OWNS headers…): the target makes one, of the common headers and these.
function(flocker_precompile target)
  cmake_parse_arguments(ARG "" "" "OWNS" ${ARGN})
  if("OWNS" IN_LIST ARGN)
    set_target_properties(${target} PROPERTIES
      CXX_COMPILER_LAUNCHER "${CMAKE_SOURCE_DIR}/cmake/without_old_pch;${CMAKE_CXX_COMPILER_LAUNCHER}")
    target_precompile_headers(${target} PRIVATE ${FLOCKER_COMMON_HEADERS} ${ARG_OWNS})
  else()
    target_precompile_headers(${target} REUSE_FROM flocker_${ARGN})
  endif()
endfunction()

# A room's static library flocker_<room>: its sources, the rooms it may use, and whose precompiled header it begins with.
function(flocker_library room)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;DEPS" ${ARGN})
  add_library(flocker_${room} STATIC ${ARG_SOURCES})
  target_link_libraries(flocker_${room} PUBLIC flocker_options ${ARG_DEPS})
  if(ARG_PRECOMPILED)
    flocker_precompile(flocker_${room} ${ARG_PRECOMPILED})
  endif()
endfunction()

# A binary in build/<preset>/bin.
function(flocker_binary name)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE flocker_options ${ARG_DEPS})
  flocker_precompile(${name} ${ARG_PRECOMPILED})
endfunction()
