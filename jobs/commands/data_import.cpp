#include <fmt/format.h>

#include "io/import/idx_source.hpp"
#include "io/import/import.hpp"
#include "io/verify.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/spec/settings.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

constexpr double join_seconds = 120;
constexpr double import_seconds = 24 * 3600;  // an import of any size; a dead peer is noticed without it

CommandSyntax syntax() {
    CommandSyntax s;
    s.usage =
        "trireme data import --source KIND:PATH --out DIR [--shards N] [--split train=0.9,val=0.1 | given] "
        "[--seed S] [--compress none|deflate]";
    s.about =
        "Makes a data set of HDF5 shards. By one rank or, under mpirun, by many, to the same bytes. Kinds: "
        "idx (a folder with MNIST's four files, .gz or not).";
    s.example =
        "trireme data import --source idx:data/mnist --out datasets/mnist --shards 4 --split "
        "train=0.95,val=0.05";
    s.flags = {{"source", true, "KIND:PATH, where the samples are"},
               {"out", true, "folder of the data set; must not exist"},
               {"shards", true, "files [8, or more for large sets]"},
               {"split", true, "given keeps the source's parts; fractions cut its train part anew [given]"},
               {"seed", true, "mixing of the samples [0]"},
               {"compress", true, "none or deflate [none]"},
               {"licence", true, "terms of the samples, kept in the data set"}};
    return s;
}

std::unique_ptr<io::ImportSource> open_source(const std::string& text, const std::string& licence) {
    static const std::vector<std::string> later{"cifar10", "folder", "text", "hdf5", "synthetic"};
    const std::size_t colon = text.find(':');
    const std::string kind = text.substr(0, colon);
    if (std::find(later.begin(), later.end(), kind) != later.end()) {
        throw ConfigError(
            fmt::format("command line: --source {}: sources of kind {} are not available yet in this version",
                        text, kind));
    }
    if (colon == std::string::npos || kind != "idx") {
        throw ConfigError(fmt::format("command line: --source {}: must be idx:FOLDER{}", text,
                                      did_you_mean(kind, std::vector<std::string>{"idx"})));
    }
    return std::make_unique<io::IdxSource>(text.substr(colon + 1), 10, licence);
}

io::ImportOptions options_of(const Arguments& arguments) {
    Diagnostics diagnostics;
    const auto whole = [&](const char* flag, const char* fallback, std::int64_t least, std::int64_t most) {
        const auto value = parse_integer(arguments.value(flag, fallback));
        if (value && *value >= least && *value <= most) return *value;
        diagnostics.add({"command line", std::string("--") + flag, arguments.value(flag),
                         fmt::format("must be a whole number from {} to {}", least, most)});
        return least;
    };
    io::ImportOptions options;
    options.shards = static_cast<int>(whole("shards", "0", arguments.has("shards") ? 1 : 0, 100000));
    options.seed = static_cast<std::uint64_t>(whole("seed", "0", 0, INT64_MAX));
    const std::string compress = arguments.value("compress", "none");
    if (compress != "none" && compress != "deflate")
        diagnostics.add({"command line", "--compress", compress, "must be none or deflate"});
    options.deflate = compress == "deflate";
    diagnostics.raise();
    options.split = io::parse_split(arguments.value("split", "given"));
    return options;
}

int run_import(const Arguments& arguments) {
    for (const char* flag : {"source", "out"}) {
        if (!arguments.has(flag))
            throw ConfigError(fmt::format("command line: --{} is missing; usage: {}", flag, syntax().usage));
    }
    const io::ImportOptions options = options_of(arguments);
    return run_joined(join_seconds, {}, [&](comm::Communicator& comm) {
        comm.set_state(Phase::data, "import");
        io::ImportTeam team;
        team.rank = comm.rank();
        team.ranks = comm.size();
        team.all_gather = [&](const std::string& mine) {
            return comm.all_gather(mine, "import", Deadline::in_seconds(import_seconds));
        };
        const auto source =
            open_source(arguments.value("source"), arguments.value("licence", "see the source"));
        const io::DataSetInfo info = io::import_data_set(*source, arguments.value("out"), options, team);
        if (comm.rank() == 0) fmt::print("{}", io::summarize_data_set(info.folder).text());
        return 0;
    });
}

}  // namespace

Command data_import_command() { return {"data import", syntax(), run_import}; }

}  // namespace trireme::jobs
