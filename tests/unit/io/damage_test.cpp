// Whatever is wrong with the files of a data set is told with file, place and remedy, and nothing
// half-written is taken for a data set.
#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/hdf5/shard_writer.hpp"
#include "io/import/import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "io/posix_file.hpp"
#include "io/targets.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"

// HDF5 1.10 loses what it holds of a file whose close fails, which is what the tests of a full disk bring
// about. The leak sanitizer asks this function, where there is one, what it should pass over; nobody else
// calls it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace trireme::io {
namespace {

using test::MemorySource;
using test::TemporaryFolder;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string damage_of_set(const fs::path& folder) {
    return test::message_of<DataError>([&] { static_cast<void>(open_data_set(folder)); });
}

class Damage : public ::testing::Test {
  protected:
    void SetUp() override {
        static_cast<void>(import_data_set(source_, set(), {3, {}, 7, false}));
        info_ = open_data_set(set());
    }
    [[nodiscard]] fs::path set() const { return folder_ / "set"; }
    [[nodiscard]] fs::path shard(int index) const { return info_.shard_path(index); }

    /// Flips one bit of the first stored copy of what a block of the train split begins with.
    void flip_bit_of_block(int index, std::int64_t chunk) const {
        const StoredBlock block =
            read_block_index(shard(index), "train", info_.fingerprint).at(static_cast<std::size_t>(chunk));
        const PosixFile file(shard(index), PosixFile::Mode::write);
        std::byte byte{};
        file.read_at({&byte, 1}, block.x_offset + 100);
        byte ^= std::byte{4};
        file.write_at({&byte, 1}, block.x_offset + 100);
    }

    TemporaryFolder folder_;
    MemorySource source_{{{"train", 60}, {"test", 9}}, Shape{128, 128, 1}};
    DataSetInfo info_;
};

TEST_F(Damage, AFlippedBitIsNamedByFileChunkAndChecksum) {
    flip_bit_of_block(1, 0);
    const VerifyReport report = verify_data_set(set());
    ASSERT_EQ(report.problems, 1);
    EXPECT_THAT(report.messages[0],
                ::testing::MatchesRegex(".*/shard-01\\.h5: chunk 0 of /train/x: checksum "
                                        "[0-9a-f]{16} stored, [0-9a-f]{16} computed: the file is "
                                        "damaged; import again"));
    EXPECT_THROW(report.require_good(), DataError);
}

TEST_F(Damage, TheLoaderCarriesTheErrorToNext) {
    flip_bit_of_block(1, 0);
    LoaderOptions options;
    options.workers = 2;
    const VirtualShards shards(60, 8, 4);
    BatchLoader loader(info_, shards, {0, 4}, {}, options, nullptr);
    const std::string said = test::message_of<DataError>([&] {
        for (std::int64_t step = 0; step < 8; ++step)
            static_cast<void>(loader.next(Deadline::in_seconds(60)));
    });
    EXPECT_THAT(said, HasSubstr("shard-01.h5: chunk 0 of /train/x: checksum"));
}

TEST_F(Damage, TruncatedShards) {
    const auto size = fs::file_size(shard(2));
    fs::resize_file(shard(2), size / 2);
    EXPECT_THAT(damage_of_set(set()),
                HasSubstr("shard-02.h5: cannot open it as an HDF5 file: truncated file"));
    EXPECT_THAT(damage_of_set(set()), HasSubstr("cut short; copy it or import it again"));
    fs::resize_file(shard(2), 0);
    EXPECT_THAT(damage_of_set(set()), HasSubstr("shard-02.h5: is not an HDF5 file at all"));
}

TEST_F(Damage, NotHdf5AtAll) {
    std::ofstream(shard(0), std::ios::trunc) << "these are not the bytes you are looking for";
    EXPECT_THAT(damage_of_set(set()), HasSubstr("shard-00.h5: is not an HDF5 file at all"));
}

TEST_F(Damage, MissingShardAndMissingSet) {
    fs::remove(shard(1));
    EXPECT_THAT(damage_of_set(set()), HasSubstr("shard-01.h5: is missing, and the set has 3 shards"));
    EXPECT_THAT(damage_of_set(folder_ / "nowhere"), HasSubstr("there is no such data set"));
    EXPECT_THAT(damage_of_set(folder_.path()), HasSubstr("has no shard-*.h5"));
}

TEST_F(Damage, ShardsOfTwoImportsDoNotMix) {
    static_cast<void>(import_data_set(source_, folder_ / "other", {3, {}, 8, false}));
    fs::copy_file(folder_ / "other/shard-01.h5", shard(1), fs::copy_options::overwrite_existing);
    EXPECT_THAT(damage_of_set(set()), HasSubstr("shard-01.h5: is of another data set"));
}

TEST_F(Damage, RenamedShardsAreSeen) {
    fs::rename(shard(1), folder_ / "t");
    fs::rename(shard(2), shard(1));
    fs::rename(folder_ / "t", shard(2));
    EXPECT_THAT(damage_of_set(set()), HasSubstr("says that it is shard 2"));
}

TEST_F(Damage, AReplacedShardIsSeenWhenItIsRead) {
    static_cast<void>(import_data_set(source_, folder_ / "other", {3, {}, 8, false}));
    fs::copy_file(folder_ / "other/shard-01.h5", shard(1), fs::copy_options::overwrite_existing);
    const VirtualShards shards(60, 60, 1);
    BatchLoader loader(info_, shards, {0, 1}, {}, {}, nullptr);
    EXPECT_THAT(
        test::message_of<DataError>([&] { static_cast<void>(loader.next(Deadline::in_seconds(60))); }),
        HasSubstr("was replaced after the data set was opened"));
}

TEST_F(Damage, ASplitThatIsNotThere) {
    LoaderOptions options;
    options.split = "val";
    EXPECT_THROW(BatchLoader(info_, VirtualShards(1, 1, 1), {0, 1}, {}, options, nullptr), ConfigError);
}

/// A set of one shard that is written by hand.
DataSetInfo by_hand(const fs::path& folder, std::int64_t schema, std::int32_t label, bool seal) {
    fs::create_directories(folder);
    DataSetInfo set;
    set.folder = folder;
    set.schema = schema;
    set.sample_shape = Shape{16};
    set.target_kind = "class";
    set.classes = 10;
    set.shards = 1;
    set.mean.assign(16, 0.0);
    set.stddev.assign(16, 1.0);
    ShardWriter writer(set.shard_path(0), set, 0, false);
    const FillRows fill = [&](std::int64_t, std::span<std::byte> x, std::span<std::byte> y) {
        std::fill(x.begin(), x.end(), std::byte{1});
        for (std::size_t i = 0; i < y.size() / 4; ++i) store_class(i == 2 ? label : 3, y.subspan(i * 4, 4));
    };
    writer.write_split("train", 5, fill);
    writer.write_split("val", 0, fill);
    writer.write_split("test", 0, fill);
    const ShardSums sums = writer.finish();
    set.fingerprint = set_fingerprint(set, {sums});
    if (seal) seal_shard(set.shard_path(0), set);
    return set;
}

TEST(HandMade, AGoodOneIsGoodInEverySchema) {
    for (const std::int64_t schema : {1, 2, 3}) {
        const TemporaryFolder folder;
        by_hand(folder / "set", schema, 3, true);
        EXPECT_TRUE(verify_data_set(folder / "set").good()) << schema;
        EXPECT_EQ(open_data_set(folder / "set").target_shape, Shape());
    }
}

TEST(HandMade, ANewerSchemaIsRefusedByName) {
    const TemporaryFolder folder;
    by_hand(folder / "set", 4, 3, true);
    EXPECT_THAT(damage_of_set(folder / "set"),
                HasSubstr("shard-00.h5: has shard schema 4, newer than the 3 that this "
                          "Trireme reads"));
    by_hand(folder / "zero", 0, 3, true);
    EXPECT_THAT(damage_of_set(folder / "zero"), HasSubstr("0 is no schema version"));
}

TEST(HandMade, LabelsOutOfRange) {
    for (const std::int32_t label : {10, -1}) {
        const TemporaryFolder folder;
        const DataSetInfo set = by_hand(folder / "set", 1, label, true);
        const VerifyReport report = verify_data_set(folder / "set");
        ASSERT_EQ(report.problems, 1);
        EXPECT_THAT(report.messages[0],
                    HasSubstr(fmt::format("shard-00.h5: row 2 of /train/y: label {} is outside 0 "
                                          "to 9",
                                          label)));
        BatchLoader loader(open_data_set(folder / "set"), VirtualShards(5, 5, 1), {0, 1}, {}, {}, nullptr);
        EXPECT_THAT(
            test::message_of<DataError>([&] { static_cast<void>(loader.next(Deadline::in_seconds(60))); }),
            HasSubstr("row 2 of /train/y"));
    }
}

TEST(HandMade, AnUnsealedShardIsNoDataSet) {
    const TemporaryFolder folder;
    by_hand(folder / "set", 1, 3, false);
    EXPECT_THAT(damage_of_set(folder / "set"), HasSubstr("its import did not end; import again"));
}

/// Makes every file of the process end at `bytes`, as a full disk would, until destroyed.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &old_);
        const rlimit limit{bytes, old_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &old_);
        std::signal(SIGXFSZ, old_handler_);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

