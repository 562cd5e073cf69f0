// A whole executor on one rank, for tests of what a training step does.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/exec/executor.hpp"

namespace trireme::test {

/// One rank, stepping on the same samples of at most five classes.
class Stepper {
  public:
    static constexpr std::int64_t batch = 24;

    Stepper(const layers::ModelGraph& graph, const std::string& device, int threads,
            std::int64_t microbatches, const LossScaling& loss_scaling = {})
        : Stepper(graph, make_backend(device, threads), threads, microbatches, loss_scaling) {}
    Stepper(const layers::ModelGraph& graph, Backend backend, int threads, std::int64_t microbatches,
            const LossScaling& loss_scaling = {})
        : graph_(graph),
          backend_(std::move(backend)),
          selection_(graph_, backend_.providers, SelectionOptions{.threads = threads}),
          plan_(selection_, {.data = 1, .batch = batch, .microbatches = microbatches}, 1, std::nullopt),
          state_(graph_, plan_.buckets(), optimizer_, *backend_.device),
          world_(comm::in_process_world(1, comm::CommOptions{})),
          x_(values_of(graph_.input())),
          symbols_(x_.size()),
          y_(values_of(graph_.target())) {
        state_.initialise(3);
        for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i * 7 % 31) / 31.0F - 0.5F;
        for (std::size_t i = 0; i < symbols_.size(); ++i) symbols_[i] = static_cast<std::int32_t>(i * 7 % 31);
        for (std::size_t i = 0; i < y_.size(); ++i) y_[i] = static_cast<std::int32_t>(i % 5);
        ExecutorParts parts;
        parts.plan = &plan_;
        parts.state = &state_;
        parts.device = backend_.device.get();
        parts.step_kernels = backend_.step_kernels;
        parts.comm = world_.front().get();
        parts.guard = &guard_;
        parts.loss_scaling = loss_scaling;
        executor_ = std::make_unique<Executor>(parts);
    }
    ~Stepper() { world_.front()->finish(Deadline::in_seconds(60)); }

    StepReport step() {
        launch();
        executor_->settle();
        return executor_->take_report().value();
    }
    void launch() {
        StepInputs inputs;
        const bool symbols = graph_.tensor(graph_.input()).dtype == DType::i32;
        inputs.batch = {symbols ? std::as_bytes(std::span(symbols_)) : std::as_bytes(std::span(x_)),
                        std::as_bytes(std::span(y_)), batch};
        inputs.step = steps_++;
        inputs.lr = 0.01;
        inputs.deadline = Deadline::in_seconds(60);
        (void)executor_->launch(inputs);
    }
    /// From here on each step has an image with a value that is no number.
    void spoil() { x_[0] = std::numeric_limits<float>::quiet_NaN(); }
    [[nodiscard]] Executor& executor() { return *executor_; }
    [[nodiscard]] const StepGuard& guard() const { return guard_; }

    /// Gradients of the last step, in the order of the buckets.
    [[nodiscard]] std::span<const float> gradients() const { return executor_->gradients(); }
    [[nodiscard]] const ModelState& state() const { return state_; }
    [[nodiscard]] const ParallelPlan& plan() const { return plan_; }

  private:
    [[nodiscard]] std::size_t values_of(layers::TensorId id) const {
        return static_cast<std::size_t>(batch * graph_.tensor(id).shape.elements().value);
    }

    layers::ModelGraph graph_;
    OptimizerSpec optimizer_{.momentum = 0.9};
    Backend backend_;
    Selection selection_;
    ParallelPlan plan_;
    ModelState state_;
    std::vector<std::unique_ptr<comm::Communicator>> world_;
    StepGuard guard_{NanPolicy::stop};
    std::unique_ptr<Executor> executor_;
    std::vector<float> x_;
    std::vector<std::int32_t> symbols_;  ///< what a network over symbols reads instead
    std::vector<std::int32_t> y_;
    std::int64_t steps_ = 0;
};

}  // namespace trireme::test
