// The run folder: what a job leaves behind. Written by rank 0; every file but metrics.jsonl is replaced as a
// whole, so that a reader never sees half of one.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "comm/communicator.hpp"

namespace trireme::jobs {

class RunFolder {
  public:
    /// Makes the folder. Throws DataError when it cannot be written to.
    explicit RunFolder(std::filesystem::path path);

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
    /// Replaces a file.
    void write(const std::string& name, std::string_view text) const;
    /// Appends one JSON line to metrics.jsonl and flushes it.
    void add_metrics(const std::string& line);
    /// Forgets the verdict of an earlier run.
    void clear_verdict() const;

  private:
    std::filesystem::path path_;
    std::ofstream metrics_;
};

/// Writes verdict.json: class, kind, rank, host, phase, instruction, reason. Never throws: it is called on
/// the way down.
void write_verdict(const std::filesystem::path& folder, const comm::Verdict& verdict) noexcept;

}  // namespace trireme::jobs
