// A device runs kernels in order on streams and owns memory. On CPU a stream runs each kernel at once, on the
// calling thread with the device's kernel threads; on CUDA it is an asynchronous queue, and events order
// queues among each other. The host waits for a queue in two ways only: it asks for an event, or waits until
// it has passed, or it synchronizes with the whole queue.
#pragma once

#include <memory>
#include <string>

#include "runtime/core/memory_space.hpp"

namespace trireme {

/// A point in a stream's work. Recording it again moves it.
class Event {
  public:
    virtual ~Event() = default;
    /// True once all work before its last record has finished.
    [[nodiscard]] virtual bool done() = 0;
    /// Returns when it has.
    virtual void synchronize() = 0;
    /// By the device's clock, of two timed events of one device that have been passed. An InternalError of
    /// others.
    [[nodiscard]] virtual double seconds_since(Event& earlier);
};

/// Work of a stream that was recorded once, to be launched again and again. Events and memory that it names
/// must outlive it.
class LaunchGraph {
  public:
    virtual ~LaunchGraph() = default;
};

class Stream {
  public:
    /// Waits for what has been launched, as far as it can: memory that it works on may be released after it.
    virtual ~Stream() = default;
    /// Returns when everything launched so far has finished.
    virtual void synchronize() = 0;
    /// Moves the event to the end of what has been launched so far.
    virtual void record(Event& event) = 0;
    /// What is launched from now on begins after the event's last record. An event that was never recorded is
    /// a mistake of the caller: devices would not wait at all.
    virtual void wait(Event& event) = 0;
    /// Copies between memories of the device and the host, in stream order. Host memory must stay until the
    /// copy has finished, and be of `Device::staging()` where it is to run beside the host.
    virtual void copy(std::byte* to, const std::byte* from, Bytes size) = 0;

    // Where Device::captures says so; elsewhere an InternalError.

    /// Until `end_capture` nothing that is launched here runs: it goes into a graph, with the arguments that
    /// it has now. So do records of events and waits for them: each launch of the graph moves what it
    /// records, and waits for what was recorded last when it was launched. Meanwhile nobody synchronizes with
    /// the stream.
    virtual void begin_capture();
    [[nodiscard]] virtual std::unique_ptr<LaunchGraph> end_capture();
    /// Launches all that was recorded, in order.
    virtual void launch(LaunchGraph& graph);
};

/// What `work` launches on the stream takes, by the device's clock; `begin` and `end` are timed events.
template <class Work>
[[nodiscard]] double seconds_of_launches(Stream& stream, Event& begin, Event& end, const Work& work) {
    stream.record(begin);
    work();
    stream.record(end);
    end.synchronize();
    return end.seconds_since(begin);
}

/// Waits as `synchronize` does, as far as it can: where the device is lost, what runs on it is too, and
/// whoever asks next is told.
void drain_stream(Stream& stream) noexcept;

/// Memory of a device that other ranks of the host can map.
struct SharedMemory {
    std::byte* data = nullptr;
    Bytes size{};
    std::string handle;  ///< what opens it there, as text
};

class CollectiveLibrary;

class Device {
  public:
    virtual ~Device() = default;
    /// "cpu", "cuda", "reference"
    [[nodiscard]] virtual std::string kind() const = 0;
    /// What `inspect`, logs and summaries show: processor, instruction set, threads.
    [[nodiscard]] virtual std::string describe() const = 0;
    /// What tells this piece of hardware from all others, such as a GPU's UUID: ranks that share one are told
    /// so. Empty where sharing is the normal case (cores).
    [[nodiscard]] virtual std::string identity() const { return {}; }
    /// What the plan says that will be allocated in `memory()`, for the message when there is no more of it.
    virtual void expect_memory(Bytes) {}
    [[nodiscard]] virtual MemorySpace& memory() = 0;
    [[nodiscard]] virtual std::unique_ptr<Stream> make_stream() = 0;
    [[nodiscard]] virtual std::unique_ptr<Event> make_event() = 0;
    /// One that knows when it was passed, which costs a little. Where the device is asynchronous; elsewhere
    /// an InternalError.
    [[nodiscard]] virtual std::unique_ptr<Event> make_timed_event();
    /// True where launches return before their work is done, on memory that the host does not read.
    [[nodiscard]] virtual bool asynchronous() const { return false; }
    /// True where work can be captured once and launched as a whole (LaunchGraph).
    [[nodiscard]] virtual bool captures() const { return false; }
    /// Host memory for copies that run beside the host.
    [[nodiscard]] virtual MemorySpace& staging() { return memory(); }
    /// Makes host memory that others own fit for such copies, until `unpin`; see Pinned.
    virtual void pin(std::byte*, Bytes) {}
    virtual void unpin(std::byte*) noexcept {}

    /// True where other processes of this host can be given memory of this device.
    [[nodiscard]] virtual bool shares_memory() const { return false; }
    /// Zeroed memory for other ranks to map. It stays until the device goes, since a rank that fails cannot
    /// know which of its peers still read it. Throws DeviceError.
    [[nodiscard]] virtual SharedMemory share(Bytes size);
    /// Maps what another rank has shared. Throws DeviceError where this device cannot reach it.
    [[nodiscard]] virtual std::byte* open_shared(const std::string& handle);
    virtual void close_shared(std::byte*) noexcept {}
    /// Null where the device's maker has none; it may still refuse.
    [[nodiscard]] virtual std::shared_ptr<CollectiveLibrary> collectives() { return nullptr; }
};

/// Host memory of others that is pinned for a while. Both must outlive it.
class Pinned {
  public:
    Pinned(Device& device, const Region& memory) : device_(device), memory_(memory.data()) {
        device_.pin(memory_, memory.size());
    }
    ~Pinned() { device_.unpin(memory_); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

  private:
    Device& device_;
    std::byte* memory_;
};

}  // namespace trireme
