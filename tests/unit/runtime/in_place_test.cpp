// Kernels that work in place: which buffers of a plan are one, and that gradients are those of the reference
// provider, which never does.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "layers/build.hpp"
#include "runtime/plan/buffer_table.hpp"
#include "stepper.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme::test {
namespace {

/// Nodes of their own for all that can work in place, a tensor with three readers, a chain of two.
layers::ModelGraph unfused() {
    using namespace layers;
    ModelGraph graph("unfused", Shape{6, 6, 2}, Shape{}, DType::i32);
    Conv2d conv;
    conv.out_channels = 8;
    conv.kernel = {3, 3};
    conv.padding = {1, 1};
    TensorId x = graph.add("tanh", Tanh{}, {graph.add("conv1", conv, {graph.input()})});
    const TensorId a = graph.add("relu", Relu{}, {graph.add("bn", BatchNorm{}, {x})});
    const TensorId b = graph.add("drop", Dropout{.p = 0.3}, {x});
    x = graph.add("sum", Add{}, {graph.add("conv2", conv, {a}), b, x});
    x = graph.add("pool", GlobalAveragePool{}, {graph.add("gelu", Gelu{}, {x})});
    x = linear_bias(graph, "fc", Linear{.out_features = 5}, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

/// An addition that reads one tensor twice, the second time through a view: writing the result over the first
/// operand would change the third.
layers::ModelGraph added_to_its_view() {
    using namespace layers;
    ModelGraph graph("added-to-its-view", Shape{6}, Shape{}, DType::i32);
    const TensorId x =
        graph.add("tanh", Tanh{}, {linear_bias(graph, "fc1", Linear{.out_features = 5}, graph.input())});
    const TensorId z = linear_bias(graph, "fc2", Linear{.out_features = 5}, graph.input());
    const TensorId sum = graph.add("sum", Add{}, {x, z, graph.add("view", Flatten{}, {x})});
    graph.add("loss", SoftmaxCrossEntropy{}, {sum, graph.target()});
    return graph;
}

std::size_t shared_buffers(const ParallelPlan& plan) {
    const BufferTable table = buffers_of(plan.program(0, StepKind::full), plan.selection());
    return table.index.size() - table.lives.size();
}

TEST(InPlace, GradientsAreThoseOfTheReference) {
    for (const layers::ModelGraph& graph :
         {unfused(), test::tiny_residual(), test::tiny_conv_residual_fused(), added_to_its_view()}) {
        for (const std::int64_t microbatches : {1, 3}) {
            SCOPED_TRACE(::testing::Message() << graph.name() << ", " << microbatches << " micro-batches");
            Stepper ours(graph, "cpu", 2, microbatches);
            Stepper reference(graph, "reference", 1, microbatches);
            EXPECT_GT(shared_buffers(ours.plan()), graph.name() == "added-to-its-view" ? 0U : 2U);
            EXPECT_EQ(shared_buffers(reference.plan()), 0U);
            for (int step = 0; step < 2; ++step) {
                ours.step();
                reference.step();
                float largest = 0;
                for (float g : reference.gradients()) largest = std::max(largest, std::abs(g));
                ASSERT_EQ(ours.gradients().size(), reference.gradients().size());
                for (std::size_t i = 0; i < reference.gradients().size(); ++i) {
                    ASSERT_NEAR(ours.gradients()[i], reference.gradients()[i], 2e-5F * largest) << i;
                }
            }
        }
    }
}

}  // namespace
}  // namespace trireme::test
