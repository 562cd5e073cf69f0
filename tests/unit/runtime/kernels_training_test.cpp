// Ops that differ between training and evaluation, and losses over vectors: what parity with the reference on
// well-behaved numbers does not show.
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels_support.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"

namespace trireme::test {
namespace {

using ::testing::HasSubstr;

/// Samples [begin, begin + count) of operands of an op with one input.
Operands part_of(const Operands& all, std::int64_t batch, std::int64_t begin, std::int64_t count) {
    Operands part = all;
    const auto cut = [&](std::vector<float>& values) {
        const auto sample = static_cast<std::int64_t>(values.size()) / batch;
        values.assign(values.begin() + begin * sample, values.begin() + (begin + count) * sample);
    };
    cut(part.inputs[0]);
    cut(part.d_output);
    part.inputs[0].shrink_to_fit();
    return part;
}

std::vector<float> joined(const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<float> all = a;
    all.insert(all.end(), b.begin(), b.end());
    return all;
}

/// True where the formula of layers/ops.hpp keeps the element.
bool kept(const RunMode& mode, std::int64_t sample_elements, std::int64_t sample, std::int64_t element,
          double p) {
    const RandomStream stream(mode.context.seed, "dropout/node",
                              static_cast<std::uint64_t>(mode.context.step));
    const std::int64_t place = (mode.context.first_position + sample) * sample_elements + element;
    return static_cast<double>(stream.uniform(static_cast<std::uint64_t>(place))) >= p;
}

TEST(KernelsDropout, MaskIsTheFormulaElementByElement) {
    for (const std::int64_t elements : {1, 3, 32, 37, 4096}) {
        for (const double p : {0.0, 0.1, 0.5, 1.0 / 3, 0.999}) {
            for (const std::int64_t first : {0, 5, 1'000'000'007}) {
                SCOPED_TRACE(::testing::Message() << elements << " elements, p " << p << ", from " << first);
                constexpr std::int64_t batch = 5;
                const layers::ModelGraph graph = graph_of({"dropout", layers::Dropout{.p = p}, {elements}});
                Operands operands(graph, batch, 2);
                for (float& value : operands.inputs[0]) value = 1.0F;
                for (float& value : operands.d_output) value = 1.0F;
                RunMode mode{.threads = 2};
                mode.context = {.seed = 0xfedcba9876543210U, .step = 12, .first_position = first};
                const Results is = run_kernels(graph, OnednnProvider{}, operands, batch, mode);
                std::vector<float> should;
                const auto scale = static_cast<float>(1 / (1 - p));
                for (std::int64_t i = 0; i < batch * elements; ++i) {
                    should.push_back(kept(mode, elements, i / elements, i % elements, p) ? scale : 0.0F);
                }
                ASSERT_TRUE(same_bits(is.output, should));
                ASSERT_TRUE(same_bits(is.d_inputs[0], should));
            }
        }
    }
}

// An element whose number is p itself stays; with the next larger p it goes.
TEST(KernelsDropout, EqualNumberIsKept) {
    const RunMode mode{};
    const RandomStream stream(mode.context.seed, "dropout/node",
                              static_cast<std::uint64_t>(mode.context.step));
    for (std::size_t element = 0; element < 8; ++element) {
        const auto place = static_cast<std::uint64_t>(mode.context.first_position) * 8 + element;
        const auto number = static_cast<double>(stream.uniform(place));
        for (const double p : {number, std::nextafter(number, 1.0)}) {
            const layers::ModelGraph graph = graph_of({"dropout", layers::Dropout{.p = p}, {8}});
            Operands operands(graph, 1, 2);
            for (float& value : operands.inputs[0]) value = 1.0F;
            const Results is = run_kernels(graph, OnednnProvider{}, operands, 1, mode);
            EXPECT_EQ(is.output[element] != 0.0F, p == number) << "element " << element;
        }
    }
}

TEST(KernelsDropout, DoesNotDependOnHowTheBatchIsCut) {
    const layers::ModelGraph graph = graph_of({"dropout", layers::Dropout{.p = 0.3}, {7, 9}});
    const Operands operands(graph, 10, 4);
    RunMode mode{.threads = 2};
    const Results whole = run_kernels(graph, OnednnProvider{}, operands, 10, mode);
    for (const std::int64_t cut : {1, 4, 9}) {
        SCOPED_TRACE(cut);
        RunMode second = mode;
        second.context.first_position += cut;
        const Results a = run_kernels(graph, OnednnProvider{}, part_of(operands, 10, 0, cut), cut, mode);
        const Results b =
            run_kernels(graph, OnednnProvider{}, part_of(operands, 10, cut, 10 - cut), 10 - cut, second);
        EXPECT_TRUE(same_bits(joined(a.output, b.output), whole.output));
        EXPECT_TRUE(same_bits(joined(a.d_inputs[0], b.d_inputs[0]), whole.d_inputs[0]));
    }
}

TEST(KernelsDropout, AnotherStepOrSeedDrawsAnotherMask) {
    const layers::ModelGraph graph = graph_of({"dropout", layers::Dropout{}, {256}});
    const Operands operands(graph, 2, 4);
    const RunMode mode{};
    RunMode other_step = mode;
    other_step.context.step += 1;
    RunMode other_seed = mode;
    other_seed.context.seed += 1;
    const Results is = run_kernels(graph, OnednnProvider{}, operands, 2, mode);
    EXPECT_FALSE(same_bits(is.output, run_kernels(graph, OnednnProvider{}, operands, 2, other_step).output));
    EXPECT_FALSE(same_bits(is.output, run_kernels(graph, OnednnProvider{}, operands, 2, other_seed).output));
}

TEST(KernelsDropout, DroppedValuesThatAreNotFiniteAreZero) {
    const layers::ModelGraph graph = graph_of({"dropout", layers::Dropout{}, {256}});
    Operands operands(graph, 1, 4);
    for (float& value : operands.inputs[0]) value = std::numeric_limits<float>::infinity();
    const Results is = run_kernels(graph, OnednnProvider{}, operands, 1, 1);
    for (const float value : is.output) ASSERT_TRUE(value == 0.0F || std::isinf(value));
}

// E[x^2] - E[x]^2 in fp32 would lose all digits of these variances.
TEST(KernelsBatchNorm, MeansFarFromZeroCostNoDigitsOfTheVariance) {
    const layers::ModelGraph graph = graph_of({"batch_norm", layers::BatchNorm{}, {9, 8, 21}});
    Operands operands(graph, 16, 6);
    std::mt19937 random(1);
    std::normal_distribution<float> draw(0.0F, 1.0F);
    for (std::size_t i = 0; i < operands.inputs[0].size(); ++i) {
        operands.inputs[0][i] = 1024.0F * static_cast<float>(i % 21) + draw(random);
    }
    const Results is = run_kernels(graph, OnednnProvider{}, operands, 16, 2);
    const Results should = run_reference(graph, operands, 16);
    // Half a unit in the last place of 20,000 is 1e-3 of a deviation, and so is the error of y.
    EXPECT_LE(relative_error(is.output, should.output), 1e-3);
    const auto variances = [](const Results& r) {
        return std::vector<float>(r.statistics.begin() + 21, r.statistics.begin() + 42);
    };
    EXPECT_LE(relative_error(variances(is), variances(should)), 1e-5);
}

// A channel that is constant but for rounding must neither divide by zero nor become NaN.
TEST(KernelsBatchNorm, ConstantChannelsGiveTheBias) {
    const layers::ModelGraph graph = graph_of({"batch_norm", layers::BatchNorm{}, {5, 5, 40}});
    Operands operands(graph, 8, 6);
    for (std::size_t i = 0; i < operands.inputs[0].size(); ++i) {
        operands.inputs[0][i] = 0.1F * static_cast<float>(i % 40);
    }
    const Results is = run_kernels(graph, OnednnProvider{}, operands, 8, 2);
    for (std::size_t i = 0; i < is.output.size(); ++i) {
        ASSERT_NEAR(is.output[i], operands.params[1][i % 40], 1e-3);
    }
}

TEST(KernelsBatchNorm, SumOfLaunchesGivesThePooledMeanAndVariance) {
    const layers::ModelGraph graph = graph_of({"batch_norm", layers::BatchNorm{}, {2, 3, 4}});
    const Operands operands(graph, 8, 6);
    constexpr double total = 8 * 6;
    const Results a = run_kernels(graph, OnednnProvider{}, part_of(operands, 8, 0, 3), 3, 1);
    const Results b = run_kernels(graph, OnednnProvider{}, part_of(operands, 8, 3, 5), 5, 1);
    for (std::size_t c = 0; c < 4; ++c) {
        const auto sum = [&](std::size_t row) {
            return static_cast<double>(a.statistics[row * 4 + c]) +
                   static_cast<double>(b.statistics[row * 4 + c]);
        };
        double mean = 0;
        double squares = 0;
        for (std::size_t i = c; i < operands.inputs[0].size(); i += 4) {
            mean += static_cast<double>(operands.inputs[0][i]) / total;
        }
        for (std::size_t i = c; i < operands.inputs[0].size(); i += 4) {
            squares += std::pow(static_cast<double>(operands.inputs[0][i]) - mean, 2);
        }
        EXPECT_NEAR(sum(0) / total, mean, 1e-6);
        // The pooled variance takes one degree of freedom from each launch, within a launch.
        const double batch_mean = sum(0) / total;
        const double pooled = sum(1) / total + (sum(2) / total - batch_mean * batch_mean);
        EXPECT_NEAR(pooled, squares / total, 0.1 * squares / total);
        EXPECT_GT(pooled, squares / total);
    }
}

TEST(KernelsJoining, UnwantedInputGradientsAreLeftAlone) {
    for (const NodeCase& c : {NodeCase{"add", layers::Add{}, {4, 4, 8}, {8, 8}},
                              NodeCase{"concat", layers::Concat{}, {4, 4, 8}, {8, 8}}}) {
        const layers::ModelGraph graph = graph_of(c);
        const Operands operands(graph, 3, 1);
        const Results should = run_reference(graph, operands, 3);
        const OnednnProvider onednn;
        const ReferenceProvider reference;
        for (const KernelProvider* provider :
             {static_cast<const KernelProvider*>(&onednn), static_cast<const KernelProvider*>(&reference)}) {
            SCOPED_TRACE(::testing::Message() << c.name << " by " << provider->name());
            const auto kernels = provider->offer(request_of(graph, 3, 2)).kernels;
            LaunchMemory memory(graph, operands, kernels->needs(), 3, RunMode{.threads = 2});
            memory.b.d_inputs[1] = nullptr;
            CpuStream stream;
            kernels->forward(stream, memory.b);
            kernels->backward_input(stream, memory.b);
            const Results is = memory.results();
            EXPECT_TRUE(same_bits(is.d_inputs[0], should.d_inputs[0]));
            EXPECT_TRUE(std::isnan(is.d_inputs[1][0]));
            EXPECT_TRUE(same_bits(is.d_inputs[2], should.d_inputs[2]));
        }
    }
}

/// The gradient of a convolution's residual is that of its output behind the relu's mask: it may lie there,
/// and either of the two gradients may be unwanted.
TEST(KernelsConvolution, TheResidualsGradientMayTakeThePlaceOfTheOutputs) {
    const layers::Conv2d conv{.out_channels = 8,
                              .kernel = {3, 3},
                              .padding = {1, 1},
                              .residual = true,
                              .activation = layers::Activation::relu};
    const layers::ModelGraph graph = graph_of({"conv", conv, {5, 4, 8}, {8}});
    const Operands operands(graph, 3, 1);
    const Results should = run_kernels(graph, OnednnProvider{}, operands, 3, 2);
    const auto kernels = OnednnProvider{}.offer(request_of(graph, 3, 2)).kernels;
    const KernelNeeds needs = kernels->needs();
    EXPECT_EQ(needs.backward_in_place, 2U);
    EXPECT_EQ(needs.backward_skips_inputs, 2U);
    EXPECT_FALSE(needs.forward_in_place);
    enum class Residual { in_place, apart, unwanted };
    for (const Residual residual : {Residual::in_place, Residual::apart, Residual::unwanted}) {
        for (const bool wants_input : {true, false}) {
            LaunchMemory memory(graph, operands, needs, 3, RunMode{.threads = 2});
            KernelBuffers& b = memory.b;
            if (residual == Residual::in_place) b.d_inputs[1] = b.d_output;
            if (residual == Residual::unwanted) b.d_inputs[1] = nullptr;
            if (!wants_input) b.d_inputs[0] = nullptr;
            CpuStream stream;
            kernels->pack_forward(stream, b);
            kernels->pack_backward(stream, b);
            kernels->forward(stream, b);
            kernels->backward_activation(stream, b);
            kernels->backward_input(stream, b);
            const Results is = memory.results();
            EXPECT_TRUE(is.guards_hold);
            EXPECT_EQ(same_bits(is.d_inputs[0], should.d_inputs[0]), wants_input);
            EXPECT_EQ(std::isnan(is.d_inputs[0][0]), !wants_input);
            EXPECT_EQ(same_bits(is.d_inputs[1], should.d_inputs[1]), residual == Residual::apart);
            const auto* d = reinterpret_cast<const float*>(b.d_output);
            EXPECT_TRUE(same_bits({d, d + should.output.size()}, should.d_inputs[1]));
        }
    }
}

TEST(KernelsVectorLosses, BceIsStableForLargeLogitsAndShowsNan) {
    const layers::ModelGraph graph = graph_of({"bce", layers::BceWithLogits{}, {4}});
    Operands operands(graph, 2, 2);
    operands.inputs[0] = {1e4F, -1e4F, 100.0F, -100.0F, 0.0F, 1.0F, 2.0F, -0.0F};
    operands.targets = {1.0F, 0.0F, 0.0F, 1.0F, 0.5F, 1.0F, 0.0F, 0.25F};
    Results is = run_kernels(graph, OnednnProvider{}, operands, 2, 1);
    const Results should = run_reference(graph, operands, 2);
    EXPECT_LE(relative_error(is.output, should.output), 1e-6);
    EXPECT_LE(relative_error(is.d_inputs[0], should.d_inputs[0]), 1e-6);
    operands.inputs[0][5] = std::numeric_limits<float>::quiet_NaN();
    is = run_kernels(graph, OnednnProvider{}, operands, 2, 1);
    EXPECT_FALSE(std::isnan(is.output[0]));
    EXPECT_TRUE(std::isnan(is.output[1]));
}

TEST(KernelsVectorLosses, BceTargetOutsideZeroToOneIsADataError) {
    const layers::ModelGraph graph = graph_of({"bce", layers::BceWithLogits{}, {4}});
    for (const float target : {-0.5F, 1.5F, std::numeric_limits<float>::quiet_NaN()}) {
        Operands operands(graph, 2, 2);
        operands.targets[6] = target;
        try {
            (void)run_kernels(graph, OnednnProvider{}, operands, 2, 1);
            FAIL() << "a target of " << target << " was taken";
        } catch (const DataError& e) {
            EXPECT_THAT(e.what(), HasSubstr("sample 1"));
            EXPECT_THAT(e.what(), HasSubstr("output 2"));
        }
    }
}

TEST(KernelsVectorLosses, SmoothedGradientsOfASampleSumToZero) {
    const layers::ModelGraph graph =
        graph_of({"loss", layers::SoftmaxCrossEntropy{.label_smoothing = 0.2}, {50}});
    const Operands operands(graph, 6, 2);
    const Results is = run_kernels(graph, OnednnProvider{}, operands, 6, 1);
    for (std::size_t sample = 0; sample < 6; ++sample) {
        double sum = 0;
        for (std::size_t i = 0; i < 50; ++i) sum += static_cast<double>(is.d_inputs[0][sample * 50 + i]);
        EXPECT_NEAR(sum, 0, 1e-6);
    }
}

}  // namespace
}  // namespace trireme::test
