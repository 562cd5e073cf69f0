// After the first steps a training step allocates nothing for what it computes: plans, kernels, pointers and
// sums are made once. What comm allocates for a collective (a task and its ticket) does not depend on that,
// and neither do the small maps that oneDNN makes of the arguments of each execution.
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels_allocations.hpp"
#include "layers/build.hpp"
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

layers::ModelGraph lenet() {
    using namespace layers;
    ModelGraph graph("lenet", Shape{28, 28, 1}, Shape{}, DType::i32);
    const Conv2d conv1{.out_channels = 20, .kernel = {5, 5}};
    const Conv2d conv2{.out_channels = 50, .kernel = {5, 5}};
    TensorId x = graph.add("pool1", Pool2d{}, {conv_bias(graph, "conv1", conv1, graph.input())});
    x = graph.add("pool2", Pool2d{}, {conv_bias(graph, "conv2", conv2, x)});
    x = linear_bias(graph, "fc1", Linear{.out_features = 500}, graph.add("flatten", Flatten{}, {x}));
    x = linear_bias(graph, "fc2", Linear{.out_features = 10}, graph.add("relu", Relu{}, {x}));
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return layers::fuse(graph).graph;
}

/// Large enough for what libraries do with larger operands only.
std::vector<layers::ModelGraph> networks() {
    return {lenet(), test::residual_network(16, 32), test::byte_gpt(96, 96)};
}

// Of what libraries allocate, oneDNN's maps of arguments are all: some pieces of 160 bytes for each
// primitive. No step may take more than the one before, but for what comm's thread takes now and then.
TEST(SteadyStep, LibrariesAllocateMapsOfArgumentsAlone) {
    for (const bool bf16 : {false, true}) {
        for (const layers::ModelGraph& graph : networks()) {
            SCOPED_TRACE(::testing::Message() << graph.name() << ", bf16 " << bf16);
            Stepper stepper(bf16 ? layers::store_as_bf16(graph).graph : graph, "cpu", 2, 1);
            const AllocationCount first = allocations_of_a_step(stepper);
            const AllocationCount second = allocations_of_a_step(stepper);
            fmt::print("{}{}: {} allocations a step, the largest of {} bytes\n", graph.name(),
                       bf16 ? ", bf16" : "", second.calls, second.largest);
            EXPECT_LE(first.largest, 1024U);
            EXPECT_LE(second.largest, 1024U);
            EXPECT_LE(second.calls, first.calls + 4);
            EXPECT_LE(second.calls, 400U);
        }
    }
}

// The tests above would pass if the counter were blind.
TEST(Allocations, AreSeenWhoeverMakesThem) {
    std::vector<void*> memory;
    memory.reserve(8);
    start_counting_allocations();
    memory.push_back(::operator new(5000));
    const AllocationCount of_operator_new = stop_counting_allocations();
    EXPECT_EQ(of_operator_new.calls, 1U);
    EXPECT_EQ(of_operator_new.largest, 5000U);
    ::operator delete(memory.back());
    memory.clear();
    if (!counts_malloc())
        GTEST_SKIP() << "the sanitizer of this build owns malloc: only operator new is counted";

    start_counting_allocations();
    memory.push_back(std::malloc(100));
    memory.push_back(std::calloc(10, 20));
    memory.push_back(std::realloc(nullptr, 300));
    memory.push_back(std::aligned_alloc(64, 6400));
    memory.push_back(nullptr);
    EXPECT_EQ(posix_memalign(&memory.back(), 64, 500), 0);
    memory.push_back(strdup("a library's"));
    const AllocationCount count = stop_counting_allocations();
    EXPECT_EQ(count.calls, 6U);
    EXPECT_EQ(count.largest, 6400U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory[4]) % 64, 0U);
    for (void* piece : memory) std::free(piece);
}

}  // namespace
}  // namespace trireme::test
