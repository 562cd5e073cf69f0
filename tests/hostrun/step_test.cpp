// What a step launches beside its nodes' kernels: updates of all rules against the CPU's Updater, bit for
// bit, over tensors of all sizes around a block of 4,096; judging of steps; sums, status words, running
// statistics, and weights packed and unpacked.
#include "runtime/kernels/cuda/nodes/step.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/core/philox.hpp"
#include "runtime/kernels/cuda/nodes/weight_order.hpp"
#include "runtime/optim/element_rules.hpp"
#include "runtime/optim/running_statistics.hpp"
#include "runtime/optim/updater.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::hostrun {
namespace {

using cuda::UpdateArenas;
using cuda::UpdateMemory;
using Launches = cuda::StepLaunches<HostLaunch>;

constexpr std::array orders_of_launch{Order::ascending, Order::descending, Order::scattered};
constexpr auto status_words = static_cast<std::size_t>(StatusWord::count);

std::vector<float> random_floats(std::string_view purpose, std::int64_t count) {
    const RandomStream stream(5, purpose);
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i)
        values.push_back(2 * stream.uniform(static_cast<std::uint64_t>(i)) - 1);
    return values;
}

/// Parameters of all sizes in one arena, each at a multiple of 16 elements as buckets lay them out; NaN
/// between them, which no update may read.
struct Model {
    Model() {
        std::int64_t end = 0;
        for (const std::int64_t size : {1, 7, 16, 33, 4095, 4096, 4097, 12289, 70001, 3}) {
            tensors.push_back({end, end + size});
            settings.push_back({.lr_factor = size == 33 ? 0.5 : 1,
                                .weight_decay = size == 16 ? 0 : 0.01,
                                .adapted = size != 7});
            end = (end + size + 15) / 16 * 16;
        }
        elements = end;
        weights = with_gaps(random_floats("weights", end));
        gradients = with_gaps(random_floats("gradients", end));
    }
    [[nodiscard]] std::vector<float> with_gaps(std::vector<float> values) const {
        std::vector<float> result(values.size(), std::numeric_limits<float>::quiet_NaN());
        for (const IndexRange& t : tensors)
            std::copy(values.begin() + t.begin, values.begin() + t.end, result.begin() + t.begin);
        return result;
    }

    std::vector<IndexRange> tensors;
    std::vector<ParamSettings> settings;
    std::int64_t elements = 0;
    std::vector<float> weights;
    std::vector<float> gradients;
};

/// Everything that an update reads and writes, twice: for the CPU and for the kernels.
struct Training {
    Training(const OptimizerSpec& spec, const Model& model, const LossScaling& scaling = {})
        : updater(spec, model.tensors, model.settings),
          plan(spec, model.tensors, model.settings, scaling),
          tables(static_cast<std::size_t>(plan.memory().value), std::byte{0xff}),
          cpu_weights(model.weights),
          weights(model.weights) {
        std::memcpy(tables.data(), plan.image().data(), plan.image().size());
        for (std::size_t k = 0; k < state_names(spec).size(); ++k) {
            const bool average = spec.ema != 0 && k + 1 == state_names(spec).size();
            cpu_state.push_back(average ? model.weights : std::vector<float>(model.weights.size()));
        }
        state = cpu_state;
        has_average = spec.ema != 0;
    }

    [[nodiscard]] UpdateArenas arenas(const std::vector<float>& gradients) {
        UpdateArenas a{.weights = weights.data(), .gradients = gradients.data()};
        const std::size_t own = state.size() - (has_average ? 1 : 0);
        if (own > 0) a.first = state[0].data();
        if (own > 1) a.second = state[1].data();
        if (has_average) a.average = state.back().data();
        return a;
    }

    void step_kernels(Order order, const std::vector<float>& gradients, const std::vector<float>& status) {
        HostStream stream(order);
        const UpdateMemory memory{tables.data(), &orders, status.data(), &judged};
        Launches::update(stream, plan, memory, arenas(gradients));
    }
    UpdateReport step_cpu(const std::vector<float>& gradients, double samples) {
        std::vector<std::span<float>> views(cpu_state.begin(), cpu_state.end());
        return updater.apply({.lr = orders.lr, .gradient_scale = 1.0 / samples, .update = ++cpu_updates},
                             cpu_weights, gradients, views, 1);
    }

