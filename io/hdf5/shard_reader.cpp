#include "io/hdf5/file.hpp"
#include "io/posix_file.hpp"
#include "io/shard_format.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using hdf5::Attributes;
using hdf5::Dataset;
using hdf5::File;

std::string member(const std::string& split, std::string_view name) {
    return fmt::format("/{}/{}", split, name);
}

void require(bool holds, const hdf5::Place& place, std::string_view what) {
    if (holds) return;
    throw DataError(
        fmt::format("{}: {}: the file is damaged or not one of ours; import again", place.str(), what));
}

void require_schema(const Attributes& root, const std::filesystem::path& path) {
    if (!root.has("format") || root.text("format") != shard_format_name) {
        throw DataError(
            fmt::format("{}: is an HDF5 file, but no shard of Trireme (attribute format is not '{}'): "
                        "import it with `trireme data import --source hdf5:...`",
                        path.string(), shard_format_name));
    }
    const std::int64_t schema = root.integer("schema");
    if (schema > shard_schema) {
        throw DataError(
            fmt::format("{}: has shard schema {}, newer than the {} that this Trireme reads: use a newer "
                        "Trireme, or import again with this one",
                        path.string(), schema, shard_schema));
    }
    require(schema >= 1, {path, "attribute schema"}, fmt::format("{} is no schema version", schema));
    if (!root.has("fingerprint")) {
        throw DataError(
            fmt::format("{}: has no fingerprint: its import did not end; import again", path.string()));
    }
}

void read_target_kind(const Attributes& root, const std::filesystem::path& path, DataSetInfo& set) {
    set.target_kind = root.text("target_kind");
    const bool vectors = set.target_kind == target_multi_hot || set.target_kind == target_float;
    require(set.target_kind == target_class || (vectors && set.schema >= 2) ||
                (set.is_stream() && set.schema >= stream_schema),
            {path, "attribute target_kind"},
            fmt::format("targets of kind '{}' are not known", set.target_kind));
    if (set.schema < 2) return;
    const std::vector<std::int64_t> dims = root.ints("target_shape");
    const bool fits = vectors
                          ? dims.size() == 1 && dims[0] == set.classes && set.classes <= max_target_elements
                          : dims.empty();
    require(fits, {path, "attribute target_shape"},
            fmt::format("does not fit {} outputs of kind '{}'", set.classes, set.target_kind));
    set.target_shape = Shape(dims);
}

void read_stream(const Attributes& root, const std::filesystem::path& path, DataSetInfo& set) {
    set.block_tokens = root.integer("block_tokens");
    require(set.block_tokens >= 1 && set.block_tokens <= max_block_tokens, {path, "attribute block_tokens"},
            fmt::format("blocks of {} tokens cannot be", set.block_tokens));
    require(set.classes <= max_vocabulary, {path, "attribute classes"},
            fmt::format("{} different tokens are more than {}", set.classes, max_vocabulary));
    set.tokenizer = root.text("tokenizer");
    require(set.tokenizer == "bytes" || set.tokenizer == "bpe", {path, "attribute tokenizer"},
            fmt::format("tokenizers of kind '{}' are not known", set.tokenizer));
    set.tokenizer_xxh3 = root.text("tokenizer_xxh3");
}

