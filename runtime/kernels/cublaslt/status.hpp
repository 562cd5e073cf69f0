// Every call of cuBLASLt is checked, and what failed is said with the library's own name and text.
#pragma once

#include <string>
#include <string_view>

#include <cublasLt.h>

namespace trireme::cublaslt {

/// "CUBLAS_STATUS_NOT_SUPPORTED (the functionality is not supported)"
[[nodiscard]] std::string words_of(cublasStatus_t status);

/// Throws DeviceError when `status` is an error. `action` completes "cuBLASLt failed while ...".
void check(cublasStatus_t status, std::string_view action);

}  // namespace trireme::cublaslt
