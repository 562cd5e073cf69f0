#include "io/import/import.hpp"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/pipeline/block_reader.hpp"
#include "io/posix_file.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/io/team.hpp"

namespace trireme::io {
namespace {

using test::MemorySource;
using test::TemporaryFolder;
using ::testing::HasSubstr;

std::string bytes_of(const std::filesystem::path& path) {
    return read_text_file(path, std::int64_t{1} << 30);
}

/// All samples of a split as (first byte values, label), in data-set order.
std::vector<std::pair<std::vector<std::byte>, std::int32_t>> samples_in(const DataSetInfo& info,
                                                                        const std::string& split) {
    BlockReader reader(info, split);
    std::vector<std::byte> scratch(static_cast<std::size_t>(BlockReader::scratch_bytes(info)));
    std::vector<std::pair<std::vector<std::byte>, std::int32_t>> samples;
    const auto bytes = static_cast<std::size_t>(info.sample_bytes());
    for (std::size_t b = 0; b < reader.blocks().size(); ++b) {
        const auto rows = static_cast<std::size_t>(reader.blocks()[b].samples);
        std::vector<std::byte> x(rows * bytes);
        std::vector<std::int32_t> y(rows);
        reader.read(static_cast<std::int64_t>(b), x, std::as_writable_bytes(std::span(y)), scratch);
        for (std::size_t i = 0; i < rows; ++i) {
            samples.emplace_back(std::vector(x.begin() + static_cast<std::ptrdiff_t>(i * bytes),
                                             x.begin() + static_cast<std::ptrdiff_t>((i + 1) * bytes)),
                                 y[i]);
        }
    }
    return samples;
}

TEST(Import, RoundTripKeepsSamplesAndMetadata) {
    for (const DType dtype : {DType::u8, DType::f32}) {
        for (const bool deflate : {false, true}) {
            const TemporaryFolder folder;
            const MemorySource source({{"train", 50}, {"test", 9}}, Shape{64, 64, 3}, dtype);
            const DataSetInfo info = import_data_set(source, folder / "set", {3, {}, 5, deflate});
            EXPECT_EQ(info.shards, 3);
            EXPECT_EQ(info.sample_shape, (Shape{64, 64, 3}));
            EXPECT_EQ(info.x_dtype, dtype);
            EXPECT_EQ(info.classes, 10);
            EXPECT_EQ(info.class_names.at(3), "class 3");
            EXPECT_EQ(info.source, "memory");
            EXPECT_EQ(info.licence, "none needed");
            EXPECT_EQ(info.target_kind, "class");
            EXPECT_EQ(info.import_seed, 5u);
            EXPECT_EQ(info.fingerprint.size(), 16u);
            EXPECT_EQ(info.splits.at("train").samples, 50);
            EXPECT_EQ(info.splits.at("val").samples, 0);
            EXPECT_EQ(info.splits.at("test").samples, 9);
            EXPECT_TRUE(verify_data_set(folder / "set").good());
            const ImportPlan plan = plan_import(source, {3, {}, 5, deflate});
            const auto found = samples_in(info, "train");
            ASSERT_EQ(found.size(), 50u);
            for (std::size_t i = 0; i < found.size(); ++i) {
                const SourceRef ref = plan.splits.at("train").order[i];
                std::vector<std::byte> expected(static_cast<std::size_t>(info.sample_bytes()));
                std::vector<std::byte> target(4);
                source.read(ref.part, ref.index, expected, target);
                ASSERT_EQ(found[i].first, expected);
                ASSERT_EQ(found[i].second, class_of(target));
            }
        }
    }
}

TEST(Import, SameBytesForAnyNumberOfRanks) {
    const TemporaryFolder folder;
    const MemorySource source({{"train", 60}, {"test", 17}}, Shape{128, 128, 1});
    const ImportPlan plan = plan_import(source, {5, parse_split("train=0.8,val=0.2"), 3, false});
    for (int ranks = 1; ranks <= 3; ++ranks) {
        const auto errors = test::import_with(ranks, source, plan, folder / fmt::format("by{}", ranks));
        for (const std::string& error : errors) ASSERT_EQ(error, "");
    }
    for (int shard = 0; shard < 5; ++shard) {
        const std::string name = shard_file_name(shard, 5);
        const std::string expected = bytes_of(folder / ("by1/" + name));
        EXPECT_EQ(bytes_of(folder / ("by2/" + name)), expected);
        EXPECT_EQ(bytes_of(folder / ("by3/" + name)), expected);
    }
}

TEST(Import, BlocksDoNotDependOnTheNumberOfShards) {
    const TemporaryFolder folder;
    const MemorySource source({{"train", 61}}, Shape{128, 128, 1});
    const auto one = samples_in(import_data_set(source, folder / "one", {1, {}, 3, false}), "train");
    const DataSetInfo four = import_data_set(source, folder / "four", {4, {}, 3, false});
    EXPECT_EQ(samples_in(four, "train"), one);
    std::int64_t short_blocks = 0;
    for (const BlockRef& block : four.splits.at("train").blocks)
        short_blocks += block.samples < four.block_samples();
    EXPECT_LE(short_blocks, 1);
}

TEST(Import, MixingIsAPermutationDrawnByTheSeed) {
    const MemorySource source({{"train", 1000}, {"test", 100}}, Shape{4});
    ImportOptions options{2, {}, 1, false};
    const auto order = [&](std::uint64_t seed) {
        options.seed = seed;
        return plan_import(source, options).splits.at("train").order;
    };
    const auto mixed = order(1);
    EXPECT_EQ(std::set<SourceRef>(mixed.begin(), mixed.end()).size(), 1000u);
    EXPECT_FALSE(std::is_sorted(mixed.begin(), mixed.end()));
    EXPECT_EQ(order(1), mixed);
    EXPECT_NE(order(2), mixed);
}

TEST(Import, FractionsCutTheTrainPartAndLeaveTest) {
    const MemorySource source({{"train", 100}, {"test", 30}}, Shape{4});
    const ImportPlan plan = plan_import(source, {2, parse_split("train=0.9,val=0.1"), 1, false});
    EXPECT_EQ(plan.splits.at("train").order.size(), 90u);
    EXPECT_EQ(plan.splits.at("val").order.size(), 10u);
    EXPECT_EQ(plan.splits.at("test").order.size(), 30u);
    for (const SourceRef& ref : plan.splits.at("test").order) EXPECT_EQ(ref.part, 1u);
    const ImportPlan pooled = plan_import(source, {2, parse_split("train=0.5,val=0.25,test=0.25"), 1, false});
    std::set<SourceRef> all;
    for (const auto& [name, layout] : pooled.splits) all.insert(layout.order.begin(), layout.order.end());
    EXPECT_EQ(all.size(), 130u);
    EXPECT_EQ(pooled.splits.at("train").order.size(), 65u);
}

TEST(Import, SplitMistakesSayWhatIsWrong) {
    EXPECT_TRUE(parse_split("given").given);
    const auto said = [](const char* text) {
        return test::error_of([&] { static_cast<void>(parse_split(text)); });
    };
    EXPECT_THAT(said("train=0.9,val=0.2"), HasSubstr("add up to 1.1"));
    EXPECT_THAT(said("trian=1"), HasSubstr("did you mean train"));
    EXPECT_THAT(said("train=x,val=1"), HasSubstr("'x' of train is not a number"));
    EXPECT_THAT(said("train=nan"), HasSubstr("is not a number"));
    EXPECT_THAT(said("train=0.5,train=0.5"), HasSubstr("given twice"));
    EXPECT_THAT(said("train"), HasSubstr("has no '='"));
    EXPECT_THAT(said("train=1.5,val=-0.5"), HasSubstr("between 0 and 1"));
    EXPECT_THAT(said(""), HasSubstr("is empty"));
    EXPECT_THAT(said("train=0.9,val=0.2"), HasSubstr("ConfigError"));
}

TEST(Import, MeanAndDeviationAreExact) {
    for (const DType dtype : {DType::u8, DType::f32}) {
        const TemporaryFolder folder;
        const MemorySource source({{"train", 37}, {"test", 5}}, Shape{8, 8, 3}, dtype);
        const DataSetInfo info = import_data_set(source, folder / "set", {2, {}, 5, false});
        for (std::size_t c = 0; c < 3; ++c) {
            long double sum = 0;
            long double squares = 0;
            for (std::int64_t i = 0; i < 37; ++i) {
                for (std::int64_t p = 0; p < 64; ++p) {
                    const std::int64_t e = p * 3 + static_cast<std::int64_t>(c);
                    const long double value = dtype == DType::u8 ? MemorySource::byte_of(0, i, e) / 255.0L
                                                                 : MemorySource::float_of(0, i, e);
                    sum += value;
                    squares += value * value;
                }
            }
            const long double n = 37 * 64;
            const double mean = static_cast<double>(sum / n);
            const double deviation = static_cast<double>(std::sqrt(squares / n - sum / n * (sum / n)));
            EXPECT_NEAR(info.mean[c], mean, 1e-14);
            EXPECT_NEAR(info.stddev[c], deviation, 1e-12);
        }
    }
}

TEST(Import, ABadLabelIsNamedAndLeavesNothing) {
    const TemporaryFolder folder;
    MemorySource source({{"train", 60}}, Shape{128, 128, 1});
    source.spoil_label(7);
    const std::string said = test::error_of([&] {
        import_data_set(source, folder / "set", {2, {}, 3, false});
    });
    EXPECT_THAT(said, HasSubstr("DataError: memory: train sample 7: label 10 is outside 0 to 9"));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

class FailingSource final : public ImportSource {
  public:
    explicit FailingSource(std::int64_t at) : inner_({{"train", 60}}, Shape{128, 128, 1}), at_(at) {}
    [[nodiscard]] std::string description() const override { return inner_.description(); }
    [[nodiscard]] std::string licence() const override { return inner_.licence(); }
    [[nodiscard]] Shape sample_shape() const override { return inner_.sample_shape(); }
    [[nodiscard]] DType dtype() const override { return inner_.dtype(); }
    [[nodiscard]] std::int64_t classes() const override { return inner_.classes(); }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override { return inner_.parts(); }
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override {
        return inner_.label(part, index);
    }
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        if (index == at_) throw DataError("sample " + std::to_string(index) + " is unreadable");
        inner_.read(part, index, x, target);
    }

  private:
    MemorySource inner_;
    std::int64_t at_;
};

TEST(Import, OneRanksErrorEndsAllAndLeavesNothing) {
    const TemporaryFolder folder;
    const FailingSource source(11);
    const auto errors = test::import_with(3, source, plan_import(source, {3, {}, 3, false}), folder / "set");
    int own = 0;
    for (const std::string& error : errors) {
        EXPECT_THAT(error, HasSubstr("sample 11 is unreadable"));
        own += error == "sample 11 is unreadable";
    }
    EXPECT_EQ(own, 1);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Import, AnExistingFolderIsLeftAlone) {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder / "set");
    std::ofstream(folder / "set/keep.txt") << "mine";
    const MemorySource source({{"train", 6}}, Shape{4});
    const std::string said = test::error_of([&] { import_data_set(source, folder / "set", {}); });
    EXPECT_THAT(said, HasSubstr("exists already"));
    EXPECT_EQ(bytes_of(folder / "set/keep.txt"), "mine");
    EXPECT_FALSE(std::filesystem::exists(folder / ".set.importing"));
}

TEST(Import, WhatAnotherImportLeftIsReplaced) {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder / ".set.importing/junk");
    const MemorySource source({{"train", 6}}, Shape{4});
    EXPECT_EQ(import_data_set(source, folder / "set", {1, {}, 0, false}).splits.at("train").samples, 6);
    EXPECT_FALSE(std::filesystem::exists(folder / ".set.importing"));
}

TEST(Import, SummaryCountsClassesAndShards) {
    const TemporaryFolder folder;
    const MemorySource source({{"train", 40}, {"test", 10}}, Shape{256, 256, 1});
    static_cast<void>(import_data_set(source, folder / "set", {2, {}, 3, false}));
    const DataSetSummary summary = summarize_data_set(folder / "set");
    EXPECT_EQ(summary.splits.at("train").class_samples, std::vector<std::int64_t>(10, 4));
    EXPECT_EQ(summary.splits.at("train").shard_samples, (std::vector<std::int64_t>{16, 24}));
    EXPECT_THAT(summary.json(), HasSubstr("\"fingerprint\": \"" + summary.info.fingerprint));
    EXPECT_THAT(summary.text(), HasSubstr("40 samples in 5 blocks"));
}

}  // namespace
}  // namespace trireme::io
