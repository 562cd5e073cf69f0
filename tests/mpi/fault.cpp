// A rank that goes wrong, over real MPI: fault MODE [RANK]. Its main does what main of the product does: an
// own error is announced, one rank prints the cause, the job ends with the exit code of the class.
#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <signal.h>

#include "comm/communicator.hpp"

namespace {

using namespace trireme;
using comm::Communicator;

void say_failing() {
    const double now =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    std::cerr << fmt::format("failing at {:.3f}\n", now) << std::flush;
}

void sum(Communicator& world, std::int64_t count, double seconds) {
    const Region region = world.allocate_buckets(Bytes(count * 4));
    const std::span<float> data(reinterpret_cast<float*>(region.data()), static_cast<std::size_t>(count));
    world.wait(world.all_reduce(data, comm::Algorithm::ring, "bucket 0"), Deadline::in_seconds(seconds));
}

void play(Communicator& world, const std::string& mode, int rank) {
    const double step_deadline = 2.0;
    const double long_deadline = 60.0;
    const bool mine = world.rank() == rank;
    for (int step = 0; step < 3; ++step) sum(world, 500000, long_deadline);
    world.set_state(Phase::step, "ReduceBucket 0");
    if (mode == "throw" && mine) {
        say_failing();
        throw DataError("shard-03.h5: chunk 17 of /train/x: checksum");
    }
    if (mode == "throw-all") {
        say_failing();
        throw DataError("no such folder");
    }
    if (mode == "stop" && mine) raise(SIGSTOP);
    if (mode == "missing" && mine) {
        world.set_state(Phase::data, "LoadMicrobatch 0");
        std::this_thread::sleep_for(std::chrono::seconds(60));
    }
    if (mode == "leave" && mine) {
        say_failing();
        return;
    }
    const std::int64_t count = mode == "mismatch" && mine ? 499999 : 500000;
    sum(world, count, mode == "throw" || mode == "leave" ? long_deadline : step_deadline);
    world.finish(Deadline::in_seconds(step_deadline));
}

int main_of_rank(const std::string& mode, int rank) {
    const auto world = comm::join_mpi({}, Deadline::in_seconds(60));
    try {
        play(*world, mode, rank);
        return 0;
    } catch (const comm::JobFailed& failed) {
        if (failed.speaker()) std::cerr << failed.what() << std::endl;
        world->abort(failed.exit_code(), failed.speaker());
        return failed.exit_code();
    } catch (const Error& error) {
        const comm::Verdict verdict{error.error_class(), "ERROR", world->rank(), world->host(), "", "",
                                    error.what()};
        const bool speaker = world->announce_failure(verdict);
        if (speaker) std::cerr << verdict.str() << std::endl;
        world->abort(error.exit_code(), speaker);
        return error.exit_code();
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    return main_of_rank(argv[1], argc > 2 ? std::stoi(argv[2]) : 1);
}
