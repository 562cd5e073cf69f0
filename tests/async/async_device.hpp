// A host device that behaves as a GPU does where order is concerned: launches return at once, streams are
// queues, events order them, and nothing else does. A seeded scheduler runs the queues, delayed and mixed as
// far as the recorded waits allow; so a wait that is missing shows as a wrong value sooner or later.
//
// It also shows as an unordered pair of accesses, at once and whatever the schedule: every operation names
// the memory that it reads and writes, carries a vector clock (Lamport 1978; Mattern 1989) and is compared
// with all operations that it may run beside. Two that touch the same bytes, one of them writing, must be
// ordered by the queues, by events, or by the host: what a thread of the host launches comes after all that
// this thread has seen finished.
//
// Ranks whose devices reach into each other's memory share one schedule; then messages carry what their
// sender knows (async_world.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/core/error.hpp"
#include "runtime/core/host_memory.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/device/collective_library.hpp"
#include "runtime/device/device.hpp"

namespace trireme::async {

/// Bytes that an operation touches.
struct Access {
    const std::byte* begin = nullptr;
    std::int64_t size = 0;
    bool writes = false;
};

/// By stream: how many of its operations are known to have finished.
using Clock = std::vector<std::int64_t>;

struct Operation {
    std::string name;
    std::vector<Access> accesses;
    std::function<void()> run;
    std::function<bool()> ready;  ///< empty: it may run once those before it have; asked with the lock held
    std::size_t stream = 0;
    std::int64_t number = 0;            ///< in its stream, from 1
    Clock clock;                        ///< itself included
    std::optional<std::size_t> awaits;  ///< operation that must have run (a recorded event)
    bool done = false;
};

/// What is left out on purpose, to see whether it is missed.
struct Mutation {
    std::optional<std::int64_t> left_out_wait;  ///< the so manieth call of Stream::wait, on rank 0
};

struct Findings {
    std::set<std::string> races;                  ///< "write of A and read of B are not ordered"
    std::int64_t waits = 0;                       ///< calls of Stream::wait on rank 0
    std::map<std::int64_t, std::string> implied;  ///< waits that the queues and other waits imply, by number
    std::map<std::int64_t, std::string> waited;   ///< all waits: "stream waits for operation"
    std::int64_t operations = 0;
    std::int64_t replays = 0;  ///< launches of graphs
    std::int64_t pinned = 0;   ///< host memory that is pinned now
};

/// The queues of one device, and who runs them.
class Schedule {
  public:
    Schedule(std::uint64_t seed, Mutation mutation);

    [[nodiscard]] std::size_t add_stream(int rank);
    void launch(std::size_t stream, std::string name, std::vector<Access> accesses, std::function<void()> run,
                std::function<bool()> ready = {});
    /// An operation without work, for an event to point at; its index.
    [[nodiscard]] std::size_t mark(std::size_t stream);
    void wait(std::size_t stream, std::size_t operation);
    /// Runs some operations, maybe; true when `operation` has run.
    [[nodiscard]] bool ask(std::size_t operation);
    /// Runs operations until this one has run.
    void finish(std::size_t operation);
    void drain(std::size_t stream);
    /// What the calling thread knows to have finished, and what it learns from somebody who told it.
    [[nodiscard]] Clock knowledge();
    void learn(const Clock& clock);
    /// The message layer has touched memory of a device by itself, at some time between `since` and now.
    void touched_by_message(std::size_t stream, std::string name, const Access& access, const Clock& since);
    void replayed();
    /// Host memory that copies may reach; size 0: no longer.
    void pin(const std::byte* memory, std::int64_t size);
    /// Memory that all ranks reach; it stays as long as the schedule.
    [[nodiscard]] std::byte* share(Bytes size);
    [[nodiscard]] bool is_device_memory(const std::byte* memory);
    /// Memory that is there; size 0: no longer. Its place may come to be another rank's.
    void allocated(const std::byte* memory, std::int64_t size);
    /// Bytes from here to the end of its allocation.
    [[nodiscard]] std::int64_t rest_of(const void* memory);
    [[nodiscard]] Findings findings();
    /// Operations of a rank that have not run and would write there.
    [[nodiscard]] std::int64_t unfinished_writes(int rank, const std::byte* begin, std::int64_t size);