    Updater updater;
    UpdatePlan plan;
    std::vector<std::byte> tables;
    std::vector<float> cpu_weights;
    std::vector<float> weights;
    std::vector<std::vector<float>> cpu_state;
    std::vector<std::vector<float>> state;
    bool has_average = false;
    std::int64_t cpu_updates = 0;
    StepOrders orders{.lr = 0.1};
    StepState judged;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> status_of(float samples, float loss = 1.5F, float nonfinite = 0) {
    std::vector<float> status(status_words);
    status[static_cast<std::size_t>(StatusWord::loss_sum)] = loss;
    status[static_cast<std::size_t>(StatusWord::samples)] = samples;
    status[static_cast<std::size_t>(StatusWord::nonfinite)] = nonfinite;
    return status;
}

std::vector<OptimizerSpec> specs() {
    std::vector<OptimizerSpec> all;
    for (const char* name : {"sgd", "sgd", "sgd", "adamw", "lars", "lamb"}) {
        OptimizerSpec spec;
        spec.name = name;
        spec.momentum = all.empty() ? 0 : 0.9;
        spec.nesterov = all.size() == 2;
        spec.trust = 0.02;
        all.push_back(spec);
    }
    const std::size_t plain = all.size();
    for (std::size_t i = 0; i < plain; ++i) {
        OptimizerSpec spec = all[i];
        spec.ema = 0.9;
        all.push_back(spec);
        spec.clip = 0.5;
        all.push_back(spec);
    }
    return all;
}

TEST(Update, IsTheCpusBitForBit) {
    const Model model;
    for (const OptimizerSpec& spec : specs()) {
        for (const Order order : orders_of_launch) {
            SCOPED_TRACE(fmt::format("{}, momentum {}, nesterov {}, clip {}, ema {}", spec.name,
                                     spec.momentum, spec.nesterov, spec.clip, spec.ema));
            ++census().cases;
            Training training(spec, model);
            for (int step = 0; step < 3; ++step) {
                training.orders.lr = 0.1 / (1 + step);
                const std::vector<float> gradients = model.with_gaps(
                    random_floats(fmt::format("step {}", step), static_cast<std::int64_t>(model.elements)));
                training.step_kernels(order, gradients, status_of(48));
                const UpdateReport report = training.step_cpu(gradients, 48);
                ASSERT_TRUE(same_bits(training.weights, training.cpu_weights)) << "step " << step;
                for (std::size_t k = 0; k < training.state.size(); ++k)
                    ASSERT_TRUE(same_bits(training.state[k], training.cpu_state[k])) << "state " << k;
                EXPECT_EQ(training.judged.update, step + 1);
                EXPECT_EQ(training.judged.gradient_norm, report.gradient_norm);
                EXPECT_EQ(training.judged.clipped != 0, report.clipped);
            }
        }
    }
}

/// A scale of the losses changes no bit, because it is a power of two.
TEST(Update, DividesByTheLossScale) {
    const Model model;
    for (const OptimizerSpec& spec : specs()) {
        ++census().cases;
        Training plain(spec, model);
        Training scaled(spec, model);
        scaled.judged.loss_scale = 1024;
        std::vector<float> gradients = model.gradients;
        plain.step_kernels(Order::ascending, gradients, status_of(32));
        for (float& g : gradients) g *= 1024;
        scaled.step_kernels(Order::ascending, gradients, status_of(32));
        EXPECT_TRUE(same_bits(plain.weights, scaled.weights)) << spec.name;
    }
}

/// A bad step changes nothing but the counters, whatever makes it bad and wherever it stands.
TEST(Update, LeavesOutBadSteps) {
    const Model model;
    constexpr float infinite = std::numeric_limits<float>::infinity();
    std::vector<std::pair<std::vector<float>, std::vector<float>>> bad;  // gradients, status
    for (const IndexRange& t : model.tensors) {
        std::vector<float> gradients = model.gradients;
        gradients[static_cast<std::size_t>(t.end - 1)] = infinite;
        bad.emplace_back(gradients, status_of(8));
        gradients[static_cast<std::size_t>(t.end - 1)] = model.gradients[static_cast<std::size_t>(t.end - 1)];
        gradients[static_cast<std::size_t>(t.begin)] = std::numeric_limits<float>::quiet_NaN();
        bad.emplace_back(gradients, status_of(8));
    }
    bad.emplace_back(model.gradients, status_of(8, infinite));
    bad.emplace_back(model.gradients, status_of(8, 1, 1));
    bad.emplace_back(model.gradients, status_of(0));
    for (const OptimizerSpec& spec : specs()) {
        ++census().cases;
        Training training(spec, model);
        for (const auto& [gradients, status] : bad)
            training.step_kernels(Order::scattered, gradients, status);
        EXPECT_TRUE(same_bits(training.weights, model.weights)) << spec.name;
        for (std::size_t k = 0; k < training.state.size(); ++k)
            EXPECT_TRUE(same_bits(training.state[k], training.cpu_state[k])) << spec.name;
        EXPECT_EQ(training.judged.update, 0);
        training.step_kernels(Order::ascending, model.gradients, status_of(8));
        EXPECT_EQ(training.judged.update, 1);
        training.step_cpu(model.gradients, 8);
        EXPECT_TRUE(same_bits(training.weights, training.cpu_weights)) << spec.name;
    }
}

/// What no rule updates must be finite, and stays out of the norm.
TEST(Update, WatchesTheRestOfTheGradients) {
    const OptimizerSpec spec{.name = "sgd", .clip = 0.1};
    const std::vector<IndexRange> updated{{0, 5000}};
    const std::vector<IndexRange> watched{{5008, 5011}, {5024, 10000}};
    const UpdatePlan plan(spec, updated, {ParamSettings{}}, {}, watched);
    const UpdatePlan alone(spec, updated, {ParamSettings{}}, {});
    const std::vector<float> sound = random_floats("gradients", 10000);
    const auto judged = [&](const UpdatePlan& by, const std::vector<float>& gradients) {
        std::vector<std::byte> tables(static_cast<std::size_t>(by.memory().value), std::byte{0xff});
        std::memcpy(tables.data(), by.image().data(), by.image().size());
        std::vector<float> weights(5000, 1.0F);
        const StepOrders orders{.lr = 0.1};
        StepState state;
        const std::vector<float> status = status_of(8);
        HostStream stream(Order::scattered);
        Launches::update(stream, by, {tables.data(), &orders, status.data(), &state},
                         {.weights = weights.data(), .gradients = gradients.data()});
        ++census().cases;
        return state;
    };
    EXPECT_EQ(judged(plan, sound).admitted, 1);
    EXPECT_EQ(judged(plan, sound).gradient_norm, judged(alone, sound).gradient_norm);
    for (const std::size_t at : {5008U, 5010U, 5024U, 9999U}) {
        std::vector<float> gradients = sound;
        gradients[at] = INFINITY;
        EXPECT_EQ(judged(plan, gradients).admitted, 0) << at;
        EXPECT_EQ(judged(alone, gradients).admitted, 1);
    }
    std::vector<float> between = sound;
    between[5000] = INFINITY;  // belongs to nobody
    EXPECT_EQ(judged(plan, between).admitted, 1);
}

TEST(Update, OfNothing) {
    OptimizerSpec spec;
    const UpdatePlan plan(spec, {}, {}, {});
    std::vector<std::byte> tables(64);
    StepOrders orders;
    StepState judged;
    const std::vector<float> status = status_of(4);
    HostStream stream(Order::ascending);
    Launches::update(stream, plan, {tables.data(), &orders, status.data(), &judged}, {});
    EXPECT_EQ(judged.update, 1);
    ++census().cases;
}

TEST(LossScale, FallsAtOnceAndRisesAfterARun) {
    const LossScaling scaling{.dynamic = true, .interval = 3, .least = 0.5, .most = 64};
    StepState s{.loss_scale = 16};
    const std::vector<float> status = status_of(4);
    const auto judge = [&](double squares) {
        judge_step(s, scaling, status.data(), squares);
        return s.loss_scale;
    };
    EXPECT_EQ(judge(1), 16);
    EXPECT_EQ(s.gradient_scale, 1.0 / 64);
    EXPECT_EQ(judge(INFINITY), 8);
    EXPECT_EQ(s.gradient_scale, 0);
    for (const float expected : {8.0F, 8.0F, 16.0F, 16.0F, 16.0F, 32.0F}) EXPECT_EQ(judge(1), expected);
    for (int i = 0; i < 6; ++i) judge(1);
    EXPECT_EQ(s.loss_scale, 64);  // no higher
    for (int i = 0; i < 20; ++i) judge(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(s.loss_scale, 0.5F);  // no lower
    s.loss_scale = 16;
    judge_step(s, scaling, status_of(4, INFINITY).data(), INFINITY);  // the loss itself: no matter of scale
    EXPECT_EQ(s.loss_scale, 16);
    EXPECT_EQ(s.scale_fell, 0);
    EXPECT_EQ(s.admitted, 0);
}

TEST(Sums, AreTheCpusBitForBit) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        for (const std::int64_t n : {0, 1, 7, 8, 9, 255, 257, 4099}) {
            for (const std::int64_t shift : {0, 1}) {  // where packs are not at multiples of 16 bytes
                std::vector<std::byte> memory(static_cast<std::size_t>(2 * (n + 8) * 4));
                const std::vector<float> values = random_floats("sums", 2 * (n + 8));
                std::byte* to = memory.data() + shift * size_of(dtype);
                std::byte* from = to + (n + 1) * size_of(dtype);
                const cuda::Sink all{to, dtype};
                for (std::int64_t i = 0; i < 2 * n + 1; ++i) all.put(i, values[static_cast<std::size_t>(i)]);
                std::vector<std::byte> cpu = memory;
                add_in_place(
                    {cpu.data() + (from - memory.data()), cpu.data() + (to - memory.data()), n, dtype}, 1);
                HostStream stream(Order::scattered);
                Launches::add_in_place(stream, {from, to, n, dtype});
                EXPECT_EQ(memory, cpu) << name_of(dtype) << ", " << n;
                ++census().cases;
            }
        }
    }
}

