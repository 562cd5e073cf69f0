#include "io/import/text_import.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "io/gz_file.hpp"
#include "io/hdf5/shard_writer.hpp"
#include "io/import/set_writer.hpp"
#include "io/posix_file.hpp"
#include "io/tokenizer.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t largest_text = std::int64_t{8} << 30;
constexpr std::uint64_t least_block = 16'384;
constexpr std::uint64_t largest_block = 262'144;
constexpr std::uint64_t wanted_blocks = 64;

/// Where each split begins and ends in the stream.
std::map<std::string, IndexRange> cut_by_place(const ImportOptions& options, std::int64_t tokens) {
    std::map<std::string, IndexRange> splits;
    for (const char* name : split_names) splits[name] = {tokens, tokens};
    if (options.split.given) {
        splits["train"] = {0, tokens};
        return splits;
    }
    double sum = 0;
    std::int64_t begin = 0;
    for (const auto& [name, fraction] : options.split.fractions) {
        sum += fraction;
        const bool last = &name == &options.split.fractions.back().first;
        const std::int64_t end = last ? tokens : std::llround(sum * static_cast<double>(tokens));
        splits[name] = {begin, end};
        begin = end;
    }
    return splits;
}

/// The tokens as they are stored.
std::vector<std::byte> stored(const std::vector<std::int32_t>& tokens, DType dtype) {
    const auto bytes = static_cast<std::size_t>(size_of(dtype));
    std::vector<std::byte> out(tokens.size() * bytes);
    for (std::size_t i = 0; i < tokens.size(); ++i) std::memcpy(out.data() + i * bytes, &tokens[i], bytes);
    return out;
}

Tokenizer read_tokenizer(const TextSource& source, std::vector<SetFile>& files) {
    if (source.tokenizer.empty()) return Tokenizer::bytes();
    std::string json = read_text_file(source.tokenizer, largest_tokenizer_file);
    Tokenizer tokenizer = Tokenizer::from_json(json, source.tokenizer.string());
    if (tokenizer.vocabulary() > max_vocabulary) {
        throw DataError(
            fmt::format("{}: has {} tokens, and streams are stored with at most {}: take a smaller one",
                        source.tokenizer.string(), tokenizer.vocabulary(), max_vocabulary));
    }
    files.push_back({tokenizer_file_name, std::move(json)});
    return tokenizer;
}

DataSetInfo describe(const TextSource& source, const Tokenizer& tokenizer, const std::vector<SetFile>& files,
                     std::int64_t tokens) {
    DataSetInfo set;
    set.schema = stream_schema;
    set.target_kind = target_next_token;
    set.classes = tokenizer.vocabulary();
    set.x_dtype = set.classes <= 256 ? DType::u8 : DType::u16;
    set.block_tokens = block_tokens_for(tokens);
    set.tokenizer = tokenizer.kind();
    if (!files.empty()) set.tokenizer_xxh3 = hex64(xxh3(files.front().content));
    set.source = "text:" + source.file.filename().string();
    set.licence = source.licence;
    return set;
}

}  // namespace

std::int64_t block_tokens_for(std::int64_t tokens) {
    const std::uint64_t wanted = static_cast<std::uint64_t>(tokens) / wanted_blocks;
    return static_cast<std::int64_t>(std::bit_floor(std::clamp(wanted, least_block, largest_block)));
}

DataSetInfo import_text(const TextSource& source, const std::filesystem::path& out,
                        const ImportOptions& options, const ImportTeam& team) {
    if (options.stratified) {
        throw ConfigError("--stratified: a text has no classes, and is cut by place: leave it out");
    }
    std::vector<SetFile> files;
    const Tokenizer tokenizer = read_tokenizer(source, files);
    const std::vector<std::int32_t> tokens = tokenizer.encode(read_gz_file(source.file, largest_text));
    if (tokens.empty()) throw DataError(fmt::format("{}: is empty", source.file.string()));
    const auto count = static_cast<std::int64_t>(tokens.size());
    DataSetInfo set = describe(source, tokenizer, files, count);
    const std::vector<std::byte> bytes = stored(tokens, set.x_dtype);
    set.import_seed = options.seed;
    set.shards = checked_shards(options.shards, static_cast<std::int64_t>(bytes.size()));
    const std::map<std::string, IndexRange> splits = cut_by_place(options, count);

    const std::int64_t width = size_of(set.x_dtype);
    return write_set(
        set, out, team,
        [&](const std::filesystem::path& path, int shard) {
            ShardWriter writer(path, set, shard, options.deflate);
            for (const char* name : split_names) {
                const IndexRange split = splits.at(name);
                const IndexRange piece = block_pieces(split.size(), set.block_tokens, set.shards)
                                             .at(static_cast<std::size_t>(shard));
                writer.write_split(name, piece.size(),
                                   [&](std::int64_t row, std::span<std::byte> x, std::span<std::byte>) {
                                       const std::int64_t at = split.begin + piece.begin + row;
                                       std::memcpy(x.data(), bytes.data() + at * width, x.size());
                                   });
            }
            return WrittenShard{std::nullopt, writer.finish()};
        },
        files);
}

}  // namespace trireme::io
