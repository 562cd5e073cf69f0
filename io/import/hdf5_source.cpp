#include "io/import/hdf5_source.hpp"

#include "io/hdf5/foreign.hpp"
#include "io/shard_format.hpp"
#include "io/targets.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t slab_elements = std::int64_t{1} << 20;
// Labels are kept in memory, four bytes each.
constexpr std::int64_t max_labels = std::int64_t{1} << 32;

std::string named(const std::string& name, const char* flag) {
    if (!name.empty()) return name;
    throw ConfigError(fmt::format("--source hdf5:FILE: --{} is missing: name the data set that holds the {}",
                                  flag, std::string_view(flag) == "x" ? "samples" : "targets"));
}

}  // namespace

struct Hdf5Source::Opened {
    hdf5::File file;
    hdf5::ForeignDataset x;
    hdf5::ForeignDataset y;

    Opened(const std::filesystem::path& path, const std::string& x_name, const std::string& y_name)
        : file(hdf5::File::open(path, hdf5::File::Mode::read)),
          x(file, named(x_name, "x")),
          y(file, named(y_name, "y")) {}
};

Hdf5Source::Hdf5Source(const std::filesystem::path& file, const std::string& x, const std::string& y,
                       std::string licence)
    : path_(file), licence_(std::move(licence)) {
    static_cast<void>(named(x, "x") + named(y, "y"));
    opened_ = std::make_unique<Opened>(file, x, y);
    const hdf5::ForeignDataset& samples = opened_->x;
    const hdf5::ForeignDataset& targets = opened_->y;
    if (samples.rows() != targets.rows() || samples.rows() == 0) {
        throw DataError(fmt::format("{}: {} has {} rows and {} has {}: both need one for each sample",
                                    file.string(), samples.place().object, samples.rows(),
                                    targets.place().object, targets.rows()));
    }
    if (samples.kind() == hdf5::ForeignDataset::Kind::integer && !samples.is_bytes()) {
        throw DataError(
            fmt::format("{}: has integers that are not uint8: store pixels as uint8, and other "
                        "numbers as float32",
                        samples.place().str()));
    }
    if (samples.row_shape().elements().value * size_of(dtype()) > max_sample_bytes) {
        throw DataError(fmt::format("{}: has samples {}, which are larger than {} bytes",
                                    samples.place().str(), samples.row_shape().str(), max_sample_bytes));
    }
    if (targets.rank() > 2 || targets.row_shape().elements().value > max_target_elements) {
        throw DataError(fmt::format("{}: has targets {}: a target is one number, or a vector of at most {}",
                                    targets.place().str(), targets.row_shape().str(), max_target_elements));
    }
    if (targets.kind() == hdf5::ForeignDataset::Kind::integer) {
        read_integers();
    } else {
        kind_ = target_float;
        classes_ = targets.row_shape().elements().value;
    }
}

Hdf5Source::~Hdf5Source() = default;

void Hdf5Source::read_integers() {
    const hdf5::ForeignDataset& targets = opened_->y;
    const std::int64_t width = targets.row_shape().elements().value;
    kind_ = width == 1 ? target_class : target_multi_hot;
    if (width == 1 && targets.rows() > max_labels) {
        throw DataError(fmt::format("{}: has more than {} labels", targets.place().str(), max_labels));
    }
    if (width > 1) classes_ = width;
    const std::int64_t step = std::max<std::int64_t>(1, slab_elements / width);
    std::vector<std::int64_t> values;
    for (std::int64_t row = 0; row < targets.rows(); row += step) {
        const std::int64_t rows = std::min(step, targets.rows() - row);
        values.resize(static_cast<std::size_t>(rows * width));
        targets.read(row, rows, DType::i64, std::as_writable_bytes(std::span(values)));
        if (width == 1) {
            take_classes(values);
        } else {
            take_truths(values, row);
        }
    }
    if (width > 1) return;
    std::vector<bool> seen(static_cast<std::size_t>(classes_));
    for (const std::int32_t label : labels_) seen[static_cast<std::size_t>(label)] = true;
    const auto gap = std::find(seen.begin(), seen.end(), false);
    if (gap != seen.end()) {
        throw DataError(fmt::format(
            "{}: label {} never occurs, but labels go up to {}: classes must be numbered 0, 1, ... "
            "without gaps; renumber them",
            targets.place().str(), gap - seen.begin(), classes_ - 1));
    }
}

void Hdf5Source::take_classes(const std::vector<std::int64_t>& labels) {
    for (const std::int64_t label : labels) {
        if (label < 0 || label >= max_classes) {
            throw DataError(
                fmt::format("{}: row {}: {} is no class: classes must be numbered 0, 1, ... without gaps; "
                            "renumber them, or store floats for regression",
                            opened_->y.place().str(), labels_.size(), label));
        }
        labels_.push_back(static_cast<std::int32_t>(label));
        classes_ = std::max(classes_, label + 1);
    }
}

void Hdf5Source::take_truths(const std::vector<std::int64_t>& values, std::int64_t first_row) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] == 0 || values[i] == 1) continue;
        throw DataError(
            fmt::format("{}: row {}, element {}: {} is neither 0 nor 1, as vectors of integers must be: "
                        "store floats for regression",
                        opened_->y.place().str(), first_row + static_cast<std::int64_t>(i) / classes_,
                        static_cast<std::int64_t>(i) % classes_, values[i]));
    }
}

std::string Hdf5Source::description() const {
    return fmt::format("hdf5:{} ({}, {})", path_.filename().string(), opened_->x.place().object,
                       opened_->y.place().object);
}

Shape Hdf5Source::sample_shape() const { return opened_->x.row_shape(); }

DType Hdf5Source::dtype() const { return opened_->x.is_bytes() ? DType::u8 : DType::f32; }

Shape Hdf5Source::target_shape() const { return kind_ == target_class ? Shape() : Shape{classes_}; }

std::vector<SourcePart> Hdf5Source::parts() const { return {{"train", opened_->x.rows()}}; }

std::int32_t Hdf5Source::label(std::size_t, std::int64_t index) const {
    return labels_.at(static_cast<std::size_t>(index));
}

void Hdf5Source::read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                      std::span<std::byte> target) const {
    opened_->x.read(index, 1, dtype(), x);
    if (kind_ == target_class) {
        store_class(label(part, index), target);
    } else {
        opened_->y.read(index, 1, target_dtype_of(kind_), target);
    }
}

}  // namespace trireme::io
