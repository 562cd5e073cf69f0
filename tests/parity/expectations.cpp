#include "tests/parity/expectations.hpp"

#include <cmath>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace trireme::parity {

void expect_near(std::string_view what, const std::vector<double>& got, const std::vector<double>& want,
                 double tolerance) {
    ASSERT_EQ(got.size(), want.size()) << what;
    double largest = 0;
    for (double w : want) largest = std::max(largest, std::abs(w));
    for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_LE(std::abs(got[i] - want[i]), tolerance * largest)
            << what << " element " << i << " of " << got.size() << ": " << got[i] << ", the reference has "
            << want[i];
    }
}

void expect_parity(KernelBench& bench, const OpCase& op_case) {
    const Tolerance tolerance = tolerance_of(op_case, bench.provider());
    const Results trained = bench.train();
    const Results want = bench.reference(trained.output);
    expect_near("output", trained.output, want.output, tolerance.forward);
    expect_near("statistics", trained.statistics, want.statistics, tolerance.forward);
    ASSERT_EQ(trained.d_inputs.size(), want.d_inputs.size());
    for (std::size_t i = 0; i < want.d_inputs.size(); ++i) {
        expect_near(fmt::format("gradient of input {}", i), trained.d_inputs[i], want.d_inputs[i],
                    tolerance.input_gradient);
    }
    ASSERT_EQ(trained.d_params.size(), want.d_params.size());
    for (std::size_t p = 0; p < want.d_params.size(); ++p) {
        expect_near(fmt::format("gradient of parameter {}", p), trained.d_params[p], want.d_params[p],
                    tolerance.param_gradient);
    }
    expect_near("output of inference", bench.infer().output, bench.reference_inference(), tolerance.forward);
    const Results first = bench.train_first_layer();
    for (std::size_t p = 0; p < want.d_params.size(); ++p) {
        expect_near(fmt::format("gradient of parameter {} without an input gradient", p), first.d_params[p],
                    want.d_params[p], tolerance.param_gradient);
    }
}

void expect_same_bits(const Results& once, const Results& again) {
    EXPECT_EQ(once.output, again.output);
    EXPECT_EQ(once.statistics, again.statistics);
    EXPECT_EQ(once.d_inputs, again.d_inputs);
    EXPECT_EQ(once.d_params, again.d_params);
}

void expect_repeatable(KernelBench& bench) {
    const Results once = bench.train();
    expect_same_bits(once, bench.train());
}

void expect_parity_of_all(Backend& backend, const std::vector<OpCase>& cases, int threads, Batches batches,
                          Bits bits) {
    for (const auto& provider : backend.providers) {
        int taken = 0;
        int asked = 0;
        std::set<std::string> refusals;
        for (const OpCase& op_case : cases) {
            const std::int64_t largest = op_case.batches.back();
            for (std::int64_t batch : op_case.batches) {
                if (batches == Batches::largest && batch != largest) continue;
                SCOPED_TRACE(fmt::format("{}: {}, batch {}", provider->name(), op_case.name(), batch));
                KernelBench bench(backend, *provider, op_case, batch, threads);
                ++asked;
                if (const std::string refusal = bench.refusal(); !refusal.empty()) {
                    refusals.insert(refusal);
                    continue;
                }
                ++taken;
                expect_parity(bench, op_case);
                if (batch == largest && bits == Bits::repeat) expect_repeatable(bench);
                if (testing::Test::HasFatalFailure()) return;
            }
        }
        fmt::print("{} took {} of {} kernels\n", provider->name(), taken, asked);
        for (const std::string& refusal : refusals) fmt::print("  refused: {}\n", refusal);
    }
}

}  // namespace trireme::parity
