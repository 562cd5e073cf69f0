# trireme_cuda_objects: everything that includes CUDA headers, as objects of the box runtime. A target of its own, so that it can be
# built alone, and because its flags differ: bodies of kernels are host and device functions in .cu files (TRIREME_HD,
# runtime/kernels/cuda/host_device.hpp).
set(cuda_sources)
foreach(folder device/cuda kernels/cuda kernels/cudnn kernels/cublaslt)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cu)
  list(APPEND cuda_sources ${found})
endforeach()
add_library(trireme_cuda_objects OBJECT ${cuda_sources})
target_include_directories(trireme_cuda_objects PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(trireme_cuda_objects PUBLIC Trireme::core Trireme::layers Trireme::comm Trireme::io Trireme::cluster
  Trireme::cudart Trireme::cudnn Trireme::cublaslt nlohmann_json::nlohmann_json)
target_compile_definitions(trireme_cuda_objects PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:TRIREME_HD=__host__ __device__>")
# GCC 12 sees an overflow of a string in a header of cudnn-frontend once its functions are inlined here, where being a system header
# does not silence it. It is not ours to mend.
set_source_files_properties(kernels/cudnn/graphs.cpp PROPERTIES COMPILE_OPTIONS -Wno-stringop-overflow)
target_precompile_headers(trireme_cuda_objects PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${CMAKE_SOURCE_DIR}/cmake/pch.hpp>")
