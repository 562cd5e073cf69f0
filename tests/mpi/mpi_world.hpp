// The world that the main of an MPI test program joined, for its tests.
#pragma once

#include "comm/communicator.hpp"

namespace trireme::test {

/// All ranks run the same tests in the same order. A wait of a test that fails on some ranks only ends by its
/// deadline with a verdict, which fails the test on the others too.
[[nodiscard]] comm::Communicator& mpi_world();
/// The deadline of a test's waits.
[[nodiscard]] Deadline test_deadline();
/// The rank that was asked to fail by `--fail-on-rank`, or -1.
[[nodiscard]] int rank_to_fail();

}  // namespace trireme::test
