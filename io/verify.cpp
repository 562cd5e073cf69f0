#include "io/verify.hpp"

#include <nlohmann/json.hpp>

#include "io/pipeline/block_reader.hpp"
#include "io/shard_format.hpp"
#include "io/targets.hpp"
#include "io/tokenizer.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

constexpr std::size_t max_messages = 100;

void note(VerifyReport& report, const std::string& message) {
    ++report.problems;
    if (report.messages.size() < max_messages) report.messages.push_back(message);
}

void verify_fingerprint(const DataSetInfo& info, VerifyReport& report) {
    std::vector<ShardSums> sums;
    for (int shard = 0; shard < info.shards; ++shard) sums.push_back(read_shard_sums(info.shard_path(shard)));
    const std::string found = set_fingerprint(info, sums);
    if (found != info.fingerprint) {
        note(report,
             fmt::format("{}: fingerprint {} stored, {} computed from metadata and checksums: a shard was "
                         "changed or replaced; import again",
                         info.folder.string(), info.fingerprint, found));
    }
}

void verify_tokenizer(const DataSetInfo& info, VerifyReport& report) {
    try {
        static_cast<void>(tokenizer_of(info));
    } catch (const DataError& error) {
        note(report, error.what());
    }
}

void verify_split(const DataSetInfo& info, const std::string& name, VerifyReport& report) {
    BlockReader reader(info, name);
    std::vector<std::byte> x(static_cast<std::size_t>(info.block_samples() * info.sample_bytes()));
    const auto target_bytes = static_cast<std::size_t>(info.target_bytes());
    std::vector<std::byte> y(static_cast<std::size_t>(info.block_samples()) * target_bytes);
    std::vector<std::byte> scratch(static_cast<std::size_t>(BlockReader::scratch_bytes(info)));
    for (std::size_t b = 0; b < reader.blocks().size(); ++b) {
        const std::size_t rows = static_cast<std::size_t>(reader.blocks()[b].samples);
        try {
            reader.read(static_cast<std::int64_t>(b),
                        std::span(x).first(rows * static_cast<std::size_t>(info.sample_bytes())),
                        std::span(y).first(rows * target_bytes), scratch);
        } catch (const DataError& error) {
            note(report, error.what());
        }
        report.samples += static_cast<std::int64_t>(rows);
    }
    report.blocks += static_cast<std::int64_t>(reader.blocks().size());
    report.bytes += reader.counters().bytes;
}

}  // namespace

void count_targets(const DataSetInfo& info, std::span<const std::byte> targets,
                   std::vector<std::int64_t>& counts) {
    const auto row = static_cast<std::size_t>(info.target_bytes());
    if (info.target_kind == target_float || info.is_stream()) return;
    for (std::size_t at = 0; at < targets.size(); at += row) {
        if (info.has_classes()) {
            ++counts[static_cast<std::size_t>(class_of(targets.subspan(at, row)))];
        } else {
            for (std::size_t k = 0; k < row; ++k) counts[k] += std::to_integer<int>(targets[at + k]);
        }
    }
}

void VerifyReport::require_good() const {
    if (good()) return;
    throw DataError(problems == 1 ? messages.front()
                                  : fmt::format("{} (and {} more problems)", messages.front(), problems - 1));
}

VerifyReport verify_data_set(const std::filesystem::path& folder) {
    const DataSetInfo info = open_data_set(folder);
    VerifyReport report;
    verify_fingerprint(info, report);
    if (info.is_stream()) verify_tokenizer(info, report);
    for (const auto& [name, split] : info.splits) {
        if (split.samples > 0) verify_split(info, name, report);
    }
    return report;
}

