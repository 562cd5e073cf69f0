// What `trireme data doctor` finds in a data set: things that training would not refuse, and that make its
// result worse than it could be. Every finding comes with a remedy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trireme::io {

struct DataFinding {
    /// `bad` spoils training; `warn` is worth a look; `good` says that a check found nothing.
    enum class Status { good, warn, bad };
    Status status = Status::good;
    std::string check;  ///< "damage", "class balance", "duplicates", "inputs", "tokens", "blocks"
    std::string what;
    std::string remedy;  ///< empty where nothing is to be done
};

struct DoctorReport {
    std::vector<DataFinding> findings;
    [[nodiscard]] DataFinding::Status worst() const;
    /// One JSON object {schema, worst, findings: [{check, status, what, remedy}]}.
    [[nodiscard]] std::string json() const;
    /// A line a finding, its remedy below it.
    [[nodiscard]] std::string text() const;
};

/// Reads every sample once. Memory: 16 bytes a sample, and per element of a sample 8 bytes. Throws DataError
/// where the set cannot be opened at all; damaged blocks are findings.
[[nodiscard]] DoctorReport examine_data_set(const std::filesystem::path& folder);

}  // namespace trireme::io
