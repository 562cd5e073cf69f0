// Pieces of a launch's memory by the type of what lies there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::cuda {

/// Device memory as the values that lie there.
template <class T>
[[nodiscard]] T* values_of(std::byte* memory, std::int64_t offset = 0) {
    return reinterpret_cast<T*>(memory + offset);
}
template <class T>
[[nodiscard]] const T* values_of(const std::byte* memory, std::int64_t offset = 0) {
    return reinterpret_cast<const T*>(memory + offset);
}

}  // namespace trireme::cuda
