#include "runtime/exec/step_streams.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"

namespace trireme {

Bytes StepStreams::bytes(std::size_t most) {
    return Bytes(static_cast<std::int64_t>(most * sizeof(std::uint64_t)));
}

StepStreams::StepStreams(Device& device, std::uint64_t seed, std::size_t most)
    : seed_(seed), device_(device.memory(), bytes(most)), staged_(device, bytes(most)) {}

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
    ensure(bytes(purposes_.size()) <= device_.size(), "a purpose is a node's");
    return reinterpret_cast<const std::uint64_t*>(device_.data()) + index;
}

void StepStreams::send(Stream& stream, std::int64_t step) {
    if (purposes_.empty()) return;
    streams_.clear();
    for (const std::string& purpose : purposes_)
        streams_.push_back(RandomStream(seed_, purpose, static_cast<std::uint64_t>(step)).key().stream);
    staged_.send(stream, device_.data(), std::as_bytes(std::span(streams_)));
}

}  // namespace trireme
