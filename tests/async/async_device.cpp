#include "tests/async/async_device.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::async {
namespace {

void join(Clock& clock, const Clock& other) {
    if (clock.size() < other.size()) clock.resize(other.size());
    for (std::size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

/// Whether `operation` is among what `clock` knows to have finished.
bool knows(const Clock& clock, const Operation& operation) {
    return operation.stream < clock.size() && clock[operation.stream] >= operation.number;
}

bool overlap(const Access& a, const Access& b) {
    return a.begin < b.begin + b.size && b.begin < a.begin + a.size;
}

std::string_view verb(const Access& access) { return access.writes ? "write" : "read"; }

}  // namespace

Schedule::Schedule(std::uint64_t seed, Mutation mutation)
    : dice_(seed, "asynchronous schedule"), lazy_(seed % 4 == 3), mutation_(mutation) {}

std::size_t Schedule::add_stream(int rank) {
    const std::lock_guard lock(mutex_);
    queues_.emplace_back();
    ends_.emplace_back();
    lengths_.push_back(0);
    ranks_.push_back(rank);
    pending_.emplace_back();
    return queues_.size() - 1;
}

std::size_t Schedule::append(std::size_t stream, Operation operation) {
    if (!operation.awaits) judge_waits(stream);
    operation.stream = stream;
    operation.number = ++lengths_[stream];
    operation.clock = ends_[stream];
    join(operation.clock, hosts_[std::this_thread::get_id()]);
    if (operation.awaits) join(operation.clock, operations_[*operation.awaits]->clock);
    keep(std::move(operation));
    const std::size_t index = operations_.size() - 1;
    queues_[stream].push_back(index);
    return index;
}

/// Its clock holds all that comes before it.
void Schedule::keep(Operation operation) {
    const std::size_t stream = operation.stream;
    operation.clock.resize(std::max(operation.clock.size(), stream + 1));
    operation.clock[stream] = operation.number;
    ends_[stream] = operation.clock;
    compare(operation);
    operations_.push_back(std::make_unique<Operation>(std::move(operation)));
    if (!operations_.back()->accesses.empty()) open_.push_back(operations_.size() - 1);
    ++findings_.operations;
}

void Schedule::touched_by_message(std::size_t stream, std::string name, const Access& access,
                                  const Clock& since) {
    const std::lock_guard lock(mutex_);
    Operation operation;
    operation.name = std::move(name);
    operation.accesses = {access};
    operation.stream = stream;
    operation.number = ++lengths_[stream];
    operation.clock = ends_[stream];
    join(operation.clock, since);
    operation.done = true;
    keep(std::move(operation));
    seen(*operations_.back());
}

Clock Schedule::knowledge() {
    const std::lock_guard lock(mutex_);
    return hosts_[std::this_thread::get_id()];
}

void Schedule::learn(const Clock& clock) {
    const std::lock_guard lock(mutex_);
    join(hosts_[std::this_thread::get_id()], clock);
}

/// What an event stands for that points at `mark`: the work in front of it, on its stream; null if there is
/// none.
const Operation* Schedule::work_before(std::size_t mark) const {
    for (std::size_t i = mark; i-- > 0;) {
        const Operation& operation = *operations_[i];
        if (operation.stream == operations_[mark]->stream && !operation.name.empty()) return &operation;
    }
    return nullptr;
}

/// Which of the waits in front of an operation say nothing that the queue, the host and the others do not.
void Schedule::judge_waits(std::size_t stream) {
    const Pending pending = std::exchange(pending_[stream], {});
    for (const auto& [number, awaited] : pending.waits) {
        Clock without = pending.before;
        join(without, hosts_[std::this_thread::get_id()]);
        for (const auto& [other, operation] : pending.waits) {
            if (other != number) join(without, operations_[operation]->clock);
        }
        const Operation* work = work_before(awaited);
        if (work == nullptr || knows(without, *work)) findings_.implied[number] = findings_.waited[number];
    }
}

void Schedule::compare(const Operation& operation) {
    for (const std::size_t index : open_) {
        const Operation& other = *operations_[index];
        if (knows(operation.clock, other)) continue;
        for (const Access& mine : operation.accesses) {
            for (const Access& its : other.accesses) {
                if ((!mine.writes && !its.writes) || !overlap(mine, its)) continue;
                findings_.races.insert(fmt::format("{} of {} and {} of {} are not ordered", verb(its),
                                                   other.name, verb(mine), operation.name));
            }
        }
    }
}

void Schedule::launch(std::size_t stream, std::string name, std::vector<Access> accesses,
                      std::function<void()> run, std::function<bool()> ready) {
    const std::lock_guard lock(mutex_);
    Operation operation;
    operation.ready = std::move(ready);
    operation.name = std::move(name);
    operation.accesses = std::move(accesses);
    operation.run = std::move(run);
    append(stream, std::move(operation));
    if (!lazy_) run_some(below(4));
}

std::size_t Schedule::mark(std::size_t stream) {
    const std::lock_guard lock(mutex_);
    return append(stream, {});
}

void Schedule::wait(std::size_t stream, std::size_t operation) {
    const std::lock_guard lock(mutex_);
    Operation fence;
    fence.awaits = operation;
    if (ranks_[stream] != 0) {  // the waits of one rank have the same numbers in every run
        append(stream, std::move(fence));
        return;
    }
    const std::int64_t number = findings_.waits++;
    const Operation* work = work_before(operation);
    findings_.waited[number] =
        fmt::format("stream {} waits for {}", stream, work == nullptr ? "nothing" : work->name);
    if (pending_[stream].waits.empty()) pending_[stream].before = ends_[stream];
    pending_[stream].waits.emplace_back(number, operation);
    if (mutation_.left_out_wait == number) return;
    append(stream, std::move(fence));
}

void Schedule::run_some(std::uint64_t most) {
    for (std::uint64_t i = 0; i < most && run_one(); ++i) {
    }
}

/// The first operation of a queue that may run, of a queue drawn by the dice; false when none may.
bool Schedule::run_one() {
    std::vector<std::size_t> ready;
    for (std::size_t q = 0; q < queues_.size(); ++q) {
        if (queues_[q].empty()) continue;
        const Operation& first = *operations_[queues_[q].front()];
        if (first.ready && !first.ready()) continue;
        if (!first.awaits || operations_[*first.awaits]->done) ready.push_back(q);
    }
    if (ready.empty()) return false;
    std::vector<std::size_t>& queue = queues_[ready[below(ready.size())]];
    Operation& operation = *operations_[queue.front()];
    queue.erase(queue.begin());
    if (operation.run) operation.run();
    operation.run = nullptr;
    operation.done = true;
    return true;
}

/// An operation that is at the head of its queue waits for what another rank launches.
bool Schedule::somebody_else_is_awaited() const {
    return std::any_of(queues_.begin(), queues_.end(), [&](const std::vector<std::size_t>& queue) {
        return !queue.empty() && operations_[queue.front()]->ready;
    });
}

/// This thread knows now that the operation, and all that comes before it, has finished.
void Schedule::seen(const Operation& operation) { join(hosts_[std::this_thread::get_id()], operation.clock); }

bool Schedule::ask(std::size_t operation) {
    const std::lock_guard lock(mutex_);
    run_some(below(3));
    if (!operations_[operation]->done) return false;
    seen(*operations_[operation]);
    return true;
}

void Schedule::run_or_yield(std::unique_lock<std::mutex>& lock) {
    if (run_one()) return;
    ensure(somebody_else_is_awaited(), "a stream waits for an event that nothing will record");
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
}

void Schedule::finish(std::size_t operation) {
    std::unique_lock lock(mutex_);
    while (!operations_[operation]->done) run_or_yield(lock);
    seen(*operations_[operation]);
    forget_finished();
}

void Schedule::drain(std::size_t stream) {
    std::unique_lock lock(mutex_);
    while (!queues_[stream].empty()) run_or_yield(lock);
    join(hosts_[std::this_thread::get_id()], ends_[stream]);
    forget_finished();
}

/// What all threads have seen finished is behind everything that they launch later.
void Schedule::forget_finished() {
    std::erase_if(open_, [&](std::size_t index) {
        return std::all_of(hosts_.begin(), hosts_.end(),
                           [&](const auto& host) { return knows(host.second, *operations_[index]); });
    });
}

void Schedule::pin(const std::byte* memory, std::int64_t size) {
    const std::lock_guard lock(mutex_);
    findings_.pinned += size > 0 ? 1 : -1;
    if (size > 0) {
        pinned_[memory] = size;
    } else {
        forget_memory(memory, pinned_.extract(memory).mapped());
    }
}

void Schedule::replayed() {
    const std::lock_guard lock(mutex_);
    ++findings_.replays;
}

void Schedule::allocated(const std::byte* memory, std::int64_t size) {
    const std::lock_guard lock(mutex_);
    if (size > 0) {
        allocations_[memory] = size;
    } else if (const auto gone = allocations_.extract(memory)) {
        forget_memory(memory, gone.mapped());
    }
}

/// What others do with a place that was released has nothing to do with what was done there before.
void Schedule::forget_memory(const std::byte* begin, std::int64_t size) {
    const Access gone{begin, size, true};
    for (const std::size_t index : open_) {
        Operation& operation = *operations_[index];
        const auto inside = [&](const Access& access) { return overlap(access, gone); };
        if (!operation.done && std::any_of(operation.accesses.begin(), operation.accesses.end(), inside))
            findings_.races.insert(fmt::format("memory of {} is released before it has run", operation.name));
        std::erase_if(operation.accesses, inside);
    }
}

std::byte* Schedule::share(Bytes size) {
    std::byte* memory = nullptr;
    {
        const std::lock_guard lock(mutex_);
        memory = shared_.emplace_back(host_, size).data();
    }
    allocated(memory, size.value);
    return memory;
}

bool Schedule::is_device_memory(const std::byte* memory) {
    const std::lock_guard lock(mutex_);
    const auto next = allocations_.upper_bound(memory);
    if (next == allocations_.begin()) return false;
    const auto& [begin, size] = *std::prev(next);
    return memory < begin + size;
}

std::int64_t Schedule::rest_of(const void* memory) {
    const std::lock_guard lock(mutex_);
    const auto* at = static_cast<const std::byte*>(memory);
    auto found = allocations_.upper_bound(at);
    ensure(found != allocations_.begin(), "a kernel works on memory of the device");
    --found;
    const std::int64_t rest = found->first + found->second - at;
    ensure(rest > 0, "a kernel works on memory of the device");
    return rest;
}

std::int64_t Schedule::unfinished_writes(int rank, const std::byte* begin, std::int64_t size) {
    const std::lock_guard lock(mutex_);
    const Access here{begin, size, true};
    return std::count_if(operations_.begin(), operations_.end(), [&](const auto& operation) {
        return !operation->done && ranks_[operation->stream] == rank &&
               std::any_of(operation->accesses.begin(), operation->accesses.end(),
                           [&](const Access& access) { return access.writes && overlap(access, here); });
    });
}

Findings Schedule::findings() {
    const std::lock_guard lock(mutex_);
    return findings_;
}

bool AsyncEvent::done() { return schedule_->ask(at()); }

void AsyncEvent::synchronize() { schedule_->finish(at()); }

std::size_t AsyncEvent::at() const {
    ensure(at_.has_value(), "an event is recorded before somebody waits for it");
    return *at_;
}

void AsyncStream::synchronize() {
    ensure(recording_ == nullptr, "nobody synchronizes with a stream that is captured");
    schedule_.drain(stream_);
}

void AsyncStream::record(Event& event) {
    if (recording_) return recording_->add([&event](AsyncStream& stream) { stream.record(event); });
    static_cast<AsyncEvent&>(event).point_at(schedule_.mark(stream_));
}

void AsyncStream::wait(Event& event) {
    if (recording_) return recording_->add([&event](AsyncStream& stream) { stream.wait(event); });
    schedule_.wait(stream_, static_cast<AsyncEvent&>(event).at());
}

void AsyncStream::launch(std::string name, std::vector<Access> accesses, std::function<void()> run,
                         std::function<bool()> ready) {
    if (!recording_) {
        return schedule_.launch(stream_, std::move(name), std::move(accesses), std::move(run),
                                std::move(ready));
    }
    ensure(!ready, "what waits for others is not captured");
    recording_->add([name, accesses, run](AsyncStream& stream) { stream.launch(name, accesses, run); });
}

void AsyncStream::begin_capture() {
    ensure(recording_ == nullptr, "captures do not lie in each other");
    recording_ = std::make_unique<AsyncGraph>();
}

std::unique_ptr<LaunchGraph> AsyncStream::end_capture() { return std::move(recording_); }

void AsyncStream::launch(LaunchGraph& graph) {
    ensure(recording_ == nullptr, "a graph is launched, not captured");
    schedule_.replayed();
    dynamic_cast<AsyncGraph&>(graph).replay(*this);
}

void AsyncStream::copy(std::byte* to, const std::byte* from, Bytes size) {
    launch("copy", {{from, size.value, false}, {to, size.value, true}},
           [=] { std::memcpy(to, from, static_cast<std::size_t>(size.value)); });
}

}  // namespace trireme::async
