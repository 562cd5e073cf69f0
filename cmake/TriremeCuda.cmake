# The CUDA tool chain of a build with TRIREME_CUDA. Taken is the first of these folders that holds nvcc 12.0 or newer, the CUDA
# runtime, cuBLASLt and cuDNN 9.13 or newer (older ones compute wrong gradients of attention):
#   1. TRIREME_CUDA_ROOT (cache or environment), and nothing else when it is set;
#   2. the site's: $CUDA_HOME, $CUDA_PATH, nvcc of the PATH, /usr/local/cuda, /opt/cuda; cuDNN may lie in /usr/include, or where
#      TRIREME_CUDNN_ROOT says;
#   3. what cluster/install-deps.sh fetched, in TRIREME_DEPS_DIR/cuda.
# The headers of cudnn-frontend are those of TRIREME_DEPS_DIR, or of the toolkit's include folder.
#
# Targets: Trireme::cudart (headers and shared library); Trireme::cudnn and Trireme::cublaslt (headers alone: those libraries are
# looked up at their first use, by runtime/device/cuda/imports, so that a program starts without them).
set(TRIREME_CUDA_ROOT "$ENV{TRIREME_CUDA_ROOT}" CACHE PATH "CUDA toolkit (bin/nvcc, include, lib); empty: look for it")
set(TRIREME_CUDNN_ROOT "$ENV{TRIREME_CUDNN_ROOT}" CACHE PATH "cuDNN (include, lib) where it is not the toolkit's; empty: look for it")
set(trireme_cuda_remedy "cluster/install-deps.sh fetches a tool chain where the site has none; TRIREME_CUDA_ROOT and TRIREME_CUDNN_ROOT name others")

