// Streams of tokens: imported, opened, cut into windows and served. What a window must hold follows from the
// text, so every token that a loader serves is compared with it.
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "io/doctor.hpp"
#include "io/hdf5/file.hpp"
#include "io/import/text_import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "io/pipeline/block_reader.hpp"
#include "io/pipeline/sample_order.hpp"
#include "io/shard_format.hpp"
#include "io/tokenizer.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"
#include "tests/support/tokenizer/files.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;
namespace fs = std::filesystem;

const Deadline soon() { return Deadline::in_seconds(60); }

/// A text without repetition within any window: numbers one after the other.
std::string numbers(std::int64_t bytes) {
    std::string text;
    for (std::int64_t i = 0; static_cast<std::int64_t>(text.size()) < bytes; ++i)
        text += fmt::format("{} ", i);
    text.resize(static_cast<std::size_t>(bytes));
    return text;
}

class Text : public testing::Test {
  protected:
    /// 100,000 bytes of training text: six blocks of 16,384 and one of 1,696; 20,000 of validation.
    static constexpr std::int64_t bytes = 120'000;
    static constexpr std::int64_t train = 100'000;
    static constexpr std::int64_t context = 100;

    DataSetInfo import(const ImportOptions& options = options_for(3), const std::string& tokenizer = "") {
        test::put(folder_ / "text.txt", text_);
        return import_text({folder_ / "text.txt", tokenizer, "none"}, folder_ / "set", options);
    }
    static ImportOptions options_for(int shards) {
        ImportOptions options;
        options.shards = shards;
        options.split = parse_split("train=0.8333333333333334,val=0.1666666666666666");
        return options;
    }

    /// Every window of one epoch as it is served, by sample id.
    static std::map<std::int64_t, std::string> windows(const DataSetInfo& info, const std::string& split,
                                                       std::int64_t epoch, Shuffle shuffle, int pieces = 1) {
        const VirtualShards shards(info.split(split).samples, 16, 8);
        std::map<std::int64_t, std::string> seen;
        LoaderOptions options;
        options.split = split;
        options.seed = 5;
        options.shuffle = shuffle;
        options.workers = 2;
        for (int piece = 0; piece < pieces; ++piece) {
            BatchLoader loader(info, shards, shards.owned_by(piece, pieces), {epoch, 0}, options, nullptr);
            for (std::int64_t step = 0; step < shards.steps_per_epoch(); ++step) {
                const Batch batch = loader.next(soon());
                EXPECT_TRUE(batch.x().empty());
                for (std::int64_t i = 0; i < batch.samples(); ++i) {
                    const auto x = batch.tokens().subspan(static_cast<std::size_t>(i * context), context);
                    const auto y = batch.y().subspan(static_cast<std::size_t>(i * context), context);
                    EXPECT_TRUE(std::equal(x.begin() + 1, x.end(), y.begin()))
                        << "targets are one further on";
                    std::string window(x.begin(), x.end());
                    window += static_cast<char>(y.back());
                    const std::int64_t id = batch.sample_ids()[static_cast<std::size_t>(i)];
                    EXPECT_TRUE(seen.emplace(id, window).second) << "sample " << id << " comes twice";
                }
            }
        }
        return seen;
    }

    TemporaryFolder folder_;
    std::string text_ = numbers(bytes);
};

