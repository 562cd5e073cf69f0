#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/import/import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "io/pipeline/sample_order.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/host_memory.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::MemorySource;
using test::TemporaryFolder;
using ::testing::HasSubstr;

const Deadline soon() { return Deadline::in_seconds(60); }

/// A set of shards of 100, 101, 7 and 0 samples with blocks of 8.
class Loader : public ::testing::TestWithParam<bool> {
  protected:
    static constexpr std::int64_t samples = 208;

    void make(DType dtype, bool deflate) {
        source_ = std::make_unique<MemorySource>(std::vector<SourcePart>{{"train", samples}},
                                                 dtype == DType::u8 ? Shape{256, 128, 2} : Shape{128, 64, 2},
                                                 dtype);
        plan_ = test::plan_with_shards(*source_, {100, 101, 7, 0});
        plan_.deflate = deflate;
        info_ = write_import(*source_, plan_, folder_ / "set", ImportTeam::alone());
    }

    [[nodiscard]] float raw(std::int64_t id, std::int64_t element) const {
        const SourceRef ref = plan_.splits.at("train").order[static_cast<std::size_t>(id)];
        return info_.x_dtype == DType::u8
                   ? static_cast<float>(MemorySource::byte_of(ref.part, ref.index, element)) / 255.0f
                   : MemorySource::float_of(ref.part, ref.index, element);
    }

    /// Compares a batch with values computed from the source.
    void expect_values(const Batch& batch, bool normalize) const {
        const std::int64_t elements = info_.sample_shape.elements().value;
        ASSERT_EQ(static_cast<std::int64_t>(batch.x().size()), batch.samples() * elements);
        for (std::int64_t i = 0; i < batch.samples(); ++i) {
            const std::int64_t id = batch.sample_ids()[static_cast<std::size_t>(i)];
            const SourceRef ref = plan_.splits.at("train").order[static_cast<std::size_t>(id)];
            ASSERT_EQ(batch.y()[static_cast<std::size_t>(i)], ref.index % 10);
            for (std::int64_t e = 0; e < elements; e += 17) {
                const std::size_t c = static_cast<std::size_t>(e % 2);
                const double expected =
                    normalize ? (static_cast<double>(raw(id, e)) - info_.mean[c]) / info_.stddev[c]
                              : raw(id, e);
                ASSERT_NEAR(batch.x()[static_cast<std::size_t>(i * elements + e)], expected, 2e-5);
            }
        }
    }

    /// The ids of the leaves that the sample order says are this rank's.
    [[nodiscard]] std::vector<std::int64_t> expected_ids(const VirtualShards& shards, IndexRange owned,
                                                         Cursor at, const LoaderOptions& options) const {
        const auto& blocks = info_.splits.at("train").blocks;
        std::vector<std::int64_t> first;
        std::int64_t position = 0;
        for (const BlockRef& block : blocks) {
            first.push_back(position);
            position += block.samples;
        }
        std::vector<std::int64_t> ids;
        for (std::int64_t v = owned.begin; v < owned.end; ++v) {
            for (const SampleRef& ref : samples_of(blocks, shards, options.seed, at.epoch, options.shuffle, v,
                                                   shards.leaf(v, at.step_in_epoch))) {
                ids.push_back(first[static_cast<std::size_t>(ref.block)] + ref.row);
            }
        }
        return ids;
    }

    /// How many blocks the first `steps` steps take: those of every window that a run enters.
    [[nodiscard]] std::int64_t expected_reads(const VirtualShards& shards, const LoaderOptions& options,
                                              std::int64_t steps) const {
        const auto& blocks = info_.splits.at("train").blocks;
        std::int64_t reads = 0;
        for (std::int64_t first = 0; first < steps; first += shards.steps_per_epoch()) {
            const std::int64_t epoch = first / shards.steps_per_epoch();
            const std::int64_t last = std::min(shards.steps_per_epoch(), steps - first) - 1;
            EpochOrder order(blocks);
            order.arrange(options.seed, epoch, options.shuffle);
            for (std::int64_t v = 0; v < shards.shards(); ++v) {
                const RunOrder run(order, shards.run(v), options.seed, epoch, v, options.shuffle);
                const std::int64_t end = shards.leaf(v, last).end;
                for (std::int64_t position = shards.leaf(v, 0).begin; position < end;) {
                    const Window window = run.window_at(position);
                    reads += window.pieces;
                    position = window.positions.end;
                }
            }
        }
        return reads;
    }

    TemporaryFolder folder_;
    std::unique_ptr<MemorySource> source_;
    ImportPlan plan_;
    DataSetInfo info_;
};

std::vector<std::int64_t> ids_of(const Batch& batch) {
    return {batch.sample_ids().begin(), batch.sample_ids().end()};
}

