// The main of MPI test programs: joins MPI, runs the tests on every rank, and reduces the outcome, so that a
// test which fails on any rank fails the run on all.
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/mpi/mpi_world.hpp"

namespace trireme::test {
namespace {

struct MpiTestState {
    std::unique_ptr<comm::Communicator> world;
    int rank_to_fail = -1;
};

MpiTestState& state() {
    static MpiTestState instance;
    return instance;
}

/// 0 when all tests passed on all ranks.
int run_everywhere() {
    comm::Communicator& world = mpi_world();
    if (world.rank() != 0) {
        // Rank 0 reports; the others speak of failures only.
        auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
        delete listeners.Release(listeners.default_result_printer());
        class FailurePrinter final : public ::testing::EmptyTestEventListener {
            void OnTestPartResult(const ::testing::TestPartResult& result) override {
                if (result.failed())
                    std::cerr << "on rank " << mpi_world().rank() << ": " << result.message() << '\n';
            }
        };
        listeners.Append(new FailurePrinter);
    }
    const bool passed = RUN_ALL_TESTS() == 0;
    bool all_passed = true;
    for (const std::string& word :
         world.all_gather(passed ? "passed" : "failed", "outcome", test_deadline())) {
        all_passed = all_passed && word == "passed";
    }
    world.finish(test_deadline());
    return all_passed ? 0 : 1;
}

}  // namespace

comm::Communicator& mpi_world() { return *state().world; }
Deadline test_deadline() { return Deadline::in_seconds(40); }
int rank_to_fail() { return state().rank_to_fail; }

}  // namespace trireme::test

int main(int argc, char** argv) {
    using namespace trireme;
    ::testing::InitGoogleTest(&argc, argv);
    if (argc == 3 && std::strcmp(argv[1], "--fail-on-rank") == 0)
        test::state().rank_to_fail = std::stoi(argv[2]);
    int code = 1;
    try {
        test::state().world = comm::join_mpi({}, test::test_deadline());
        code = test::run_everywhere();
    } catch (const comm::JobFailed& failed) {
        if (failed.speaker()) std::cerr << failed.what() << std::endl;
        test::mpi_world().abort(1, failed.speaker());
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
    }
    test::state().world.reset();
    return code;
}
