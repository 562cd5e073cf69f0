// Whatever stands in the index of a checkpoint, with a DONE that fits it, it is read or refused with a
// DataError, and what is read stays inside its files.
#include <numeric>

#include <gtest/gtest.h>

#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/index.hpp"
#include "io/checkpoint/slice.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/mutations.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

/// A matrix in two halves and a vector.
fs::path saved_checkpoint(const fs::path& dir) {
    std::vector<float> values(24);
    std::iota(values.begin(), values.end(), 0.0F);
    const auto bytes = std::as_bytes(std::span(values));
    SliceSpec upper = SliceSpec::whole("params/fc.weight", Shape{4, 3}, DType::f32);
    SliceSpec lower = upper;
    upper.box_extent = lower.box_extent = {2, 3};
    lower.box_offset = {2, 0};
    upper.flat = lower.flat = {0, 6};
    const std::vector<SavedSlice> slices{
        {upper, bytes.first(24)},
        {lower, bytes.first(24)},
        {SliceSpec::whole("buffers/bn.running_mean", Shape{12}, DType::f32), bytes.first(48)}};
    write_part(dir, 3, 0, slices);
    return commit(dir, 3, 1, {{"step", "3"}, {"seed", "7"}, {"cursor", "{\"epoch\": 1}"}});
}

/// Everything that is done with a checkpoint.
void use(const fs::path& folder) {
    const CheckpointReader reader(folder);
    for (const SliceSpec& slice : reader.slices()) {
        std::vector<std::byte> out(static_cast<std::size_t>(slice_bytes(slice)));
        reader.read(slice, out);
    }
    static_cast<void>(describe_checkpoint(folder).json());
    verify_checkpoint(folder).require_good();
}

/// The parameter is the shard: which ten thousand of all cases.
class FuzzCheckpoint : public testing::TestWithParam<int> {};

TEST_P(FuzzCheckpoint, IndexIsReadOrRefused) {
    const test::TemporaryFolder folder(fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path());
    const fs::path saved = saved_checkpoint(folder.path());
    const test::Mutations mutations({read_text_file(saved / index_file_name, 1 << 20)},
                                    {"null",
                                     "-1",
                                     "0",
                                     "1",
                                     "6",
                                     "24",
                                     "4096",
                                     "9223372036854775807",
                                     "-9223372036854775808",
                                     "18446744073709551615",
                                     "1e308",
                                     "0.5",
                                     "\"\"",
                                     "\"f64\"",
                                     "\"u8\"",
                                     "\"part-0001.h5\"",
                                     "\"..\"",
                                     "\"/slice-00001\"",
                                     "[",
                                     "]",
                                     "{",
                                     "}",
                                     "[[[[[[[[",
                                     "true",
                                     ",",
                                     ":",
                                     "\\",
                                     "\"\\u0000\"",
                                     "\xff"});
    std::int64_t refused = 0;
    const std::int64_t first = GetParam() * test::fuzz_cases;
    for (std::int64_t i = first; i < first + test::fuzz_cases; ++i) {
        const std::string text = mutations.text(i);
        write_text_file(saved / index_file_name, text);
        write_text_file(saved / done_file_name, done_text(text));
        try {
            use(saved);
        } catch (const DataError& error) {
            EXPECT_LT(std::string_view(error.what()).size(), 10'000U) << "case " << i;
            ++refused;
        } catch (const std::exception& error) {
            FAIL() << "case " << i << ": " << error.what() << "\n" << text;
        }
    }
    EXPECT_GT(refused, test::fuzz_cases / 100);
    EXPECT_LT(refused, test::fuzz_cases);
}

INSTANTIATE_TEST_SUITE_P(Shards, FuzzCheckpoint, testing::Range(0, test::fuzz_shards()));

}  // namespace
}  // namespace trireme::io