INSTANTIATE_TEST_SUITE_P(Deflate, Loader, ::testing::Bool());

TEST_P(Loader, EqualsDirectComputationForAnyRanks) {
    make(DType::u8, GetParam());
    const VirtualShards shards(samples, 23, 8);
    for (const std::int64_t ranks : {1, 3}) {
        for (std::int64_t rank = 0; rank < ranks; ++rank) {
            LoaderOptions options;
            options.seed = 5;
            options.workers = 2;
            const IndexRange owned = shards.owned_by(rank, ranks);
            BatchLoader loader(info_, shards, owned, {}, options, nullptr);
            for (std::int64_t step = 0; step < 2 * shards.steps_per_epoch(); ++step) {
                const Batch batch = loader.next(soon());
                const Cursor at{step / shards.steps_per_epoch(), step % shards.steps_per_epoch()};
                ASSERT_EQ(batch.cursor(), at);
                ASSERT_EQ(ids_of(batch), expected_ids(shards, owned, at, options));
                ASSERT_EQ(reinterpret_cast<std::uintptr_t>(batch.x().data()) % 64, 0u);
                expect_values(batch, true);
            }
        }
    }
}

TEST_F(Loader, FloatDataAndNoNormalisation) {
    make(DType::f32, false);
    const VirtualShards shards(samples, 50, 3);
    for (const bool normalize : {true, false}) {
        LoaderOptions options;
        options.normalize = normalize;
        options.shuffle = Shuffle::none;
        BatchLoader loader(info_, shards, {0, 3}, {}, options, nullptr);
        for (int step = 0; step < 5; ++step) expect_values(loader.next(soon()), normalize);
    }
}

TEST_F(Loader, AResumeGoesOnWhereItStopped) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 23, 8);
    LoaderOptions options;
    options.workers = 3;
    BatchLoader whole(info_, shards, {2, 7}, {}, options, nullptr);
    std::vector<std::vector<std::int64_t>> expected;
    for (std::int64_t step = 0; step < 25; ++step) expected.push_back(ids_of(whole.next(soon())));
    for (const std::int64_t start : {1, 9, 10, 17, 24}) {
        const Cursor cursor{start / shards.steps_per_epoch(), start % shards.steps_per_epoch()};
        BatchLoader resumed(info_, shards, {2, 7}, cursor, options, nullptr);
        for (std::size_t step = static_cast<std::size_t>(start); step < expected.size(); ++step) {
            ASSERT_EQ(ids_of(resumed.next(soon())), expected[step]);
        }
    }
}

/// Asked again and again without waiting, it gives the same batches in the same order; never one too early.
TEST_F(Loader, GivesWhatIsReadyWithoutWaiting) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 23, 8);
    BatchLoader waits(info_, shards, {0, 8}, {}, {}, nullptr);
    BatchLoader loader(info_, shards, {0, 8}, {}, {}, nullptr);
    const Deadline deadline = soon();
    for (std::int64_t step = 0; step < 20; ++step) {
        std::optional<Batch> batch;
        while (!batch && !deadline.expired()) batch = loader.next_if_ready();
        ASSERT_TRUE(batch.has_value()) << "step " << step;
        ASSERT_EQ(ids_of(*batch), ids_of(waits.next(soon())));
        expect_values(*batch, true);
    }
    // The whole ring is held: the next batch cannot be there.
    const Batch one = loader.next(soon());
    const Batch two = loader.next(soon());
    const Batch three = loader.next(soon());
    EXPECT_FALSE(loader.next_if_ready().has_value());
}

/// Of the caller's memory, and back to it when the last batch has gone, which may be after the loader.
TEST_F(Loader, BatchesLieInTheMemoryThatIsGiven) {
    class CountedMemory final : public MemorySpace {
      public:
        [[nodiscard]] MemoryKind kind() const override { return MemoryKind::pinned; }
        [[nodiscard]] std::string_view name() const override { return "counted"; }
        [[nodiscard]] std::byte* allocate(Bytes size) override {
            held += size.value;
            return host_.allocate(size);
        }
        void release(std::byte* memory, Bytes size) noexcept override {
            held -= size.value;
            host_.release(memory, size);
        }
        std::int64_t held = 0;

      private:
        HostMemory host_;
    };
    make(DType::u8, false);
    CountedMemory memory;
    LoaderOptions options;
    options.memory = &memory;
    {
        std::optional<BatchLoader> loader;
        loader.emplace(info_, VirtualShards(samples, 23, 4), IndexRange{0, 4}, Cursor{}, options, nullptr);
        const Batch batch = loader->next(soon());
        expect_values(batch, true);
        EXPECT_GE(memory.held, static_cast<std::int64_t>(3 * batch.x_bytes().size()));
        loader.reset();
        EXPECT_GT(memory.held, 0);
    }
    EXPECT_EQ(memory.held, 0);
}

