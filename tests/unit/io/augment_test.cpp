#include "io/pipeline/augment.hpp"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/import/import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::MemorySource;
using test::TemporaryFolder;
using ::testing::HasSubstr;

/// What the header says, element by element.
template <class T>
std::vector<T> expected(const std::vector<T>& image, const Shape& shape, const CropFlip::Move& move) {
    std::vector<T> out(image.size());
    for (std::int64_t y = 0; y < shape[0]; ++y) {
        for (std::int64_t x = 0; x < shape[1]; ++x) {
            const std::int64_t from_y = y + move.row;
            const std::int64_t from_x = (move.mirrored ? shape[1] - 1 - x : x) + move.column;
            if (from_y < 0 || from_y >= shape[0] || from_x < 0 || from_x >= shape[1]) continue;
            for (std::int64_t c = 0; c < shape[2]; ++c) {
                out[static_cast<std::size_t>((y * shape[1] + x) * shape[2] + c)] =
                    image[static_cast<std::size_t>((from_y * shape[1] + from_x) * shape[2] + c)];
            }
        }
    }
    return out;
}

template <class T>
void expect_moves(const Shape& shape, DType dtype) {
    const CropFlip augment(11, 3, shape, dtype);
    std::vector<T> image(static_cast<std::size_t>(shape.elements().value));
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<T>(i % 255 + 1);
    std::map<std::int64_t, int> rows;
    std::map<std::int64_t, int> columns;
    int mirrored = 0;
    for (std::int64_t id = 0; id < 900; ++id) {
        const CropFlip::Move move = augment.move_of(id);
        ++rows[move.row];
        ++columns[move.column];
        mirrored += move.mirrored ? 1 : 0;
        std::vector<T> out(image.size(), T{77});
        augment.apply(reinterpret_cast<const std::byte*>(image.data()), id,
                      reinterpret_cast<std::byte*>(out.data()));
        ASSERT_EQ(out, expected(image, shape, move)) << id;
    }
    for (const auto& counts : {rows, columns}) {
        ASSERT_EQ(counts.size(), 9u);
        EXPECT_EQ(counts.begin()->first, -4);
        EXPECT_EQ(counts.rbegin()->first, 4);
        for (const auto& [place, count] : counts) EXPECT_NEAR(count, 100, 45) << place;
    }
    EXPECT_NEAR(mirrored, 450, 75);
}

TEST(CropFlip, MovesPadsAndMirrors) {
    expect_moves<std::uint8_t>(Shape{9, 7, 3}, DType::u8);
    expect_moves<float>(Shape{6, 5, 2}, DType::f32);
    // Narrower than the padding: some crops show nothing but zeros.
    expect_moves<std::uint8_t>(Shape{2, 3, 1}, DType::u8);
}

TEST(CropFlip, IsAFunctionOfSeedEpochAndSample) {
    const Shape shape{32, 32, 3};
    const auto moves = [&](std::uint64_t seed, std::int64_t epoch) {
        const CropFlip augment(seed, epoch, shape, DType::u8);
        std::vector<std::int64_t> list;
        for (std::int64_t id = 0; id < 50; ++id) {
            const CropFlip::Move move = augment.move_of(id);
            list.push_back((move.row * 16 + move.column) * 2 + (move.mirrored ? 1 : 0));
        }
        return list;
    };
    EXPECT_EQ(moves(1, 0), moves(1, 0));
    EXPECT_NE(moves(1, 0), moves(1, 1));
    EXPECT_NE(moves(1, 0), moves(2, 0));
    // Known values, so that a resume by another version sees the same images.
    const CropFlip augment(1, 0, shape, DType::u8);
    const CropFlip::Move first = augment.move_of(0);
    const RandomStream stream(1, "augment", 0);
    EXPECT_EQ(first.row, static_cast<std::int64_t>(stream.below(0, 9)) - 4);
    EXPECT_EQ(first.column, static_cast<std::int64_t>(stream.below(1, 9)) - 4);
    EXPECT_EQ(first.mirrored, stream.below(2, 2) == 1);
}

class Augmented : public ::testing::Test {
  protected:
    using Seen = std::map<std::int64_t, std::vector<float>>;
    void SetUp() override { info_ = import_data_set(source_, folder_ / "set", {3, {}, 5, false}); }

