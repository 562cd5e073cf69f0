#include "runtime/exec/step_streams.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"

namespace trireme {
namespace {

Bytes bytes_of_streams(std::size_t count) {
    return Bytes(static_cast<std::int64_t>(count * sizeof(std::uint64_t)));
}

}  // namespace

StepStreams::StepStreams(Device& device, std::uint64_t seed, std::size_t most)
    : seed_(seed),
      device_(device.memory(), bytes_of_streams(most)),
      staged_(device.staging(), bytes_of_streams(most)) {}

void StepStreams::bind(CompiledProgram& program) {
    for (CompiledInstruction& instruction : program.instructions()) {
        if (instruction.kernels == nullptr) continue;
        const std::string purpose = instruction.kernels->needs().random_purpose;
        if (!purpose.empty()) instruction.context.stream = place_of(purpose);
    }
}

const std::uint64_t* StepStreams::place_of(const std::string& purpose) {
    const auto found = std::find(purposes_.begin(), purposes_.end(), purpose);
    const auto index = static_cast<std::size_t>(found - purposes_.begin());
    if (found == purposes_.end()) purposes_.push_back(purpose);
    ensure(bytes_of_streams(purposes_.size()) <= device_.size(), "a purpose is a node's");
    return reinterpret_cast<const std::uint64_t*>(device_.data()) + index;
}

void StepStreams::send(Stream& stream, std::int64_t step) {
    auto* staged = reinterpret_cast<std::uint64_t*>(staged_.data());
    for (std::size_t i = 0; i < purposes_.size(); ++i)
        staged[i] = RandomStream(seed_, purposes_[i], static_cast<std::uint64_t>(step)).key().stream;
    if (!purposes_.empty()) stream.copy(device_.data(), staged_.data(), bytes_of_streams(purposes_.size()));
}

}  // namespace trireme
