// Another program that is asked questions, a line of JSON each, over its standard input and output. What it
// says on standard error is shown as it comes.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "runtime/core/deadline.hpp"

namespace trireme::jobs {

class PeerProcess {
  public:
    /// Starts `command` (a program, looked for in PATH, and its arguments). Throws ConfigError where it
    /// cannot be started.
    explicit PeerProcess(std::vector<std::string> command);
    /// Closes its input, which asks it to end; after some seconds it is ended.
    ~PeerProcess();
    PeerProcess(const PeerProcess&) = delete;
    PeerProcess& operator=(const PeerProcess&) = delete;

    /// Sends one line.
    void say(const std::string& line);
    /// Its next line, without the line feed. Throws ConfigError where it has ended, or says nothing before
    /// the deadline.
    [[nodiscard]] std::string hear(const Deadline& deadline);

  private:
    [[nodiscard]] std::string name() const;
    [[noreturn]] void has_ended() const;

    std::vector<std::string> command_;
    pid_t process_ = -1;
    int to_ = -1;
    int from_ = -1;
    std::string heard_;  ///< not yet a whole line
};

}  // namespace trireme::jobs
