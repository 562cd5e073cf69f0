#include "runtime/kernels/cublaslt/status.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::cublaslt {

std::string words_of(cublasStatus_t status) {
    return fmt::format("{} ({})", cublasLtGetStatusName(status), cublasLtGetStatusString(status));
}

void check(cublasStatus_t status, std::string_view action) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw DeviceError(fmt::format("cuBLASLt failed while {}: {}", action, words_of(status)));
}

}  // namespace trireme::cublaslt
