// Training on asynchronous devices: their ranks, and what runs on them is compared by.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/async/async_kernels.hpp"
#include "tests/async/async_launch.hpp"
#include "tests/hostrun/host_backend.hpp"
#include "tests/multirank/ranks.hpp"
#include "tests/multirank/training_run.hpp"

namespace trireme::async {

/// The asynchronous device of each rank, and where its inner kernels run.
class Ranks {
  public:
    /// `together`: all of them on one schedule, as devices do that reach each other's memory.
    Ranks(int ranks, std::uint64_t seed, const Mutation& of_rank_0, bool together = false)
        : together_(together) {
        for (int rank = 0; rank < (together ? 1 : ranks); ++rank) {
            schedules_.push_back(std::make_shared<Schedule>(
                seed * static_cast<std::uint64_t>(ranks) + static_cast<std::uint64_t>(rank),
                rank == 0 ? of_rank_0 : Mutation{}));
        }
    }
    [[nodiscard]] const std::shared_ptr<Schedule>& schedule(int rank) const {
        return schedules_[together_ ? 0 : static_cast<std::size_t>(rank)];
    }
    [[nodiscard]] Backend backend(int rank) {
        Backend backend;
        auto device = std::make_unique<AsyncDevice>(schedule(rank), together_ ? rank : 0);
        device->shares = together_;
        if (library) device->library = library();
        backend.device = std::move(device);
        for (auto& inner : hostrun::host_run_providers())
            backend.providers.push_back(std::make_unique<AsyncProvider>(std::move(inner), inner_device_));
        backend.step_kernels = hostrun::device_step_kernels<AsyncLaunch>;
        return backend;
    }
    [[nodiscard]] Findings findings(int rank) { return schedule(rank)->findings(); }
    /// Pieces of host memory that are pinned on a rank now.
    [[nodiscard]] std::int64_t pinned(int rank) { return findings(rank).pinned; }
    /// Races of all ranks.
    [[nodiscard]] std::set<std::string> races() {
        std::set<std::string> all;
        for (const auto& schedule : schedules_) all.merge(schedule->findings().races);
        return all;
    }

    /// Makes each rank's library of collectives; empty: devices have none.
    std::function<std::shared_ptr<CollectiveLibrary>()> library;

  private:
    bool together_;
    std::vector<std::shared_ptr<Schedule>> schedules_;
    hostrun::HostRunDevice inner_device_;
};

class Async : public TrainingTest {
  protected:
    /// What each step left and told.
    static std::vector<std::string> traces(const std::vector<StepRecord>& steps) {
        std::vector<std::string> list = hashes(steps);
        for (std::size_t s = 0; s < steps.size(); ++s)
            list[s] += fmt::format(" loss {} of {}", steps[s].loss_sum, steps[s].samples);
        return list;
    }
    static std::vector<std::string> plain(RunSetup setup) {
        setup.backend = [](int) { return hostrun::host_run_backend(); };
        return traces(run(setup));
    }
    static std::vector<std::string> asynchronous(RunSetup setup, Ranks& ranks) {
        setup.backend = [&](int rank) { return ranks.backend(rank); };
        return traces(run(setup));
    }
    /// With a wait behind each step, and as in a job, where a step is launched while the one before it is
    /// under way.
    static std::array<std::vector<std::string>, 2> plain_both_ways(RunSetup setup) {
        setup.keeps_going = false;
        std::vector<std::string> resting = plain(setup);
        setup.keeps_going = true;
        return {std::move(resting), plain(setup)};
    }
    /// Every other seed keeps going.
    static void expect_the_same(RunSetup setup, std::uint64_t seeds) {
        const auto wanted = plain_both_ways(setup);
        std::int64_t operations = 0;
        for (std::uint64_t seed = 0; seed < seeds && !HasFailure(); ++seed) {
            Ranks ranks(setup.ranks, seed, {});
            setup.keeps_going = seed % 2 == 1;
            EXPECT_EQ(asynchronous(setup, ranks), wanted[seed % 2]) << "seed " << seed;
            EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
            EXPECT_EQ(ranks.pinned(0), 0);
            // Passes and update of every step but the first of its kind; none of these runs meets an epoch's
            // short last step twice.
            EXPECT_EQ(ranks.findings(0).replays, setup.capture ? 2 * (setup.steps - 1) : 0);
            operations += ranks.findings(0).operations;
        }
        fmt::print("async: {} on {} ranks, {} seeds, {} operations of rank 0\n", setup.graph().name(),
                   setup.ranks, seeds, operations);
    }

    /// Leaves out one wait of rank 0 after the other in `train`: it is missed, or others imply it. Which ones
    /// do is a matter of each run: sums of buckets end in any order.
    template <class Train>
    static void expect_waits_are_missed(const RunSetup& setup, const Train& train, bool together = false) {
        constexpr std::uint64_t tries = 5;
        const std::vector<std::string> wanted = plain(setup);
        Ranks whole(setup.ranks, 0, {}, together);
        (void)train(setup, whole);
        const Findings all = whole.findings(0);
        ASSERT_GT(all.waits, 6);
        std::int64_t detected = 0;
        std::int64_t implied = 0;
        for (std::int64_t wait = 0; wait < all.waits; ++wait) {
            bool missed = false;
            bool always_implied = true;
            for (std::uint64_t seed = 0; seed < tries && !missed; ++seed) {
                Ranks ranks(setup.ranks, seed, {.left_out_wait = wait}, together);
                bool other_bits = false;
                try {
                    other_bits = train(setup, ranks) != wanted;
                } catch (const DeviceError& error) {
                    EXPECT_THAT(error.what(), testing::HasSubstr("a sum of known numbers is wrong in "));
                    other_bits = true;
                }
                missed = other_bits || !ranks.races().empty();
                always_implied = always_implied && ranks.findings(0).implied.contains(wait);
            }
            if (missed) {
                ++detected;
            } else {
                ++implied;
                EXPECT_TRUE(always_implied)
                    << all.waited.at(wait) << " can be left out, and nothing implies it";
                fmt::print("async: implied by others: {}\n", all.waited.at(wait));
            }
        }
        fmt::print("async: {} waits left out in turn, {} detected, {} implied\n", all.waits, detected,
                   implied);
    }
};

/// Enough steps to launch, capture, and replay what was captured for either half of the batch memory.
inline RunSetup convnet() { return {.ranks = 2, .batch = 37, .microbatches = 2, .steps = 4, .lr = 0.05}; }

}  // namespace trireme::async
