// After the first steps a training step allocates nothing for what it computes: plans, kernels, pointers and
// sums are made once. What comm allocates for a collective (a task and its ticket) does not depend on that.
#include <gtest/gtest.h>

#include "kernels_allocations.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "stepper.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme::test {
namespace {

/// Two batch norms with what is fused behind them, dropout, global pooling and a loss: loops of our own
/// alone.
layers::ModelGraph own_loops() {
    using namespace layers;
    ModelGraph graph("own", Shape{8, 8, 20}, Shape{}, DType::i32);
    TensorId x = graph.add("relu1", Relu{}, {graph.add("bn1", BatchNorm{}, {graph.input()})});
    const TensorId branch = graph.add("drop", Dropout{.p = 0.25}, {x});
    x = graph.add("add", Add{}, {graph.add("bn2", BatchNorm{}, {branch}), x});
    x = graph.add("pool", GlobalAveragePool{}, {graph.add("relu2", Relu{}, {x})});
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return layers::fuse(graph).graph;
}

AllocationCount allocations_of_a_step(Stepper& stepper) {
    for (int warm_up = 0; warm_up < 3; ++warm_up) stepper.step();
    start_counting_allocations();
    stepper.step();
    return stop_counting_allocations();
}

// With one micro-batch or three, which are three times the instructions and sums besides: what is left is
// comm's task and ticket for each of two collectives, the sum of the only bucket and the word that all have
// arrived, and now and then what its own thread takes.
TEST(SteadyStep, LoopsOfOurOwnAllocateNothing) {
    for (const bool bf16 : {false, true}) {
        for (const std::int64_t microbatches : {1, 3}) {
            const layers::ModelGraph graph = own_loops();
            Stepper stepper(bf16 ? layers::store_as_bf16(graph).graph : graph, "cpu", 2, microbatches);
            const AllocationCount count = allocations_of_a_step(stepper);
            EXPECT_LE(count.calls, 8U) << "bf16 " << bf16 << ", " << microbatches << " micro-batches";
            EXPECT_LE(count.largest, 1024U);
        }
    }
}

// oneDNN keeps the arguments of each execution in a small map of its own. Nothing of a tensor's size may be
// allocated, and no step may take more than the one before, but for what comm's thread takes now and then.
TEST(SteadyStep, ConvolutionsAllocateNoTensorAndNotMoreAndMore) {
    for (const bool bf16 : {false, true}) {
        const layers::ModelGraph graph = test::tiny_residual();
        Stepper stepper(bf16 ? layers::store_as_bf16(graph).graph : graph, "cpu", 2, 1);
        const AllocationCount first = allocations_of_a_step(stepper);
        const AllocationCount second = allocations_of_a_step(stepper);
        EXPECT_LE(first.largest, 2048U);
        EXPECT_LE(second.calls, first.calls + 4);
    }
}

}  // namespace
}  // namespace trireme::test
