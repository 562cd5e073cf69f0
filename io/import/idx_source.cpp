#include "io/import/idx_source.hpp"

#include <cstring>

#include "io/gz_file.hpp"
#include "io/targets.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t idx_extent_limit = std::int64_t{1} << 31;
constexpr std::int64_t max_bytes = std::int64_t{1} << 36;
constexpr std::size_t read_step = std::size_t{1} << 22;
constexpr int unsigned_byte_type = 0x08;

std::size_t read_bytes(GzFile& file, unsigned char (&out)[4]) {
    return file.read(std::as_writable_bytes(std::span(out)));
}

/// Reads the header and returns the product of the extents.
std::int64_t read_header(GzFile& file, IdxFile& idx) {
    const std::string name = idx.path.string();
    unsigned char magic[4] = {};
    if (read_bytes(file, magic) != 4 || magic[0] != 0 || magic[1] != 0) {
        throw DataError(fmt::format("{}: is not an IDX file (its first two bytes are not zero)", name));
    }
    if (magic[2] != unsigned_byte_type || magic[3] < 1 || magic[3] > 4) {
        throw DataError(
            fmt::format("{}: has element type 0x{:02x} in {} dimensions; unsigned bytes (0x08) in 1 to 4 "
                        "are read",
                        name, magic[2], magic[3]));
    }
    std::int64_t product = 1;
    for (int d = 0; d < magic[3]; ++d) {
        unsigned char big_endian[4] = {};
        if (read_bytes(file, big_endian) != 4) {
            throw DataError(fmt::format("{}: ends inside its header: get the file again", name));
        }
        std::int64_t extent = 0;
        for (const unsigned char byte : big_endian) extent = extent << 8 | byte;
        if (extent >= idx_extent_limit || (d > 0 && extent == 0) ||
            (extent > 0 && product > max_bytes / extent)) {
            throw DataError(fmt::format(
                "{}: dimension {} has {} entries, which cannot be: the file is damaged", name, d, extent));
        }
        idx.dims.push_back(extent);
        product *= extent;
    }
    return product;
}

/// The file of that name in any of the spellings that are in use; empty when there is none.
std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& stem,
                                const char* kind) {
    for (const char* separator : {"-", "."}) {
        for (const char* suffix : {"", ".gz"}) {
            const std::filesystem::path path = folder / (stem + separator + kind + suffix);
            if (std::filesystem::exists(path)) return path;
        }
    }
    return {};
}

}  // namespace

IdxFile read_idx(const std::filesystem::path& path) {
    GzFile file(path);
    IdxFile idx{path, {}, {}};
    const std::size_t wanted = static_cast<std::size_t>(read_header(file, idx));
    while (idx.bytes.size() < wanted) {
        const std::size_t have = idx.bytes.size();
        const std::size_t step = std::min(read_step, wanted - have);
        idx.bytes.resize(have + step);
        const std::size_t got = file.read(std::span(idx.bytes).subspan(have));
        if (got < step) {
            throw DataError(fmt::format("{}: ends after {} of {} bytes: the file is cut short; get it again",
                                        path.string(), have + got, wanted));
        }
    }
    std::byte extra{};
    if (file.read(std::span(&extra, 1)) != 0) {
        throw DataError(
            fmt::format("{}: has more than the {} bytes that its header says: it is damaged; get it again",
                        path.string(), wanted));
    }
    return idx;
}

IdxSource::IdxSource(const std::filesystem::path& folder, std::int64_t classes, std::string licence)
    : folder_(folder), classes_(classes), licence_(std::move(licence)) {
    if (classes < 1) throw ConfigError(fmt::format("idx: {} classes cannot be: give at least 1", classes));
    add_part("train", "train", true);
    add_part("test", "t10k", false);
}

void IdxSource::add_part(const std::string& name, const std::string& prefix, bool required) {
    const std::filesystem::path images = find_file(folder_, prefix + "-images", "idx3-ubyte");
    const std::filesystem::path labels = find_file(folder_, prefix + "-labels", "idx1-ubyte");
    if (images.empty() && labels.empty() && !required) return;
    if (images.empty() || labels.empty()) {
        throw DataError(fmt::format("{}: has no {}-{}-ubyte[.gz]: put MNIST's files there, or check the path",
                                    folder_.string(), prefix,
                                    images.empty() ? "images-idx3" : "labels-idx1"));
    }
    Part part{name, read_idx(images), read_idx(labels)};
    const std::vector<std::int64_t>& dims = part.images.dims;
    if (dims.size() != 3 || part.labels.dims.size() != 1 || dims[0] != part.labels.dims[0]) {
        throw DataError(
            fmt::format("{}: has {} images of {} dimensions and {} has {} labels: they do not belong "
                        "together",
                        images.string(), dims[0], dims.size() - 1, labels.string(), part.labels.dims[0]));
    }
    const Shape shape{dims[1], dims[2], 1};
    if (!parts_.empty() && shape != shape_) {
        throw DataError(fmt::format("{}: has images {} where the training part has {}", images.string(),
                                    shape.str(), shape_.str()));
    }
    shape_ = shape;
    parts_.push_back(std::move(part));
}

std::string IdxSource::description() const {
    std::string text = "idx:";
    for (const Part& part : parts_)
        text += (text == "idx:" ? "" : ", ") + part.images.path.filename().string();
    return text;
}

std::vector<SourcePart> IdxSource::parts() const {
    std::vector<SourcePart> list;
    for (const Part& part : parts_) list.push_back({part.name, part.images.dims[0]});
    return list;
}

void IdxSource::read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                     std::span<std::byte> target) const {
    const Part& from = parts_.at(part);
    ensure(index >= 0 && index < from.images.dims[0], "index of a sample");
    const std::size_t bytes = static_cast<std::size_t>(shape_.elements().value);
    ensure(x.size() == bytes, "room for one sample");
    std::memcpy(x.data(), from.images.bytes.data() + static_cast<std::size_t>(index) * bytes, bytes);
    store_class(label(part, index), target);
}

std::int32_t IdxSource::label(std::size_t part, std::int64_t index) const {
    const Part& from = parts_.at(part);
    const std::int32_t label =
        std::to_integer<std::int32_t>(from.labels.bytes.at(static_cast<std::size_t>(index)));
    if (label >= classes_) {
        throw DataError(
            fmt::format("{}: index {}: label {} is outside 0 to {}: correct the file, or say how many "
                        "classes there are",
                        from.labels.path.string(), index, label, classes_ - 1));
    }
    return label;
}

}  // namespace trireme::io
