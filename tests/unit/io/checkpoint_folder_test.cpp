// The folder of checkpoints as a whole: what is kept, what a killed job leaves, what a resume takes; and the
// writer that works beside training.
#include <atomic>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checkpoint/async_saver.hpp"
#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/folder.hpp"
#include "io/checkpoint/index.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

Deadline late() { return Deadline::in_seconds(60); }

/// A state of one tensor that all elements of a step say their step in.
struct State {
    std::vector<float> values = std::vector<float>(1000, 0.0F);
    void set(std::int64_t step) { std::fill(values.begin(), values.end(), static_cast<float>(step)); }
    [[nodiscard]] std::vector<SavedSlice> slices() const {
        return {{SliceSpec::whole("params/a", Shape{10, 100}, DType::f32), std::as_bytes(std::span(values))}};
    }
};

fs::path save(const fs::path& dir, std::int64_t step, const CheckpointMeta& meta = {}) {
    State state;
    state.set(step);
    write_part(dir, step, 0, state.slices());
    return commit(dir, step, 1, meta);
}

float value_in(const fs::path& folder) {
    const CheckpointReader reader(folder);
    std::vector<float> values(1000);
    reader.read(reader.slices().front(), std::as_writable_bytes(std::span(values)));
    EXPECT_EQ(values.front(), values.back());
    return values.front();
}

void damage(const fs::path& folder) {
    const CheckpointIndex index = open_checkpoint(folder);
    const PosixFile file(folder / "part-0000.h5", PosixFile::Mode::write);
    const std::byte wrong{0x77};
    file.write_at({&wrong, 1}, index.slices[0].offset + 6);
}

std::vector<std::int64_t> steps_in(const fs::path& dir) {
    std::vector<std::int64_t> steps;
    for (const fs::path& folder : completed_checkpoints(dir)) steps.push_back(step_of_folder(folder));
    return steps;
}

std::vector<std::int64_t> gone(const std::vector<CheckpointEntry>& entries, const KeepPolicy& policy) {
    std::vector<std::int64_t> steps;
    for (const CheckpointEntry& entry : superseded(entries, policy)) steps.push_back(entry.step);
    return steps;
}

TEST(CheckpointFolder, KeepsNewestMultiplesAndTheBest) {
    const std::vector<CheckpointEntry> entries{{"", 10, 0.9}, {"", 20, 0.3}, {"", 30, 0.3},
                                               {"", 40, {}},  {"", 50, 0.5}, {"", 60, 0.6}};
    EXPECT_THAT(gone(entries, {2, 0, ""}), ElementsAre(40, 30, 20, 10));
    EXPECT_THAT(gone(entries, {2, 30, ""}), ElementsAre(40, 20, 10));
    EXPECT_THAT(gone(entries, {1, 0, "val_loss"}), ElementsAre(50, 40, 30, 10));  // the earlier of two equals
    EXPECT_THAT(gone(entries, {1, 0, "val_accuracy"}), ElementsAre(50, 40, 30, 20));
    EXPECT_THAT(gone(entries, {6, 0, "val_loss"}), IsEmpty());
    EXPECT_THAT(gone({}, {1, 0, "val_loss"}), IsEmpty());
}

TEST(CheckpointFolder, RemovesOnDisk) {
    const TemporaryFolder folder;
    save(folder.path(), 10, {{"val_loss", "0.5"}});
    save(folder.path(), 20, {{"val_loss", "0.125"}});
    save(folder.path(), 30, {{"val_loss", "\"nonsense\""}});
    save(folder.path(), 40);
    remove_superseded(folder.path(), {1, 30, "val_loss"});
    EXPECT_THAT(steps_in(folder.path()), ElementsAre(40, 30, 20));
}

