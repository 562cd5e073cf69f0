#include "runtime/planned_backends.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/device/cuda_choice.hpp"
#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/rules/cublaslt_rules.hpp"
#include "runtime/kernels/rules/cuda_rules.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"
#include "runtime/kernels/rules/cudnn_rules.hpp"
#include "runtime/kernels/rules/planned_provider.hpp"

namespace trireme {
namespace {

/// Knows how it would be used, and has no memory.
class PlannedDevice final : public Device {
  public:
    explicit PlannedDevice(const DeviceModel& model) : model_(model) {}

    [[nodiscard]] std::string kind() const override { return model_.kind; }
    [[nodiscard]] std::string describe() const override {
        return fmt::format("sm_{} with cuDNN {}, planned without the device", model_.sm,
                           cuda::cudnn_version_text(model_.cudnn));
    }
    [[nodiscard]] bool asynchronous() const override { return true; }
    [[nodiscard]] MemorySpace& memory() override { refuse(); }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override { refuse(); }
    [[nodiscard]] std::unique_ptr<Event> make_event() override { refuse(); }

  private:
    [[noreturn]] static void refuse() { throw InternalError("a planned device was asked to work"); }

    DeviceModel model_;
};

}  // namespace

Backend planned_cuda_backend(int sm, const Numerics& numerics) {
    if (const std::string refusal = cuda::refusal_of_gpu("of the plan", sm); !refusal.empty())
        throw ConfigError("command line: --sm: " + refusal);
    const DeviceModel model = cuda_model(sm, numerics);
    Backend backend;
    backend.device = std::make_unique<PlannedDevice>(model);
    backend.fuses_feed_forward = true;
    backend.joins_norms = cudnn::joins_norms;
    const auto ask = [&](auto rules) {
        backend.providers.push_back(std::make_unique<PlannedProvider>(std::move(rules), model));
    };
    ask(std::make_unique<CudnnRules>());
    ask(std::make_unique<CublasltRules>());
    ask(std::make_unique<CudaRules>());
    return backend;
}

}  // namespace trireme
