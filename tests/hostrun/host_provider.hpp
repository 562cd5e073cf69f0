// A provider of kernels on the host-run device, and the cases that are tried on it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "runtime/available_backends.hpp"
#include "tests/hostrun/host_launch.hpp"
#include "tests/parity/op_case.hpp"

namespace trireme::hostrun {

template <class Provider>
struct HostRun {
    template <class... Arguments>
    explicit HostRun(Arguments&&... arguments) : provider(std::forward<Arguments>(arguments)...) {
        auto own = std::make_unique<HostRunDevice>();
        device = own.get();
        backend.device = std::move(own);
    }

    Backend backend;
    HostRunDevice* device = nullptr;
    Provider provider;
};

/// The cases as they are, and with their activations in 16 bits.
[[nodiscard]] inline std::vector<parity::OpCase> in_all_types(const std::vector<parity::OpCase>& given) {
    std::vector<parity::OpCase> cases = given;
    for (const DType half : {DType::bf16, DType::f16}) {
        for (const parity::OpCase& op_case : parity::stored_as(half, given)) cases.push_back(op_case);
    }
    return cases;
}

}  // namespace trireme::hostrun
