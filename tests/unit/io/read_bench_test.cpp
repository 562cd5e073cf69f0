// The reading benchmark reads what it says it reads: every byte once, checked.
#include "io/read_bench.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/support/tiny_source.hpp"

namespace trireme::io {
namespace {

class ReadBenchTest : public testing::Test {
  protected:
    test::TemporaryFolder folder_;
    DataSetInfo info_ = test::write_tiny_data_set(folder_ / "set", {40000, 12345, 0, 9000});
};

TEST_F(ReadBenchTest, EveryByteOnceWithAnyNumberOfWorkers) {
    std::int64_t stored = 0;
    for (const auto& entry : std::filesystem::directory_iterator(info_.folder))
        stored += static_cast<std::int64_t>(entry.file_size());
    const std::int64_t samples = info_.split("train").samples;
    ASSERT_GT(info_.split("train").blocks.size(), 5u);
    for (int workers : {1, 3, 16}) {
        const ReadRate blocks = read_blocks(info_, "train", workers, 1, 0);
        EXPECT_EQ(blocks.bytes, samples * (info_.sample_bytes() + info_.target_bytes())) << workers;
        EXPECT_GT(blocks.seconds, 0);
        EXPECT_EQ(read_files(info_, workers).bytes, stored) << workers;
    }
}

TEST_F(ReadBenchTest, TellsWhetherTheFilesAreInMemory) {
    (void)read_files(info_, 1);
    EXPECT_EQ(read_files(info_, 1).cached_before, 1.0) << "what was just read is in memory";
    forget_cached(info_);
    const double share = read_files(info_, 1).cached_before;
    EXPECT_GE(share, 0);  // a file system in memory forgets nothing
    EXPECT_LE(share, 1);
}

TEST_F(ReadBenchTest, DamageIsFound) {
    const std::filesystem::path shard = info_.shard_path(0);
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(shard) / 2));
    file.put('\x5a');
    file.put('\x11');
    file.put('\x5b');
    file.close();
    EXPECT_THROW((void)read_blocks(info_, "train", 2, 1, 0), DataError);
}

}  // namespace
}  // namespace trireme::io
