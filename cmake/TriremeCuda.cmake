# The CUDA side of a build with TRIREME_CUDA. The tool chain is chosen by TriremeCudaToolkit.cmake; the headers of cudnn-frontend are
# those of TRIREME_DEPS_DIR, or of the toolkit's include folder.
#
# Targets: Trireme::cudart (headers and shared library); Trireme::cudnn and Trireme::cublaslt (headers alone: those libraries are
# looked up at their first use, by runtime/device/cuda/imports, so that a program starts without them).
include(TriremeCudaToolkit)
set(TRIREME_CUDA_ROOT "$ENV{TRIREME_CUDA_ROOT}" CACHE PATH "CUDA toolkit (bin/nvcc, include, lib); empty: look for it")
set(TRIREME_CUDNN_ROOT "$ENV{TRIREME_CUDNN_ROOT}" CACHE PATH "cuDNN (include, lib) where it is not beside the toolkit")
set(trireme_cuda_remedy "cluster/install-deps.sh fetches what is missing; TRIREME_CUDA_ROOT and TRIREME_CUDNN_ROOT name other places")
trireme_find_toolkit(toolkit refused)
if(NOT toolkit)
  message(FATAL_ERROR "TRIREME_CUDA is on, and no CUDA tool chain fits:${refused}\n${trireme_cuda_remedy}.")
endif()
trireme_cudnn_beside(${toolkit} trireme_cudnn)

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

trireme_header_version(${TRIREME_CUDNN_FRONTEND_INCLUDE}/cudnn_frontend_version.h
  "CUDNN_FRONTEND_MAJOR_VERSION;CUDNN_FRONTEND_MINOR_VERSION;CUDNN_FRONTEND_PATCH_VERSION" frontend_version)
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} in ${toolkit}, cuDNN ${trireme_cudnn_VERSION}, cudnn-frontend ${frontend_version}")