TEST(CheckpointFolder, NewestGoodPassesOverWhatIsDamaged) {
    const TemporaryFolder folder;
    for (const std::int64_t step : {10, 20, 30}) save(folder.path(), step);
    damage(folder / "step-30");
    fs::create_directories(folder / "step-40");
    const NewestGood found = newest_good(folder.path());
    EXPECT_EQ(found.folder, folder / "step-20");
    ASSERT_EQ(found.damaged.size(), 1U);
    EXPECT_THAT(found.damaged[0], HasSubstr("step-30/part-0000.h5: /slice-00000 of params/a: checksum"));
    ASSERT_EQ(found.incomplete.size(), 1U);
    EXPECT_THAT(found.incomplete[0], HasSubstr("step-40: has no DONE"));
    EXPECT_FALSE(newest_good(folder / "nowhere").folder);
}

TEST(CheckpointFolder, WhatAUserNames) {
    const TemporaryFolder folder;
    const fs::path dir = folder / "checkpoints";
    save(dir, 10);
    save(dir, 20);
    EXPECT_EQ(resolve_checkpoint(folder.path()), dir / "step-20") << "a run folder";
    EXPECT_EQ(resolve_checkpoint(dir), dir / "step-20") << "a folder of checkpoints";
    EXPECT_EQ(resolve_checkpoint(dir / "step-10"), dir / "step-10") << "a checkpoint";
    damage(dir / "step-20");
    EXPECT_EQ(resolve_checkpoint(dir), dir / "step-10") << "the newest good one";
    EXPECT_EQ(resolve_checkpoint(dir / "step-20"), dir / "step-20") << "what is named is not replaced";
    damage(dir / "step-10");
    EXPECT_THROW((void)resolve_checkpoint(dir), DataError);
    EXPECT_THROW((void)resolve_checkpoint(folder / "nowhere"), DataError);
    fs::create_directories(folder / "empty");
    EXPECT_THROW((void)resolve_checkpoint(folder / "empty"), DataError);
}

TEST(CheckpointFolder, LeftoversOfAKilledSave) {
    const TemporaryFolder folder;
    save(folder.path(), 10);
    State state;
    write_part(folder.path(), 20, 0, state.slices());  // killed before the commit
    // Killed between the two renames of a save that replaces step 10, then right after the second.
    fs::rename(folder / "step-10", folder / ".old-step-10");
    clear_leftovers(folder.path());
    EXPECT_FALSE(fs::exists(folder / ".tmp-step-20"));
    EXPECT_FLOAT_EQ(value_in(folder / "step-10"), 10);
    fs::rename(folder / "step-10", folder / ".old-step-10");
    fs::create_directories(folder / "step-10");
    clear_leftovers(folder.path());
    EXPECT_FLOAT_EQ(value_in(folder / "step-10"), 10);
    // Killed after DONE, before the old one was removed.
    fs::create_directories(folder / ".old-step-10");
    clear_leftovers(folder.path());
    EXPECT_FLOAT_EQ(value_in(folder / "step-10"), 10);
    EXPECT_FALSE(fs::exists(folder / ".old-step-10"));
}

TEST(CheckpointFolder, ACourseThatWasLeftIsNoFuture) {
    const TemporaryFolder folder;
    for (const std::int64_t step : {10, 20, 30, 40}) save(folder.path(), step);
    // Went on from step 20 and has saved 30 anew.
    EXPECT_THAT(set_aside_later(folder.path(), 20, 30), ElementsAre(40));
    EXPECT_THAT(steps_in(folder.path()), ElementsAre(30, 20, 10));
    EXPECT_TRUE(verify_checkpoint(folder / "aside-step-40").good());
}

SaveRequest request(const fs::path& dir, std::int64_t step) {
    SaveRequest request;
    request.dir = dir;
    request.step = step;
    request.meta = [](std::span<const SavedSlice> slices) {
        return CheckpointMeta{{"bytes", std::to_string(slices.front().data.size())}};
    };
    return request;
}

