// Targets that are vectors, from the source through the shards to batches; and splits that keep their
// classes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/import/import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "io/posix_file.hpp"
#include "io/verify.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/unit/io/team.hpp"

namespace trireme::io {
namespace {

using test::MemorySource;
using test::TemporaryFolder;
using ::testing::HasSubstr;

/// (kind of targets, deflate)
class Vectors : public ::testing::TestWithParam<std::tuple<std::string_view, bool>> {
  protected:
    Vectors() { source_.use_vectors(kind()); }
    [[nodiscard]] static std::string_view kind() { return std::get<0>(GetParam()); }
    [[nodiscard]] static bool deflate() { return std::get<1>(GetParam()); }

    MemorySource source_{{{"train", 100}, {"test", 9}}, Shape{64, 64, 3}, DType::f32, 7};
    TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, Vectors,
                         ::testing::Combine(::testing::Values(target_multi_hot, target_float),
                                            ::testing::Bool()));

TEST_P(Vectors, AreDescribedAndVerified) {
    static_cast<void>(import_data_set(source_, folder_ / "set", {3, {}, 5, deflate()}));
    const DataSetInfo info = open_data_set(folder_ / "set");
    EXPECT_EQ(info.schema, 2);
    EXPECT_EQ(info.target_kind, kind());
    EXPECT_EQ(info.target_shape, Shape{7});
    EXPECT_EQ(info.target_dtype(), kind() == target_float ? DType::f32 : DType::u8);
    EXPECT_EQ(info.classes, 7);
    EXPECT_FALSE(info.has_classes());
    EXPECT_TRUE(verify_data_set(folder_ / "set").good());
    const DataSetSummary summary = summarize_data_set(folder_ / "set");
    EXPECT_THAT(summary.text(), HasSubstr(fmt::format("targets {} [7]", kind())));
    const auto& counts = summary.splits.at("train").class_samples;
    if (kind() == target_float) {
        EXPECT_TRUE(counts.empty());
    } else {
        EXPECT_EQ(counts, (std::vector<std::int64_t>{34, 33, 33, 34, 33, 33, 34}));
    }
}

TEST_P(Vectors, ComeThroughTheLoaderAsFloats) {
    const ImportOptions options{3, {}, 5, deflate()};
    const DataSetInfo info = import_data_set(source_, folder_ / "set", options);
    const auto order = plan_import(source_, options).splits.at("train").order;
    const VirtualShards shards(100, 13, 4);
    LoaderOptions loading;
    loading.workers = 2;
    BatchLoader loader(info, shards, {0, 4}, {}, loading, nullptr);
    EXPECT_EQ(loader.allocated_bytes(), planned_bytes(geometry_of(info, 13, 4), loading));
    for (std::int64_t step = 0; step < shards.steps_per_epoch(); ++step) {
        const Batch batch = loader.next(Deadline::in_seconds(60));
        ASSERT_TRUE(batch.y().empty());
        ASSERT_EQ(static_cast<std::int64_t>(batch.y_float().size()), batch.samples() * 7);
        for (std::size_t i = 0; i < batch.y_float().size(); ++i) {
            const std::int64_t id = batch.sample_ids()[i / 7];
            const std::int64_t index = order[static_cast<std::size_t>(id)].index;
            ASSERT_EQ(batch.y_float()[i], source_.target_of(index, static_cast<std::int64_t>(i % 7)));
        }
    }
}

TEST_P(Vectors, SameBytesForAnyNumberOfRanks) {
    const ImportPlan plan = plan_import(source_, {4, parse_split("train=0.8,val=0.2"), 3, deflate()});
    for (const int ranks : {1, 3}) {
        for (const std::string& error :
             test::import_with(ranks, source_, plan, folder_ / std::to_string(ranks)))
            ASSERT_EQ(error, "");
    }
    for (int shard = 0; shard < 4; ++shard) {
        const std::string name = shard_file_name(shard, 4);
        EXPECT_EQ(read_text_file(folder_ / ("1/" + name), 1 << 30),
                  read_text_file(folder_ / ("3/" + name), 1 << 30));
    }
}

/// Spoils the target of one sample.
class SpoiledSource final : public ImportSource {
  public:
    SpoiledSource(std::string_view kind, float value) : value_(value) { inner_.use_vectors(kind); }
    [[nodiscard]] std::string description() const override { return "spoiled"; }
    [[nodiscard]] std::string licence() const override { return "none"; }
    [[nodiscard]] Shape sample_shape() const override { return inner_.sample_shape(); }
    [[nodiscard]] DType dtype() const override { return inner_.dtype(); }
    [[nodiscard]] std::string target_kind() const override { return inner_.target_kind(); }
    [[nodiscard]] Shape target_shape() const override { return inner_.target_shape(); }
    [[nodiscard]] std::int64_t classes() const override { return inner_.classes(); }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override { return inner_.parts(); }
    [[nodiscard]] std::int32_t label(std::size_t, std::int64_t) const override { return 0; }
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        inner_.read(part, index, x, target);
        if (index != 7) return;
        if (target_kind() == target_float) {
            std::memcpy(target.data() + 8, &value_, 4);
        } else {
            target[2] = static_cast<std::byte>(value_);
        }
    }

