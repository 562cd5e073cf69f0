#include "io/data_set.hpp"

#include <cmath>

#include "io/shard_format.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t block_target_bytes = std::int64_t{512} << 10;
// Keeps the targets and the order of a block small where a sample is only a few bytes.
constexpr std::int64_t max_block_samples = 16'384;

/// The first header that a file of the set has, or why there is none.
ShardHeader read_first(const std::filesystem::path& folder) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) {
        throw DataError(
            fmt::format("{}: there is no such data set: check data.path, or make it with `trireme data "
                        "import --source KIND:PATH --out {}`",
                        folder.string(), folder.string()));
    }
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("shard-") && name.ends_with(".h5")) found.push_back(entry.path());
    }
    if (found.empty()) {
        throw DataError(
            fmt::format("{}: has no shard-*.h5: it is not a data set of Trireme; import one with `trireme "
                        "data import`",
                        folder.string()));
    }
    return read_shard_header(*std::min_element(found.begin(), found.end()));
}

/// Throws where a shard does not belong to the set that `first` belongs to.
void require_same_set(const ShardHeader& header, const ShardHeader& first, int index,
                      const std::filesystem::path& path) {
    if (header.set.fingerprint != first.set.fingerprint || header.set.shards != first.set.shards) {
        throw DataError(
            fmt::format("{}: is of another data set (fingerprint {}, {} shards) than its neighbours "
                        "({}, {} shards): copy the right shard, or import again",
                        path.string(), header.set.fingerprint, header.set.shards, first.set.fingerprint,
                        first.set.shards));
    }
    if (header.shard != index) {
        throw DataError(fmt::format("{}: says that it is shard {}: files were renamed; copy the shards again",
                                    path.string(), header.shard));
    }
}

void append_blocks(SplitInfo& split, int shard, std::int64_t samples, std::int64_t block) {
    split.samples += samples;
    for (std::int64_t row = 0; row < samples; row += block) {
        split.blocks.push_back({shard, row / block, std::min(block, samples - row)});
    }
}

}  // namespace

std::int64_t block_samples_for(std::int64_t sample_bytes, std::int64_t target_bytes) {
    ensure(sample_bytes > 0 && target_bytes > 0, "a sample has bytes");
    return std::clamp<std::int64_t>(block_target_bytes / std::max(sample_bytes, target_bytes), 1,
                                    max_block_samples);
}

DType target_dtype_of(std::string_view kind) {
    if (kind == target_multi_hot) return DType::u8;
    return kind == target_float ? DType::f32 : DType::i32;
}

std::string shard_file_name(int index, int shards) {
    const std::size_t width = std::max<std::size_t>(2, std::to_string(std::max(shards - 1, 0)).size());
    return fmt::format("shard-{:0{}}.h5", index, width);
}

std::filesystem::path DataSetInfo::shard_path(int index) const {
    return folder / shard_file_name(index, shards);
}

std::int64_t DataSetInfo::block_samples() const {
    if (context > 0) return windows_in(block_tokens, context);
    return is_stream() ? block_tokens : block_samples_for(sample_bytes(), target_bytes());
}

std::int64_t windows_in(std::int64_t tokens, std::int64_t context) {
    return std::max<std::int64_t>(tokens / context - 1, 0);
}

DataSetInfo with_windows(DataSetInfo stream, std::int64_t context) {
    ensure(stream.is_stream() && stream.context == 0 && context >= 1, "windows of a stream as it is stored");
    for (auto& [name, split] : stream.splits) {
        std::int64_t longest = 0;
        split.samples = 0;
        for (BlockRef& block : split.blocks) {
            longest = std::max(longest, block.samples);
            block.tokens = block.samples;
            block.samples = windows_in(block.tokens, context);
            split.samples += block.samples;
        }
        std::erase_if(split.blocks, [](const BlockRef& block) { return block.samples == 0; });
        if (longest == 0 || split.samples > 0) continue;
        throw ConfigError(fmt::format(
            "model.context = {}: no block of split '{}' of {} has two windows of so many tokens: the longest "
            "has {}; "
            "take a context of {} or less, or import a longer text or more of it for this split (--split)",
            context, name, stream.folder.string(), longest, longest / 2));
    }
    stream.context = context;
    stream.sample_shape = Shape{context};
    stream.target_shape = Shape{context};
    return stream;
}

const SplitInfo& DataSetInfo::split(const std::string& name) const {
    const auto found = splits.find(name);
    if (found != splits.end() && found->second.samples > 0) return found->second;
    std::string known;
    for (const auto& [other, info] : splits) {
        if (info.samples > 0)
            known += fmt::format("{}{} ({} samples)", known.empty() ? "" : ", ", other, info.samples);
    }
    throw ConfigError(
        fmt::format("{}: the data set has no samples in split '{}'; it has {}: import with another "
                    "--split, or name one of these",
                    folder.string(), name, known.empty() ? "none" : known));
}

DataSetInfo open_data_set(const std::filesystem::path& folder) {
    const ShardHeader first = read_first(folder);
    DataSetInfo info = first.set;
    info.folder = folder;
    for (const char* name : split_names) info.splits[name];
    for (int index = 0; index < info.shards; ++index) {
        const std::filesystem::path path = info.shard_path(index);
        if (!std::filesystem::exists(path)) {
            throw DataError(
                fmt::format("{}: is missing, and the set has {} shards: copy the missing file, or import "
                            "again",
                            path.string(), info.shards));
        }
        const ShardHeader header = read_shard_header(path);
        require_same_set(header, first, index, path);
        for (const char* name : split_names) {
            append_blocks(info.splits[name], index, header.samples.at(name), info.block_samples());
        }
    }
    return info;
}

std::string set_fingerprint(const DataSetInfo& set, const std::vector<ShardSums>& shards) {
    std::string text = fmt::format("{} {} {} {} {} {} {} {}\n", shard_format_name, set.schema, set.shards,
                                   set.sample_shape.str(), name_of(set.x_dtype), set.target_kind, set.classes,
                                   set.import_seed);
    // Schema 1 knew no vectors: its digests stay what they were.
    if (set.schema >= 2) text += fmt::format("targets {}\n", set.target_shape.str());
    if (set.is_stream())
        text += fmt::format("stream {} {} {}\n", set.block_tokens, set.tokenizer, set.tokenizer_xxh3);
    text += fmt::format("{}\n{}\n", set.source, set.licence);
    for (const std::string& name : set.class_names) text += name + "\n";
    for (std::size_t c = 0; c < set.mean.size(); ++c)
        text += fmt::format("{:a} {:a}\n", set.mean[c], set.stddev[c]);
    for (const ShardSums& shard : shards) {
        for (const char* name : split_names) {
            const SplitSums& sums = shard.at(name);
            text += fmt::format("{} {}\n", name, sums.samples);
            for (std::size_t b = 0; b < sums.x.size(); ++b) {
                text += hex64(sums.x[b]);
                if (!set.is_stream()) text += hex64(sums.y[b]);
            }
        }
    }
    return hex64(xxh3(text));
}

}  // namespace trireme::io
