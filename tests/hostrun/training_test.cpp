// Whole training steps through the executor with a device's step kernels, next to the host's: parameters,
// optimizer state, average and running statistics are the same bits after every step.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "layers/rewrite/rewrite.hpp"
#include "tests/hostrun/host_backend.hpp"
#include "tests/multirank/training_run.hpp"

namespace trireme::hostrun {
namespace {

class DeviceSteps : public TrainingTest {
  protected:
    /// The bodies of nodes are the same in both; a rank's order is one of three.
    static std::vector<StepRecord> trained(RunSetup setup, bool on_device) {
        setup.backend = [=](int rank) {
            Backend backend = host_run_backend(static_cast<Order>((rank + 1) % 3));
            if (!on_device) backend.step_kernels = {};
            return backend;
        };
        ++census().cases;
        return run(setup);
    }

    static std::vector<StepRecord> expect_the_hosts_bits(const RunSetup& setup) {
        std::vector<StepRecord> device = trained(setup, true);
        const std::vector<StepRecord> host = trained(setup, false);
        EXPECT_EQ(hashes(device), hashes(host));
        for (std::size_t s = 0; s < host.size(); ++s) {
            EXPECT_EQ(device[s].samples, host[s].samples);
            EXPECT_EQ(device[s].skipped, host[s].skipped) << "step " << s;
            EXPECT_EQ(device[s].loss_scale, host[s].loss_scale) << "step " << s;
            EXPECT_EQ(device[s].told_to_save, host[s].told_to_save);
            EXPECT_EQ(device[s].told_to_stop, host[s].told_to_stop);
            // Losses are added in another order.
            if (host[s].skipped) continue;
            EXPECT_NEAR(device[s].loss_sum, host[s].loss_sum, 1e-5 * host[s].loss_sum);
        }
        return device;
    }
};

/// Of all rules, with what may stand beside them.
std::vector<OptimizerSpec> all_rules() {
    std::vector<OptimizerSpec> specs;
    for (const char* name : {"sgd", "sgd", "sgd", "adamw", "lars", "lamb"}) {
        OptimizerSpec spec{.name = name, .momentum = specs.empty() ? 0 : 0.9, .weight_decay = 0.01};
        spec.nesterov = specs.size() == 2;
        specs.push_back(spec);
    }
    const std::size_t plain = specs.size();
    for (std::size_t i = 0; i < plain; ++i) {
        specs.push_back(specs[i]);
        specs.back().clip = 0.5;
        specs.back().ema = 0.9;
        specs.back().frozen = "conv1*";
        specs.back().groups = {{"head", "fc*", 0.002, 0.0}};
    }
    return specs;
}

RunSetup residual_setup() {
    RunSetup setup{.batch = 20, .microbatches = 2, .steps = 3, .lr = 0.01};
    setup.graph = test::tiny_residual;
    return setup;
}

TEST_F(DeviceSteps, AreTheHostsBitForBit) {
    for (const int ranks : {1, 2}) {
        for (const OptimizerSpec& spec : all_rules()) {
            SCOPED_TRACE(fmt::format("{} ranks, {}, momentum {}, nesterov {}, clip {}, ema {}", ranks,
                                     spec.name, spec.momentum, spec.nesterov, spec.clip, spec.ema));
            RunSetup setup = residual_setup();
            setup.ranks = ranks;
            setup.optimizer = spec;
            const auto states = hashes(expect_the_hosts_bits(setup));
            EXPECT_EQ(std::set<std::string>(states.begin(), states.end()).size(), states.size());
        }
    }
}

/// Leaves added along the tree, ranks without samples, and wishes that travel.
TEST_F(DeviceSteps, LeafByLeafToo) {
    for (const int ranks : {1, 2, 4}) {
        RunSetup setup = residual_setup();
        setup.ranks = ranks;
        setup.batch = 3;
        setup.microbatches = 1;
        setup.canonical = true;
        setup.wisher = ranks - 1;
        const auto steps = expect_the_hosts_bits(setup);
        EXPECT_EQ(steps[1].told_to_save, ranks);
        EXPECT_EQ(steps[2].told_to_stop, ranks);
    }
    RunSetup fast = residual_setup();
    fast.ranks = 2;
    fast.wisher = 1;
    EXPECT_EQ(expect_the_hosts_bits(fast)[1].told_to_save, 2);
}

TEST_F(DeviceSteps, LeaveOutWhatIsNotFinite) {
    for (const char* name : {"sgd", "adamw", "lamb"}) {
        RunSetup setup = residual_setup();
        setup.ranks = 2;
        setup.steps = 4;
        setup.optimizer = {.name = name, .momentum = 0.9, .ema = 0.9};
        setup.nan = NanPolicy::skip;
        setup.spoilt_step = 1;
        const auto steps = expect_the_hosts_bits(setup);
        EXPECT_FALSE(steps[0].skipped);
        EXPECT_TRUE(steps[1].skipped);
        EXPECT_EQ(steps[1].state_sha256, steps[0].state_sha256) << name;
        EXPECT_FALSE(steps[2].skipped);
        EXPECT_NE(steps[2].state_sha256, steps[1].state_sha256);
    }
}

/// Wherever the one value stands that is not finite: with a parameter, one that is frozen, or a statistic.
TEST_F(DeviceSteps, AreJudgedByAllGradients) {
    const layers::ModelGraph graph = test::tiny_residual();
    const GradBuckets buckets(graph, Bytes(2048));
    const Backend backend = host_run_backend(Order::scattered);
    ModelState state(graph, buckets, OptimizerSpec{.frozen = "conv1*"}, *backend.device);
    state.initialise(3);
    std::vector<float> gradients(static_cast<std::size_t>(buckets.arena_elements().value), 0.5F);
    StepParts parts;
    parts.device = backend.device.get();
    parts.state = &state;
    parts.gradients = gradients.data();
    parts.elements = buckets.arena_elements().value;
    parts.status_offset = buckets.status_offset();
    parts.norms = state.running_norms(statistics_offsets(graph, buckets));
    ASSERT_EQ(parts.norms.size(), 2U);
    float* status = gradients.data() + parts.status_offset;
    std::fill_n(status, static_cast<std::int64_t>(StatusWord::count), 0.0F);
    status[static_cast<int>(StatusWord::samples)] = 8;
    const auto device = backend.step_kernels(parts);
    const auto stream = backend.device->make_stream();
    const auto admitted_with_infinity_at = [&](std::int64_t at) {
        const float kept = std::exchange(gradients[static_cast<std::size_t>(at)], INFINITY);
        StepState judged;
        device->begin(*stream, {});
        device->commit(*stream, &judged);
        gradients[static_cast<std::size_t>(at)] = kept;
        ++census().cases;
        return judged.admitted;
    };
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const ParamPlace& place = buckets.place(static_cast<layers::ParamId>(p));
        EXPECT_EQ(admitted_with_infinity_at(place.offset), 0) << graph.params()[p].name;
        EXPECT_EQ(admitted_with_infinity_at(place.offset + place.elements - 1), 0) << graph.params()[p].name;
    }
    for (const RunningNorm& norm : parts.norms) {
        EXPECT_EQ(admitted_with_infinity_at(norm.statistics), 0);
        EXPECT_EQ(admitted_with_infinity_at(norm.statistics + 3 * norm.channels - 1), 0);
    }
    StepState judged;
    device->commit(*stream, &judged);
    EXPECT_EQ(judged.admitted, 1);
}

/// A power of two multiplies and divides without rounding.
TEST_F(DeviceSteps, TrainTheSameUnderALossScale) {
    RunSetup setup = residual_setup();
    setup.ranks = 2;
    setup.optimizer.clip = 0.1;
    const auto plain = hashes(expect_the_hosts_bits(setup));
    setup.loss_scaling.initial = 1024;
    const auto scaled = expect_the_hosts_bits(setup);
    EXPECT_EQ(hashes(scaled), plain);
    EXPECT_EQ(scaled.back().loss_scale, 1024);
}

/// Gradients that leave fp16's range cost a step and half of the scale, under either policy, until they fit.
TEST_F(DeviceSteps, FindTheScaleOfFp16) {
    RunSetup setup{.ranks = 2, .batch = 37, .steps = 14, .lr = 0.05};
    setup.graph = [] { return layers::store_as(test::tiny_convnet_fused(), DType::f16).graph; };
    setup.optimizer = {.name = "adamw"};
    setup.loss_scaling = dynamic_loss_scaling();
    setup.loss_scaling.initial = 16777216;
    setup.loss_scaling.interval = 3;
    const auto steps = expect_the_hosts_bits(setup);
    float scale = 16777216;
    std::size_t overflows = 0;
    std::int64_t good = 0;
    std::string before;
    for (std::size_t s = 0; s < steps.size(); ++s) {
        if (steps[s].skipped) {
            scale /= 2;
            ++overflows;
            good = 0;
        } else if (++good == 3) {
            scale *= 2;
            good = 0;
        }
        EXPECT_EQ(steps[s].loss_scale, scale) << "step " << s;
        EXPECT_TRUE(s == 0 || steps[s].skipped == (steps[s].state_sha256 == before)) << "step " << s;
        before = steps[s].state_sha256;
    }
    EXPECT_TRUE(steps.front().skipped);
    EXPECT_GT(overflows, 1U);
    EXPECT_LT(overflows, steps.size() - 3);
}

}  // namespace
}  // namespace trireme::hostrun
