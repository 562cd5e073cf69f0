// The work of all streams of a process: tasks, each behind others, run one at a time by one thread. A task
// may begin when all before it have ended; which of those that may is next is chosen by the seed, and so is
// how long a stream stands still while nobody waits for it. So what is ordered by no wait happens in another
// order under some seed, and what the host reads too early has not come yet.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <cuda_runtime_api.h>

namespace trireme::emulated {

using Work = std::function<void()>;
using Lock = std::unique_lock<std::mutex>;
using Clock = std::chrono::steady_clock;

/// Thrown by work that a device could not do: all that comes after it fails with `status`.
class DeviceFault : public std::runtime_error {
  public:
    DeviceFault(cudaError_t status, const std::string& text) : std::runtime_error(text), status_(status) {}
    [[nodiscard]] cudaError_t status() const { return status_; }

  private:
    cudaError_t status_;
};

struct Task {
    std::uint64_t number = 0;  ///< in the order of launches
    std::uint64_t stream = 0;
    Work work{};                                  ///< empty: a point
    std::vector<std::shared_ptr<Task>> before{};  ///< what has not ended
    std::vector<std::shared_ptr<Task>> behind{};
    std::size_t waits_for = 0;
    bool demanded = false;  ///< somebody waits for it
    bool done = false;
    Clock::time_point not_before{};
    Clock::time_point ended{};
};
using TaskRef = std::shared_ptr<Task>;

/// True in the thread that runs the work: CUDA may not be called there.
[[nodiscard]] bool runs_work();

/// All functions are called with the mutex held; work runs without it.
class Scheduler {
  public:
    explicit Scheduler(std::uint64_t seed) : seed_(seed) {}

    /// `before`: null entries and what has ended count as nothing.
    TaskRef add(std::mutex& mutex, std::uint64_t stream, const std::vector<TaskRef>& before, Work work);
    /// Asking is reason enough to get on with it: whoever asks again and again shall not wait for ever.
    [[nodiscard]] bool ended(const TaskRef& task);
    void wait(Lock& lock, const TaskRef& task);
    /// For all that has been added.
    void wait_for_all(Lock& lock);
    /// For the task that runs now, if any.
    void wait_for_running(Lock& lock);
    /// Lets the running task end and starts no other: at the end of the process.
    void stop(Lock& lock);

    /// What made a task fail; cudaSuccess as long as none has. Then no work runs any more.
    [[nodiscard]] cudaError_t fault() const { return fault_; }

  private:
    void demand(const TaskRef& task);
    void run(std::mutex& mutex);
    /// Null where none may run yet; `next` is when one may.
    TaskRef take(Clock::time_point& next);
    void perform(Lock& lock, const TaskRef& task);
    void finish(const TaskRef& task);
    [[nodiscard]] Clock::duration stand_still(const Task& task) const;

    std::uint64_t seed_;
    std::uint64_t added_ = 0;
    std::uint64_t taken_ = 0;
    std::map<std::uint64_t, TaskRef> unfinished_{};
    std::vector<TaskRef> ready_{};
    TaskRef running_{};
    bool started_ = false;
    bool stopping_ = false;
    cudaError_t fault_ = cudaSuccess;
    std::condition_variable more_{};
    std::condition_variable progress_{};
};

}  // namespace trireme::emulated
