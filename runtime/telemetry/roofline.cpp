#include "runtime/telemetry/roofline.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "layers/graph.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/plan/selection.hpp"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int repetitions = 7;
constexpr std::int64_t width =
    2048;  // of the product: weights of 16 MiB and 17 GFLOP, so that no overhead counts
constexpr std::int64_t copied_bytes = std::int64_t{160} << 20;

/// Seconds of the quickest repetition; the first one warms up.
template <class Work>
double quickest(Work work) {
    double best = 0;
    for (int i = 0; i <= repetitions; ++i) {
        const auto begin = Clock::now();
        work();
        const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
        if (i > 0) best = i == 1 ? seconds : std::min(best, seconds);
    }
    return best;
}

double flops_per_second(const std::string& device_kind, int threads, DType dtype) {
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
    const Backend backend = make_backend(device_kind, threads);
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
    const auto stream = backend.device->make_stream();
    kernels.pack_forward(*stream, buffers);
    const double seconds = quickest([&] {
        kernels.forward(*stream, buffers);
        stream->synchronize();
    });
    return 2.0 * static_cast<double>(width) * static_cast<double>(width) * static_cast<double>(width) /
           seconds;
}

double bytes_per_second(const std::string& device_kind, int threads) {
    const Backend backend = make_backend(device_kind, threads);
    const Region from(backend.device->memory(), Bytes(copied_bytes));
    const Region to(backend.device->memory(), Bytes(copied_bytes));
    // Pages that were never written are all the same page of zeros, which a cache holds.
    std::memset(from.data(), 1, static_cast<std::size_t>(copied_bytes));
    const double seconds = quickest([&] {
        cpu::parallel_ranges(threads, copied_bytes, [&](int, std::int64_t begin, std::int64_t end) {
            std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
        });
    });
    return 2.0 * static_cast<double>(copied_bytes) / seconds;
}

}  // namespace

Roofline measure_roofline(const std::string& device_kind, int threads, DType dtype) {
    cpu::use_kernel_threads(threads);
    return {flops_per_second(device_kind, threads, dtype), bytes_per_second(device_kind, threads)};
}

}  // namespace trireme
