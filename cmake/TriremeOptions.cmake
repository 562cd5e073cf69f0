# Language level, warnings and sanitizers, the same for every box.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

option(TRIREME_BUILD_TESTS "Build the tests" ON)
option(TRIREME_UNITY "Compile several sources at once: quicker as a whole, slower after a small change" OFF)
option(TRIREME_CUDA "Build the CUDA back end; preset cuda" OFF)
set(TRIREME_SANITIZE "" CACHE STRING "Sanitizers as -fsanitize takes them; empty for none")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Bits must not depend on how a compiler contracts a*b+c: exactness is promised for one build of one source.
# (What nvcc is told instead is in TriremeCuda.cmake.)
add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wno-sign-conversion;-Werror;-ffp-contract=off>")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer")
if(TRIREME_UNITY)
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-Wno-shadow>")  # one source's names would shadow another's
endif()
if(TRIREME_SANITIZE)
  add_compile_options(-fsanitize=${TRIREME_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TRIREME_SANITIZE})
endif()

find_program(TRIREME_CCACHE ccache)
if(TRIREME_CCACHE)
  # By itself ccache passes over whatever uses a precompiled header. Several sources at once are told by their whole paths inside
  # of one file, so paths around it may be relative: presets share results then (release and cuda compile most of the code
  # alike). What the environment of the configuration says wins.
  set(TRIREME_CCACHE_SETTINGS "")
  set(settings SLOPPINESS=pch_defines,time_macros)
  if(TRIREME_UNITY)
    list(APPEND settings BASEDIR=${CMAKE_SOURCE_DIR} NOHASHDIR=1)
  endif()
  foreach(setting IN LISTS settings)
    string(REGEX MATCH "^[A-Z]+" name ${setting})
    if(NOT DEFINED ENV{CCACHE_${name}})
      list(APPEND TRIREME_CCACHE_SETTINGS CCACHE_${setting})
    endif()
  endforeach()
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env ${TRIREME_CCACHE_SETTINGS} ${TRIREME_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-fpch-preprocess>")  # ccache sees which header a result belongs to
  endif()
endif()
