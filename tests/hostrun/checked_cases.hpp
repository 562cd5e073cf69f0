// Cases of ops on a provider of the host-run device, next to the fp64 reference.
#pragma once

#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/hostrun/host_provider.hpp"
#include "tests/parity/expectations.hpp"

namespace trireme::hostrun {

/// Every case in each of its batches, up to the first that fails. What may not change a bit of the results is
/// tried by `expect_independence(bench)`.
template <class Provider, class Independence>
void check_cases(HostRun<Provider>& host, const std::vector<parity::OpCase>& cases,
                 const Independence& expect_independence) {
    for (const parity::OpCase& op_case : cases) {
        for (const std::int64_t batch : op_case.batches) {
            SCOPED_TRACE(fmt::format("{}, batch {}", op_case.name(), batch));
            parity::KernelBench bench(host.backend, host.provider, op_case, batch, 1);
            ASSERT_EQ(bench.refusal(), "");
            ++census().cases;
            parity::expect_parity(bench, op_case);
            expect_independence(bench);
            if (::testing::Test::HasFailure()) return;
        }
    }
}

/// Blocks and threads in another order: the same bits, which are returned.
template <class Provider>
parity::Results expect_any_order(HostRun<Provider>& host, parity::KernelBench& bench) {
    host.device->order = Order::scattered;
    parity::Results scattered = bench.train();
    host.device->order = Order::ascending;
    parity::expect_same_bits(bench.train(), scattered);
    return scattered;
}

}  // namespace trireme::hostrun
