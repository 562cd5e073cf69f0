#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/read_bench.hpp"
#include "jobs/commands/commands.hpp"
#include "runtime/core/quantile.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

constexpr std::uint64_t shuffle_seed = 1;

CommandSyntax bench_data_syntax() {
    CommandSyntax s;
    s.usage = "trireme bench data DIR [--split NAME] [--workers N] [--rounds N] [--warm] [--json]";
    s.about =
        "Reads a data set as training does, block by block in the order of an epoch with checksums compared, "
        "and its "
        "files by plain pread, in turns; before each turn the system forgets what it holds of them in "
        "memory. Decodes "
        "nothing. The set should be large: 4 GiB or more.";
    s.example =
        "trireme data import --source synthetic:imagenet:30000 --out /scratch/set && trireme bench data "
        "/scratch/set";
    s.positionals = 1;
    s.flags = {{"split", true, "the split that is read [train]"},
               {"workers", true, "reading threads [1]"},
               {"rounds", true, "turns of each [4]"},
               {"warm", false, "from memory, as far as it holds the set: what reading itself costs"},
               {"json", false, "print one JSON object"}};
    return s;
}

struct Series {
    std::vector<io::ReadRate> turns;

    [[nodiscard]] double median() const {
        std::vector<double> rates;
        for (const io::ReadRate& turn : turns) rates.push_back(turn.bytes_per_s());
        return quantile(rates, 0.5);
    }
    [[nodiscard]] nlohmann::ordered_json json() const {
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        for (const io::ReadRate& turn : turns) {
            list.push_back({{"bytes", turn.bytes},
                            {"seconds", turn.seconds},
                            {"gb_per_s", turn.bytes_per_s() * 1e-9},
                            {"cached_before", turn.cached_before}});
        }
        return {{"gb_per_s", median() * 1e-9}, {"turns", list}};
    }
    void print(std::string_view name) const {
        for (const io::ReadRate& turn : turns) {
            fmt::print("{:<14} {:>10} in {:>7.2f} s   {:>6.3f} GB/s   {:.0f} % in memory before\n", name,
                       human_bytes(Bytes(turn.bytes)), turn.seconds, turn.bytes_per_s() * 1e-9,
                       100 * turn.cached_before);
        }
    }
};

int run_bench_data(const Arguments& arguments) {
    const io::DataSetInfo info = io::open_data_set(arguments.positional.front());
    const std::string split = arguments.value("split", "train");
    (void)info.split(split);
    const int workers = static_cast<int>(whole_number(arguments, "workers", "1", 1, 1024));
    const std::int64_t rounds = whole_number(arguments, "rounds", "4", 1, 1000);
    const bool warm = arguments.has("warm");
    Series blocks;
    Series files;
    std::vector<double> ratios;
    for (std::int64_t round = 0; round < rounds; ++round) {
        // Who reads second finds what lies beneath the system's own memory warm: they take turns at that too.
        for (const bool plain : {round % 2 == 0, round % 2 != 0}) {
            if (!warm) io::forget_cached(info);
            (plain ? files : blocks)
                .turns.push_back(plain ? io::read_files(info, workers)
                                       : io::read_blocks(info, split, workers, shuffle_seed, round));
        }
        ratios.push_back(blocks.turns.back().bytes_per_s() / files.turns.back().bytes_per_s());
    }
    const double ratio = quantile(ratios, 0.5);
    if (arguments.has("json")) {
        const nlohmann::ordered_json json{{"schema", 1},
                                          {"folder", info.folder.string()},
                                          {"split", split},
                                          {"workers", workers},
                                          {"warm", warm},
                                          {"reading", blocks.json()},
                                          {"pread", files.json()},
                                          {"ratio", ratio},
                                          {"ratio_p10", quantile(ratios, 0.1)},
                                          {"ratio_p90", quantile(ratios, 0.9)}};
        fmt::print("{}\n", json.dump(2));
        return 0;
    }
    files.print("plain pread");
    blocks.print("reading stage");
    fmt::print("the reading stage reaches {:.1f} % of plain pread ({} worker(s), {})\n", 100 * ratio, workers,
               warm ? "from memory" : "from the medium");
    return 0;
}

}  // namespace

Command bench_data_command() { return {"bench data", bench_data_syntax(), run_bench_data}; }

}  // namespace trireme::jobs
