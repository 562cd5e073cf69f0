// Runs a function as every rank of a world of threads, and collects how each ended.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme::comm {

using World = std::vector<std::unique_ptr<Communicator>>;

/// Windows short enough for tests; deadlines of tests that must not expire are long.
inline CommOptions quick_options(std::int64_t segment_bytes = 256) {
    CommOptions options;
    options.segment_bytes = segment_bytes;
    options.abort_grace = 0.1;
    options.verdict_window = 0.4;
    return options;
}

inline Deadline soon() { return Deadline::in_seconds(0.3); }
inline Deadline late() { return Deadline::in_seconds(60); }

/// How a rank's function ended.
struct Ending {
    std::string other_error;  ///< what() of anything but JobFailed
    std::optional<Verdict> verdict;
    bool speaker = false;
};

inline std::vector<Ending> run_ranks(World& world, const std::function<void(Communicator&)>& body) {
    std::vector<Ending> endings(world.size());
    std::vector<std::thread> threads;
    for (std::size_t r = 0; r < world.size(); ++r) {
        threads.emplace_back([&, r] {
            try {
                body(*world[r]);
            } catch (const JobFailed& failed) {
                endings[r].verdict = failed.verdict();
                endings[r].speaker = failed.speaker();
            } catch (const std::exception& error) {
                endings[r].other_error = error.what();
            }
        });
    }
    for (std::thread& t : threads) t.join();
    return endings;
}

inline int speakers(const std::vector<Ending>& endings) {
    int count = 0;
    for (const Ending& e : endings) count += e.speaker ? 1 : 0;
    return count;
}

}  // namespace trireme::comm
