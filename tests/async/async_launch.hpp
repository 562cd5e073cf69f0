// The launch policy of the asynchronous host device, for the kernels of a step: a launch is an operation in
// the stream's queue that says what its body touches, and the body runs as on the host-run device.
#pragma once

#include <typeinfo>
#include <utility>
#include <vector>

#include "runtime/kernels/cuda/nodes/step.hpp"
#include "tests/async/async_device.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::async {

/// What a body reads and writes. Where it does not say how far, it is to the end of the allocation, which is
/// what its kernel may touch.
class BodyAccesses {
  public:
    explicit BodyAccesses(AsyncStream& queue) : queue_(queue) {}
    [[nodiscard]] std::vector<Access> list() && { return std::move(list_); }

    void touch(const cuda::Map2<cuda::Sum>& body) {
        reads(body.a.memory, body.elements * size_of(body.a.dtype));
        reads(body.b.memory, body.elements * size_of(body.b.dtype));
        writes(body.y.memory, body.elements * size_of(body.y.dtype));
    }
    void touch(const cuda::Fill& body) { writes(body.to.memory, body.elements * size_of(body.to.dtype)); }
    void touch(const cuda::RecordLoss& body) {
        reads(body.losses, body.samples * size_of(DType::f32));
        reads(body.orders, sizeof(StepOrders));
        writes(body.status, status_bytes);
    }
    template <class Terms>
    void touch(const cuda::BlockSums<Terms>& body) {
        reads(body.table);
        touch(body.terms);
        writes(body.sums, body.blocks * std::int64_t{sizeof(double)});
    }
    void touch(const cuda::Squares& terms) { reads(terms.values); }
    void touch(const cuda::LambMoments& terms) {
        reads(terms.state, sizeof(StepState));
        reads(terms.rates);
        reads(terms.weights);
        reads(terms.gradients);
        writes(terms.first);
        writes(terms.second);
    }
    void touch(const cuda::AddBlocks& body) {
        reads(body.tensors);
        reads(body.block_sums);
        writes(body.sums);
    }
    void touch(const cuda::PrepareUpdate& body) {
        reads(body.tensors);
        reads(body.orders, sizeof(StepOrders));
        reads(body.status, status_bytes);
        reads(body.gradient_squares);
        reads(body.weight_squares);
        writes(body.state, sizeof(StepState));
        writes(body.rates);
    }
    void touch(const cuda::LambTrust& body) {
        reads(body.tensors);
        reads(body.state, sizeof(StepState));
        reads(body.direction_squares);
        reads(body.weight_squares);
        writes(body.rates);
    }
    void touch(const cuda::ApplyUpdate& body) {
        reads(body.table);
        reads(body.rates);
        reads(body.state, sizeof(StepState));
        reads(body.arenas.gradients);
        for (const float* arena :
             {body.arenas.weights, body.arenas.first, body.arenas.second, body.arenas.average})
            writes(arena);
    }
    void touch(const cuda::UpdateRunning& body) {
        reads(body.norms);
        reads(body.state, sizeof(StepState));
        reads(body.gradients);
        writes(body.buffers);
    }

  private:
    static constexpr std::int64_t status_bytes =
        static_cast<std::int64_t>(StatusWord::count) * std::int64_t{sizeof(float)};

    void add(const void* memory, std::int64_t bytes, bool writes) {
        if (memory == nullptr || bytes == 0) return;
        list_.push_back(
            {static_cast<const std::byte*>(memory), bytes < 0 ? queue_.rest_of(memory) : bytes, writes});
    }
    void reads(const void* memory, std::int64_t bytes = -1) { add(memory, bytes, false); }
    void writes(const void* memory, std::int64_t bytes = -1) { add(memory, bytes, true); }

    AsyncStream& queue_;
    std::vector<Access> list_;
};

struct AsyncLaunch {
    template <class Body>
    static void each(Stream& stream, std::int64_t count, const Body& body) {
        if (count > 0)
            launch(stream, body, [=](Stream& at_once) { hostrun::HostLaunch::each(at_once, count, body); });
    }
    template <class Body>
    static void blocks(Stream& stream, std::int64_t count, int threads, const Body& body) {
        if (count == 0) return;
        launch(stream, body,
               [=](Stream& at_once) { hostrun::HostLaunch::blocks(at_once, count, threads, body); });
    }

  private:
    template <class Body, class Run>
    static void launch(Stream& stream, const Body& body, const Run& run) {
        BodyAccesses accesses(queue_of(stream));
        accesses.touch(body);
        queue_of(stream).launch(hostrun::kernel_name(typeid(Body)), std::move(accesses).list(), [=] {
            hostrun::HostStream at_once(hostrun::Order::scattered);
            run(at_once);
        });
    }
};

}  // namespace trireme::async
