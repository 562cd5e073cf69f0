#include "jobs/bench/peer_process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

constexpr double patience_at_the_end = 5;  // seconds

[[noreturn]] void failed(const std::string& what) {
    throw ConfigError(fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace

PeerProcess::PeerProcess(std::vector<std::string> command) : command_(std::move(command)) {
    // A peer that has ended is told by its silence, not by a signal.
    std::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
        failed("no pipe to a peer");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::vector<char*> words;
    for (std::string& word : command_) words.push_back(word.data());
    words.push_back(nullptr);
    const int error = ::posix_spawnp(&process_, words[0], &actions, nullptr, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
    if (error == 0) return;
    ::close(to_);
    ::close(from_);
    throw ConfigError(fmt::format("the peer {} cannot be started: {}", name(), std::strerror(error)));
}

PeerProcess::~PeerProcess() {
    ::close(to_);
    ::close(from_);
    const Deadline deadline = Deadline::in_seconds(patience_at_the_end);
    while (::waitpid(process_, nullptr, WNOHANG) == 0) {
        if (deadline.expired()) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
            return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

/// The program and what it runs; the rest are settings.
std::string PeerProcess::name() const {
    return command_.size() > 1 ? command_[0] + ' ' + command_[1] : command_[0];
}

void PeerProcess::has_ended() const {
    throw ConfigError(fmt::format("the peer {} has ended: what it said on standard error tells why", name()));
}

void PeerProcess::say(const std::string& line) {
    const std::string text = line + '\n';
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t count = ::write(to_, text.data() + sent, text.size() - sent);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) has_ended();
        sent += static_cast<std::size_t>(count);
    }
}

std::string PeerProcess::hear(const Deadline& deadline) {
    std::array<char, 4096> piece;
    for (;;) {
        if (const std::size_t end = heard_.find('\n'); end != std::string::npos) {
            const std::string line = heard_.substr(0, end);
            heard_.erase(0, end + 1);
            return line;
        }
        pollfd ready{from_, POLLIN, 0};
        const auto left = static_cast<int>(std::max(0.0, deadline.seconds_left()) * 1e3);
        const int got = ::poll(&ready, 1, left);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) throw ConfigError(fmt::format("the peer {} did not answer in time", name()));
        const ssize_t count = ::read(from_, piece.data(), piece.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) has_ended();
        heard_.append(piece.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace trireme::jobs