DataSetSummary summarize_data_set(const std::filesystem::path& folder) {
    DataSetSummary summary;
    summary.info = open_data_set(folder);
    const DataSetInfo& info = summary.info;
    summary.block_samples = info.block_samples();
    for (int shard = 0; shard < info.shards; ++shard) {
        summary.bytes_on_disk +=
            static_cast<std::int64_t>(std::filesystem::file_size(info.shard_path(shard)));
    }
    const auto target_bytes = static_cast<std::size_t>(info.target_bytes());
    std::vector<std::byte> y(static_cast<std::size_t>(info.block_samples()) * target_bytes);
    std::vector<std::byte> scratch(static_cast<std::size_t>(BlockReader::scratch_bytes(info)));
    for (const auto& [name, split] : info.splits) {
        SplitSummary& part = summary.splits[name];
        part.samples = split.samples;
        part.blocks = static_cast<std::int64_t>(split.blocks.size());
        part.shard_samples.assign(static_cast<std::size_t>(info.shards), 0);
        part.class_samples.assign(
            static_cast<std::size_t>(info.target_kind == target_float || info.is_stream() ? 0 : info.classes),
            0);
        if (split.samples == 0) continue;
        BlockReader reader(info, name);
        for (std::size_t b = 0; b < split.blocks.size(); ++b) {
            const auto rows =
                std::span(y).first(static_cast<std::size_t>(split.blocks[b].samples) * target_bytes);
            if (!info.is_stream()) reader.read_targets(static_cast<std::int64_t>(b), rows, scratch);
            count_targets(info, rows, part.class_samples);
            part.shard_samples[static_cast<std::size_t>(split.blocks[b].shard)] += split.blocks[b].samples;
        }
    }
    return summary;
}

std::string DataSetSummary::json() const {
    nlohmann::ordered_json object;
    object["folder"] = info.folder.string();
    object["format"] = shard_format_name;
    object["schema"] = info.schema;
    object["sample_shape"] = info.sample_shape.dims();
    object["dtype"] = name_of(info.x_dtype);
    object["target_kind"] = info.target_kind;
    object["target_shape"] = info.target_shape.dims();
    object["classes"] = info.classes;
    if (info.is_stream()) object["tokenizer"] = info.tokenizer;
    object["class_names"] = info.class_names;
    object["mean"] = info.mean;
    object["std"] = info.stddev;
    object["source"] = info.source;
    object["licence"] = info.licence;
    object["import_seed"] = info.import_seed;
    object["fingerprint"] = info.fingerprint;
    object["shards"] = info.shards;
    object["bytes_on_disk"] = bytes_on_disk;
    object["block_samples"] = block_samples;
    for (const char* name : split_names) {
        const SplitSummary& part = splits.at(name);
        object["splits"][name] = {{"samples", part.samples},
                                  {"blocks", part.blocks},
                                  {"shard_samples", part.shard_samples},
                                  {"class_samples", part.class_samples}};
    }
    return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string DataSetSummary::text() const {
    std::string lines = fmt::format("{}: {} shards, {}, fingerprint {}\n", info.folder.string(), info.shards,
                                    human_bytes(Bytes(bytes_on_disk)), info.fingerprint);
    const std::string targets =
        info.is_stream()     ? fmt::format("tokens of {}, {} different ones", info.tokenizer, info.classes)
        : info.has_classes() ? fmt::format("{} classes", info.classes)
                             : fmt::format("targets {} {}", info.target_kind, info.target_shape.str());
    lines += info.is_stream()
                 ? fmt::format("{}, stored as {}, blocks of {} tokens\n", targets, name_of(info.x_dtype),
                               block_samples)
                 : fmt::format("samples {} {}, {}, blocks of {} samples\n", info.sample_shape.str(),
                               name_of(info.x_dtype), targets, block_samples);
    if (!info.mean.empty() && info.mean.size() <= 4) {
        lines +=
            fmt::format("mean {:.6f}, std {:.6f}\n", fmt::join(info.mean, " "), fmt::join(info.stddev, " "));
    }
    lines +=
        fmt::format("source {}, licence {}, import seed {}\n", info.source, info.licence, info.import_seed);
    for (const char* name : split_names) {
        const SplitSummary& part = splits.at(name);
        lines += fmt::format("{:<5} {:>9} {} in {} blocks\n", name, part.samples,
                             info.is_stream() ? "tokens" : "samples", part.blocks);
    }
    return lines;
}

}  // namespace trireme::io
