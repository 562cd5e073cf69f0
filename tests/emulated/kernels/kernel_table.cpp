#include <cstring>

#include "tests/emulated/kernels/bind_kernel.hpp"

trireme::emulated::BindKernel trireme_emulated_kernel(const char* device_name) {
    for (const auto* kernel = trireme::emulated::named_kernels; kernel->name != nullptr; ++kernel) {
        if (std::strcmp(kernel->name, device_name) == 0) return kernel->bind;
    }
    return nullptr;
}