void read_metadata(const Attributes& root, const std::filesystem::path& path, ShardHeader& header) {
    DataSetInfo& set = header.set;
    set.schema = root.integer("schema");
    const std::int64_t shard = root.integer("shard");
    const std::int64_t shards = root.integer("shards");
    require(shards >= 1 && shards <= max_shards && shard >= 0 && shard < shards,
            {path, "attributes shard, shards"}, fmt::format("shard {} of {} cannot be", shard, shards));
    header.shard = static_cast<int>(shard);
    set.shards = static_cast<int>(shards);
    set.classes = root.integer("classes");
    require(set.classes >= 1 && set.classes <= max_classes, {path, "attribute classes"},
            fmt::format("{} classes cannot be", set.classes));
    set.class_names = root.texts("class_names");
    require(set.class_names.empty() || static_cast<std::int64_t>(set.class_names.size()) == set.classes,
            {path, "attribute class_names"}, "has not one name a class");
    set.mean = root.doubles("mean");
    set.stddev = root.doubles("std");
    set.source = root.text("source");
    set.licence = root.text("licence");
    set.import_seed = root.unsigned_integer("import_seed");
    read_target_kind(root, path, set);
    if (set.is_stream()) read_stream(root, path, set);
    set.fingerprint = root.text("fingerprint");
}

std::vector<std::int64_t> rows_of(std::int64_t rows, const Shape& row) {
    std::vector<std::int64_t> dims = row.dims();
    dims.insert(dims.begin(), rows);
    return dims;
}

/// The shape of a sample, where x is a chunked list of samples of a size that can be.
Shape checked_shape(const Dataset& x, const DataSetInfo& set) {
    const std::vector<std::int64_t> dims = x.dims();
    const std::size_t least = set.is_stream() ? 1 : 2;
    require(dims.size() >= least && x.chunk_dims().size() == dims.size(), x.place(),
            "is not a chunked list of samples");
    Shape shape(std::vector<std::int64_t>(dims.begin() + 1, dims.end()));
    __int128 bytes = size_of(x.dtype());
    for (const std::int64_t extent : shape.dims()) {
        require(extent > 0 && bytes <= max_sample_bytes, x.place(), "has samples of an impossible size");
        bytes *= extent;
    }
    require(bytes <= max_sample_bytes, x.place(), "has samples of an impossible size");
    if (set.is_stream()) {
        require(shape.rank() == 0, x.place(), "is not a list of tokens");
        require(x.dtype() == DType::u8 || x.dtype() == DType::u16, x.place(), "is neither uint8 nor uint16");
    } else {
        require(x.dtype() == DType::u8 || x.dtype() == DType::f32, x.place(), "is neither uint8 nor float32");
    }
    return shape;
}

void check_targets(const File& file, const std::string& split, const DataSetInfo& set, std::int64_t rows) {
    const Dataset y = file.open_dataset(member(split, "y"));
    require(
        y.dtype() == set.target_dtype(), y.place(),
        fmt::format("is not {}, as targets of kind '{}' are", name_of(set.target_dtype()), set.target_kind));
    require(y.chunk_dims() == rows_of(set.block_samples(), set.target_shape), y.place(),
            fmt::format("is not cut into blocks of {} samples, as schema {} is", set.block_samples(),
                        set.schema));
    require(y.dims() == rows_of(rows, set.target_shape), y.place(), "has other extents than x asks for");
}

/// Checks the data sets of one split against each other and returns their rows.
std::int64_t check_split(const File& file, const std::string& split, DataSetInfo& set, bool first) {
    const Dataset x = file.open_dataset(member(split, "x"));
    const Shape shape = checked_shape(x, set);
    if (first) {
        set.sample_shape = shape;
        set.x_dtype = x.dtype();
    }
    require(shape == set.sample_shape && x.dtype() == set.x_dtype, x.place(),
            fmt::format("has samples {} of {} where others have {} of {}", shape.str(), name_of(x.dtype()),
                        set.sample_shape.str(), name_of(set.x_dtype)));
    const std::int64_t block = set.block_samples();
    const std::int64_t rows = x.dims()[0];
    require(x.chunk_dims() == rows_of(block, shape), x.place(),
            fmt::format("is not cut into blocks of {} samples, as schema {} is", block, set.schema));
    if (!set.is_stream()) check_targets(file, split, set, rows);
    // Each block has a checksum of 8 bytes: what a file cannot hold is not listed block by block.
    const auto bytes_on_disk = static_cast<std::int64_t>(std::filesystem::file_size(file.path()));
    require((rows - 1) / block < bytes_on_disk / std::int64_t{sizeof(std::uint64_t)}, x.place(),
            fmt::format("claims {} samples, which the file cannot hold", rows));
    return rows;
}

