#include "jobs/version.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "jobs/commands/commands.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax version_syntax() {
    CommandSyntax s;
    s.usage = "trireme version [--json]";
    s.about = "Prints the version of the binary and of the libraries that it runs on.";
    s.example = "trireme version --json";
    s.flags = {{"json", false, "print one JSON object"}};
    return s;
}

int run_version(const Arguments& arguments) {
    if (arguments.has("json")) {
        nlohmann::ordered_json json;
        for (const auto& [name, version] : versions()) json[name] = version;
        fmt::print("{}\n", json.dump(2));
        return 0;
    }
    for (const auto& [name, version] : versions()) fmt::print("{:<10} {}\n", name, version);
    return 0;
}

}  // namespace

Command version_command() { return {"version", version_syntax(), run_version}; }

}  // namespace trireme::jobs