TEST_F(Text, IsStoredAsItIs) {
    const DataSetInfo info = import();
    EXPECT_EQ(info.schema, 3);
    EXPECT_EQ(info.target_kind, "next-token");
    EXPECT_EQ(info.x_dtype, DType::u8);
    EXPECT_EQ(info.classes, 256);
    EXPECT_EQ(info.block_tokens, 16'384);
    EXPECT_EQ(info.splits.at("train").samples, train);
    EXPECT_EQ(info.splits.at("val").samples, bytes - train);
    EXPECT_EQ(info.splits.at("train").blocks.size(), 7U);
    EXPECT_EQ(tokenizer_of(info).kind(), "bytes");
    EXPECT_EQ(verify_data_set(info.folder).problems, 0);
    const DataSetSummary summary = summarize_data_set(info.folder);
    EXPECT_THAT(summary.text(), HasSubstr("tokens of bytes, 256 different ones"));
    EXPECT_THAT(examine_data_set(info.folder).text(),
                HasSubstr("11 of 256 tokens come up in the train split"));
}

TEST_F(Text, WindowsAreThePlacesThatTheShiftSays) {
    const DataSetInfo info = with_windows(import(), context);
    EXPECT_EQ(info.sample_shape, Shape{context});
    // floor(16384 / 100) - 1 for each full block, floor(1696 / 100) - 1 for the last.
    EXPECT_EQ(info.split("train").samples, 6 * 162 + 15);
    std::set<std::int64_t> shifts;
    for (const std::int64_t epoch : {0, 1, 2}) {
        const std::int64_t shift = window_shift(5, epoch, Shuffle::global, context);
        shifts.insert(shift);
        EXPECT_GE(shift, 0);
        EXPECT_LT(shift, context);
        const auto seen = windows(info, "train", epoch, Shuffle::global);
        ASSERT_EQ(static_cast<std::int64_t>(seen.size()), info.split("train").samples);
        for (const auto& [id, window] : seen) {
            const std::int64_t block = id / 162;
            const std::int64_t at = block * 16'384 + shift + (id - block * 162) * context;
            ASSERT_EQ(window, text_.substr(static_cast<std::size_t>(at), context + 1)) << "window " << id;
        }
    }
    EXPECT_GT(shifts.size(), 1U) << "epochs see other windows";
}

TEST_F(Text, EvaluationBeginsAtTheBlocks) {
    const DataSetInfo info = with_windows(import(), context);
    const auto seen = windows(info, "val", 0, Shuffle::none);
    EXPECT_EQ(seen.size(), 162U + 35U);
    EXPECT_EQ(seen.at(0), text_.substr(train, context + 1));
    EXPECT_EQ(seen.at(162), text_.substr(train + 16'384, context + 1));
}

TEST_F(Text, RanksAndFilesDoNotChangeTheWindows) {
    const DataSetInfo info = with_windows(import(), context);
    const auto one = windows(info, "train", 1, Shuffle::global);
    EXPECT_EQ(windows(info, "train", 1, Shuffle::global, 3), one);
    fs::remove_all(folder_ / "set");
    ImportOptions deflated = options_for(8);
    deflated.deflate = true;
    EXPECT_EQ(windows(with_windows(import(deflated), context), "train", 1, Shuffle::global), one);
}

TEST_F(Text, MemoryIsPlanned) {
    const DataSetInfo info = with_windows(import(), context);
    const VirtualShards shards(info.split("train").samples, 16, 8);
    LoaderOptions options;
    const BatchLoader loader(info, shards, {0, 4}, {}, options, nullptr);
    EXPECT_EQ(loader.allocated_bytes(), planned_bytes(geometry_of(info, 8, 4), options));
}

TEST_F(Text, ATokenizerGoesWithTheSet) {
    const DataSetInfo info = import(options_for(2), test::tokenizer_folder() + "/tiny.json");
    EXPECT_EQ(info.classes, 400);
    EXPECT_EQ(info.x_dtype, DType::u16);
    const Tokenizer tokenizer = tokenizer_of(info);
    const DataSetInfo served = with_windows(info, context);
    const VirtualShards shards(served.split("train").samples, 4, 1);
    LoaderOptions options;
    options.shuffle = Shuffle::none;
    BatchLoader loader(served, shards, {0, 1}, {}, options, nullptr);
    const Batch batch = loader.next(soon());
    EXPECT_TRUE(text_.starts_with(tokenizer.decode(batch.tokens().first(context))));
    test::put(folder_ / "set" / "tokenizer.json", test::tiny_tokenizer() + " ");
    EXPECT_THAT(test::error_of([&] { static_cast<void>(tokenizer_of(info)); }),
                HasSubstr("is not the tokenizer that"));
    EXPECT_EQ(verify_data_set(info.folder).problems, 1);
}

TEST_F(Text, GzippedTextsAreTheSame) {
    const gzFile file = gzopen((folder_ / "text.gz").c_str(), "wb");
    ASSERT_EQ(gzwrite(file, text_.data(), static_cast<unsigned>(text_.size())),
              static_cast<int>(text_.size()));
    gzclose(file);
    const DataSetInfo plain = import();
    const DataSetInfo packed =
        import_text({folder_ / "text.gz", "", "none"}, folder_ / "packed", options_for(3));
    EXPECT_EQ(windows(with_windows(packed, context), "val", 0, Shuffle::none),
              windows(with_windows(plain, context), "val", 0, Shuffle::none));
}

TEST_F(Text, WrongUseIsTold) {
    const DataSetInfo info = import();
    EXPECT_THAT(test::error_of([&] { static_cast<void>(with_windows(info, 10'000)); }),
                HasSubstr("take a context of 8192 or less"));
    DataSetInfo short_val = info;  // enough to train on, but there would never be an evaluation
    short_val.splits.at("val").blocks.resize(1);
    short_val.splits.at("val").blocks.front().samples = 50;
    EXPECT_THAT(test::error_of([&] { static_cast<void>(with_windows(short_val, 40)); }),
                HasSubstr("no block of split 'val'"));
    const auto fails = [&](const TextSource& source, const ImportOptions& options) {
        return test::error_of([&] { static_cast<void>(import_text(source, folder_ / "other", options)); });
    };
    EXPECT_THAT(fails({folder_ / "nothing.txt", "", ""}, {}), HasSubstr("cannot be opened"));
    test::put(folder_ / "empty.txt", "");
    EXPECT_THAT(fails({folder_ / "empty.txt", "", ""}, {}), HasSubstr("is empty"));
    test::put(folder_ / "bad.json", "{}");
    EXPECT_THAT(fails({folder_ / "text.txt", folder_ / "bad.json", ""}, {}),
                HasSubstr("bad.json: its pre-tokenizer is not ByteLevel"));
    ImportOptions stratified;
    stratified.stratified = true;
    EXPECT_THAT(fails({folder_ / "text.txt", "", ""}, stratified), HasSubstr("cut by place"));
    EXPECT_FALSE(fs::exists(folder_ / "other"));
}

TEST_F(Text, DamageIsFound) {
    const DataSetInfo info = import();
    const fs::path shard = info.shard_path(0);
    const StoredBlock block = read_block_index(shard, "train", info.fingerprint).front();
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(block.x_offset + 7);
    file.put('!');
    file.close();
    EXPECT_THAT(test::error_of([&] { verify_data_set(info.folder).require_good(); }), HasSubstr("checksum"));
    EXPECT_THAT(
        test::error_of([&] { (void)windows(with_windows(info, context), "train", 0, Shuffle::none); }),
        HasSubstr("chunk 0 of /train/x: checksum"));
}

/// What a shard claims of its tokens is checked where they are read.
TEST_F(Text, TokensOutsideTheVocabularyAreFound) {
    const DataSetInfo info = import(options_for(1), test::tokenizer_folder() + "/tiny.json");
    DataSetInfo small = info;
    small.classes = 90;
    BlockReader reader(small, "train");
    std::vector<std::byte> x(static_cast<std::size_t>(info.block_x_bytes()));
    const auto first =
        std::span(x).first(static_cast<std::size_t>(info.block_x_bytes(reader.blocks().front())));
    EXPECT_THAT(test::error_of([&] { reader.read(0, first, {}, {}); }),
                HasSubstr("of /train/x: its token is outside 0 to 89"));
    EXPECT_EQ(test::error_of([&] { BlockReader(info, "train").read(0, first, {}, {}); }),
              "nothing was thrown");
}

/// Sets of samples are written as before, so that what reads them today goes on reading them.
TEST_F(Text, SetsOfSamplesKeepTheirSchema) {
    const test::MemorySource source({{"train", 20}}, {3, 2, 1});
    EXPECT_EQ(import_data_set(source, folder_ / "images", {}).schema, 2);
    import();
    const hdf5::File file = hdf5::File::open(folder_ / "set" / "shard-00.h5", hdf5::File::Mode::read);
    EXPECT_EQ(file.attributes().integer("schema"), 3);
    EXPECT_FALSE(file.has("/train/y"));
}

}  // namespace
}  // namespace trireme::io