    /// Samples by id as two epochs of `ranks` loaders serve them.
    Seen seen(std::int64_t ranks, int workers, LoaderOptions options) const {
        const VirtualShards shards(info_.split(options.split).samples, 23, 8);
        options.workers = workers;
        Seen all;
        for (std::int64_t rank = 0; rank < ranks; ++rank) {
            BatchLoader loader(info_, shards, shards.owned_by(rank, ranks), {}, options, nullptr);
            for (std::int64_t step = 0; step < 2 * shards.steps_per_epoch(); ++step) {
                const Batch batch = loader.next(Deadline::in_seconds(60));
                const std::size_t elements =
                    batch.samples() > 0 ? batch.x().size() / static_cast<std::size_t>(batch.samples()) : 0;
                for (std::size_t i = 0; i < batch.sample_ids().size(); ++i) {
                    const auto x = batch.x().subspan(i * elements, elements);
                    all[batch.cursor().epoch * 1000 + batch.sample_ids()[i]] = {x.begin(), x.end()};
                }
            }
        }
        return all;
    }

    MemorySource source_{{{"train", 100}, {"test", 40}}, Shape{32, 16, 3}};
    TemporaryFolder folder_;
    DataSetInfo info_;
};

TEST_F(Augmented, DoesNotDependOnRanksAndWorkers) {
    LoaderOptions options;
    options.seed = 9;
    options.augment = Augment::crop_flip;
    const Seen one = seen(1, 1, options);
    ASSERT_EQ(one.size(), 200u);
    EXPECT_EQ(seen(3, 2, options), one);
    EXPECT_EQ(seen(8, 1, options), one);
    options.augment = Augment::none;
    EXPECT_NE(seen(1, 1, options), one);
}

TEST_F(Augmented, PaddingIsZeroBeforeTheNormalisation) {
    LoaderOptions options;
    options.seed = 9;
    options.augment = Augment::crop_flip;
    for (const bool normalize : {false, true}) {
        options.normalize = normalize;
        const Seen served = seen(1, 1, options);
        options.augment = Augment::none;
        const Seen plain = seen(1, 1, options);
        options.augment = Augment::crop_flip;
        for (const std::int64_t id : {0, 31, 99}) {
            const CropFlip augment(9, 0, info_.sample_shape, DType::u8);
            std::vector<float> image = plain.at(id);
            const CropFlip::Move move = augment.move_of(id);
            std::vector<float> marks(image.size(), 1.f);
            marks = expected(marks, info_.sample_shape, move);
            image = expected(image, info_.sample_shape, move);
            for (std::size_t i = 0; i < image.size(); ++i) {
                const double black = normalize ? -info_.mean[i % 3] / info_.stddev[i % 3] : 0.0;
                if (marks[i] == 0) image[i] = static_cast<float>(black);
            }
            ASSERT_EQ(served.at(id), image);
        }
    }
}

TEST_F(Augmented, OtherSplitsAreServedAsTheyAre) {
    LoaderOptions options;
    options.split = "test";
    const Seen plain = seen(1, 1, options);
    options.augment = Augment::crop_flip;
    EXPECT_EQ(seen(1, 1, options), plain);
}

TEST_F(Augmented, ItsRoomIsPlanned) {
    LoaderOptions options;
    options.augment = Augment::crop_flip;
    options.workers = 2;
    const BatchLoader loader(info_, VirtualShards(100, 23, 4), {0, 4}, {}, options, nullptr);
    EXPECT_EQ(loader.allocated_bytes(), planned_bytes(geometry_of(info_, 23, 4), options));
}

TEST(AugmentedVectors, AreRefused) {
    const TemporaryFolder folder;
    const MemorySource source({{"train", 20}}, Shape{12});
    const DataSetInfo info = import_data_set(source, folder / "set", {1, {}, 5, false});
    LoaderOptions options;
    options.augment = Augment::crop_flip;
    try {
        const BatchLoader loader(info, VirtualShards(20, 5, 1), {0, 1}, {}, options, nullptr);
        FAIL() << "features are no image";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(), HasSubstr("data.augment = crop-flip: needs images"));
    }
}

}  // namespace
}  // namespace trireme::io