TEST(Clear, StopsAtTheEnd) {
    for (const std::int64_t n : {0, 1, 7, 8, 9, 4099}) {
        std::vector<float> values(static_cast<std::size_t>(n + 9), 7);
        HostStream stream(Order::descending);
        Launches::clear(stream, values.data(), n);
        EXPECT_EQ(std::count(values.begin(), values.begin() + n, 0.0F), n);
        EXPECT_EQ(std::count(values.begin() + n, values.end(), 7.0F), 9);
        ++census().cases;
    }
}

TEST(Exchange, SwapsAndStopsAtTheEnd) {
    for (const std::int64_t n : {0, 1, 7, 8, 9, 4099}) {
        std::vector<float> a = random_floats("a", n + 1);
        std::vector<float> b = random_floats("b", n + 1);
        std::vector<float> cpu_a = a;
        std::vector<float> cpu_b = b;
        rules::exchange(n, cpu_a.data(), cpu_b.data());
        HostStream stream(Order::scattered);
        Launches::exchange(stream, a.data(), b.data(), n);
        EXPECT_EQ(a, cpu_a);
        EXPECT_EQ(b, cpu_b);
        ++census().cases;
    }
}

TEST(RecordLoss, AddsSamplesAndWishes) {
    for (const std::int64_t samples : {0, 1, 31, 255, 256, 257, 1031}) {
        const std::vector<float> losses = random_floats("losses", samples);
        const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
        const StepOrders orders{.lr = 1, .stop_wish = 1, .save_wish = 0};
        std::vector<float> status(status_words, std::numeric_limits<float>::quiet_NaN());
        HostStream stream(Order::scattered);
        for (const bool on_top : {false, true}) {
            Launches::record_loss(stream, {losses.data(), samples, on_top, &orders, status.data()});
            const float times = on_top ? 2 : 1;
            EXPECT_NEAR(status[0], times * sum, 1e-5 * static_cast<double>(samples));
            EXPECT_EQ(status[1], times * static_cast<float>(samples));
            EXPECT_EQ(status[2], 0);
            EXPECT_EQ(status[3], times);
            EXPECT_EQ(status[4], 0);
        }
        ++census().cases;
    }
    const std::vector<float> losses{1, std::numeric_limits<float>::quiet_NaN(), 2};
    const StepOrders orders;
    std::vector<float> status(status_words);
    HostStream stream(Order::ascending);
    Launches::record_loss(stream, {losses.data(), 3, false, &orders, status.data()});
    EXPECT_EQ(status[2], 1);
}

