#include "jobs/fault_drill.hpp"

#include <bit>
#include <csignal>
#include <cstdlib>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

[[noreturn]] void malformed(const char* text) {
    throw ConfigError(fmt::format(
        "TRIREME_FAULT = {}: must be throw, stop, kill or flip, then :rank=R:step=S; or slow-data or "
        "slow-compute, then :rank=R:step=S:ms=M, where R may be all",
        text));
}

std::int64_t number_after(const std::string& piece, std::string_view name, const char* whole) {
    if (!piece.starts_with(name)) malformed(whole);
    const auto value = parse_integer(std::string_view(piece).substr(name.size()));
    if (!value) malformed(whole);
    return *value;
}

/// Halves or doubles a value of the largest parameter: that is a weight, whose initial values are not zero,
/// so that no update swallows the difference.
void flip_bit(ModelState& state) {
    state.fetch();
    std::span<float> largest;
    for (layers::ParamId p : state.by_name()) {
        if (state.param(p).size() > largest.size()) largest = state.param(p);
    }
    constexpr std::uint32_t lowest_exponent_bit = 1U << 23;
    largest.front() =
        std::bit_cast<float>(std::bit_cast<std::uint32_t>(largest.front()) ^ lowest_exponent_bit);
    state.send();
}

}  // namespace

FaultDrill::Kind FaultDrill::kind_named(std::string_view name) {
    if (name == "throw") return Kind::raise;
    if (name == "stop") return Kind::stop;
    if (name == "kill") return Kind::kill;
    if (name == "flip") return Kind::flip;
    if (name == "slow-data") return Kind::slow_data;
    if (name == "slow-compute") return Kind::slow_compute;
    return Kind::none;
}

FaultDrill::FaultDrill(int rank) {
    const char* text = std::getenv("TRIREME_FAULT");
    if (text == nullptr) return;
    const std::vector<std::string> pieces = split(text, ':');
    const Kind kind = pieces.empty() ? Kind::none : kind_named(pieces[0]);
    const bool slow = kind == Kind::slow_data || kind == Kind::slow_compute;
    if (kind == Kind::none || pieces.size() != (slow ? 4 : 3)) malformed(text);
    const bool everywhere = slow && pieces[1] == "rank=all";
    const std::int64_t at_rank = everywhere ? rank : number_after(pieces[1], "rank=", text);
    const std::int64_t at_step = number_after(pieces[2], "step=", text);
    const std::int64_t ms = slow ? number_after(pieces[3], "ms=", text) : 0;
    if (at_rank != rank) return;
    kind_ = kind;
    step_ = at_step;
    seconds_ = static_cast<double>(ms) * 1e-3;
}

void FaultDrill::before_step(std::int64_t step, ModelState& state) const {
    if (step != step_) return;
    switch (kind_) {
        case Kind::none:
        case Kind::slow_data:
        case Kind::slow_compute:
            return;
        case Kind::raise:
            throw InternalError(fmt::format("fault drill: thrown before step {}", step));
        case Kind::stop:
            std::raise(SIGSTOP);
            return;
        case Kind::kill:
            std::raise(SIGKILL);
            return;
        case Kind::flip:
            flip_bit(state);
            return;
    }
}

}  // namespace trireme::jobs
