#include "io/import/cifar10_source.hpp"

#include "io/targets.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t extent = 32;
constexpr std::int64_t channels = 3;
constexpr std::int64_t pixels = extent * extent;
constexpr std::int64_t record_bytes = 1 + channels * pixels;
constexpr std::int64_t class_count = 10;
constexpr int train_files = 5;
constexpr std::int64_t max_names_bytes = 4096;

std::int64_t records_of(const PosixFile& file) {
    const std::int64_t bytes = file.size();
    if (bytes > 0 && bytes % record_bytes == 0) return bytes / record_bytes;
    throw DataError(
        fmt::format("{}: has {} bytes, which are not whole records of {}: the file is cut short or is not of "
                    "CIFAR-10's binary version; get it again",
                    file.path().string(), bytes, record_bytes));
}

}  // namespace

std::int64_t Cifar10Source::Part::records() const {
    std::int64_t sum = 0;
    for (const File& file : files) sum += file.records;
    return sum;
}

Cifar10Source::Cifar10Source(const std::filesystem::path& folder, std::string licence)
    : licence_(std::move(licence)) {
    Part train{"train", {}};
    for (int i = 1; i <= train_files; ++i) {
        const std::filesystem::path path = folder / fmt::format("data_batch_{}.bin", i);
        if (!std::filesystem::exists(path)) {
            throw DataError(fmt::format(
                "{}: has no data_batch_{}.bin: put the five files of cifar-10-binary.tar.gz there, "
                "unpacked (the versions for Python and Matlab are other formats), or check the path",
                folder.string(), i));
        }
        PosixFile file(path, PosixFile::Mode::read);
        const std::int64_t records = records_of(file);
        train.files.push_back({std::move(file), records});
    }
    parts_.push_back(std::move(train));
    if (const auto path = folder / "test_batch.bin"; std::filesystem::exists(path)) {
        PosixFile file(path, PosixFile::Mode::read);
        const std::int64_t records = records_of(file);
        Part test{"test", {}};
        test.files.push_back({std::move(file), records});
        parts_.push_back(std::move(test));
    }
    read_names(folder);
}

void Cifar10Source::read_names(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / "batches.meta.txt";
    if (!std::filesystem::exists(path)) return;
    for (const std::string& line : split(read_text_file(path, max_names_bytes), '\n')) {
        if (const std::string_view name = trim(line); !name.empty()) class_names_.emplace_back(name);
    }
    if (static_cast<std::int64_t>(class_names_.size()) != class_count) {
        throw DataError(fmt::format("{}: has {} names of classes, not {}: get the file again, or remove it",
                                    path.string(), class_names_.size(), class_count));
    }
}

Shape Cifar10Source::sample_shape() const { return {extent, extent, channels}; }

std::vector<SourcePart> Cifar10Source::parts() const {
    std::vector<SourcePart> list;
    for (const Part& part : parts_) list.push_back({part.name, part.records()});
    return list;
}

void Cifar10Source::read_record(std::size_t part, std::int64_t index, std::span<std::byte> out) const {
    for (const File& file : parts_.at(part).files) {
        if (index >= file.records) {
            index -= file.records;
            continue;
        }
        file.file.read_at(out, index * record_bytes);
        const auto label = std::to_integer<std::int64_t>(out.front());
        if (label < class_count) return;
        throw DataError(
            fmt::format("{}: record {}: label {} is outside 0 to {}: the file is damaged; get it again",
                        file.file.path().string(), index, label, class_count - 1));
    }
    throw InternalError("invariant broken: index of a sample");
}

void Cifar10Source::read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                         std::span<std::byte> target) const {
    ensure(static_cast<std::int64_t>(x.size()) == channels * pixels, "room for one sample");
    std::array<std::byte, record_bytes> record;
    read_record(part, index, record);
    for (std::size_t c = 0; c < channels; ++c) {
        for (std::size_t p = 0; p < pixels; ++p) x[p * channels + c] = record[1 + c * pixels + p];
    }
    store_class(std::to_integer<std::int32_t>(record[0]), target);
}

std::int32_t Cifar10Source::label(std::size_t part, std::int64_t index) const {
    std::array<std::byte, 1> first;
    read_record(part, index, first);
    return std::to_integer<std::int32_t>(first[0]);
}

}  // namespace trireme::io
