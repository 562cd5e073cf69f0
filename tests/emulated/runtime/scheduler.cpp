#include "tests/emulated/runtime/scheduler.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

namespace trireme::emulated {
namespace {

thread_local bool in_worker = false;

/// The finaliser of splitmix64 over all parts.
template <class... Parts>
std::uint64_t mix(Parts... parts) {
    std::uint64_t hash = 0;
    const auto add = [&hash](std::uint64_t part) {
        hash += part + 0x9e3779b97f4a7c15ULL;
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
        hash ^= hash >> 31;
    };
    (add(static_cast<std::uint64_t>(parts)), ...);
    return hash;
}

}  // namespace

bool runs_work() { return in_worker; }

/// A quarter of the stretches of a stream begin at once; the others when somebody waits, or after a while.
Clock::duration Scheduler::stand_still(const Task& task) const {
    constexpr std::uint64_t stretch = 8;
    constexpr std::uint64_t longest_microseconds = 2000;
    const std::uint64_t chance = mix(seed_, task.stream, task.number / stretch);
    if (seed_ == 0 || chance % 4 == 0) return {};
    return std::chrono::microseconds(chance / 4 % longest_microseconds);
}

TaskRef Scheduler::add(std::mutex& mutex, std::uint64_t stream, const std::vector<TaskRef>& before,
                       Work work) {
    auto task = std::make_shared<Task>();
    task->number = added_++;
    task->stream = stream;
    task->work = std::move(work);
    task->not_before = Clock::now() + stand_still(*task);
    for (const TaskRef& other : before) {
        if (other == nullptr || other->done) continue;
        task->before.push_back(other);
        other->behind.push_back(task);
    }
    task->waits_for = task->before.size();
    unfinished_.emplace(task->number, task);
    if (task->waits_for == 0) {
        ready_.push_back(task);
        more_.notify_one();
    }
    if (!started_) {
        started_ = true;
        std::thread([this, &mutex] { run(mutex); }).detach();
    }
    return task;
}

bool Scheduler::ended(const TaskRef& task) {
    if (task == nullptr || task->done) return true;
    demand(task);
    return false;
}

void Scheduler::wait(Lock& lock, const TaskRef& task) {
    if (ended(task)) return;
    progress_.wait(lock, [&] { return task->done; });
}

void Scheduler::wait_for_all(Lock& lock) {
    for (const auto& [number, task] : unfinished_) task->demanded = true;
    more_.notify_one();
    const std::uint64_t end = added_;
    progress_.wait(lock, [&] { return unfinished_.empty() || unfinished_.begin()->first >= end; });
}

void Scheduler::wait_for_running(Lock& lock) {
    const TaskRef running = running_;
    if (running != nullptr) progress_.wait(lock, [&] { return running->done; });
}

void Scheduler::stop(Lock& lock) {
    stopping_ = true;
    wait_for_running(lock);
}

void Scheduler::demand(const TaskRef& task) {
    std::vector<TaskRef> open{task};
    while (!open.empty()) {
        const TaskRef next = std::move(open.back());
        open.pop_back();
        if (next->done || next->demanded) continue;
        next->demanded = true;
        open.insert(open.end(), next->before.begin(), next->before.end());
    }
    more_.notify_one();
}

/// Streams take turns of random length: the one with the highest figure of this stretch goes first.
TaskRef Scheduler::take(Clock::time_point& next) {
    constexpr std::uint64_t stretch = 16;
    const Clock::time_point now = Clock::now();
    std::size_t best = ready_.size();
    std::pair<std::uint64_t, std::uint64_t> highest{};
    for (std::size_t i = 0; i < ready_.size(); ++i) {
        const Task& task = *ready_[i];
        if (!task.demanded && task.not_before > now) {
            next = std::min(next, task.not_before);
            continue;
        }
        std::pair<std::uint64_t, std::uint64_t> figure{mix(seed_, task.stream, taken_ / stretch),
                                                       mix(seed_, task.number)};
        if (seed_ == 0) figure = {~task.number, 0};
        if (best != ready_.size() && figure <= highest) continue;
        best = i;
        highest = figure;
    }
    if (best == ready_.size()) return nullptr;
    TaskRef task = std::move(ready_[best]);
    ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(best));
    ++taken_;
    return task;
}

void Scheduler::run(std::mutex& mutex) {
    in_worker = true;
    Lock lock(mutex);
    while (true) {
        Clock::time_point next = Clock::time_point::max();
        TaskRef task = stopping_ ? nullptr : take(next);
        if (task != nullptr) {
            perform(lock, task);
        } else if (next == Clock::time_point::max()) {
            more_.wait(lock);
        } else {
            more_.wait_until(lock, next);
        }
    }
}

void Scheduler::perform(Lock& lock, const TaskRef& task) {
    running_ = task;
    if (task->work && fault_ == cudaSuccess) {
        lock.unlock();
        cudaError_t status = cudaSuccess;
        try {
            task->work();
        } catch (const DeviceFault& fault) {
            status = fault.status();
            fmt::print(stderr, "emulated CUDA: a stream's work failed: {}\n", fault.what());
        } catch (const std::exception& error) {
            status = cudaErrorLaunchFailure;
            fmt::print(stderr, "emulated CUDA: a stream's work failed: {}\n", error.what());
        }
        task->work = nullptr;
        lock.lock();
        fault_ = status;
    }
    running_ = nullptr;
    finish(task);
}

void Scheduler::finish(const TaskRef& task) {
    task->done = true;
    task->ended = Clock::now();
    task->work = nullptr;
    task->before.clear();
    for (const TaskRef& other : task->behind) {
        if (--other->waits_for > 0) continue;
        ready_.push_back(other);
    }
    task->behind.clear();
    unfinished_.erase(task->number);
    progress_.notify_all();
}

}  // namespace trireme::emulated