  private:
    void (*old_handler_)(int);
    rlimit old_{};
};

TEST(FullDisk, AnImportLeavesNothing) {
    const MemorySource source({{"train", 60}}, Shape{128, 128, 1});
    for (const bool deflate : {false, true}) {
        for (const rlim_t limit :
             deflate ? std::vector<rlim_t>{100, 2'000, 4'000} : std::vector<rlim_t>{100, 2'000, 300'000}) {
            const TemporaryFolder folder;
            const std::string said = test::message_of<DataError>([&] {
                const FileSizeLimit small(limit);
                static_cast<void>(import_data_set(source, folder / "set", {2, {}, 3, deflate}));
            });
            EXPECT_THAT(said, HasSubstr("shard-00.h5"));
            EXPECT_THAT(said, HasSubstr("File too large"));
            EXPECT_TRUE(fs::is_empty(folder.path())) << said;
            EXPECT_EQ(import_data_set(source, folder / "set", {2, {}, 3, deflate}).splits.at("train").samples,
                      60);
        }
    }
}

/// What a process of its own does with a full disk: it must end with the class of the error, and not inside
/// HDF5.
[[noreturn]] void import_and_exit(const fs::path& out) {
    const MemorySource source({{"train", 60}}, Shape{128, 128, 1});
    const FileSizeLimit small(100);
    try {
        static_cast<void>(import_data_set(source, out, {2, {}, 3, false}));
    } catch (const Error& error) {
        std::exit(error.exit_code());
    }
    std::exit(0);
}

TEST(FullDisk, TheProcessEndsWithTheClassOfTheError) {
    const TemporaryFolder folder;
    EXPECT_EXIT(import_and_exit(folder / "set"), ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace trireme::io
