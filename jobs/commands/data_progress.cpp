#include "jobs/commands/data_progress.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace trireme::jobs {
namespace {

constexpr int bar_width = 30;
constexpr auto between_bars = std::chrono::milliseconds(100);
constexpr auto between_lines = std::chrono::seconds(10);

}  // namespace

ImportProgress::ImportProgress(int ranks)
    : terminal_(::isatty(STDERR_FILENO) != 0),
      share_(ranks > 1 ? fmt::format(" (rank 0's share, of {} ranks)", ranks) : "") {}

ImportProgress::~ImportProgress() { finish(); }

void ImportProgress::show(std::string_view phase, std::int64_t done, std::int64_t total) {
    const auto now = Clock::now();
    const bool ended = done >= total;
    if (now - last_ < between_bars || total < 1) return;
    if (!terminal_ && (ended || now - last_ < between_lines)) return;
    last_ = now;
    const std::string facts = fmt::format("{} {} of {}{}", phase, done, total, share_);
    if (!terminal_) {
        fmt::print(stderr, "{}\n", facts);
        return;
    }
    const auto full = static_cast<std::size_t>(bar_width * done / total);
    fmt::print(stderr, "\r[{}{}] {}\033[K", std::string(full, '#'), std::string(bar_width - full, ' '),
               facts);
    std::fflush(stderr);
    drawn_ = true;
}

void ImportProgress::finish() {
    if (drawn_) fmt::print(stderr, "\n");
    drawn_ = false;
}

}  // namespace trireme::jobs
