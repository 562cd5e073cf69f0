// A process that saves is killed before and after every one of its system calls: whatever it leaves, each
// checkpoint with a DONE is good, there is one to go on from, and the next save tidies up.
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/folder.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::io {
namespace {

using ::testing::ElementsAre;
namespace fs = std::filesystem;

constexpr KeepPolicy keep_two{2, 0, ""};

void save_step(const fs::path& dir, std::int64_t step) {
    const std::vector<float> values(1000, static_cast<float>(step));
    const SavedSlice slice{SliceSpec::whole("params/a", Shape{10, 100}, DType::f32),
                           std::as_bytes(std::span(values))};
    write_part(dir, step, 0, {&slice, 1});
    static_cast<void>(commit(dir, step, 1, {{"step", std::to_string(step)}}));
    remove_superseded(dir, keep_two);
}

enum class Ending { killed, finished, untraceable };

/// Runs `work` in a process of its own and kills it at its `stop`-th stop, which are before and after each
/// system call.
Ending run_and_kill(int stop, const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
        ::raise(SIGSTOP);
        try {
            work();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    for (int at = 0; at < stop && WIFSTOPPED(status); ++at) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
    }
    if (WIFEXITED(status)) {
        EXPECT_NE(WEXITSTATUS(status), 1) << "the save failed";
        return WEXITSTATUS(status) == 0 ? Ending::finished : Ending::untraceable;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return Ending::killed;
}

std::vector<std::int64_t> complete_and_good(const fs::path& dir) {
    std::vector<std::int64_t> steps;
    for (const CheckpointFolder& folder : step_folders(dir)) {
        if (!folder.complete) continue;
        EXPECT_TRUE(verify_checkpoint(folder.folder).good()) << folder.folder;
        steps.push_back(folder.step);
    }
    return steps;
}

/// `saved`: steps that are there before; `next` is the one whose save is killed.
void kill_everywhere(const std::vector<std::int64_t>& saved, std::int64_t next) {
    const test::TemporaryFolder folder(fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path());
    for (const std::int64_t step : saved) save_step(folder / "before", step);
    int killed = 0;
    for (int stop = 1;; ++stop) {
        SCOPED_TRACE(testing::Message() << "killed at stop " << stop);
        const fs::path dir = folder / "run";
        fs::remove_all(dir);
        fs::copy(folder / "before", dir, fs::copy_options::recursive);
        const Ending ending = run_and_kill(stop, [&] { save_step(dir, next); });
        if (ending == Ending::untraceable) GTEST_SKIP() << "processes may not be traced here";
        ASSERT_FALSE(complete_and_good(dir).empty()) << "there is one to go on from";
        clear_leftovers(dir);  // as a job does that is started again
        ASSERT_GE(complete_and_good(dir).front(), saved.back());
        ASSERT_TRUE(newest_good(dir).damaged.empty());
        save_step(dir, next);
        ASSERT_THAT(complete_and_good(dir),
                    ElementsAre(next, next == saved.back() ? saved[saved.size() - 2] : saved.back()));
        ASSERT_EQ(std::distance(fs::directory_iterator(dir), {}), 2) << "nothing of the killed save stays";
        if (ending == Ending::finished) break;
        ++killed;
    }
    EXPECT_GT(killed, 50);
}

TEST(KilledSave, LeavesAGoodCheckpointWhereverItIsKilled) { kill_everywhere({1, 2}, 3); }

TEST(KilledSave, OverACheckpointOfTheSameStep) { kill_everywhere({1, 2}, 2); }

}  // namespace
}  // namespace trireme::io
