#include "runtime/kernels/cudnn/plan_tuner.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/device/capture.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/kernels/cudnn/handle.hpp"
#include "runtime/kernels/cudnn/planned_graph.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme::cudnn {
namespace {

/// Device memory for one graph's tensors and workspace; null where there is not so much.
class TrialMemory {
  public:
    explicit TrialMemory(const GraphSpec& spec) {
        std::int64_t total = 0;
        std::vector<std::int64_t> offsets;
        for (const GraphTensor& tensor : tensors_of(spec)) {
            offsets.push_back(total);
            total += round_up(tensor.bytes(), workspace_alignment);
        }
        const auto bytes = static_cast<std::size_t>(total + spec.workspace);
        if (cudaMalloc(&memory_, bytes) != cudaSuccess) {
            static_cast<void>(cudaGetLastError());
            memory_ = nullptr;
            return;
        }
        // Every type reads a small positive number in it.
        constexpr int byte_of_small_numbers = 0x3c;
        cuda::check(cudaMemset(memory_, byte_of_small_numbers, bytes), "filling memory for a measurement");
        auto* at = static_cast<std::byte*>(memory_);
        for (const std::int64_t offset : offsets) operands.push_back(at + offset);
        workspace = at + total;
    }
    TrialMemory(const TrialMemory&) = delete;
    TrialMemory& operator=(const TrialMemory&) = delete;
    ~TrialMemory() { static_cast<void>(cudaFree(memory_)); }

    [[nodiscard]] explicit operator bool() const { return memory_ != nullptr; }

    Operands operands;
    std::byte* workspace = nullptr;

  private:
    void* memory_ = nullptr;
};

constexpr int launches_together = 10;  ///< that are timed as one

class Tuner {
  public:
    Tuner(int sm, const TuningEffort& effort) : sm_(sm), effort_(effort) {}

    /// Empty where no plan ran.
    [[nodiscard]] std::optional<PlanChoice> measure(const GraphSpec& spec) {
        std::string refusal;
        const auto graph = PlannedGraph::make(spec, Target::gpu(handle_.get(), sm_), refusal);
        const TrialMemory memory(spec);
        if (graph == nullptr || !memory) return std::nullopt;
        std::vector<PlanTimes> all;
        for (const std::string& name : graph->candidates()) {
            if (all.size() == effort_.plans) break;
            std::string why;
            if (!graph->take(name, why)) continue;
            try {
                all.push_back({name, times(*graph, memory)});
            } catch (const DeviceError& e) {
                log::warn("{}: plan {} is left out: {}", spec.str(), name, e.what());
                stream_.synchronize();  // a plan that broke the GPU's context ends the job here, with its
                                        // name told
            }
        }
        return fastest(all);
    }

  private:
    [[nodiscard]] std::vector<double> times(PlannedGraph& graph, const TrialMemory& memory) {
        const auto launch = [&] { graph.run(handle_.on(stream_), memory.operands, memory.workspace); };
        launch();  // loads its code
        // As a step replays it: what the host does between launches takes longer than a short kernel.
        Capture capture(stream_);
        for (int i = 0; i < launches_together; ++i) launch();
        const std::unique_ptr<LaunchGraph> launches = capture.end();
        const auto replay = [&] { stream_.launch(*launches); };
        replay();
        std::vector<double> taken;
        for (std::size_t run = 0; run < effort_.runs; ++run)
            taken.push_back(1e6 * seconds_of_launches(stream_, begin_, end_, replay) / launches_together);
        return taken;
    }

    Handle handle_;
    CudaStream stream_;
    CudaEvent begin_{/*timed=*/true};
    CudaEvent end_{/*timed=*/true};
    int sm_;
    TuningEffort effort_;
};

std::filesystem::path cache_file() {
    return plan_cache_path([](const char* name) -> const char* { return std::getenv(name); });
}

}  // namespace

PlanEnvironment plan_environment() {
    int device = 0;
    cudaDeviceProp properties{};
    cuda::check(cudaGetDevice(&device), "asking for the current GPU");
    cuda::check(cudaGetDeviceProperties(&properties, device), "asking a GPU for its properties");
    return {properties.name, 10 * properties.major + properties.minor,
            static_cast<std::int64_t>(cudnnGetVersion()), static_cast<std::int64_t>(cublasLtGetVersion())};
}

std::shared_ptr<PlanCache> measured_plans() {
    auto cache = std::make_shared<PlanCache>(plan_environment());
    if (const auto path = cache_file(); !path.empty()) {
        if (const std::string damage = cache->read(path); !damage.empty()) log::warn("{}", damage);
    }
    return cache;
}

TuningResult tune(std::span<const GraphSpec> graphs, int sm, PlanCache& cache, const TuningEffort& effort) {
    TuningResult result;
    Tuner tuner(sm, effort);
    for (const GraphSpec& spec : graphs) {
        const std::string key = spec.str();
        if (cache.find(key)) {
            ++result.known;
            continue;
        }
        if (auto choice = tuner.measure(spec)) {
            cache.put(key, std::move(*choice));
            ++result.measured;
        } else {
            ++result.skipped;
        }
    }
    return result;
}

void tune_and_keep(std::span<const GraphSpec> graphs, int sm, PlanCache& cache) {
    const auto unknown = std::count_if(graphs.begin(), graphs.end(),
                                       [&](const GraphSpec& spec) { return !cache.find(spec.str()); });
    if (unknown == 0) return;
    log::info("measuring plans of {} graphs of cuDNN; what is found is kept for the next job", unknown);
    const auto begin = std::chrono::steady_clock::now();
    const TuningResult result = tune(graphs, sm, cache);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    log::info("measured {} graphs in {:.1f} s; {} run cuDNN's own choice", result.measured, seconds.count(),
              result.skipped);
    const std::filesystem::path file = cache_file();
    if (file.empty() || result.measured == 0) return;
    try {
        cache.write(file);
    } catch (const std::exception& e) {
        log::warn("measured plans are not kept for the next job: {}", e.what());
    }
}

}  // namespace trireme::cudnn
