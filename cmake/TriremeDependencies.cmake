# Every library that this build uses. cluster/install-deps.sh installs them all.
set(TRIREME_DEPS_DIR ${CMAKE_SOURCE_DIR}/.deps CACHE PATH "Where cluster/install-deps.sh put what Debian does not have")

# find_package or pkg-config with an end that says what to do.
macro(trireme_require name)
  find_package(${name} ${ARGN})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} was not found. On Debian 12 cluster/install-deps.sh installs all that is needed; "
      "cluster/install-deps.sh --check says what is missing.")
  endif()
endmacro()
macro(trireme_require_module prefix module)
  pkg_check_modules(${prefix} IMPORTED_TARGET ${module})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "pkg-config does not know ${module}. On Debian 12 cluster/install-deps.sh installs all that is "
      "needed; cluster/install-deps.sh --check says what is missing.")
  endif()
endmacro()

trireme_require(Threads)
trireme_require(PkgConfig)
trireme_require(MPI COMPONENTS C)
trireme_require(HDF5 COMPONENTS C)
trireme_require(ZLIB)
trireme_require(JPEG)
trireme_require(PNG)
trireme_require(ICU COMPONENTS uc)
# Of ICU three functions are called, whose tables are code. The shared library would bring 31 MB of other data along.
find_library(TRIREME_ICU_ARCHIVE libicuuc.a HINTS ${ICU_ROOT} PATH_SUFFIXES lib)
if(TRIREME_ICU_ARCHIVE)
  set_target_properties(ICU::uc PROPERTIES IMPORTED_LOCATION ${TRIREME_ICU_ARCHIVE} IMPORTED_LOCATION_RELEASE ${TRIREME_ICU_ARCHIVE})
endif()
trireme_require(Boost 1.74 COMPONENTS program_options)
trireme_require(spdlog)
trireme_require(nlohmann_json)
trireme_require(tomlplusplus)
trireme_require_module(XXHASH libxxhash)
trireme_require_module(SODIUM libsodium)
trireme_require_module(HWLOC hwloc)

# oneDNN 3.x: Debian 12 has 2.6, whose API is another one; the PyPI wheels bring 3.2 with libgomp.
find_package(dnnl 3.2 QUIET CONFIG HINTS ${TRIREME_DEPS_DIR}/onednn/lib/cmake/dnnl)
if(NOT dnnl_FOUND)
  message(FATAL_ERROR "oneDNN 3.2 or newer was not found under ${TRIREME_DEPS_DIR}/onednn: run cluster/install-deps.sh, "
    "or set TRIREME_DEPS_DIR to where it put it")
endif()
message(STATUS "oneDNN ${dnnl_VERSION}")

if(TRIREME_BUILD_TESTS)
  trireme_require(GTest)
endif()
