#include "jobs/fault_drill.hpp"

#include <csignal>
#include <cstdlib>

#include <fmt/format.h>

#include "jobs/spec/settings.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

[[noreturn]] void malformed(const char* text) {
    throw ConfigError(
        fmt::format("TRIREME_FAULT = {}: must be throw, stop or kill, then :rank=R:step=S", text));
}

std::int64_t number_after(const std::string& piece, std::string_view name, const char* whole) {
    if (!piece.starts_with(name)) malformed(whole);
    const auto value = parse_integer(std::string_view(piece).substr(name.size()));
    if (!value) malformed(whole);
    return *value;
}

}  // namespace

FaultDrill::FaultDrill(int rank) {
    const char* text = std::getenv("TRIREME_FAULT");
    if (text == nullptr) return;
    const std::vector<std::string> pieces = split(text, ':');
    if (pieces.size() != 3) malformed(text);
    const Kind kind = pieces[0] == "throw"  ? Kind::raise
                      : pieces[0] == "stop" ? Kind::stop
                      : pieces[0] == "kill" ? Kind::kill
                                            : Kind::none;
    if (kind == Kind::none) malformed(text);
    const std::int64_t at_rank = number_after(pieces[1], "rank=", text);
    const std::int64_t at_step = number_after(pieces[2], "step=", text);
    if (at_rank != rank) return;
    kind_ = kind;
    step_ = at_step;
}

void FaultDrill::before_step(std::int64_t step) const {
    if (step != step_) return;
    switch (kind_) {
        case Kind::none:
            return;
        case Kind::raise:
            throw InternalError(fmt::format("fault drill: thrown before step {}", step));
        case Kind::stop:
            std::raise(SIGSTOP);
            return;
        case Kind::kill:
            std::raise(SIGKILL);
            return;
    }
}

}  // namespace trireme::jobs
