#include "io/checkpoint/checkpoint.hpp"

#include <fstream>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/index.hpp"
#include "io/checkpoint/slice.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/memory_source.hpp"
#include "tests/support/said.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// A tensor whose element i has the value i.
std::vector<float> counting(const Shape& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.elements().value));
    std::iota(values.begin(), values.end(), 0.0f);
    return values;
}

SliceSpec slice(const std::string& name, const Shape& shape, std::vector<std::int64_t> offset,
                std::vector<std::int64_t> extent, std::optional<IndexRange> flat = {}) {
    SliceSpec spec = SliceSpec::whole(name, shape, DType::f32);
    spec.flat = flat ? *flat : IndexRange{0, Shape(extent).elements().value};
    spec.box_offset = std::move(offset);
    spec.box_extent = std::move(extent);
    return spec;
}

/// The elements of a slice, one by one: the slow truth that the stretches are compared with.
std::vector<float> values_of(const SliceSpec& spec) {
    std::vector<float> values;
    const auto& global = spec.global_shape.dims();
    for (std::int64_t i = spec.flat.begin; i < spec.flat.end; ++i) {
        std::int64_t rest = i;
        std::int64_t flat = 0;
        std::int64_t stride = 1;
        for (std::size_t d = global.size(); d-- > 0;) {
            flat += (spec.box_offset[d] + rest % spec.box_extent[d]) * stride;
            rest /= spec.box_extent[d];
            stride *= global[d];
        }
        values.push_back(static_cast<float>(flat));
    }
    return values;
}

struct Held {
    std::vector<SliceSpec> specs;
    std::vector<std::vector<float>> values;
    void add(const SliceSpec& spec) {
        specs.push_back(spec);
        values.push_back(values_of(spec));
    }
    [[nodiscard]] std::vector<SavedSlice> saved() const {
        std::vector<SavedSlice> list;
        for (std::size_t i = 0; i < specs.size(); ++i) {
            list.push_back({specs[i], std::as_bytes(std::span(values[i]))});
        }
        return list;
    }
};

std::vector<float> read(const CheckpointReader& reader, const SliceSpec& spec) {
    std::vector<float> values(static_cast<std::size_t>(slice_elements(spec)), -1.0f);
    reader.read(spec, std::as_writable_bytes(std::span(values)));
    return values;
}

std::string damage_of_checkpoint(const fs::path& folder) {
    return test::message_of<DataError>([&] { const CheckpointReader reader(folder); });
}

/// One tensor, saved whole by one rank.
fs::path save_simple(const fs::path& dir, std::int64_t step) {
    Held held;
    held.add(SliceSpec::whole("params/a", Shape{5, 4}, DType::f32));
    write_part(dir, step, 0, held.saved());
    return commit(dir, step, 1, {{"step", std::to_string(step)}, {"cursor", "{\"epoch\": 1}"}});
}

TEST(Checkpoint, WholeTensorsRoundTrip) {
    const TemporaryFolder folder;
    const fs::path saved = save_simple(folder.path(), 40);
    EXPECT_EQ(saved, folder / "step-40");
    EXPECT_TRUE(fs::exists(saved / "DONE"));
    EXPECT_FALSE(fs::exists(folder / ".tmp-step-40"));
    const CheckpointReader reader(saved);
    EXPECT_EQ(reader.step(), 40);
    EXPECT_EQ(reader.meta().at("cursor"), "{\"epoch\": 1}");
    ASSERT_EQ(reader.slices().size(), 1u);
    EXPECT_EQ(reader.slices()[0].name, "params/a");
    EXPECT_EQ(read(reader, reader.slices()[0]), counting(Shape{5, 4}));
    EXPECT_TRUE(verify_checkpoint(saved).good());
}