TEST(RunningStatistics, AreTheCpusBitForBit) {
    std::vector<RunningNorm> norms;
    std::int64_t statistics = 0;
    std::int64_t buffers = 0;
    for (const std::int64_t channels : {1, 255, 256, 257, 1031}) {
        norms.push_back({statistics, buffers, buffers + channels, channels, 49, 0.1});
        statistics += 3 * channels;
        buffers += 2 * channels;
    }
    std::vector<float> gradients = random_floats("statistics", statistics);
    for (float& value : gradients) value = std::abs(value) * 100;
    std::vector<float> running = random_floats("running", buffers);
    std::vector<float> cpu = running;
    StepState judged{.admitted = 0, .samples = 32};
    HostStream stream(Order::scattered);
    const auto launch = [&] {
        Launches::update_running(stream, static_cast<std::int64_t>(norms.size()),
                                 {norms.data(), &judged, gradients.data(), running.data()});
    };
    launch();
    EXPECT_TRUE(same_bits(running, cpu)) << "a step that is not admitted";
    judged.admitted = 1;
    launch();
    for (const RunningNorm& n : norms) {
        const auto channels = static_cast<std::size_t>(n.channels);
        update_running(std::span(gradients).subspan(static_cast<std::size_t>(n.statistics), 3 * channels),
                       32 * 49, n.momentum,
                       std::span(cpu).subspan(static_cast<std::size_t>(n.mean), channels),
                       std::span(cpu).subspan(static_cast<std::size_t>(n.variance), channels));
        ++census().cases;
    }
    EXPECT_TRUE(same_bits(running, cpu));
}

