#include "jobs/commands/commands.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "comm/communicator.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

/// Commands that CLI users may know of and that this version does not have yet.
const std::vector<std::string> later_commands{"plan",   "export",          "import",    "submit",
                                              "status", "bench allreduce", "bench p2p", "bench scaling"};

std::vector<Command> all_commands() {
    return {train_command(),
            eval_command(),
            inspect_command(),
            predict_command(),
            generate_command(),
            bench_train_command(),
            bench_data_command(),
            data_import_command(),
            data_inspect_command(),
            data_verify_command(),
            data_doctor_command(),
            checkpoint_list_command(),
            checkpoint_verify_command(),
            checkpoint_show_command(),
            doctor_command(),
            version_command()};
}

std::string overview() {
    std::string text =
        "Trireme: an MPI cluster training runtime.\n\ncommands (trireme COMMAND --help tells more):\n";
    for (const Command& command : all_commands()) text += fmt::format("  {}\n", command.syntax.usage);
    return text;
}

[[noreturn]] void refuse_unknown(const std::vector<Command>& commands,
                                 const std::vector<std::string>& words) {
    const std::string both = words.size() > 1 ? words[0] + " " + words[1] : words[0];
    for (const std::string& later : later_commands) {
        if (later == words[0] || later == both)
            throw ConfigError(
                fmt::format("command line: trireme {} is not available yet in this version", later));
    }
    std::vector<std::string> names;
    for (const Command& command : commands) names.push_back(command.name);
    const bool has_subcommands = words[0] == "data" || words[0] == "checkpoint" || words[0] == "bench";
    const std::string& meant = has_subcommands ? both : words[0];
    throw ConfigError(fmt::format("command line: unknown command {}{}", meant, did_you_mean(meant, names)));
}

int dispatch(const std::vector<std::string>& words) {
    if (words.empty() || words[0] == "--help" || words[0] == "help") {
        fmt::print("{}", overview());
        return 0;
    }
    const std::vector<Command> commands = all_commands();
    for (const Command& command : commands) {
        const std::vector<std::string> name = split(command.name, ' ');
        if (words.size() < name.size() || !std::equal(name.begin(), name.end(), words.begin())) continue;
        const std::vector<std::string> rest(words.begin() + static_cast<std::ptrdiff_t>(name.size()),
                                            words.end());
        if (std::find(rest.begin(), rest.end(), "--help") != rest.end()) {
            fmt::print("{}", help_text(command.syntax));
            return 0;
        }
        return command.run(parse_arguments(command.syntax, rest));
    }
    refuse_unknown(commands, words);
}

/// Tells an error that came before the ranks had joined. Usually every rank has the same one: rank 0 speaks,
/// the others give it time to end the job and speak only when it did not.
int report(std::string_view kind, std::string_view what, int code) {
    if (comm::launcher_rank() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    const std::string who =
        comm::launcher_size() > 1 ? fmt::format("rank {}: ", comm::launcher_rank()) : "trireme: ";
    fmt::print(stderr, "{}{}: {}\n", who, kind, what);
    std::fflush(stderr);
    return code;
}

}  // namespace

int run_command(const std::vector<std::string>& words) {
    try {
        return dispatch(words);
    } catch (const Error& error) {
        return report(name_of(error.error_class()), error.what(), error.exit_code());
    } catch (const std::exception& error) {
        return report(name_of(ErrorClass::internal), error.what(), exit_code_of(ErrorClass::internal));
    }
}

}  // namespace trireme::jobs
