// What random numbers of a step are keyed by, in device memory: launches that were captured have the same
// arguments in every step, so they find there what changes (LaunchContext::stream).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/exec/compiled_program.hpp"
#include "runtime/exec/staged_turns.hpp"

namespace trireme {

class StepStreams {
  public:
    /// `most`: purposes of all programs. Purposes are a node's: a graph has no more than nodes.
    StepStreams(Device& device, std::uint64_t seed, std::size_t most);
    /// Device memory of `most` purposes.
    [[nodiscard]] static Bytes bytes(std::size_t most);
    /// Tells the program's launches where theirs lies.
    void bind(CompiledProgram& program);
    /// Copies those of a step to the device, in stream order. Those of other steps may still be under way.
    void send(Stream& stream, std::int64_t step);

  private:
    [[nodiscard]] const std::uint64_t* place_of(const std::string& purpose);

    std::uint64_t seed_;
    std::vector<std::string> purposes_;
    Region device_;
    std::vector<std::uint64_t> streams_;  ///< by purpose, of the step that was sent last
    StagedTurns staged_;
};

}  // namespace trireme
