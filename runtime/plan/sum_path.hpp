// How gradients get from device to device to be summed, and which ways a job has: a pure function of what
// the ranks have found.
//
//     staged   copied to the host, summed there by comm, copied back: always possible
//     ipc      comm's step lists in device memory; ranks of one host read each other's memory
//     mpi      the same lists; a message library that is aware of the device carries them
//     nccl     NCCL's own sums on a stream
//
// The first three form every sum in the same order, so a job's bits do not depend on which of them it takes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme {

enum class SumPath { automatic, staged, ipc, mpi, nccl };
[[nodiscard]] std::string_view name_of(SumPath path);
/// The path that parallel.algorithm names; empty for any other word.
[[nodiscard]] std::optional<SumPath> sum_path_of(std::string_view word);

/// What one rank has found on its own.
struct SumFacts {
    std::string host{};
    std::string device{};        ///< Device::identity; empty: not told apart
    bool shares_memory = false;  ///< its device's memory can be mapped by other processes
    bool mpi_carries = false;    ///< its message library takes device memory
    std::string library{};       ///< "NCCL 2.28.9"; empty: `library_refusal` says why there is none
    std::string library_refusal{};
    std::string map_refusal{};  ///< why it cannot map the memory of its peers; asked last
};

/// What the job asks for.
struct SumWishes {
    SumPath path = SumPath::automatic;
    bool canonical = false;
    bool algorithm_pinned = false;  ///< parallel.algorithm names one of comm's, so comm is to sum
};

struct SumCandidate {
    SumPath path = SumPath::staged;
    std::string refusal;  ///< empty: it can be taken
};

/// All paths, each with the reason why it cannot be taken, from the facts of all ranks in rank order.
[[nodiscard]] std::vector<SumCandidate> sum_candidates(std::span<const SumFacts> ranks,
                                                       const SumWishes& wishes);
/// The paths to choose from: the pinned one, or all that can be taken. Throws DeviceError, naming what is
/// missing, where the pinned one cannot.
[[nodiscard]] std::vector<SumPath> sum_choices(std::span<const SumCandidate> candidates, SumPath pinned);

/// A path that was tried.
struct MeasuredPath {
    SumPath path = SumPath::staged;
    double seconds = 0;  ///< of one sum
};
/// The one that is taken; there is at least one. Of equal ones the first.
[[nodiscard]] const MeasuredPath& quickest(std::span<const MeasuredPath> measured);
/// One line: what was taken, what all took for a sum of `bucket`, and why others could not be.
[[nodiscard]] std::string sums_text(std::span<const MeasuredPath> measured,
                                    std::span<const SumCandidate> candidates, SumPath pinned, Bytes bucket);

/// Why a job on a device that is not asynchronous cannot name a path; empty where it names none.
[[nodiscard]] std::string refusal_of_host_path(SumPath path, std::string_view device_kind);

}  // namespace trireme
