// The large CUDA libraries (cuDNN, cuBLASLt, NVRTC: 1 GB together) are not linked, but opened when one of
// their functions is first called. So a program that has the CUDA back end starts on hosts without them,
// trains there on cores, and a bundle of it need not carry them.
//
// How: *_imports.cpp beside this file define the functions that are called, with the library's own
// declarations and each with a jump to the real one. Callers write plain cudnnCreate(...) and know nothing of
// it. A function that is missing at link time gets its line there.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace trireme::cuda {

/// A shared library that is opened at the first need and stays open. Any thread may ask.
class LateLibrary {
  public:
    /// `what` is its name for users; `soname` the file that the loader knows.
    LateLibrary(std::string what, std::string soname) : what_(std::move(what)), soname_(std::move(soname)) {}

    /// The address of one of its functions. Throws DeviceError when the library is not found
    /// (runtime/device/cuda_choice.hpp says where it is looked for) or has no such function.
    [[nodiscard]] void* symbol(const char* name);
    /// The file that was opened. Throws as symbol does.
    [[nodiscard]] std::string path();

  private:
    void* handle();

    std::string what_;
    std::string soname_;
};

/// They live as long as the program: their functions may be called while it ends.
[[nodiscard]] LateLibrary& cudnn_library();
[[nodiscard]] LateLibrary& cublaslt_library();
[[nodiscard]] LateLibrary& nvrtc_library();
/// The one that a program can do without: nobody requires it.
[[nodiscard]] LateLibrary& nccl_library();

/// Opens all of them and holds cuDNN against the oldest that is used, so that a job fails before it starts
/// and not in its first kernel. Throws DeviceError.
void require_libraries();
/// As cudnnGetVersion tells it: 91900. Throws DeviceError when cuDNN is not found.
[[nodiscard]] std::int64_t cudnn_version();

/// cuDNN, cuBLASLt, the CUDA runtime and the driver as (name, version); of a library that is not there it
/// says so.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace trireme::cuda