/// Packing is what its picture says, and unpacking undoes it.
TEST(Weights, ArePackedAndUnpacked) {
    for (const cuda::WeightShape& w : std::vector<cuda::WeightShape>{
             {1, 1, {1, 1}}, {5, 3, {2, 3}}, {8, 16, {3, 3}}, {7, 1, {5, 1}}, {64, 9, {1, 1}}}) {
        for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
            const std::int64_t n = w.out * w.in * w.kernel[0] * w.kernel[1];
            const std::vector<float> masters = random_floats("masters", n);
            std::vector<std::byte> memory(static_cast<std::size_t>(n * size_of(dtype) + 16), std::byte{0x5a});
            const cuda::Sink packed{memory.data(), dtype};
            const cuda::Source fp32 = cuda::fp32_source(reinterpret_cast<const std::byte*>(masters.data()));
            HostStream stream(Order::scattered);
            cuda::pack_weights<HostLaunch>(stream, w, fp32, packed);
            std::int64_t at = 0;
            for (std::int64_t o = 0; o < w.out; ++o) {
                for (std::int64_t y = 0; y < w.kernel[0]; ++y) {
                    for (std::int64_t x = 0; x < w.kernel[1]; ++x) {
                        for (std::int64_t i = 0; i < w.in; ++i, ++at) {
                            const std::int64_t from = ((o * w.in + i) * w.kernel[0] + y) * w.kernel[1] + x;
                            const float master = masters[static_cast<std::size_t>(from)];
                            const float want =
                                dtype == DType::f32
                                    ? master
                                    : cuda::half_to_float(cuda::half_of_float(master, dtype), dtype);
                            ASSERT_EQ(packed.source().get(at), want);
                        }
                    }
                }
            }
            ASSERT_EQ(memory.back(), std::byte{0x5a});
            std::vector<float> back(masters.size());
            cuda::unpack_gradient<HostLaunch>(stream, w, packed.source(),
                                              {reinterpret_cast<std::byte*>(back.data()), DType::f32});
            std::vector<float> rounded(masters.size());
            cuda::convert<HostLaunch>(stream, fp32, packed, n);
            cuda::convert<HostLaunch>(stream, packed.source(),
                                      {reinterpret_cast<std::byte*>(rounded.data()), DType::f32}, n);
            EXPECT_EQ(back, rounded);
            ++census().cases;
        }
    }
}

}  // namespace
}  // namespace trireme::hostrun
