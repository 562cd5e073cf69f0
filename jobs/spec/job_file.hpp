// Job files and command lines, read with Boost.Program_options (guessing of abbreviated names is off).
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobs/spec/settings.hpp"

namespace trireme::jobs {

/// The settings of an INI file, with their lines. Unknown keys, keys set twice and lines that are no INI
/// become diagnostics. A file that cannot be read is a ConfigError.
[[nodiscard]] std::map<std::string, Setting> read_job_file(const std::filesystem::path& file,
                                                           Diagnostics& diagnostics);

/// A flag of one command, beside the job keys.
struct Flag {
    std::string name;  ///< without dashes
    bool takes_value = true;
    std::string help;
};

struct Arguments {
    std::vector<std::string> positional;
    std::map<std::string, std::string> flags;     ///< given flags; "true" for those without value
    std::map<std::string, Setting> job_settings;  ///< --section.key value
    [[nodiscard]] bool has(const std::string& name) const { return flags.contains(name); }
    [[nodiscard]] std::string value(const std::string& name, const std::string& fallback = "") const {
        const auto found = flags.find(name);
        return found == flags.end() ? fallback : found->second;
    }
};

/// A flag's value (or `fallback`, where it is not given) as a whole number. Throws ConfigError with the rule.
[[nodiscard]] std::int64_t whole_number(const Arguments& arguments, const std::string& flag,
                                        const std::string& fallback, std::int64_t least, std::int64_t most);

/// What a command takes.
struct CommandSyntax {
    std::string usage;  ///< "trireme train JOB [--key value ...]"
    std::string example;
    std::string about;
    int positionals = 0;
    bool job_keys = false;
    std::vector<Flag> flags;
};

/// Reads the arguments after the command's name. Throws ConfigError with every mistake (unknown flags with
/// the nearest right one, missing values, too many or too few positional arguments).
[[nodiscard]] Arguments parse_arguments(const CommandSyntax& syntax, const std::vector<std::string>& words);
/// The text of `--help`.
[[nodiscard]] std::string help_text(const CommandSyntax& syntax);

}  // namespace trireme::jobs
