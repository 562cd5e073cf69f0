// What the library refuses: a status of cuDNN's, and the words that cudnnGetLastErrorString gives.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <cudnn.h>
#include <fmt/format.h>

namespace trireme::emulated::dnn {

class Refusal : public std::runtime_error {
  public:
    Refusal(cudnnStatus_t status, const std::string& text) : std::runtime_error(text), status_(status) {}
    [[nodiscard]] cudnnStatus_t status() const { return status_; }

  private:
    cudnnStatus_t status_;
};

template <class... T>
[[noreturn]] void refuse(cudnnStatus_t status, fmt::format_string<T...> text, T&&... values) {
    throw Refusal(status, fmt::format(text, std::forward<T>(values)...));
}

/// What the documentation forbids.
template <class... T>
void require(bool holds, fmt::format_string<T...> text, T&&... values) {
    if (!holds) refuse(CUDNN_STATUS_BAD_PARAM, text, std::forward<T>(values)...);
}

/// What cuDNN may do and this library does not know.
template <class... T>
void require_known(bool holds, fmt::format_string<T...> text, T&&... values) {
    if (!holds) refuse(CUDNN_STATUS_NOT_SUPPORTED, text, std::forward<T>(values)...);
}

}  // namespace trireme::emulated::dnn
