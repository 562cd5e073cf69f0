// Runs the bodies of CUDA kernels on the CPU: the launch policy of tests (own_kernels.hpp). Nothing on the
// device orders blocks, indices or the threads of a phase, so the stream that they are launched on says in
// which of several orders they run, and results must not depend on it. Shared memory is filled with NaN
// before each block and ends in a guard.
#pragma once

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <typeindex>
#include <vector>

#include "runtime/core/error.hpp"
#include "runtime/core/host_memory.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "runtime/kernels/cuda/bodies/block.hpp"

namespace trireme::hostrun {

/// Names of kernels: a body's type without its namespace; with its rule, where it is made of one, as
/// "Map<TanhOf>".
[[nodiscard]] std::string kernel_name(const std::type_info& body);

/// What has been run, for the last line of the test program and for the table of the documentation. Ranks
/// that are threads launch side by side.
struct Census {
    std::mutex mutex;
    std::set<std::type_index> seen;
    std::set<std::string> kernels;
    std::int64_t launches = 0;
    std::int64_t cases = 0;

    void count(const std::type_info& body) {
        const std::lock_guard lock(mutex);
        ++launches;
        if (seen.insert(std::type_index(body)).second) kernels.insert(kernel_name(body));
    }
};
[[nodiscard]] Census& census();

enum class Order { ascending, descending, scattered };

/// f(i) for 0 <= i < count, in an order.
template <class F>
void for_each_in(Order order, std::int64_t count, const F& f) {
    if (order == Order::scattered) {
        std::int64_t step = 7919 % std::max<std::int64_t>(count, 1);
        while (std::gcd(step, count) > 1) ++step;
        for (std::int64_t i = 0; i < count; ++i) f((count / 3 + i * step) % count);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) f(order == Order::ascending ? i : count - 1 - i);
}

class HostStream final : public CpuStream {
  public:
    explicit HostStream(Order order) : order_(order) {}
    [[nodiscard]] Order order() const { return order_; }
    [[nodiscard]] std::vector<std::byte>& shared_memory() { return shared_; }

  private:
    Order order_;
    std::vector<std::byte> shared_;
};

class HostBlock {
  public:
    HostBlock(HostStream& stream, int threads, std::int64_t shared_bytes)
        : stream_(&stream), threads_(threads), size_(shared_bytes) {
        std::vector<std::byte>& memory = stream.shared_memory();
        memory.assign(static_cast<std::size_t>(size_ + guard_bytes), std::byte{0xff});
        std::fill_n(memory.end() - guard_bytes, guard_bytes, guard);
    }

    [[nodiscard]] int threads() const { return threads_; }
    template <class T>
    [[nodiscard]] T* array(std::int64_t count) {
        std::byte* at = stream_->shared_memory().data() + used_;
        used_ = cuda::SharedBytes::next(used_, count * static_cast<std::int64_t>(sizeof(T)));
        ensure(used_ <= size_, "a block's arrays fit its shared memory");
        return reinterpret_cast<T*>(at);
    }
    template <class F>
    void for_each_thread(const F& f) {
        for_each_in(stream_->order(), threads_, [&](std::int64_t t) { f(static_cast<int>(t)); });
    }
    void expect_guard() const {
        const std::vector<std::byte>& memory = stream_->shared_memory();
        ensure(std::all_of(memory.end() - guard_bytes, memory.end(), [](std::byte b) { return b == guard; }),
               "a block stays inside its shared memory");
    }

  private:
    static constexpr std::int64_t guard_bytes = 64;
    static constexpr std::byte guard{0xA5};

    HostStream* stream_;
    int threads_;
    std::int64_t size_;
    std::int64_t used_ = 0;
};

struct HostLaunch {
    static constexpr std::int64_t most_shared_bytes = 48 * 1024;  ///< what every GPU grants

    template <class Body>
    static void each(Stream& stream, std::int64_t count, const Body& body) {
        census().count(typeid(Body));
        for_each_in(host(stream).order(), count, body);
    }

    template <class Body>
    static void blocks(Stream& stream, std::int64_t count, int threads, const Body& body) {
        ensure(threads >= 32 && threads <= 1024 && (threads & (threads - 1)) == 0,
               "a block has a power of two of threads, from a warp on");
        const std::int64_t shared_bytes = body.shared_bytes(threads);
        ensure(shared_bytes <= most_shared_bytes, "a block's shared memory is what every GPU grants");
        census().count(typeid(Body));
        HostStream& own = host(stream);
        for_each_in(own.order(), count, [&](std::int64_t index) {
            HostBlock block(own, threads, shared_bytes);
            body(block, index);
            block.expect_guard();
        });
    }

  private:
    [[nodiscard]] static HostStream& host(Stream& stream) {
        auto* own = dynamic_cast<HostStream*>(&stream);
        ensure(own != nullptr, "bodies run on a stream of the host-run device");
        return *own;
    }
};

/// The host as a device whose streams run bodies in an order that tests choose.
class HostRunDevice final : public Device {
  public:
    [[nodiscard]] std::string kind() const override { return "hostrun"; }
    [[nodiscard]] std::string describe() const override { return "bodies of CUDA kernels on the CPU"; }
    [[nodiscard]] MemorySpace& memory() override { return memory_; }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override {
        return std::make_unique<HostStream>(order);
    }
    [[nodiscard]] std::unique_ptr<Event> make_event() override { return std::make_unique<CpuEvent>(); }

    Order order = Order::ascending;

  private:
    HostMemory memory_;
};

}  // namespace trireme::hostrun
