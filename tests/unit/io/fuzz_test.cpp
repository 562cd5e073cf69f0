// Whatever stands in a file that others made, it is read or refused with a DataError: no crash, no hang,
// nothing else thrown. Seeded mutations of good files: 10,000 a parser; with TRIREME_TEST_ALL=1 a hundred
// tests of as many, so that each keeps its time limit.
#include <fstream>

#include <gtest/gtest.h>
#include <zlib.h>

#include "io/doctor.hpp"
#include "io/hdf5/file.hpp"
#include "io/image/codec.hpp"
#include "io/image/image.hpp"
#include "io/import/cifar10_source.hpp"
#include "io/import/hdf5_source.hpp"
#include "io/import/idx_source.hpp"
#include "io/import/import.hpp"
#include "io/posix_file.hpp"
#include "io/shard_format.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/mutations.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/io/image_files.hpp"

namespace trireme::io {
namespace {

using test::make_jpeg;
using test::make_png;
using test::TemporaryFolder;
namespace fs = std::filesystem;

/// The parameter is the shard: which ten thousand of all cases.
class Fuzz : public testing::TestWithParam<int> {
  protected:
    static std::int64_t first_case() { return GetParam() * test::fuzz_cases; }
    static std::int64_t end_of_cases() { return first_case() + test::fuzz_cases; }
    static void fuzz(const char* purpose, const std::vector<std::string>& files,
                     const std::function<void(const std::string&)>& parse);
};

/// A folder in memory where there is one: the same few files are written again for every case.
fs::path quick_place() {
    std::error_code ignored;
    return fs::is_directory("/dev/shm", ignored) ? fs::path("/dev/shm") : fs::temp_directory_path();
}

/// Random choices of one case.
class Dice {
  public:
    Dice(const char* purpose, std::int64_t instance)
        : stream_(1, purpose, static_cast<std::uint64_t>(instance)) {}
    std::uint64_t below(std::uint64_t bound) { return stream_.below(next_++, bound); }