TEST(Checkpoint, ScalarsEmptyTensorsAndAllTypes) {
    const TemporaryFolder folder;
    std::vector<std::byte> data(64);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 5);
    std::vector<SavedSlice> slices;
    for (const DType t :
         {DType::u8, DType::i32, DType::i64, DType::f32, DType::f64, DType::bf16, DType::f16}) {
        const std::string name(name_of(t));
        slices.push_back({SliceSpec::whole("scalar/" + name, Shape{}, t),
                          std::span(data).first(static_cast<std::size_t>(size_of(t)))});
        slices.push_back({SliceSpec::whole("empty/" + name, Shape{3, 0}, t), {}});
        slices.push_back({SliceSpec::whole("some/" + name, Shape{2, 3}, t),
                          std::span(data).first(static_cast<std::size_t>(6 * size_of(t)))});
    }
    write_part(folder.path(), 1, 0, slices);
    const CheckpointReader reader(commit(folder.path(), 1, 1, {}));
    for (const SavedSlice& saved : slices) {
        std::vector<std::byte> found(saved.data.size());
        reader.read(saved.spec, found);
        EXPECT_TRUE(std::equal(found.begin(), found.end(), saved.data.begin(), saved.data.end()))
            << saved.spec.name;
    }
}

TEST(Checkpoint, AnySlicesAreReadFromAnySlices) {
    const TemporaryFolder folder;
    const Shape shape{6, 5, 4};
    // Three ranks: boxes that cut axis 1, the last of them again in flat ranges; and a flat cut of the whole.
    std::vector<Held> ranks(3);
    ranks[0].add(slice("t", shape, {0, 0, 0}, {6, 2, 4}));
    ranks[1].add(slice("t", shape, {0, 2, 0}, {6, 3, 4}, IndexRange{0, 31}));
    ranks[2].add(slice("t", shape, {0, 2, 0}, {6, 3, 4}, IndexRange{31, 72}));
    ranks[0].add(slice("flat", shape, {0, 0, 0}, {6, 5, 4}, IndexRange{0, 50}));
    ranks[1].add(slice("flat", shape, {0, 0, 0}, {6, 5, 4}, IndexRange{50, 50}));
    ranks[2].add(slice("flat", shape, {0, 0, 0}, {6, 5, 4}, IndexRange{50, 120}));
    for (int r = 0; r < 3; ++r) write_part(folder.path(), 7, r, ranks[static_cast<std::size_t>(r)].saved());
    const CheckpointReader reader(commit(folder.path(), 7, 3, {}));
    const RandomStream random(1, "test");
    std::uint64_t draw = 0;
    for (int i = 0; i < 300; ++i) {
        for (const char* name : {"t", "flat"}) {
            std::vector<std::int64_t> offset;
            std::vector<std::int64_t> extent;
            for (const std::int64_t dim : shape.dims()) {
                offset.push_back(
                    static_cast<std::int64_t>(random.below(draw++, static_cast<std::uint64_t>(dim))));
                extent.push_back(1 + static_cast<std::int64_t>(random.below(
                                         draw++, static_cast<std::uint64_t>(dim - offset.back()))));
            }
            const std::int64_t n = Shape(extent).elements().value;
            const std::int64_t begin =
                static_cast<std::int64_t>(random.below(draw++, static_cast<std::uint64_t>(n)));
            const std::int64_t end = begin + static_cast<std::int64_t>(random.below(
                                                 draw++, static_cast<std::uint64_t>(n - begin + 1)));
            const SliceSpec wanted = slice(name, shape, offset, extent, IndexRange{begin, end});
            ASSERT_EQ(read(reader, wanted), values_of(wanted));
        }
    }
}

TEST(Checkpoint, OnlyTheFirstReplicaIsWritten) {
    const TemporaryFolder folder;
    Held held;
    held.add(SliceSpec::whole("a", Shape{8}, DType::f32));
    write_part(folder.path(), 1, 0, held.saved());
    held.specs[0].replica = 1;
    write_part(folder.path(), 1, 1, held.saved());
    const CheckpointReader reader(commit(folder.path(), 1, 2, {}));
    EXPECT_EQ(reader.slices().size(), 1u);
}

TEST(Checkpoint, GapsAndOverlapsAreNotCommitted) {
    const TemporaryFolder folder;
    Held gap;
    gap.add(slice("a", Shape{8}, {0}, {8}, IndexRange{0, 7}));
    write_part(folder.path(), 1, 0, gap.saved());
    EXPECT_THROW(commit(folder.path(), 1, 1, {}), InternalError);
    Held overlap;
    overlap.add(slice("a", Shape{8}, {0}, {8}, IndexRange{0, 5}));
    overlap.add(slice("a", Shape{8}, {4}, {4}, IndexRange{0, 3}));
    write_part(folder.path(), 1, 0, overlap.saved());
    EXPECT_THROW(commit(folder.path(), 1, 1, {}), InternalError);
    EXPECT_TRUE(completed_checkpoints(folder.path()).empty());
}

