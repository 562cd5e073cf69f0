#include "runtime/telemetry/progress.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace trireme {

std::string clock_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
    if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(Mode mode) : mode_(mode) {
    if (mode_ == Mode::automatic) mode_ = ::isatty(STDERR_FILENO) == 1 ? Mode::bar : Mode::plain;
}

void Progress::show(const ProgressFacts& facts, bool line) {
    if (mode_ == Mode::off || (mode_ == Mode::plain && !line)) return;
    const std::string numbers =
        fmt::format("step {}/{}  epoch {:.2f}  loss {}  lr {:.4g}  {:.0f} samples/s  {} left", facts.step,
                    facts.steps, facts.epoch, facts.loss ? fmt::format("{:.4f}", *facts.loss) : "-", facts.lr,
                    facts.samples_per_s, clock_text(facts.seconds_left));
    if (mode_ == Mode::plain) {
        fmt::print(stderr, "{}\n", numbers);
        return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (facts.step < facts.steps && now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    constexpr int width = 24;
    const int filled = facts.steps > 0 ? static_cast<int>(facts.step * width / facts.steps) : 0;
    fmt::print(stderr, "\r\033[K[{}{}] {}", std::string(static_cast<std::size_t>(filled), '='),
               std::string(static_cast<std::size_t>(width - filled), ' '), numbers);
    std::fflush(stderr);
    drawn_ = true;
}

void Progress::message(const std::string& text) {
    if (mode_ == Mode::off) return;
    clear();
    fmt::print(stderr, "{}\n", text);
}

void Progress::clear() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
}

void Progress::finish() {
    if (drawn_) fmt::print(stderr, "\n");
    drawn_ = false;
}

}  // namespace trireme