  private:
    RandomStream stream_;
    std::uint64_t next_ = 0;
};

/// One to four changes: bits, bytes, 32-bit numbers at their limits, pieces cut out, doubled or overwritten.
/// Half of them near the beginning, where headers are.
std::string mutated(std::string bytes, Dice& dice) {
    for (std::uint64_t change = 1 + dice.below(4); change > 0 && !bytes.empty(); --change) {
        const std::size_t reach = dice.below(2) == 0 ? std::min<std::size_t>(bytes.size(), 96) : bytes.size();
        const std::size_t at = dice.below(reach);
        switch (dice.below(6)) {
            case 0:
                bytes[at] = static_cast<char>(bytes[at] ^ 1 << dice.below(8));
                break;
            case 1:
                bytes[at] = static_cast<char>(dice.below(256));
                break;
            case 2: {
                constexpr std::array<std::uint32_t, 6> limits{0,          1,          0x7fffffff,
                                                              0x80000000, 0xffffffff, 0x00010000};
                std::memcpy(&bytes[at], &limits[dice.below(limits.size())],
                            std::min<std::size_t>(4, bytes.size() - at));
                break;
            }
            case 3:
                bytes.erase(at, dice.below(4) == 0 ? std::string::npos : 1 + dice.below(16));
                break;
            case 4:
                bytes.insert(at, bytes.substr(dice.below(bytes.size()), 1 + dice.below(64)));
                break;
            default:
                bytes.replace(at, 1 + dice.below(8),
                              std::string(1 + dice.below(8), static_cast<char>(dice.below(256))));
        }
    }
    return bytes;
}

/// Runs `parse`, which may throw DataError and nothing else; true where it was refused.
bool refused(std::int64_t instance, const std::function<void()>& parse) {
    try {
        parse();
        return false;
    } catch (const DataError& error) {
        EXPECT_FALSE(std::string_view(error.what()).empty());
        return true;
    } catch (const std::exception& error) {
        ADD_FAILURE() << "case " << instance << ": " << error.what();
        return true;
    }
}

/// Mutations of each file in turn; both outcomes must come up, or the mutations are of no use.
void Fuzz::fuzz(const char* purpose, const std::vector<std::string>& files,
                const std::function<void(const std::string&)>& parse) {
    std::int64_t bad = 0;
    for (std::int64_t i = first_case(); i < end_of_cases() && !HasFailure(); ++i) {
        Dice dice(purpose, i);
        const std::string bytes = mutated(files[static_cast<std::size_t>(i) % files.size()], dice);
        bad += refused(i, [&] { parse(bytes); }) ? 1 : 0;
    }
    EXPECT_GT(bad, test::fuzz_cases / 100);
    EXPECT_LT(bad, test::fuzz_cases);
}

TEST_P(Fuzz, Jpeg) {
    const std::vector<std::string> files{
        make_jpeg(9, 14), make_jpeg(17, 16, {.progressive = true, .orientation = 5}),
        make_jpeg(8, 8, {.colours = JCS_CMYK, .components = 4}),
        make_jpeg(8, 9, {.colours = JCS_GRAYSCALE, .components = 1, .orientation = 3})};
    fuzz("fuzz/jpeg", files, [](const std::string& bytes) {
        const auto span = std::as_bytes(std::span(bytes));
        static_cast<void>(read_image_header(span, "f", 1 << 16));
        const Image image = fitted(decode_image(span, "f", 1 << 16), 6, 5);
        ensure(image.pixels.size() == static_cast<std::size_t>(30 * image.channels), "pixels of an image");
    });
}

TEST_P(Fuzz, Png) {
    const std::vector<std::string> files{
        make_png(9, 7),
        make_png(8, 8, {.colour_type = PNG_COLOR_TYPE_RGB_ALPHA, .bits = 16, .interlaced = true}),
        make_png(6, 5, {.colour_type = PNG_COLOR_TYPE_GRAY, .orientation = 6}),
        make_png(2, 4, {.colour_type = PNG_COLOR_TYPE_PALETTE, .bits = 2, .palette = {{1, 2, 3}, {4, 5, 6}}},
                 {27, 9})};
    fuzz("fuzz/png", files, [](const std::string& bytes) {
        const auto span = std::as_bytes(std::span(bytes));
        static_cast<void>(read_image_header(span, "f", 1 << 16));
        static_cast<void>(decode_image(span, "f", 1 << 16));
    });
}

/// Most mutations of a PNG break a checksum before anything of it is looked at; so the checksums are made
/// right again.
std::string with_png_checksums(std::string bytes) {
    for (std::size_t at = 8; at + 12 <= bytes.size();) {
        std::uint32_t length = 0;
        for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
        if (length > bytes.size() - at - 12) break;
        const auto sum = static_cast<std::uint32_t>(
            ::crc32(0, reinterpret_cast<const unsigned char*>(bytes.data()) + at + 4,
                    static_cast<unsigned>(length + 4)));
        for (std::size_t i = 0; i < 4; ++i)
            bytes[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
        at += 12 + length;
    }
    return bytes;
}

TEST_P(Fuzz, PngWithRightChecksums) {
    const std::vector<std::string> files{
        make_png(9, 7),
        make_png(8, 8, {.colour_type = PNG_COLOR_TYPE_GA, .interlaced = true, .orientation = 8}),
        make_png(2, 4,
                 {.colour_type = PNG_COLOR_TYPE_PALETTE,
                  .bits = 4,
                  .palette = {{1, 2, 3}, {4, 5, 6}},
                  .palette_alpha = {1}},
                 {0x10, 0x01, 0x11, 0x00})};
    fuzz("fuzz/png-checksums", files, [](const std::string& bytes) {
        const std::string whole = with_png_checksums(bytes);
        static_cast<void>(decode_image(std::as_bytes(std::span(whole)), "f", 1 << 16));
    });
}

TEST_P(Fuzz, Exif) {
    for (std::int64_t i = first_case(); i < end_of_cases(); ++i) {
        Dice dice("fuzz/exif", i);
        const test::Bytes8 block = test::exif_block(6, i % 2 == 0, false);
        const std::string bytes = mutated(std::string(block.begin(), block.end()), dice);
        const int orientation = exif_orientation(std::as_bytes(std::span(bytes)));
        ASSERT_GE(orientation, 1);
        ASSERT_LE(orientation, 8);
    }
}

TEST_P(Fuzz, Idx) {
    const TemporaryFolder folder(quick_place());
    std::string images("\0\0\x08\x03\0\0\0\x04\0\0\0\x03\0\0\0\x02", 16);
    images += std::string(24, 'p');
    const std::string labels = std::string("\0\0\x08\x01\0\0\0\x04", 8) + std::string("\x01\x02\x03\x04", 4);
    test::put(folder / "train-labels-idx1-ubyte", labels);
    fuzz("fuzz/idx", {images, images, labels}, [&](const std::string& bytes) {
        const bool of_labels = bytes.size() > 3 && bytes[3] == 1;
        test::put(folder / "train-images-idx3-ubyte", of_labels ? images : bytes);
        test::put(folder / "train-labels-idx1-ubyte", of_labels ? bytes : labels);
        const IdxSource source(folder.path());
        std::vector<std::byte> x(static_cast<std::size_t>(source.sample_shape().elements().value));
        std::vector<std::byte> y(4);
        for (std::int64_t i = 0; i < source.parts()[0].samples; ++i) source.read(0, i, x, y);
    });
}

TEST_P(Fuzz, Cifar10) {
    const TemporaryFolder folder(quick_place());
    const std::string names = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
    std::string records;
    for (int r = 0; r < 2; ++r) {
        records += static_cast<char>(r);
        records.append(3072, 'x');
    }
    for (int f = 1; f <= 5; ++f) test::put(folder / fmt::format("data_batch_{}.bin", f), records);
    fuzz("fuzz/cifar10", {records, names}, [&](const std::string& bytes) {
        const bool of_names = bytes.size() < 1000;
        test::put(folder / "batches.meta.txt", of_names ? bytes : names);
        test::put(folder / "data_batch_3.bin", of_names ? records : bytes);
        const Cifar10Source source(folder.path());
        std::vector<std::byte> x(3072);
        std::vector<std::byte> y(4);
        for (std::int64_t i = 0; i < source.parts()[0].samples; ++i) source.read(0, i, x, y);
    });
}

TEST_P(Fuzz, ShardBytes) {
    const TemporaryFolder folder(quick_place());
    const test::MemorySource source({{"train", 9}, {"test", 2}}, Shape{3});
    const DataSetInfo info = import_data_set(source, folder / "set", {1, {}, 7, false});
    const std::string bytes = read_text_file(info.shard_path(0), 1 << 24);
    fuzz("fuzz/shard", {bytes}, [&](const std::string& spoiled) {
        test::put(info.shard_path(0), spoiled);
        verify_data_set(folder / "set").require_good();
    });
}

/// HDF5's own checksums catch most flipped bytes, so these files are whole and what stands in them is wrong:
/// each attribute right, absent, of another type, or of a value that cannot be.
class WrongHeader {
  public:
    WrongHeader(const hdf5::Attributes& root, Dice& dice) : root_(root), dice_(dice) {}

    void number(const std::string& name, std::int64_t right) const {
        constexpr std::array<std::int64_t, 8> odd{-1,        0,         3,       100'000,
                                                  INT64_MAX, INT64_MIN, 1 << 20, 1LL << 40};
        if (other_kind(name)) return;
        root_.put_int(name, dice_.below(16) == 0 ? odd[dice_.below(odd.size())] : right);
    }
    void text(const std::string& name, const std::string& right) const {
        if (other_kind(name)) return;
        root_.put_text(name, dice_.below(16) == 0 ? std::string(dice_.below(40), '\xff') : right);
    }
    void doubles(const std::string& name, std::size_t right) const {
        if (other_kind(name)) return;
        root_.put_doubles(name, std::vector<double>(dice_.below(16) == 0 ? dice_.below(50) : right, NAN));
    }
    void ints(const std::string& name, std::vector<std::int64_t> right) const {
        if (other_kind(name)) return;
        if (dice_.below(16) == 0) right.push_back(static_cast<std::int64_t>(dice_.below(5)) - 2);
        root_.put_ints(name, right);
    }

  private:
    bool other_kind(const std::string& name) const {
        switch (dice_.below(48)) {
            case 0:
                return true;  // absent
            case 1:
                root_.put_doubles(name, {1.5, 2.5});
                return true;
            case 2:
                root_.put_texts(name, {"one", "two"});
                return true;
            case 3:
                root_.put_ints(name, {});
                return true;
            default:
                return false;
        }
    }
    const hdf5::Attributes& root_;
    Dice& dice_;
};

/// The same of a stream of tokens.
void write_wrong_stream(const fs::path& path, Dice& dice) {
    hdf5::File file = hdf5::File::create(path);
    {
        const hdf5::Attributes root = file.attributes();
        const WrongHeader wrong(root, dice);
        wrong.text("format", std::string(shard_format_name));
        wrong.number("schema", 3);
        wrong.number("shard", 0);
        wrong.number("shards", 1);
        wrong.number("classes", 256);
        root.put_texts("class_names", {});
        root.put_text("target_kind", std::string(target_next_token));
        if (dice.below(20) != 0) root.put_ints("target_shape", {});
        wrong.number("block_tokens", 16'384);
        wrong.text("tokenizer", dice.below(4) == 0 ? "bpe" : "bytes");
        wrong.text("tokenizer_xxh3", "");
        wrong.text("source", "s");
        wrong.text("licence", "l");
        wrong.number("import_seed", 1);
        root.put_doubles("mean", std::vector<double>(dice.below(30) == 0 ? 1 : 0));
        root.put_doubles("std", {});
        wrong.text("fingerprint", "0123456789abcdef");
        for (const char* split : split_names) {
            const std::string group = std::string("/") + split;
            file.create_group(group);
            if (dice.below(30) == 0) continue;
            const std::int64_t rows = dice.below(3) == 0 ? 1LL << dice.below(50) : 0;
            const std::int64_t chunk = dice.below(10) == 0 ? 7 : 16'384;
            const DType dtype = dice.below(20) == 0 ? DType::f32 : DType::u8;
            const Shape row = dice.below(20) == 0 ? Shape{2} : Shape{};
            static_cast<void>(file.create_chunked(group + "/x", {dtype, rows, chunk, row, false}));
            file.write_u64(group + "/x_xxh3", std::vector<std::uint64_t>(dice.below(3)));
        }
    }
    file.close();
}

void write_wrong_shard(const fs::path& path, Dice& dice) {
    hdf5::File file = hdf5::File::create(path);
    {
        const hdf5::Attributes root = file.attributes();
        const WrongHeader wrong(root, dice);
        constexpr std::array<std::string_view, 4> kinds{target_class, target_multi_hot, target_float,
                                                        "words"};
        const std::string kind(kinds[dice.below(8) == 0 ? dice.below(4) : 1]);
        wrong.text("format", std::string(shard_format_name));
        wrong.number("schema", 2);
        wrong.number("shard", 0);
        wrong.number("shards", 1);
        wrong.number("classes", 2);
        root.put_texts("class_names", {"a", "b"});
        wrong.text("target_kind", kind);
        wrong.ints("target_shape", {2});
        wrong.text("source", "s");
        wrong.text("licence", "l");
        wrong.number("import_seed", 1);
        wrong.doubles("mean", 3);
        wrong.doubles("std", 3);
        wrong.text("fingerprint", "0123456789abcdef");
        for (const char* split : split_names) {
            const std::string group = std::string("/") + split;
            file.create_group(group);
            if (dice.below(30) == 0) continue;
            const std::int64_t rows = dice.below(3) == 0 ? 1LL << dice.below(50) : 0;
            const std::int64_t chunk = dice.below(10) == 0 ? 7 : 16'384;
            const DType dtype = dice.below(20) == 0 ? DType::f16 : DType::u8;
            static_cast<void>(file.create_chunked(group + "/x", {dtype, rows, chunk, Shape{3}, false}));
            static_cast<void>(file.create_chunked(group + "/y", {DType::u8, rows, chunk, Shape{2}, false}));
            file.write_u64(group + "/x_xxh3", std::vector<std::uint64_t>(dice.below(3)));
            file.write_u64(group + "/y_xxh3", std::vector<std::uint64_t>(dice.below(3)));
        }
    }
    file.close();
}

/// Writing and opening a file takes HDF5 a millisecond, and several under a sanitizer: a quarter of the cases
/// a test. ThreadSanitizer, which takes 16 and finds nothing where one thread parses, has the first quarter
/// alone.
#ifdef __SANITIZE_THREAD__
constexpr int header_quarters = 1;
#else
constexpr int header_quarters = 4;
#endif

class FuzzShardHeaders : public testing::TestWithParam<int> {
  protected:
    static constexpr std::int64_t cases = test::fuzz_cases / 4;
};

TEST_P(FuzzShardHeaders, AreReadOrRefused) {
    const TemporaryFolder folder(quick_place());
    fs::create_directories(folder / "set");
    const fs::path shard = folder / "set/shard-00.h5";
    const std::int64_t first = GetParam() * cases;
    for (std::int64_t i = first; i < first + cases && !HasFailure(); ++i) {
        Dice dice("fuzz/shard-headers", i);
        (i % 3 == 0 ? write_wrong_stream : write_wrong_shard)(shard, dice);
        // Far too many rows are no reason to make a list of blocks for each.
        refused(i, [&] { verify_data_set(folder / "set").require_good(); });
        if (i % 2 == 0) continue;  // what a sound header leads to, and here without one
        refused(i, [&] { static_cast<void>(read_shard_sums(shard)); });
        refused(i, [&] { static_cast<void>(read_block_index(shard, "train", "0123456789abcdef")); });
    }
}

INSTANTIATE_TEST_SUITE_P(Shards, Fuzz, testing::Range(0, test::fuzz_shards()));
INSTANTIATE_TEST_SUITE_P(Shards, FuzzShardHeaders, testing::Range(0, header_quarters* test::fuzz_shards()));

}  // namespace
}  // namespace trireme::io
