// What one line of an imports file is made of.
#pragma once

#include "runtime/device/cuda/imports/libraries.hpp"

namespace trireme::cuda {

/// The real function behind `Declared`, looked up once. `Declared` gives the type alone: it is the very
/// function that calls this.
template <auto Declared, LateLibrary& (*library)()>
[[nodiscard]] auto imported(const char* name) {
    static const auto real = reinterpret_cast<decltype(Declared)>(library().symbol(name));
    return real;
}

}  // namespace trireme::cuda