# trireme_cudnn_of(ROOT PREFIX): PREFIX_INCLUDE, PREFIX_LIBRARY and PREFIX_VERSION of the cuDNN beside a toolkit; empty if none.
function(trireme_cudnn_of root prefix)
  set(version)
  find_path(include cudnn_version.h PATHS ${TRIREME_CUDNN_ROOT}/include ${root}/include /usr/include
    /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} NO_DEFAULT_PATH NO_CACHE)
  find_file(library libcudnn.so.9 PATHS ${TRIREME_CUDNN_ROOT}/lib ${TRIREME_CUDNN_ROOT}/lib64 ${root}/lib64 ${root}/lib
    /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} NO_DEFAULT_PATH NO_CACHE)
  if(include AND library)
    file(STRINGS ${include}/cudnn_version.h lines REGEX "^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
    string(REGEX REPLACE "[^0-9]*([0-9]+)" ".\\1" version "${lines}")
    string(REGEX REPLACE "^[.]" "" version "${version}")
  endif()
  set(${prefix}_INCLUDE ${include} PARENT_SCOPE)
  set(${prefix}_LIBRARY ${library} PARENT_SCOPE)
  set(${prefix}_VERSION "${version}" PARENT_SCOPE)
endfunction()

# trireme_judge_toolkit(ROOT WHY): WHY is empty when the folder fits, else it says what is wrong with it.
function(trireme_judge_toolkit root why)
  set(${why} PARENT_SCOPE)
  if(NOT EXISTS ${root}/bin/nvcc)
    set(${why} "${root} has no bin/nvcc" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${root}/bin/nvcc --version OUTPUT_VARIABLE text ERROR_VARIABLE text)
  string(REGEX MATCH "release ([0-9]+[.][0-9]+)" match "${text}")
  if(NOT match OR CMAKE_MATCH_1 VERSION_LESS 12.0)
    set(${why} "nvcc of ${root} is '${CMAKE_MATCH_1}', and 12.0 is needed" PARENT_SCOPE)
    return()
  endif()
  foreach(header cuda_runtime.h cublasLt.h nvrtc.h)
    if(NOT EXISTS ${root}/include/${header})
      set(${why} "${root}/include has no ${header}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  trireme_cudnn_of(${root} cudnn)
  if(NOT cudnn_VERSION OR cudnn_VERSION VERSION_LESS 9.13)
    set(${why} "cuDNN beside ${root} is '${cudnn_VERSION}', and 9.13 is needed" PARENT_SCOPE)
  endif()
endfunction()

set(candidates ${TRIREME_CUDA_ROOT})
if(NOT TRIREME_CUDA_ROOT)
  find_program(nvcc_of_path nvcc NO_CACHE)
  if(nvcc_of_path)
    file(REAL_PATH ${nvcc_of_path} nvcc_of_path)
    cmake_path(GET nvcc_of_path PARENT_PATH nvcc_folder)
    cmake_path(GET nvcc_folder PARENT_PATH toolkit_of_path)
  endif()
  list(APPEND candidates $ENV{CUDA_HOME} $ENV{CUDA_PATH} ${toolkit_of_path} /usr/local/cuda /opt/cuda ${TRIREME_DEPS_DIR}/cuda)
  list(REMOVE_DUPLICATES candidates)
endif()
set(toolkit)
set(refused)
foreach(candidate IN LISTS candidates)
  trireme_judge_toolkit(${candidate} why)
  if(NOT why)
    set(toolkit ${candidate})
    break()
  endif()
  string(APPEND refused "\n  ${why}")
endforeach()
if(NOT toolkit)
  message(FATAL_ERROR "TRIREME_CUDA is on, and no CUDA tool chain fits:${refused}\n${trireme_cuda_remedy}.")
endif()
trireme_cudnn_of(${toolkit} trireme_cudnn)

find_path(TRIREME_CUDNN_FRONTEND_INCLUDE cudnn_frontend_version.h
  PATHS ${TRIREME_DEPS_DIR}/cudnn-frontend/include ${toolkit}/include NO_DEFAULT_PATH)
if(NOT TRIREME_CUDNN_FRONTEND_INCLUDE)
  message(FATAL_ERROR "the headers of cudnn-frontend were not found in ${TRIREME_DEPS_DIR}/cudnn-frontend/include: "
    "${trireme_cuda_remedy}.")
endif()

# Our kernels are one file each: no device linking. The runtime is linked as a shared library, by Trireme::cudart.
set(CMAKE_CUDA_COMPILER ${toolkit}/bin/nvcc)
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "GPU architectures: code for sm_80 and sm_90, and PTX for what comes after")
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 12 and newer have C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(TRIREME_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${TRIREME_CCACHE})
endif()
set(CMAKE_CUDA_FLAGS_RELEASE "-O2 -lineinfo")
# As for C++: warnings of both passes are errors, and there is no contraction of a*b+c, so that a kernel's body computes the same on
# the host. constexpr functions of the standard library may be called on the device.
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings;-fmad=false;--expt-relaxed-constexpr;-Xcompiler=-Wall,-Wextra,-Wconversion,-Wno-sign-conversion,-Wshadow,-Werror,-ffp-contract=off>")

find_file(TRIREME_CUDART_LIBRARY NAMES libcudart.so libcudart.so.13 libcudart.so.12
  PATHS ${toolkit}/lib64 ${toolkit}/lib NO_DEFAULT_PATH REQUIRED)
add_library(trireme_cudart INTERFACE)
add_library(Trireme::cudart ALIAS trireme_cudart)
target_include_directories(trireme_cudart SYSTEM INTERFACE ${toolkit}/include)
target_link_libraries(trireme_cudart INTERFACE ${TRIREME_CUDART_LIBRARY} ${CMAKE_DL_LIBS})
add_library(trireme_cudnn INTERFACE)
add_library(Trireme::cudnn ALIAS trireme_cudnn)
target_include_directories(trireme_cudnn SYSTEM INTERFACE ${TRIREME_CUDNN_FRONTEND_INCLUDE} ${trireme_cudnn_INCLUDE})
target_link_libraries(trireme_cudnn INTERFACE Trireme::cudart)
add_library(trireme_cublaslt INTERFACE)
add_library(Trireme::cublaslt ALIAS trireme_cublaslt)
target_link_libraries(trireme_cublaslt INTERFACE Trireme::cudart)

# In the build tree, programs find the large libraries where this configuration found them.
cmake_path(GET TRIREME_CUDART_LIBRARY PARENT_PATH cudart_folder)
cmake_path(GET trireme_cudnn_LIBRARY PARENT_PATH cudnn_folder)
list(APPEND CMAKE_BUILD_RPATH ${cudart_folder} ${cudnn_folder})
list(REMOVE_DUPLICATES CMAKE_BUILD_RPATH)

file(STRINGS ${TRIREME_CUDNN_FRONTEND_INCLUDE}/cudnn_frontend_version.h lines REGEX "^#define CUDNN_FRONTEND_(MAJOR|MINOR)_VERSION ")
string(REGEX REPLACE "[^0-9]*([0-9]+)" ".\\1" frontend_version "${lines}")
string(REGEX REPLACE "^[.]" "" frontend_version "${frontend_version}")
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} in ${toolkit}, cuDNN ${trireme_cudnn_VERSION}, cudnn-frontend ${frontend_version}")
