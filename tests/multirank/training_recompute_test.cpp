// Activations that are computed again instead of kept: the same bits after every step.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/multirank/training_run.hpp"

namespace trireme {
namespace {

/// Batch norm (statistics, masks), dropout (random numbers), residuals, attention (state of its own) and tied
/// weights, in both precisions and modes.
std::vector<RunSetup> setups() {
    const RunSetup images{
        .ranks = 2, .batch = 37, .microbatches = 2, .steps = 7, .lr = 0.05, .device = "cpu"};
    RunSetup residual = images;
    residual.graph = test::tiny_residual;
    RunSetup halves = images;
    halves.graph = test::tiny_residual_bf16;
    RunSetup canonical = residual;
    canonical.microbatches = 1;
    canonical.canonical = true;
    RunSetup reference = residual;
    reference.device = "reference";
    RunSetup text{.ranks = 1, .batch = 19, .microbatches = 2, .steps = 4, .lr = 0.1, .device = "cpu"};
    text.graph = test::tiny_gpt;
    text.text = true;
    return {images, residual, halves, canonical, reference, text};
}

TEST_F(TrainingTest, RecomputingChangesNoBit) {
    for (RunSetup setup : setups()) {
        const auto kept = hashes(run(setup));
        for (const std::int64_t segments : {0, 2, 3, 4}) {
            setup.recompute = segments;
            EXPECT_EQ(hashes(run(setup)), kept)
                << setup.graph().name() << " on " << setup.device << ", " << segments << " segments";
        }
    }
}

}  // namespace
}  // namespace trireme