TEST(Checkpoint, PartsOfAnEarlierAttemptAreIgnored) {
    const TemporaryFolder folder;
    Held held;
    held.add(SliceSpec::whole("a", Shape{8}, DType::f32));
    write_part(folder.path(), 1, 3, held.saved());
    const fs::path saved = save_simple(folder.path(), 1);
    EXPECT_FALSE(fs::exists(saved / "part-0003.h5"));
    EXPECT_THROW(commit(folder.path(), 2, 1, {}), DataError);
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
    const TemporaryFolder folder;
    save_simple(folder.path(), 3);
    Held held;
    held.add(SliceSpec::whole("b", Shape{2}, DType::f32));
    write_part(folder.path(), 3, 0, held.saved());
    const CheckpointReader reader(commit(folder.path(), 3, 1, {}));
    EXPECT_EQ(reader.slices()[0].name, "b");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(Checkpoint, CompletedOnesNewestFirst) {
    const TemporaryFolder folder;
    for (const std::int64_t step : {9, 100, 20}) save_simple(folder.path(), step);
    fs::remove(folder / "step-100/DONE");
    fs::create_directories(folder / "step-x");
    EXPECT_EQ(completed_checkpoints(folder.path()),
              (std::vector<fs::path>{folder / "step-20", folder / "step-9"}));
    EXPECT_TRUE(completed_checkpoints(folder / "nowhere").empty());
    const std::string said = damage_of_checkpoint(folder / "step-100");
    EXPECT_THAT(said, HasSubstr("is not complete (it has no DONE"));
    EXPECT_THAT(said, HasSubstr("the newest complete one beside it is " + (folder / "step-20").string()));
    EXPECT_THAT(damage_of_checkpoint(folder / "step-77"), HasSubstr("there is no such checkpoint"));
}

TEST(Checkpoint, AFlippedBitIsNamed) {
    const TemporaryFolder folder;
    const fs::path saved = save_simple(folder.path(), 5);
    const CheckpointIndex index = open_checkpoint(saved);
    {
        const PosixFile file(saved / "part-0000.h5", PosixFile::Mode::write);
        const std::byte wrong{0x77};
        file.write_at({&wrong, 1}, index.slices[0].offset + 6);
    }
    const CheckpointReader reader(saved);
    const std::string said = test::message_of<DataError>([&] { read(reader, reader.slices()[0]); });
    EXPECT_THAT(said, HasSubstr("part-0000.h5: /slice-00000 of params/a: checksum "));
    // A slice that is cut out of the damaged one is not trusted either.
    EXPECT_THAT(test::message_of<DataError>([&] {
                    read(reader, slice("params/a", Shape{5, 4}, {0, 0}, {1, 1}));
                }),
                HasSubstr("checksum"));
    EXPECT_EQ(verify_checkpoint(saved).problems.size(), 1u);
    EXPECT_THROW(verify_checkpoint(saved).require_good(), DataError);
}

TEST(Checkpoint, DamagedIndexAndTruncatedParts) {
    const TemporaryFolder folder;
    const fs::path first = save_simple(folder.path(), 5);
    std::string text = read_text_file(first / "index.json", 1 << 20);
    text.replace(text.find("params/a"), 8, "params/b");
    write_text_file(first / "index.json", text);
    EXPECT_THAT(damage_of_checkpoint(first), HasSubstr("the index is damaged"));
    const fs::path second = save_simple(folder.path(), 6);
    fs::resize_file(second / "part-0000.h5", fs::file_size(second / "part-0000.h5") - 1);
    EXPECT_THAT(damage_of_checkpoint(second), HasSubstr("the file is cut short or was replaced"));
    fs::remove(second / "part-0000.h5");
    EXPECT_THAT(damage_of_checkpoint(second), HasSubstr("part-0000.h5: cannot open the file"));
}

/// Opens a checkpoint whose index was changed by someone who also wrote a fitting DONE.
std::string opening_with(const std::string& from, const std::string& to) {
    const TemporaryFolder folder;
    const fs::path saved = save_simple(folder.path(), 5);
    std::string text = read_text_file(saved / "index.json", 1 << 20);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    write_text_file(saved / "index.json", text);
    write_text_file(saved / "DONE", done_text(text));
    return damage_of_checkpoint(saved);
}

TEST(Checkpoint, WhatAnIndexClaimsIsCheckedBeforeItIsUsed) {
    EXPECT_THAT(opening_with("\"schema\": 1", "\"schema\": 2"),
                HasSubstr("checkpoint schema 2, newer than the 1"));
    EXPECT_THAT(opening_with("\"position\": ", "\"position\": 99999"), HasSubstr("lie outside part-0000.h5"));
    EXPECT_THAT(opening_with("\"position\": ", "\"position\": -"), HasSubstr("lie outside part-0000.h5"));
    // Near the largest number there is: found by fuzzing, as a sum in the message that was too large.
    EXPECT_THAT(opening_with("\"position\": ", "\"position\": 922337203685477580"),
                HasSubstr("lie outside part-0000.h5"));
    EXPECT_THAT(opening_with("\"part-0000.h5\"", "\"../../etc/passwd\""), HasSubstr("is not one of ours"));
    EXPECT_THAT(opening_with("\"f32\"", "\"f33\""), HasSubstr("dtype 'f33' is not known"));
    EXPECT_THAT(opening_with("\"file\": 0", "\"file\": 4"), HasSubstr("file number 4"));
    EXPECT_THAT(opening_with("\"slices\": [", "\"slices\": [7,"),
                HasSubstr("is not an index of a checkpoint"));
    EXPECT_THAT(opening_with("{", "["), HasSubstr("is not an index of a checkpoint"));
    EXPECT_THAT(opening_with("\"xxh3\": \"", "\"xxh3\": \"z"), HasSubstr("is not 16 hex digits"));
    EXPECT_THAT(opening_with("\"trireme-checkpoint\"", "\"other\""), HasSubstr("another format"));
}

TEST(Checkpoint, ImpossibleSlicesAreSeen) {
    const SliceSpec good = slice("a", Shape{4, 4}, {1, 1}, {2, 3});
    EXPECT_EQ(slice_problem(good), "");
    SliceSpec bad = good;
    bad.box_extent = {2, 4};
    EXPECT_THAT(slice_problem(bad), HasSubstr("leaves the tensor at axis 1"));
    bad = good;
    bad.flat = {0, 7};
    EXPECT_THAT(slice_problem(bad), HasSubstr("leaves its box"));
    bad = good;
    bad.global_shape = Shape{std::int64_t{1} << 40, std::int64_t{1} << 40};
    EXPECT_THAT(slice_problem(bad), HasSubstr("impossible size"));
    bad = good;
    bad.box_offset = {-1, 0};
    EXPECT_THAT(slice_problem(bad), HasSubstr("axis 0"));
}

TEST(Checkpoint, AnotherModelIsRefused) {
    const TemporaryFolder folder;
    const CheckpointReader reader(save_simple(folder.path(), 5));
    EXPECT_THAT(test::message_of<DataError>([&] {
                    read(reader, SliceSpec::whole("params/b", Shape{5, 4}, DType::f32));
                }),
                HasSubstr("has no tensor params/b"));
    EXPECT_THAT(test::message_of<DataError>([&] {
                    read(reader, SliceSpec::whole("params/a", Shape{4, 5}, DType::f32));
                }),
                HasSubstr("it is of another model"));
}

TEST(Checkpoint, DescriptionListsTensors) {
    const TemporaryFolder folder;
    const CheckpointDescription description = describe_checkpoint(save_simple(folder.path(), 5));
    EXPECT_EQ(description.step, 5);
    ASSERT_EQ(description.tensors.size(), 1u);
    EXPECT_EQ(description.tensors[0].bytes, 80);
    EXPECT_THAT(description.json(), HasSubstr("\"name\": \"params/a\""));
    EXPECT_THAT(description.text(), HasSubstr("step 5"));
}

}  // namespace
}  // namespace trireme::io
