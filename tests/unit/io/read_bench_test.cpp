// The reading benchmark reads what it says it reads: every byte once, checked.
#include "io/read_bench.hpp"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/core/error.hpp"
#include "tests/support/tiny_source.hpp"

namespace trireme::io {
namespace {

class ReadBenchTest : public testing::Test {
  protected:
    /// By the system's own call: a file system in memory has nowhere else to keep its files.
    void ask_the_system_to_forget() const {
        for (const auto& entry : std::filesystem::directory_iterator(info_.folder)) {
            const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
            ASSERT_GE(file, 0);
            EXPECT_EQ(::fsync(file), 0);
            EXPECT_EQ(::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
            ::close(file);
        }
    }

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
    ask_the_system_to_forget();
    if (read_files(info_, 1).cached_before == 1.0)
        GTEST_SKIP() << "a file system that forgets nothing: " << info_.folder.string();
    EXPECT_EQ(read_files(info_, 1).cached_before, 1.0);
    forget_cached(info_);
    EXPECT_LT(read_files(info_, 1).cached_before, 1.0);
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