  private:
    std::size_t append(std::size_t stream, Operation operation);
    void keep(Operation operation);
    void compare(const Operation& operation);
    void judge_waits(std::size_t stream);
    [[nodiscard]] const Operation* work_before(std::size_t mark) const;
    void run_some(std::uint64_t most);
    bool run_one();
    void run_or_yield(std::unique_lock<std::mutex>& lock);
    bool somebody_else_is_awaited() const;
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return dice_.below(rolls_++, bound); }
    void seen(const Operation& operation);
    void forget_finished();
    void forget_memory(const std::byte* begin, std::int64_t size);

    std::mutex mutex_;
    RandomStream dice_;
    std::uint64_t rolls_ = 0;
    bool lazy_;  ///< launches alone move nothing: the device is as far behind as the host lets it be
    Mutation mutation_;
    std::vector<std::unique_ptr<Operation>> operations_;
    std::vector<std::vector<std::size_t>> queues_;  ///< operations of each stream that have not run yet
    std::vector<Clock> ends_;                       ///< of each stream: clock of what was launched last
    std::vector<std::int64_t> lengths_;             ///< operations of each stream so far
    std::vector<int> ranks_;                        ///< of each stream
    /// The waits of a stream since its last operation, and what was known in front of them.
    struct Pending {
        Clock before;
        std::vector<std::pair<std::int64_t, std::size_t>> waits;  ///< number, operation
    };
    std::vector<Pending> pending_;
    std::map<std::thread::id, Clock> hosts_;  ///< what each thread has seen finished
    std::vector<std::size_t> open_;           ///< operations that others may still run beside
    std::map<const std::byte*, std::int64_t> allocations_;
    std::map<const std::byte*, std::int64_t> pinned_;
    HostMemory host_;
    std::vector<Region> shared_;
    Findings findings_;
};

class AsyncStream;

/// What was recorded of a stream: each entry does again what the call did.
class AsyncGraph final : public LaunchGraph {
  public:
    using Entry = std::function<void(AsyncStream&)>;
    void add(Entry entry) { entries_.push_back(std::move(entry)); }
    void replay(AsyncStream& stream) const {
        for (const Entry& entry : entries_) entry(stream);
    }

  private:
    std::vector<Entry> entries_;
};

class AsyncEvent final : public Event {
  public:
    explicit AsyncEvent(std::shared_ptr<Schedule> schedule) : schedule_(std::move(schedule)) {}
    [[nodiscard]] bool done() override;
    void synchronize() override;
    /// A microsecond for each operation that was launched in between.
    [[nodiscard]] double seconds_since(Event& earlier) override {
        const auto before = static_cast<std::int64_t>(dynamic_cast<AsyncEvent&>(earlier).at());
        return 1e-6 * static_cast<double>(static_cast<std::int64_t>(at()) - before);
    }
    void point_at(std::size_t operation) { at_ = operation; }
    /// Throws InternalError where it was never recorded: a device would not wait at all.
    [[nodiscard]] std::size_t at() const;

  private:
    std::shared_ptr<Schedule> schedule_;  // the progress thread may ask when the device is gone
    std::optional<std::size_t> at_;
};

class AsyncStream final : public Stream {
  public:
    AsyncStream(Schedule& schedule, int rank) : schedule_(schedule), stream_(schedule.add_stream(rank)) {}
    ~AsyncStream() override { schedule_.drain(stream_); }
    /// Throws InternalError inside a capture.
    void synchronize() override;
    void record(Event& event) override;
    void wait(Event& event) override;
    void copy(std::byte* to, const std::byte* from, Bytes size) override;
    void begin_capture() override;
    [[nodiscard]] std::unique_ptr<LaunchGraph> end_capture() override;
    void launch(LaunchGraph& graph) override;
    [[nodiscard]] std::int64_t rest_of(const void* memory) { return schedule_.rest_of(memory); }
    void launch(std::string name, std::vector<Access> accesses, std::function<void()> run,
                std::function<bool()> ready = {});