std::int64_t channels_of(const DataSetInfo& set) {
    return set.is_stream() ? 0 : set.sample_shape[set.sample_shape.rank() - 1];
}

/// Whether targets are stored beside the samples.
bool stores_targets(const File& file) { return file.attributes().text("target_kind") != target_next_token; }

}  // namespace

ShardHeader read_shard_header(const std::filesystem::path& path) {
    const hdf5::Guard guard;
    const File file = File::open(path, File::Mode::read);
    const Attributes root = file.attributes();
    require_schema(root, path);
    ShardHeader header;
    read_metadata(root, path, header);
    bool first = true;
    for (const char* split : split_names) {
        header.samples[split] = check_split(file, split, header.set, first);
        first = false;
    }
    const std::int64_t channels = channels_of(header.set);
    require(static_cast<std::int64_t>(header.set.mean.size()) == channels &&
                static_cast<std::int64_t>(header.set.stddev.size()) == channels,
            {path, "attributes mean, std"}, fmt::format("have not {} values, one a channel", channels));
    return header;
}

ShardSums read_shard_sums(const std::filesystem::path& path) {
    const hdf5::Guard guard;
    const File file = File::open(path, File::Mode::read);
    const bool targets = stores_targets(file);
    ShardSums sums;
    for (const char* split : split_names) {
        SplitSums& part = sums[split];
        const Dataset x = file.open_dataset(member(split, "x"));
        part.samples = x.dims().at(0);
        const std::int64_t block = x.chunk_dims().at(0);
        const std::size_t blocks = static_cast<std::size_t>((part.samples + block - 1) / block);
        part.x = file.open_dataset(member(split, "x_xxh3")).read_u64();
        if (targets) part.y = file.open_dataset(member(split, "y_xxh3")).read_u64();
        require(part.x.size() == blocks && (!targets || part.y.size() == blocks),
                {path, member(split, "x_xxh3")},
                fmt::format("has {} and {} checksums for {} blocks", part.x.size(), part.y.size(), blocks));
    }
    return sums;
}

std::vector<StoredBlock> read_block_index(const std::filesystem::path& path, const std::string& split,
                                          const std::string& fingerprint) {
    const hdf5::Guard guard;
    const File file = File::open(path, File::Mode::read);
    if (file.attributes().text("fingerprint") != fingerprint) {
        throw DataError(
            fmt::format("{}: was replaced after the data set was opened (fingerprint {}, was {}): start "
                        "again",
                        path.string(), file.attributes().text("fingerprint"), fingerprint));
    }
    const std::int64_t bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
    const std::vector<hdf5::StoredChunk> x = file.open_dataset(member(split, "x")).chunks(bytes);
    const std::vector<std::uint64_t> x_sums = file.open_dataset(member(split, "x_xxh3")).read_u64();
    std::vector<hdf5::StoredChunk> y(x.size());
    std::vector<std::uint64_t> y_sums(x.size());
    if (stores_targets(file)) {
        y = file.open_dataset(member(split, "y")).chunks(bytes);
        y_sums = file.open_dataset(member(split, "y_xxh3")).read_u64();
    }
    require(x.size() == y.size() && x_sums.size() == x.size() && y_sums.size() == x.size(),
            {path, member(split, "x_xxh3")},
            fmt::format("has {} and {} checksums for {} blocks", x_sums.size(), y_sums.size(), x.size()));
    std::vector<StoredBlock> blocks(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        blocks[i] = {x[i].offset, x[i].bytes, y[i].offset,   y[i].bytes,
                     x_sums[i],   y_sums[i],  x[i].deflated, y[i].deflated};
    }
    return blocks;
}

}  // namespace trireme::io