  private:
    MemorySource inner_{{{"train", 20}}, Shape{4}, DType::u8, 3};
    float value_;
};

std::string importing(const ImportSource& source, const ImportOptions& options) {
    const TemporaryFolder folder;
    try {
        static_cast<void>(import_data_set(source, folder / "set", options));
    } catch (const Error& error) {
        return fmt::format("{}: {}", name_of(error.error_class()), error.what());
    }
    return "nothing was thrown";
}

TEST(Targets, WhatNoTargetCanBeIsNamed) {
    EXPECT_THAT(importing(SpoiledSource(target_float, NAN), {}),
                HasSubstr("DataError: spoiled: train sample 7: element 2 of the target is nan"));
    EXPECT_THAT(importing(SpoiledSource(target_multi_hot, 2), {}),
                HasSubstr("train sample 7: element 2 of the target is 2, neither 0 nor 1"));
}

TEST(Targets, LargeVectorsMakeSmallerBlocks) {
    EXPECT_EQ(block_samples_for(1, 4), block_samples_for(1));
    EXPECT_EQ(block_samples_for(784, 4), block_samples_for(784));
    EXPECT_EQ(block_samples_for(4, 524'288), 1);
}

/// Class 0 has 900 samples, class 1 90, class 2 10.
class UnevenSource final : public ImportSource {
  public:
    [[nodiscard]] std::string description() const override { return "uneven"; }
    [[nodiscard]] std::string licence() const override { return "none"; }
    [[nodiscard]] Shape sample_shape() const override { return {2}; }
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override { return 3; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override { return {{"train", 1000}}; }
    [[nodiscard]] std::int32_t label(std::size_t, std::int64_t index) const override {
        return index < 900 ? 0 : index < 990 ? 1 : 2;
    }
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        std::fill(x.begin(), x.end(), static_cast<std::byte>(index));
        store_class(label(part, index), target);
    }
};

TEST(Stratified, EverySplitGetsItsShareOfEachClass) {
    const UnevenSource source;
    ImportOptions options{2, parse_split("train=0.7,val=0.1,test=0.2"), 4, false, true};
    const ImportPlan plan = plan_import(source, options);
    const auto counts = [&](const char* split) {
        std::vector<std::int64_t> found(3);
        for (const SourceRef& ref : plan.splits.at(split).order)
            ++found[static_cast<std::size_t>(source.label(ref.part, ref.index))];
        return found;
    };
    EXPECT_EQ(counts("train"), (std::vector<std::int64_t>{630, 63, 7}));
    EXPECT_EQ(counts("val"), (std::vector<std::int64_t>{90, 9, 1}));
    EXPECT_EQ(counts("test"), (std::vector<std::int64_t>{180, 18, 2}));
    // Classes lie mixed in the split, and without --stratified the shares are those of chance.
    const auto& order = plan.splits.at("train").order;
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end(), [&](const SourceRef& a, const SourceRef& b) {
        return source.label(0, a.index) < source.label(0, b.index);
    }));
    EXPECT_EQ(plan_import(source, options).splits.at("train").order, order);
}

TEST(Stratified, NeedsFractionsAndClasses) {
    MemorySource source({{"train", 20}}, Shape{4});
    ImportOptions options{1, {}, 0, false, true};
    EXPECT_THAT(importing(source, options), HasSubstr("ConfigError: --stratified: cuts splits anew"));
    options.split = parse_split("train=0.5,val=0.5");
    source.use_vectors(target_float);
    EXPECT_THAT(importing(source, options), HasSubstr("ConfigError: --stratified: needs a class"));
}

}  // namespace
}  // namespace trireme::io
