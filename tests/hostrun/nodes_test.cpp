// Every op that our own kernels take, forward and backward, in fp32, bf16, fp16 and mixes of them, next to
// the fp64 reference: the cases of the parity tests, and sizes on all sides of the edges that these kernels
// have (packs of 8, tiles of 256 channels, chunks of rows, blocks of 32 and 256 threads). Each case runs with
// blocks and threads in three orders, in place where the kernels say that they can, and with the backward
// passes the other way round: the same bits each time. (In place, the plan has what reads a gradient come
// before what writes over it.)
#include <gtest/gtest.h>

#include "runtime/kernels/cuda/nodes/own_kernels.hpp"
#include "tests/hostrun/checked_cases.hpp"

namespace trireme::hostrun {
namespace {

using parity::KernelBench;
using parity::OpCase;
using parity::Results;
using parity::RunOptions;
using parity::Values;

using Host = HostRun<cuda::OwnProvider<HostLaunch>>;

void expect_independence(Host& host, KernelBench& bench) {
    const Results once = bench.train();
    for (const Order order : {Order::descending, Order::scattered}) {
        host.device->order = order;
        parity::expect_same_bits(once, bench.train());
    }
    host.device->order = Order::ascending;
    parity::expect_same_bits(once, bench.train({.input_gradient_first = true}));
    const KernelNeeds needs = bench.needs();
    if (needs.forward_in_place && !needs.backward_reads_input)
        parity::expect_same_bits(once, bench.train({.forward_in_place = true}));
    for (int i = 0; i < static_cast<int>(once.d_inputs.size()); ++i) {
        if ((needs.backward_in_place >> i & 1) == 0) continue;
        parity::expect_same_bits(once, bench.train({.backward_in_place = i}));
    }
}

/// As they are, and with their activations in 16 bits where the op reads and writes such.
void check(const std::vector<OpCase>& given, bool halves = true) {
    Host host(DeviceModel{});
    check_cases(host, halves ? in_all_types(given) : given,
                [&](KernelBench& bench) { expect_independence(host, bench); });
}

/// One op on vectors of awkward lengths.
std::vector<OpCase> on_lengths(const layers::Op& op, std::initializer_list<std::int64_t> lengths,
                               const std::vector<std::int64_t>& batches = {1, 3}) {
    std::vector<OpCase> cases;
    for (const std::int64_t length : lengths) cases.push_back({op, {length}, batches});
    return cases;
}

std::vector<OpCase> joined(std::initializer_list<std::vector<OpCase>> lists) {
    std::vector<OpCase> all;
    for (const std::vector<OpCase>& list : lists) all.insert(all.end(), list.begin(), list.end());
    return all;
}

TEST(Nodes, Elementwise) { check(parity::elementwise_cases()); }

TEST(Nodes, ElementwiseTails) {
    const std::initializer_list<std::int64_t> lengths{1, 2, 7, 8, 9, 15, 17, 63, 64, 65, 257, 1021};
    for (const layers::Op& op :
         std::vector<layers::Op>{layers::Relu{}, layers::Tanh{}, layers::Sigmoid{}, layers::Gelu{},
                                 layers::Gelu{.tanh = true}, layers::Dropout{0.3}}) {
        check(on_lengths(op, lengths));
    }
}

/// Channels on all sides of packs and tiles, rows on all sides of lanes and chunks.
TEST(Nodes, Biases) {
    check(on_lengths(layers::Bias{}, {1, 7, 8, 9, 31, 33, 255, 256, 257, 521}, {1, 2, 37}));
    check({{layers::Bias{}, {4099}, {1, 3}},
           {layers::Bias{}, {61, 17, 3}, {5}},   // chunks of many rows
           {layers::Bias{}, {2053, 1}, {1, 3}},  // one channel
           {layers::Bias{}, {2048, 1}, {1}}});
}

TEST(Nodes, Dropouts) { check(parity::dropout_cases()); }

TEST(Nodes, Joins) {
    check(parity::joining_cases());
    std::vector<Shape> others(15, Shape{37});
    check({{layers::Add{}, {37}, {1, 3}, Values::plain, others},  // as many as one kernel takes
           {layers::Concat{}, {3, 8}, {1, 3}, Values::plain, {{3, 16}, {3, 1}, {3, 9}}}});
}

TEST(Nodes, Pools) {
    check(parity::pool_cases());
    std::vector<OpCase> cases;
    for (const layers::PoolKind kind : {layers::PoolKind::max, layers::PoolKind::average}) {
        cases.push_back({layers::Pool2d{kind, {3, 3}, {2, 2}, {1, 1}}, {9, 8, 67}, {1, 3}, Values::tied});
        cases.push_back(
            {layers::Pool2d{kind, {3, 3}, {2, 2}, {1, 1}, layers::Activation::relu}, {9, 8, 67}, {3}});
        cases.push_back({layers::Pool2d{kind, {17, 16}, {1, 1}, {0, 0}}, {18, 19, 5}, {2}});  // wide places
        cases.push_back({layers::Pool2d{kind, {5, 4}, {1, 3}, {2, 2}}, {3, 4, 9}, {2}});
    }
    check(cases);
}

TEST(Nodes, GlobalAverages) {
    check(parity::global_average_cases());
    check({{layers::GlobalAveragePool{}, {1, 1, 1}, {1, 2}},
           {layers::GlobalAveragePool{}, {41, 53, 1}, {2}},
           {layers::GlobalAveragePool{}, {3, 5, 521}, {3}},
           {layers::GlobalAveragePool{}, {13, 11, 255}, {1}}});
}

TEST(Nodes, Norms) { check(parity::normalization_cases()); }

/// Rows that end inside lanes and chunks, channels inside packs, mask bytes and tiles.
TEST(Nodes, BatchNormTails) {
    std::vector<OpCase> cases;
    for (const std::int64_t channels : {1, 2, 7, 8, 9, 63, 65, 255, 257}) {
        for (const std::int64_t positions : {3, 97}) {
            const Shape shape{positions, channels};
            cases.push_back({layers::BatchNorm{.activation = layers::Activation::relu}, shape, {1, 5}});
            layers::BatchNorm both{.residual = true, .activation = layers::Activation::relu};
            cases.push_back({both, shape, {2}, Values::plain, {shape}});
        }
    }
    check(cases);
    check({{layers::BatchNorm{}, {4099, 1}, {1, 3}}, {layers::BatchNorm{}, {1031, 17}, {2}, Values::large}});
}

/// Not of two values, whose gradient is what rounding leaves of zero.
TEST(Nodes, LayerNormTails) {
    check(on_lengths(layers::LayerNorm{}, {3, 7, 8, 9, 31, 33, 255, 256, 257, 1023, 2047, 2048, 2049, 4099},
                     {1, 3}));
    check({{layers::LayerNorm{}, {1031, 3}, {2}}, {layers::LayerNorm{}, {257, 72}, {1}}});
}

TEST(Nodes, Losses) { check(joined({parity::loss_cases(), parity::vector_loss_cases()}), false); }

TEST(Nodes, LossTails) {
    std::vector<OpCase> cases;
    for (const double smoothing : {0.0, 0.1}) {
        const layers::Op loss = layers::SoftmaxCrossEntropy{smoothing};
        for (const std::int64_t classes : {2, 3, 7, 8, 9, 31, 255, 257, 2048, 2049, 4099}) {
            cases.push_back({loss, {classes}, {1, 3}});
            cases.push_back({loss, {5, classes}, {2}, Values::large});
        }
        cases.push_back({loss, {2049, 3}, {1, 2}});
    }
    for (const layers::Op& loss :
         std::vector<layers::Op>{layers::BceWithLogits{}, layers::MeanSquaredError{}}) {
        cases = joined({cases, on_lengths(loss, {1, 7, 8, 9, 31, 33, 2048, 2049, 2503})});
    }
    check(cases, false);
}

TEST(Nodes, Embeddings) {
    check(parity::embedding_cases());
    check(
        {{layers::Embedding{.vocabulary = 70001, .features = 9}, {1031}, {1, 2}},  // three digits, chunks
         {layers::Embedding{.vocabulary = 255, .features = 8}, {1024}, {1, 3}},
         {layers::Embedding{.vocabulary = 65536, .features = 3}, {1025}, {2}},
         {layers::Embedding{.vocabulary = 1, .features = 9}, {32}, {1, 2, 3}},  // whole pieces of one symbol
         {layers::Embedding{.vocabulary = 1, .features = 5}, {11}, {3, 6}},
         {layers::Embedding{.vocabulary = 3, .features = 11}, {131}, {1, 2, 5}},  // a symbol over many
         {layers::Embedding{.vocabulary = 20, .features = 8}, {64}, {1, 4, 7}},
         {layers::PositionEmbedding{}, {33, 65}, {1, 37}}});
}

TEST(Nodes, Attention) {
    const auto heads = [](std::int64_t count) { return layers::CausalSelfAttention{.heads = count}; };
    check({{heads(2), {8, 3 * 2 * 16}, {1, 3}},
           {heads(3), {65, 3 * 3 * 7}, {2}},
           {heads(1), {129, 3 * 4}, {1, 2}},  // more keys than threads
           {heads(1), {1, 3}, {1, 5}},
           {heads(1), {31, 3 * 131}, {1}}});
}

TEST(Nodes, Linear) { check(parity::linear_cases()); }

}  // namespace
}  // namespace trireme::hostrun
