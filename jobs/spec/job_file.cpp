#include "jobs/spec/job_file.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include <boost/program_options.hpp>
#include <fmt/format.h>

#include "jobs/spec/keys.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace po = boost::program_options;

namespace trireme::jobs {
namespace {

constexpr std::uintmax_t largest_job_file = 1 << 20;
constexpr int after_the_file = 1 << 24;  // order of settings on the command line

void add_job_keys(po::options_description& description) {
    for (const KeyInfo& key : key_table()) {
        description.add_options()(std::string(key.name).c_str(), po::value<std::string>(),
                                  std::string(key.help).c_str());
    }
}

/// Group keys are a pattern, and Boost knows names alone: so those that stand among the words are named.
void add_group_keys(po::options_description& description, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (!word.starts_with("--")) continue;
        const std::string name = word.substr(2, word.find('=') - 2);
        if (find_group_key(name) && description.find_nothrow(name, /*approx=*/false) == nullptr)
            description.add_options()(name.c_str(), po::value<std::string>());
    }
}

std::string read_whole(const std::filesystem::path& file) {
    std::ifstream stream(file);
    if (!stream) throw ConfigError(fmt::format("{}: cannot be read: is the path right?", file.string()));
    std::error_code ignored;
    if (std::filesystem::file_size(file, ignored) > largest_job_file) {
        throw ConfigError(fmt::format("{}: larger than {} KiB: this is no job file", file.string(),
                                      largest_job_file >> 10));
    }
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

/// Lines of a job file: where each key stands. Boost does not tell line numbers, so they are found here, and
/// lines that it would stop at are told together with all other mistakes and left out.
struct ScannedFile {
    std::map<std::string, int> lines;
    std::string clean;
};

ScannedFile scan(const std::string& text, const std::string& name, Diagnostics& diagnostics) {
    ScannedFile scanned;
    std::istringstream stream(text);
    std::string line;
    std::string section;
    for (int number = 1; std::getline(stream, line); ++number) {
        const std::string_view bare = trim(std::string_view(line).substr(0, line.find('#')));
        const std::size_t equals = bare.find('=');
        if (bare.empty()) continue;
        if (bare.front() == '[' && bare.back() == ']') {
            section = trim(bare.substr(1, bare.size() - 2));
        } else if (equals == std::string_view::npos || trim(bare.substr(0, equals)).empty()) {
            diagnostics.add({fmt::format("{}:{}", name, number), "", std::string(bare),
                             "is neither [section] nor key = value"});
            continue;
        } else {
            const std::string key =
                (section.empty() ? "" : section + ".") + std::string(trim(bare.substr(0, equals)));
            const auto [where, fresh] = scanned.lines.try_emplace(key, number);
            if (!fresh) {
                diagnostics.add({fmt::format("{}:{}", name, number), key,
                                 std::string(trim(bare.substr(equals + 1))),
                                 fmt::format("is set already in line {}", where->second)});
                continue;
            }
        }
        scanned.clean += std::string(bare) + '\n';
    }
    return scanned;
}

}  // namespace

std::map<std::string, Setting> read_job_file(const std::filesystem::path& file, Diagnostics& diagnostics) {
    const std::string name = file.filename().string();
    const ScannedFile scanned = scan(read_whole(file), name, diagnostics);
    po::options_description description;
    add_job_keys(description);
    std::istringstream stream(scanned.clean);
    std::map<std::string, Setting> settings;
    try {
        const auto parsed = po::parse_config_file(stream, description, /*allow_unregistered=*/true);
        for (const auto& option : parsed.options) {
            const std::string value = option.value.empty() ? "" : option.value.front();
            const auto line = scanned.lines.find(option.string_key);
            const std::string place =
                line == scanned.lines.end() ? name : fmt::format("{}:{}", name, line->second);
            if (option.unregistered && !find_group_key(option.string_key)) {
                diagnostics.add(
                    {place, option.string_key, value,
                     "unknown key" + did_you_mean(option.string_key, names_near(option.string_key))});
            } else {
                settings[option.string_key] = {value, place, line == scanned.lines.end() ? 0 : line->second};
            }
        }
    } catch (const po::error& error) {
        throw ConfigError(fmt::format("{}: {}", file.string(), error.what()));
    }
    return settings;
}

Arguments parse_arguments(const CommandSyntax& syntax, const std::vector<std::string>& words) {
    po::options_description description;
    std::vector<std::string> known;
    if (syntax.job_keys) {
        add_job_keys(description);
        add_group_keys(description, words);
        known = key_names();
    }
    for (const Flag& flag : syntax.flags) {
        known.push_back(flag.name);
        if (flag.takes_value) {
            description.add_options()(flag.name.c_str(), po::value<std::string>());
        } else {
            description.add_options()(flag.name.c_str(), po::bool_switch());
        }
    }
    Arguments arguments;
    Diagnostics diagnostics;
    try {
        namespace style = po::command_line_style;
        const auto parsed =
            po::command_line_parser(words)
                .options(description)
                .style(style::allow_long | style::long_allow_next | style::long_allow_adjacent)
                .allow_unregistered()
                .run();
        for (const auto& option : parsed.options) {
            const std::string value = option.value.empty() ? "true" : option.value.front();
            if (option.string_key.empty()) {
                arguments.positional.push_back(value);
            } else if (option.unregistered) {
                std::vector<std::string> near = known;
                if (syntax.job_keys)
                    std::ranges::copy(names_near(option.string_key), std::back_inserter(near));
                diagnostics.add({"command line", "--" + option.string_key, "",
                                 "unknown flag" + did_you_mean(option.string_key, near)});
            } else if (option.string_key.find('.') != std::string::npos) {
                const int order = after_the_file + static_cast<int>(arguments.job_settings.size());
                arguments.job_settings[option.string_key] = {value, "command line", order};
            } else {
                arguments.flags[option.string_key] = value;
            }
        }
    } catch (const po::error& error) {
        throw ConfigError(fmt::format("command line: {}; usage: {}", error.what(), syntax.usage));
    }
    diagnostics.raise();
    if (static_cast<int>(arguments.positional.size()) != syntax.positionals) {
        throw ConfigError(fmt::format("command line: {} argument(s) where {} belong; usage: {}",
                                      arguments.positional.size(), syntax.positionals, syntax.usage));
    }
    return arguments;
}

std::int64_t whole_number(const Arguments& arguments, const std::string& flag, const std::string& fallback,
                          std::int64_t least, std::int64_t most) {
    const auto value = parse_integer(arguments.value(flag, fallback));
    if (!value || *value < least || *value > most) {
        throw ConfigError(fmt::format("command line: --{} = {}: must be a whole number from {} to {}", flag,
                                      arguments.value(flag), least, most));
    }
    return *value;
}

std::string help_text(const CommandSyntax& syntax) {
    std::string text =
        fmt::format("{}\n\n{}\n\nexample:\n  {}\n", syntax.usage, syntax.about, syntax.example);
    if (!syntax.flags.empty()) {
        text += "\nflags:\n";
        for (const Flag& flag : syntax.flags)
            text += fmt::format("  --{:<22} {}\n", flag.name + (flag.takes_value ? " VALUE" : ""), flag.help);
    }
    if (syntax.job_keys) {
        text +=
            "\njob keys (in the job file as [section] key = value, here as --section.key value; default in "
            "brackets):\n";
        for (const KeyInfo& key : key_table()) {
            if (key.ready)
                text += fmt::format("  --{:<28} {}{}\n", key.name, key.help,
                                    key.fallback.empty() ? "" : fmt::format(" [{}]", key.fallback));
        }
        text += "\nparameter groups ([optimizer.GROUP]; a parameter belongs to the first that matches it):\n";
        for (const GroupKeyInfo& key : group_key_table())
            text += fmt::format("  --optimizer.GROUP.{:<12} {}\n", key.name, key.help);
    }
    return text;
}

}  // namespace trireme::jobs
