// An executor that only evaluates: what it leaves out, and that it says the same as one that trains.
#include <algorithm>

#include <gtest/gtest.h>

#include "comm/communicator.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "runtime/exec/executor.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme {
namespace {

TEST(ForwardOnly, NeedsNeitherGradientsNorTheMemoryOfTraining) {
    const layers::ModelGraph graph = test::tiny_convnet_fused();
    const Backend backend = make_backend("cpu", 1);
    const Selection selection(graph, backend.providers, SelectionOptions{});
    ParallelSpec spec;
    spec.batch = 37;
    const ParallelPlan plan(selection, spec, 1, std::nullopt);
    ModelState state(graph, plan.buckets(), OptimizerSpec{}, *backend.device);
    state.initialise(3);
    auto world = comm::in_process_world(1, comm::CommOptions{});
    ExecutorParts parts;
    parts.plan = &plan;
    parts.state = &state;
    parts.device = backend.device.get();
    parts.comm = world.front().get();
    parts.eval_batch = 4;
    Executor evaluating(parts);
    StepGuard guard(NanPolicy::stop);
    parts.guard = &guard;
    Executor training(parts);
    EXPECT_TRUE(evaluating.gradients().empty());
    EXPECT_FALSE(training.gradients().empty());
    EXPECT_LT(evaluating.arena_bytes(), training.arena_bytes());
    EXPECT_THROW((void)evaluating.launch(StepInputs{}), InternalError);

    const auto elements = static_cast<std::size_t>(4 * graph.tensor(graph.input()).shape.elements().value);
    std::vector<float> x(elements);
    for (std::size_t i = 0; i < elements; ++i) x[i] = static_cast<float>(i % 17) / 17;
    const std::vector<std::int32_t> y(4, 1);
    const HostBatch batch{std::as_bytes(std::span(x)), std::as_bytes(std::span(y)), 4};
    const auto one = evaluating.forward(batch);
    const auto other = training.forward(batch);
    EXPECT_TRUE(std::ranges::equal(one.logits, other.logits));
    world.front()->finish(Deadline::in_seconds(60));
}

}  // namespace
}  // namespace trireme
