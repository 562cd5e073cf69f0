#include "runtime/telemetry/roofline.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "layers/graph.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/plan/selection.hpp"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int repetitions = 7;
/// Of the product on cores: weights of 16 MiB and 17 GFLOP, so that no overhead counts.
constexpr std::int64_t width_on_cores = 2048;
/// On a device the product grows from the first to the last, as long as it stays within some time.
constexpr std::int64_t first_width = 512;
constexpr std::int64_t last_width = 4096;
constexpr double longest_product = 0.02;  ///< seconds
constexpr std::int64_t copied_bytes = std::int64_t{160} << 20;

/// Times what is launched on a stream of a device, by the device's own clock where launches return at once.
class Stopwatch {
  public:
    explicit Stopwatch(Device& device) : device_(device), stream_(device.make_stream()) {
        if (!device.asynchronous()) return;
        begin_ = device.make_timed_event();
        end_ = device.make_timed_event();
    }
    [[nodiscard]] Stream& stream() { return *stream_; }

    /// Seconds of the quickest repetition; the first one warms up.
    template <class Work>
    [[nodiscard]] double quickest(Work work) {
        double best = 0;
        for (int i = 0; i <= repetitions; ++i) {
            const double seconds = seconds_of(work);
            if (i > 0) best = i == 1 ? seconds : std::min(best, seconds);
        }
        return best;
    }

  private:
    template <class Work>
    [[nodiscard]] double seconds_of(Work work) {
        if (!device_.asynchronous()) {
            const auto begin = Clock::now();
            work();
            stream_->synchronize();
            return std::chrono::duration<double>(Clock::now() - begin).count();
        }
        constexpr int launches = 4;  // in a row: the device does not wait for the host in between
        const auto all = [&] {
            for (int i = 0; i < launches; ++i) work();
        };
        return seconds_of_launches(*stream_, *begin_, *end_, all) / launches;
    }

    Device& device_;
    std::unique_ptr<Event> begin_;
    std::unique_ptr<Event> end_;
    std::unique_ptr<Stream> stream_;
};

/// Seconds of one product of width x width matrices by the kernels that training uses.
double seconds_of_product(const Backend& backend, Stopwatch& watch, int threads, DType dtype,
                          std::int64_t width) {
    // The second of two layers: what it reads and writes has the precision of activations.
    layers::ModelGraph graph("roofline", {width}, {width}, DType::f32);
    layers::Linear product;
    product.out_features = width;
    const layers::TensorId first = graph.add("first", product, {graph.input()});
    if (dtype != DType::f32) graph.store_as(first, dtype);
    const layers::TensorId second = graph.add("second", product, {first});
    if (dtype != DType::f32) graph.store_as(second, dtype);
    const layers::TensorId last = graph.add("last", product, {second});
    (void)graph.add("loss", layers::MeanSquaredError{}, {last, graph.target()});
    SelectionOptions options;
    options.threads = threads;
    const Selection selection(graph, backend.providers, options);
    NodeKernels& kernels = selection.kernels(1, width, /*training=*/false);
    const KernelNeeds needs = kernels.needs();
    MemorySpace& memory = backend.device->memory();
    const Bytes matrix = bytes_of(Elements(width * width), DType::f32);
    const Region input(memory, matrix);
    const Region output(memory, matrix);
    const Region weights(memory, matrix);
    const Region scratch(memory, std::max(needs.forward_scratch, Bytes(64)));
    const Region copies(memory, std::max(needs.forward_weights, Bytes(64)));
    KernelBuffers buffers;
    buffers.inputs = {input.data()};
    buffers.params = {weights.data()};
    buffers.output = output.data();
    buffers.scratch = scratch.data();
    buffers.forward_weights = copies.data();
    kernels.pack_forward(watch.stream(), buffers);
    return watch.quickest([&] { kernels.forward(watch.stream(), buffers); });
}

double flops_per_second(const Backend& backend, int threads, DType dtype) {
    Stopwatch watch(*backend.device);
    const bool grows = backend.device->asynchronous();
    std::int64_t width = grows ? first_width : width_on_cores;
    const auto seconds_at = [&] { return seconds_of_product(backend, watch, threads, dtype, width); };
    double seconds = seconds_at();
    while (grows && width < last_width && 8 * seconds < longest_product) {
        width *= 2;
        seconds = seconds_at();
    }
    const auto wide = static_cast<double>(width);
    return 2.0 * wide * wide * wide / seconds;
}

double bytes_per_second(const Backend& backend, int threads) {
    const Region from(backend.device->memory(), Bytes(copied_bytes));
    const Region to(backend.device->memory(), Bytes(copied_bytes));
    Stopwatch watch(*backend.device);
    double seconds = 0;
    if (backend.device->asynchronous()) {
        seconds = watch.quickest([&] { watch.stream().copy(to.data(), from.data(), Bytes(copied_bytes)); });
    } else {
        // Pages that were never written are all the same page of zeros, which a cache holds.
        std::memset(from.data(), 1, static_cast<std::size_t>(copied_bytes));
        seconds = watch.quickest([&] {
            cpu::parallel_ranges(threads, copied_bytes, [&](int, std::int64_t begin, std::int64_t end) {
                std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
            });
        });
    }
    return 2.0 * static_cast<double>(copied_bytes) / seconds;
}

}  // namespace

Roofline measure_roofline(const std::string& device_kind, int threads, const Numerics& numerics) {
    cpu::use_kernel_threads(threads);
    const Backend backend = make_backend(device_kind, threads, numerics);
    return {flops_per_second(backend, threads, numerics.storage), bytes_per_second(backend, threads)};
}

}  // namespace trireme
