#include <fmt/format.h>

#include "io/import/import.hpp"
#include "io/verify.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/commands/data_progress.hpp"
#include "jobs/commands/data_sources.hpp"
#include "jobs/joined_job.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

constexpr double join_seconds = 120;
constexpr double import_seconds = 24 * 3600;  // an import of any size; a dead peer is noticed without it

CommandSyntax data_import_syntax() {
    CommandSyntax s;
    s.usage =
        "trireme data import --source KIND:PATH --out DIR [--shards N] [--split train=0.9,val=0.1 | given] "
        "[--stratified] [--seed S] [--size HxW] [--compress none|deflate] [--skip-bad] [--tokenizer "
        "bytes|FILE]";
    s.about =
        "Makes a data set of HDF5 shards. By one rank or, under mpirun, by many, to the same bytes. Kinds: "
        "idx (a folder with MNIST's four files, .gz or not), cifar10 (a folder with the binary version), "
        "folder "
        "(JPEG and PNG images, one folder a class, or train/, val/, test/ with such folders inside), hdf5 "
        "(someone "
        "else's file, with --x NAME and --y NAME: classes, vectors of 0 and 1, or floats), synthetic "
        "(cifar10, "
        "imagenet or mnist: made-up images of that shape, as many as in synthetic:cifar10:5000), text (one "
        "file, "
        "as bytes or by --tokenizer, cut into splits by place).";
    s.example =
        "trireme data import --source idx:data/mnist --out datasets/mnist --shards 4 --split "
        "train=0.95,val=0.05";
    s.flags = {{"source", true, "KIND:PATH, where the samples are"},
               {"out", true, "folder of the data set; must not exist"},
               {"shards", true, "files [8, or more for large sets]"},
               {"split", true, "given keeps the source's parts; fractions cut its train part anew [given]"},
               {"stratified", false, "every split that fractions make gets its share of each class"},
               {"seed", true, "mixing of the samples, and made-up ones [0]"},
               {"size", true, "HxW: folder: resize the shorter side, cut out the middle; synthetic: extents"},
               {"compress", true, "none or deflate [none]"},
               {"skip-bad", false, "folder: leave out files that cannot be decoded, and list them"},
               {"tokenizer", true, "text: bytes, or a tokenizer.json with a byte-level BPE model [bytes]"},
               {"x", true, "hdf5: name of the data set with the samples"},
               {"y", true, "hdf5: name of the data set with the targets"},
               {"threads", true, "decoding threads of a rank [its share of the cores]"},
               {"licence", true, "terms of the samples, kept in the data set"}};
    return s;
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
    options.stratified = arguments.has("stratified");
    diagnostics.raise();
    options.split = io::parse_split(arguments.value("split", "given"));
    return options;
}

int threads_of(const Arguments& arguments) {
    if (!arguments.has("threads")) return automatic_threads();
    const auto threads = parse_integer(arguments.value("threads"));
    if (threads && *threads >= 1 && *threads <= 1024) return static_cast<int>(*threads);
    throw ConfigError(fmt::format("command line: --threads {}: must be a whole number from 1 to 1024",
                                  arguments.value("threads")));
}

void list_skipped(const io::ImportSource& source) {
    const std::vector<std::string> skipped = source.skipped();
    for (const std::string& message : skipped) fmt::print(stderr, "left out: {}\n", message);
    if (!skipped.empty()) fmt::print(stderr, "{} files were left out (--skip-bad)\n", skipped.size());
}

int run_import(const Arguments& arguments) {
    for (const char* flag : {"source", "out"}) {
        if (!arguments.has(flag))
            throw ConfigError(
                fmt::format("command line: --{} is missing; usage: {}", flag, data_import_syntax().usage));
    }
    const io::ImportOptions options = options_of(arguments);
    const int threads = threads_of(arguments);
    check_source_flags(arguments);
    return run_joined(join_seconds, {}, [&](comm::Communicator& comm) {
        comm.set_state(Phase::data, "import");
        ImportProgress progress(comm.size());
        io::ImportTeam team;
        team.rank = comm.rank();
        team.ranks = comm.size();
        team.threads = threads;
        team.all_gather = [&](const std::string& mine) {
            return comm.all_gather(mine, "import", Deadline::in_seconds(import_seconds));
        };
        if (comm.rank() == 0) {
            team.progress = [&](std::string_view phase, std::int64_t done, std::int64_t total) {
                progress.show(phase, done, total);
            };
        }
        const std::string out = arguments.value("out");
        io::DataSetInfo info;
        if (const auto text = text_source(arguments)) {
            info = io::import_text(*text, out, options, team);
        } else {
            const auto source = open_source(arguments, options.seed, team);
            progress.finish();
            if (comm.rank() == 0) list_skipped(*source);
            info = io::import_data_set(*source, out, options, team);
        }
        progress.finish();
        if (comm.rank() == 0) fmt::print("{}", io::summarize_data_set(info.folder).text());
        return 0;
    });
}

}  // namespace

Command data_import_command() { return {"data import", data_import_syntax(), run_import}; }

}  // namespace trireme::jobs
