// What the rules of our own CUDA kernels take and refuse, without CUDA.
#include "runtime/kernels/rules/cuda_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trireme {
namespace {

using layers::ModelGraph;
using layers::TensorId;
using ::testing::HasSubstr;

RuleOffer offer_for_last(const ModelGraph& graph, std::int64_t batch = 4, Bytes cap = Bytes(1 << 30)) {
    const KernelRequest request{.graph = &graph,
                                .node = static_cast<layers::NodeId>(graph.nodes().size() - 1),
                                .batch = batch,
                                .workspace_cap = cap};
    return CudaRules{}.offer(request, DeviceModel{});
}

RuleOffer offer_for(const layers::Op& op, const Shape& input, std::int64_t batch = 4,
                    Bytes cap = Bytes(1 << 30)) {
    ModelGraph graph("case", input, Shape{}, DType::i32, layers::input_dtype(op, 0));
    graph.add("node", op, {graph.input()});
    return offer_for_last(graph, batch, cap);
}

TEST(CudaRules, TellWhatANodeNeeds) {
    const RuleOffer norm = offer_for(layers::BatchNorm{.activation = layers::Activation::relu}, {8, 8, 20});
    ASSERT_TRUE(norm.rules);
    EXPECT_EQ(norm.rules->implementation, "tiles:fp32");
    EXPECT_TRUE(norm.rules->needs.backward_reads_input);
    // Four vectors of 20 floats, each in 64-byte steps, and three bytes of mask a row.
    EXPECT_EQ(norm.rules->needs.saved.value, 4 * 128 + 4 * 8 * 8 * 3);
    EXPECT_GT(norm.rules->needs.forward_scratch.value, 0);
    const RuleOffer relu = offer_for(layers::Relu{}, {10});
    ASSERT_TRUE(relu.rules);
    EXPECT_TRUE(relu.rules->needs.forward_in_place);
    EXPECT_TRUE(relu.rules->needs.backward_reads_output);
    EXPECT_EQ(relu.rules->needs.saved.value, 0);
}

TEST(CudaRules, TakeHalves) {
    for (const DType half : {DType::bf16, DType::f16}) {
        ModelGraph graph("case", Shape{12}, Shape{}, DType::i32);
        const TensorId x = graph.add("front", layers::Relu{}, {graph.input()});
        graph.store_as(x, half);
        const TensorId y = graph.add("node", layers::Tanh{}, {x});
        const RuleOffer mixed = offer_for_last(graph);
        ASSERT_TRUE(mixed.rules);
        EXPECT_FALSE(mixed.rules->needs.forward_in_place);
        graph.store_as(y, half);
        const RuleOffer offer = offer_for_last(graph);
        ASSERT_TRUE(offer.rules);
        EXPECT_EQ(offer.rules->implementation, half == DType::bf16 ? "packs:bf16" : "packs:fp16");
        EXPECT_TRUE(offer.rules->needs.forward_in_place);
    }
}

TEST(CudaRules, RefuseInWords) {
    EXPECT_THAT(offer_for(layers::Conv2d{.out_channels = 4}, {8, 8, 3}).refusal,
                HasSubstr("it is a library's"));
    EXPECT_THAT(offer_for(layers::Flatten{}, {8, 8, 3}).refusal, HasSubstr("a view needs no kernel"));
    EXPECT_THAT(offer_for(layers::CausalSelfAttention{.heads = 1}, {6001, 12}).refusal,
                HasSubstr("6001 positions"));
    EXPECT_THAT(offer_for(layers::Pool2d{.kernel = {300, 300}}, {300, 300, 1}).refusal,
                HasSubstr("a window may have 65536 places"));
    EXPECT_THAT(offer_for(layers::BatchNorm{}, {64, 64, 256}, 64, Bytes(1024)).refusal,
                HasSubstr("job.workspace_mb"));
    ModelGraph graph("case", Shape{4}, Shape{}, DType::i32);
    std::vector<TensorId> terms;
    for (int i = 0; i < 17; ++i)
        terms.push_back(graph.add("term" + std::to_string(i), layers::Relu{}, {graph.input()}));
    graph.add("sum", layers::Add{}, terms);
    EXPECT_THAT(offer_for_last(graph).refusal, HasSubstr("adds 17 tensors"));
}

}  // namespace
}  // namespace trireme
