// The step of the executor on a device, over a launch policy (own_kernels.hpp): tables of the update, orders
// and judgement lie in device memory, and nothing waits for the host.
//
// What crosses between host and device in a step is two copies on the executor's stream: the orders, at its
// beginning, and the judgement, behind the last kernel.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "runtime/exec/staged_turns.hpp"
#include "runtime/exec/step_kernels.hpp"
#include "runtime/exec/step_tables.hpp"
#include "runtime/kernels/cuda/nodes/step.hpp"

namespace trireme::cuda {

template <class Launch>
class DeviceStepKernels final : public StepKernels {
  public:
    explicit DeviceStepKernels(const StepParts& parts)
        : parts_(parts),
          plan_(device_update_plan(parts.state->optimizer(), parts.state->update_table(), parts.norms,
                                   parts.scaling)),
          tables_(parts.device->memory(), plan_.memory()),
          norms_(parts.device->memory(), bytes_for<RunningNorm>(parts.norms.size())),
          orders_(parts.device->memory(), bytes_for<StepOrders>(1)),
          state_(parts.device->memory(), bytes_for<StepState>(1)),
          staged_orders_(*parts.device, bytes_for<StepOrders>(1)) {
        send(tables_, plan_.image());
        send(norms_, std::as_bytes(std::span(parts_.norms)));
        restore(initial_state(parts_.scaling));
    }

    void restore(const StepState& state) override { send(state_, std::as_bytes(std::span(&state, 1))); }
    [[nodiscard]] const float* loss_scale() const override {
        return parts_.scaling.scales() ? &state()->loss_scale : nullptr;
    }

    void begin(Stream& stream, const StepOrders& orders) override {
        staged_orders_.send(stream, orders_.data(), std::as_bytes(std::span(&orders, 1)));
    }
    void record_loss(Stream& stream, const LossRecord& r) override {
        Launches::record_loss(stream, {r.losses, r.samples, r.add, orders(), r.status});
    }
    void clear(Stream& stream, float* gradients, std::int64_t elements, float* status) override {
        Launches::clear(stream, gradients, elements);
        Launches::record_loss(stream, {nullptr, 0, false, orders(), status});
    }
    void add(Stream& stream, const InPlaceSum& sum) override { Launches::add_in_place(stream, sum); }

    void commit(Stream& stream, StepState* judged) override {
        const float* status = parts_.gradients + parts_.status_offset;
        Launches::update(stream, plan_, {tables_.data(), orders(), status, state()}, arenas());
        Launches::update_running(stream, static_cast<std::int64_t>(parts_.norms.size()),
                                 {reinterpret_cast<const RunningNorm*>(norms_.data()), state(),
                                  parts_.gradients, parts_.state->device_buffers()});
        stream.copy(reinterpret_cast<std::byte*>(judged), state_.data(), state_.size());
    }

  private:
    using Launches = StepLaunches<Launch>;

    template <class T>
    [[nodiscard]] static Bytes bytes_for(std::size_t count) {
        return Bytes(static_cast<std::int64_t>(count * sizeof(T)));
    }

    /// Waits until it is there.
    void send(const Region& to, std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        const Bytes size(static_cast<std::int64_t>(bytes.size()));
        const Region staged(parts_.device->staging(), size);
        std::memcpy(staged.data(), bytes.data(), bytes.size());
        const std::unique_ptr<Stream> stream = parts_.device->make_stream();
        stream->copy(to.data(), staged.data(), size);
        stream->synchronize();
    }

    [[nodiscard]] const StepOrders* orders() const {
        return reinterpret_cast<const StepOrders*>(orders_.data());
    }
    [[nodiscard]] StepState* state() const { return reinterpret_cast<StepState*>(state_.data()); }

    [[nodiscard]] UpdateArenas arenas() const {
        const ModelState& model = *parts_.state;
        UpdateArenas arenas{.weights = model.device_params(), .gradients = parts_.gradients};
        std::size_t moments = model.state_tensor_names().size();
        if (model.optimizer().ema != 0) arenas.average = model.device_state(--moments);
        if (moments > 0) arenas.first = model.device_state(0);
        if (moments > 1) arenas.second = model.device_state(1);
        return arenas;
    }

    StepParts parts_;
    UpdatePlan plan_;
    Region tables_;
    Region norms_;
    Region orders_;
    Region state_;
    StagedTurns staged_orders_;
};

}  // namespace trireme::cuda