TEST_F(Loader, TakesWhatIsPlannedAndReadsBlocksOnce) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 23, 4);
    LoaderOptions options;
    options.workers = 2;
    options.prefetch = 3;
    BatchLoader loader(info_, shards, {0, 4}, {}, options, nullptr);
    const LoaderGeometry geometry{256 * 128 * 2, 256 * 128 * 2, 23, 4};
    EXPECT_EQ(loader.allocated_bytes(), planned_bytes(geometry, options));
    const std::int64_t served = shards.steps_per_epoch();
    for (std::int64_t step = 0; step < served; ++step) static_cast<void>(loader.next(soon()));
    EXPECT_GE(loader.counters().blocks, expected_reads(shards, options, served));
    // With nothing held the workers fill the ring, into the next epoch, and stop there.
    const std::int64_t all = expected_reads(shards, options, served + options.prefetch + 1);
    for (const Deadline deadline = soon(); loader.counters().blocks < all && !deadline.expired();)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(loader.counters().blocks, all);
    // Blocks that two runs share are read by both; no others twice in an epoch.
    const auto blocks = static_cast<std::int64_t>(info_.splits.at("train").blocks.size());
    EXPECT_LE(expected_reads(shards, options, served), blocks + shards.shards() - 1);
    EXPECT_EQ(loader.counters().files, 3);
}

TEST_F(Loader, OpensOnlyTheFilesUnderItsRuns) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 8, 8);
    LoaderOptions options;
    options.shuffle = Shuffle::local;
    BatchLoader loader(info_, shards, {0, 3}, {}, options, nullptr);
    for (std::int64_t step = 0; step < shards.steps_per_epoch(); ++step)
        static_cast<void>(loader.next(soon()));
    EXPECT_EQ(loader.counters().files, 1);
}

TEST_F(Loader, ARankWithoutSamplesGetsEmptyBatches) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 2, 8);
    // A batch of 2 in 8 leaves: half of the virtual shards have no samples at all.
    BatchLoader loader(info_, shards, {0, 1}, {}, {}, nullptr);
    EXPECT_EQ(loader.next(soon()).samples(), 0);
    BatchLoader nobody(info_, shards, {3, 3}, {}, {}, nullptr);
    EXPECT_EQ(nobody.next(soon()).samples(), 0);
}

TEST_F(Loader, HeldBatchesStayAndTheDeadlineNamesThePhase) {
    make(DType::u8, false);
    const VirtualShards shards(samples, 23, 2);
    LoaderOptions options;
    options.prefetch = 1;
    std::optional<Batch> kept;
    {
        BatchLoader loader(info_, shards, {0, 2}, {}, options, nullptr);
        kept = loader.next(soon());
        const Batch second = loader.next(soon());
        try {
            static_cast<void>(loader.next(Deadline::in_seconds(0.05)));
            FAIL() << "there is no third buffer";
        } catch (const CommTimeout& error) {
            EXPECT_THAT(error.what(), HasSubstr("data: the batch of epoch 0, step 2 was not ready"));
            EXPECT_THAT(error.what(), HasSubstr("is a batch still held?"));
        }
    }
    expect_values(*kept, true);
}

class CountingSink final : public TraceSink {
  public:
    void span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
              std::string_view) override {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(track, Track::data);
        EXPECT_LE(begin, end);
        ++(name == "load batch" ? batches : windows);
    }
    std::mutex mutex;
    int batches = 0;
    int windows = 0;
};

TEST_F(Loader, TellsTheTrace) {
    make(DType::u8, false);
    CountingSink sink;
    {
        BatchLoader loader(info_, VirtualShards(samples, 23, 2), {0, 2}, {}, {}, &sink);
        for (int step = 0; step < 4; ++step) static_cast<void>(loader.next(soon()));
    }
    EXPECT_GE(sink.batches, 4);
    EXPECT_GE(sink.windows, 2);
}

TEST(LoaderOptionsCheck, MistakesAreConfigErrors) {
    LoaderOptions options;
    options.prefetch = 0;
    EXPECT_THROW(static_cast<void>(planned_bytes({1, 1, 1, 1}, options)), ConfigError);
    options.prefetch = 1;
    options.workers = 0;
    EXPECT_THROW(static_cast<void>(planned_bytes({1, 1, 1, 1}, options)), ConfigError);
}

TEST(BlockSize, IsAboutHalfAMebibyte) {
    EXPECT_EQ(block_samples_for(784), 668);
    EXPECT_EQ(block_samples_for(524288), 1);
    EXPECT_EQ(block_samples_for(10'000'000), 1);
    EXPECT_EQ(block_samples_for(1), 16384);
}

}  // namespace
}  // namespace trireme::io
