#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/folder.hpp"
#include "jobs/commands/commands.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;

CommandSyntax syntax(const char* verb, const char* about, const char* example) {
    CommandSyntax s;
    s.usage = fmt::format("trireme checkpoint {} DIR [--json]", verb);
    s.about = about;
    s.example = example;
    s.positionals = 1;
    s.flags = {{"json", false, "print one JSON object"}};
    return s;
}

/// The checkpoint that DIR is, or all folders step-N in it, newest first, incomplete ones too.
std::vector<fs::path> checkpoints_in(const fs::path& named) {
    const fs::path dir = io::checkpoints_folder(named);
    const std::vector<io::CheckpointFolder> inside = io::step_folders(dir);
    if (inside.empty()) return {dir};
    std::vector<fs::path> folders;
    for (const io::CheckpointFolder& one : inside) folders.push_back(one.folder);
    return folders;
}

nlohmann::ordered_json from_meta(const io::CheckpointMeta& meta, const std::string& key) {
    const auto found = meta.find(key);
    if (found == meta.end()) return {};
    return nlohmann::ordered_json::parse(found->second, nullptr, /*allow_exceptions=*/false);
}

nlohmann::ordered_json listed(const fs::path& folder) {
    nlohmann::ordered_json row{{"folder", folder.string()}};
    try {
        const io::CheckpointDescription what = io::describe_checkpoint(folder);
        row["state"] = "complete";
        row["step"] = what.step;
        row["bytes"] = what.bytes;
        for (const char* key : {"world", "val_loss", "val_accuracy", "params_sha256"})
            row[key] = from_meta(what.meta, key);
    } catch (const DataError& error) {
        row["state"] = "bad";
        row["problem"] = error.what();
    }
    return row;
}

std::string line_of(const nlohmann::ordered_json& row) {
    if (row.at("state") == "bad") return fmt::format("  bad: {}\n", row.at("problem").get<std::string>());
    const auto number = [&](const char* key) {
        return row.at(key).is_number() ? fmt::format("{:.6g}", row.at(key).get<double>()) : std::string("-");
    };
    const std::string hash =
        row.at("params_sha256").is_string() ? row.at("params_sha256").get<std::string>().substr(0, 16) : "-";
    return fmt::format("  {:>10} {:>12} {:>6} {:>12} {:>12}  {}\n", row.at("step").get<std::int64_t>(),
                       human_bytes(Bytes(row.at("bytes").get<std::int64_t>())), number("world"),
                       number("val_loss"), number("val_accuracy"), hash);
}

int run_list(const Arguments& arguments) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const fs::path& folder : checkpoints_in(arguments.positional.front()))
        rows.push_back(listed(folder));
    if (arguments.has("json")) {
        fmt::print("{}\n", nlohmann::ordered_json{{"schema", 1}, {"checkpoints", rows}}.dump(2));
        return 0;
    }
    fmt::print("  {:>10} {:>12} {:>6} {:>12} {:>12}  parameters sha256\n", "step", "size", "world",
               "val loss", "val accuracy");
    for (const nlohmann::ordered_json& row : rows) fmt::print("{}", line_of(row));
    return 0;
}

int run_verify(const Arguments& arguments) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    std::vector<std::string> problems;
    for (const fs::path& folder : checkpoints_in(arguments.positional.front())) {
        io::CheckpointReport report;
        try {
            report = io::verify_checkpoint(folder);
        } catch (const DataError& error) {
            report.problems.emplace_back(error.what());
        }
        if (!arguments.has("json") && report.good()) {
            fmt::print("{}: {} slices, {}: every checksum is right\n", folder.string(), report.slices,
                       human_bytes(Bytes(report.bytes)));
        }
        rows.push_back({{"folder", folder.string()},
                        {"good", report.good()},
                        {"slices", report.slices},
                        {"bytes", report.bytes},
                        {"problems", report.problems}});
        problems.insert(problems.end(), report.problems.begin(), report.problems.end());
    }
    if (arguments.has("json")) {
        const nlohmann::ordered_json json{{"schema", 1}, {"good", problems.empty()}, {"checkpoints", rows}};
        fmt::print("{}\n", json.dump(2));
    }
    if (problems.empty()) return 0;
    std::string all = problems.front();
    for (std::size_t i = 1; i < problems.size(); ++i) all += "\n  " + problems[i];
    throw DataError(all);
}

int run_show(const Arguments& arguments) {
    const fs::path dir = io::checkpoints_folder(arguments.positional.front());
    const std::vector<fs::path> complete = io::completed_checkpoints(dir);
    const io::CheckpointDescription what = io::describe_checkpoint(complete.empty() ? dir : complete.front());
    fmt::print("{}\n", arguments.has("json") ? what.json() : what.text());
    return 0;
}

}  // namespace

Command checkpoint_list_command() {
    return {"checkpoint list",
            syntax("list",
                   "Lists the checkpoints of a run folder or of a folder of checkpoints, newest first. Reads "
                   "no tensors.",
                   "trireme checkpoint list runs/lenet-mnist"),
            run_list};
}

Command checkpoint_verify_command() {
    return {
        "checkpoint verify",
        syntax("verify",
               "Reads every slice of a checkpoint, or of all in a folder, and compares its checksum; names "
               "what is damaged. Ends with code 3 when anything is.",
               "trireme checkpoint verify runs/lenet-mnist"),
        run_verify};
}

Command checkpoint_show_command() {
    return {
        "checkpoint show",
        syntax("show",
               "Shows what is in a checkpoint (of a folder: the newest complete one): tensors, shapes, step, "
               "layout, versions, hashes.",
               "trireme checkpoint show runs/lenet-mnist/checkpoints/step-400"),
        run_show};
}

}  // namespace trireme::jobs
