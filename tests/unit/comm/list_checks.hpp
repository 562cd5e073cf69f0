// Helpers of the step-list tests: exact inputs, runs by simulation, sums of messages.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/simulate.hpp"
#include "comm/step_list.hpp"

namespace trireme::comm {

/// Small whole numbers: sums over 64 ranks are exact in float, in whatever order they are formed.
inline float exact_input(int rank, std::int64_t element) {
    return static_cast<float>((rank * 31 + element * 7) % 509 - 254);
}

struct SimulatedWorld {
    std::vector<StepList> lists;
    std::vector<std::vector<float>> data;
    SimulationResult result;
};

inline SimulatedWorld run_world(int ranks, std::int64_t count, const std::function<StepList(int)>& list_of) {
    SimulatedWorld world;
    for (int r = 0; r < ranks; ++r) {
        world.lists.push_back(list_of(r));
        std::vector<float> data(static_cast<std::size_t>(count));
        for (std::int64_t e = 0; e < count; ++e) data[static_cast<std::size_t>(e)] = exact_input(r, e);
        world.data.push_back(std::move(data));
    }
    world.result = simulate(world.lists, world.data);
    return world;
}

inline std::vector<float> exact_sums(int ranks, std::int64_t count) {
    std::vector<float> sums(static_cast<std::size_t>(count), 0.0F);
    for (int r = 0; r < ranks; ++r) {
        for (std::int64_t e = 0; e < count; ++e) sums[static_cast<std::size_t>(e)] += exact_input(r, e);
    }
    return sums;
}

}  // namespace trireme::comm
