#include "io/hdf5/shard_writer.hpp"

#include <optional>

#include <zlib.h>

#include "io/hdf5/file.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr int deflate_level = 6;

void put_header(const hdf5::Attributes& root, const DataSetInfo& set, int shard) {
    root.put_text("format", std::string(shard_format_name));
    root.put_int("schema", set.schema);
    root.put_int("shard", shard);
    root.put_int("shards", set.shards);
    root.put_int("classes", set.classes);
    root.put_texts("class_names", set.class_names);
    root.put_text("target_kind", set.target_kind);
    if (set.schema >= 2) root.put_ints("target_shape", set.target_shape.dims());
    if (set.is_stream()) {
        root.put_int("block_tokens", set.block_tokens);
        root.put_text("tokenizer", set.tokenizer);
        root.put_text("tokenizer_xxh3", set.tokenizer_xxh3);
    }
    root.put_text("source", set.source);
    root.put_text("licence", set.licence);
    root.put_unsigned("import_seed", set.import_seed);
}

}  // namespace

ShardWriter::ShardWriter(const std::filesystem::path& path, const DataSetInfo& set, int shard, bool deflate)
    : set_(set),
      deflate_(deflate),
      path_(path),
      file_(std::make_unique<hdf5::File>(hdf5::File::create(path))) {
    put_header(file_->attributes(), set, shard);
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::write_block(const hdf5::Dataset& set, std::int64_t index,
                              std::span<const std::byte> chunk) {
    if (!deflate_) {
        set.write_chunk(index, chunk, false);
        return;
    }
    uLongf packed = compressBound(chunk.size());
    packed_.resize(packed);
    const int result = compress2(reinterpret_cast<Bytef*>(packed_.data()), &packed,
                                 reinterpret_cast<const Bytef*>(chunk.data()), chunk.size(), deflate_level);
    ensure(result == Z_OK, "deflate of a block into enough room");
    set.write_chunk(index, std::span(packed_).first(packed), true);
}

void ShardWriter::write_split(const std::string& name, std::int64_t samples, const FillRows& fill) {
    const std::int64_t block = set_.block_samples();
    const std::int64_t row_bytes = set_.sample_bytes();
    file_->create_group("/" + name);
    const hdf5::Dataset x =
        file_->create_chunked("/" + name + "/x", {set_.x_dtype, samples, block, set_.sample_shape, deflate_});
    std::optional<hdf5::Dataset> y;
    if (!set_.is_stream()) {
        y = file_->create_chunked("/" + name + "/y",
                                  {set_.target_dtype(), samples, block, set_.target_shape, deflate_});
    }
    SplitSums& sums = sums_[name];
    sums.samples = samples;
    std::vector<std::byte> rows(static_cast<std::size_t>(samples > 0 ? block * row_bytes : 0));
    const std::int64_t target_bytes = set_.target_bytes();
    std::vector<std::byte> targets(static_cast<std::size_t>(samples > 0 ? block * target_bytes : 0));
    for (std::int64_t row = 0; row < samples; row += block) {
        const std::size_t valid = static_cast<std::size_t>(std::min(block, samples - row));
        // The rest of a short block is zeros, so that equal contents are equal bytes.
        std::fill(rows.begin(), rows.end(), std::byte{0});
        std::fill(targets.begin(), targets.end(), std::byte{0});
        const auto x_rows = std::span(rows).first(valid * static_cast<std::size_t>(row_bytes));
        const auto y_rows = std::span(targets).first(valid * static_cast<std::size_t>(target_bytes));
        fill(row, x_rows, y_rows);
        write_block(x, row / block, rows);
        sums.x.push_back(xxh3(x_rows.data(), x_rows.size_bytes()));
        if (!y) continue;
        write_block(*y, row / block, targets);
        sums.y.push_back(xxh3(y_rows.data(), y_rows.size_bytes()));
    }
    file_->write_u64("/" + name + "/x_xxh3", sums.x);
    if (y) file_->write_u64("/" + name + "/y_xxh3", sums.y);
}

ShardSums ShardWriter::finish() {
    for (const char* name : split_names) ensure(sums_.contains(name), "a shard has all three splits");
    file_->close();
    PosixFile(path_, PosixFile::Mode::write).sync();
    return std::move(sums_);
}

void seal_shard(const std::filesystem::path& path, const DataSetInfo& set) {
    {
        hdf5::File file = hdf5::File::open(path, hdf5::File::Mode::update);
        const hdf5::Attributes root = file.attributes();
        root.put_doubles("mean", set.mean);
        root.put_doubles("std", set.stddev);
        root.put_text("fingerprint", set.fingerprint);
        file.close();
    }
    PosixFile(path, PosixFile::Mode::write).sync();
}

}  // namespace trireme::io
