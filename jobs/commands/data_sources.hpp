// What `--source KIND:PATH` opens, and which flags each kind takes.
#pragma once

#include <memory>
#include <optional>

#include "io/import/import.hpp"
#include "io/import/source.hpp"
#include "io/import/text_import.hpp"
#include "jobs/spec/job_file.hpp"

namespace trireme::jobs {

/// Throws ConfigError with every mistake in --source and in the flags that are for some kinds only. Needs no
/// file.
void check_source_flags(const Arguments& arguments);

/// What a source of kind text is; empty for all other kinds, which open_source takes.
[[nodiscard]] std::optional<io::TextSource> text_source(const Arguments& arguments);

/// Opens the source; all members of the team call it together. Throws ConfigError or DataError.
[[nodiscard]] std::unique_ptr<io::ImportSource> open_source(const Arguments& arguments, std::uint64_t seed,
                                                            const io::ImportTeam& team);

}  // namespace trireme::jobs
