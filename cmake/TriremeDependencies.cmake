# Every library of section 7 of the design that this build uses. cluster/install-deps.sh installs them.
set(TRIREME_DEPS_DIR ${CMAKE_SOURCE_DIR}/.deps CACHE PATH "Where cluster/install-deps.sh put what Debian does not have")

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)

# oneDNN 3.x: Debian 12 has 2.6, whose API is another one; the PyPI wheels bring 3.2 with libgomp.
find_package(dnnl 3.2 QUIET CONFIG HINTS ${TRIREME_DEPS_DIR}/onednn/lib/cmake/dnnl)
if(NOT dnnl_FOUND)
  message(FATAL_ERROR "oneDNN 3.x not found under ${TRIREME_DEPS_DIR}/onednn: run cluster/install-deps.sh")
endif()
message(STATUS "oneDNN ${dnnl_VERSION}")

if(TRIREME_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