  private:
    Schedule& schedule_;
    std::size_t stream_;
    std::unique_ptr<AsyncGraph> recording_;
};

[[nodiscard]] inline AsyncStream& queue_of(Stream& stream) { return dynamic_cast<AsyncStream&>(stream); }

class DeviceMemory final : public MemorySpace {
  public:
    explicit DeviceMemory(std::shared_ptr<Schedule> schedule, MemoryKind kind = MemoryKind::device)
        : schedule_(std::move(schedule)), kind_(kind) {}
    [[nodiscard]] MemoryKind kind() const override { return kind_; }
    [[nodiscard]] std::string_view name() const override { return "asynchronous host"; }
    [[nodiscard]] std::byte* allocate(Bytes size) override {
        std::byte* memory = host_.allocate(size);
        schedule_->allocated(memory, size.value);
        return memory;
    }
    void release(std::byte* memory, Bytes size) noexcept override {
        schedule_->allocated(memory, 0);
        host_.release(memory, size);
    }

  private:
    std::shared_ptr<Schedule> schedule_;
    MemoryKind kind_;
    HostMemory host_;
};

class AsyncDevice final : public Device {
  public:
    explicit AsyncDevice(const std::shared_ptr<Schedule>& schedule, int rank = 0)
        : schedule_(schedule), rank_(rank), memory_(schedule), staging_(schedule, MemoryKind::pinned) {}
    [[nodiscard]] std::string kind() const override { return "async"; }
    [[nodiscard]] std::string describe() const override { return "asynchronous host device"; }
    [[nodiscard]] MemorySpace& memory() override { return memory_; }
    [[nodiscard]] MemorySpace& staging() override { return staging_; }
    [[nodiscard]] bool asynchronous() const override { return true; }
    [[nodiscard]] bool captures() const override { return true; }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override {
        return std::make_unique<AsyncStream>(*schedule_, rank_);
    }
    [[nodiscard]] std::unique_ptr<Event> make_event() override {
        return std::make_unique<AsyncEvent>(schedule_);
    }
    [[nodiscard]] std::unique_ptr<Event> make_timed_event() override { return make_event(); }
    void pin(std::byte* memory, Bytes size) override { schedule_->pin(memory, size.value); }
    void unpin(std::byte* memory) noexcept override { schedule_->pin(memory, 0); }
    [[nodiscard]] bool shares_memory() const override { return shares; }
    /// A handle is the address.
    [[nodiscard]] SharedMemory share(Bytes size) override {
        if (selfish) throw DeviceError("the device cannot share memory");
        std::byte* memory = schedule_->share(size);
        return {memory, size, std::to_string(reinterpret_cast<std::uintptr_t>(memory))};
    }
    [[nodiscard]] std::byte* open_shared(const std::string& handle) override {
        if (blind) throw DeviceError("the device sees no other");
        auto* memory = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(std::stoull(handle)));
        return deceived ? schedule_->share(Bytes(schedule_->rest_of(memory))) : memory;
    }
    [[nodiscard]] std::shared_ptr<CollectiveLibrary> collectives() override { return library; }

    bool shares = false;
    bool blind = false;     ///< it cannot map the memory of others
    bool deceived = false;  ///< it maps other memory than that of its peers
    bool selfish = false;   ///< others cannot map its own, which it does not know before it tries
    std::shared_ptr<CollectiveLibrary> library;

  private:
    std::shared_ptr<Schedule> schedule_;
    int rank_;
    DeviceMemory memory_;
    DeviceMemory staging_;
};

}  // namespace trireme::async