TEST(AsyncSaver, SavesWhatWasThereWhenItWasCalled) {
    const TemporaryFolder folder;
    State state;
    AsyncSaver saver(Bytes(4032));  // 4,000 bytes of values
    for (const std::int64_t step : {1, 2, 3, 4, 5}) {
        state.set(step);
        saver.start(request(folder.path(), step), state.slices(), late());
        state.set(-1);  // training goes on
    }
    saver.wait(late());
    EXPECT_THAT(steps_in(folder.path()), ElementsAre(5, 4, 3, 2, 1));
    for (const std::int64_t step : {1, 2, 3, 4, 5})
        EXPECT_FLOAT_EQ(value_in(step_folder(folder.path(), step)), static_cast<float>(step));
    EXPECT_EQ(CheckpointReader(folder / "step-5").meta().at("bytes"), "4000");
}

TEST(AsyncSaver, TheNextSaveWaitsForTheOneBefore) {
    const TemporaryFolder folder;
    State state;
    AsyncSaver saver(Bytes(4032));  // 4,000 bytes of values
    std::atomic<bool> go{false};
    std::atomic<bool> first_done{false};
    SaveRequest slow = request(folder.path(), 1);
    slow.done = [&] {
        go.wait(false);
        first_done = true;
    };
    saver.start(std::move(slow), state.slices(), late());
    saver.check();  // under way: says nothing
    EXPECT_THROW(saver.wait(Deadline::in_seconds(0.05)), CommTimeout);
    EXPECT_THROW(saver.start(request(folder.path(), 2), state.slices(), Deadline::in_seconds(0.05)),
                 CommTimeout);
    go = true;
    go.notify_all();
    saver.start(request(folder.path(), 2), state.slices(), late());
    EXPECT_TRUE(first_done);
    saver.wait(late());
    EXPECT_THAT(steps_in(folder.path()), ElementsAre(2, 1));
}

TEST(AsyncSaver, ErrorsSurfaceOnceWithTheirClass) {
    const TemporaryFolder folder;
    write_text_file(folder / "file", "no folder");
    State state;
    AsyncSaver saver(Bytes(4032));  // 4,000 bytes of values
    saver.start(request(folder / "file", 1), state.slices(), late());
    EXPECT_THROW(saver.wait(late()), DataError);
    saver.check();
    saver.wait(late());
    // Through check, whenever the writer is through.
    saver.start(request(folder / "file", 2), state.slices(), late());
    const auto fails = [&] {
        for (;;) {
            saver.check();
            std::this_thread::yield();
        }
    };
    EXPECT_THROW(fails(), DataError);
    // What failed leaves nothing half-written, and the next save is as good as any.
    SaveRequest broken = request(folder / "set", 3);
    broken.meta = [](std::span<const SavedSlice>) -> CheckpointMeta { throw NumericError("no hash"); };
    saver.start(std::move(broken), state.slices(), late());
    EXPECT_THROW(saver.wait(late()), NumericError);
    EXPECT_TRUE(fs::is_empty(folder / "set"));
    saver.start(request(folder / "set", 4), state.slices(), late());
    saver.wait(late());
    EXPECT_THAT(steps_in(folder / "set"), ElementsAre(4));
}

TEST(AsyncSaver, MoreThanThePlannedCopyIsOurMistake) {
    const TemporaryFolder folder;
    const State state;
    AsyncSaver saver(Bytes(3968));
    EXPECT_THROW(saver.start(request(folder.path(), 1), state.slices(), late()), InternalError);
}

TEST(AsyncSaver, TheEndOfARunWaitsForItsSave) {
    const TemporaryFolder folder;
    State state;
    {
        AsyncSaver saver(Bytes(4032));  // 4,000 bytes of values
        saver.start(request(folder.path(), 9), state.slices(), late());
    }
    EXPECT_THAT(steps_in(folder.path()), ElementsAre(9));
}

}  // namespace
}  // namespace trireme::io
