// The update of all parameters, and what a step does beside the kernels of its nodes. One launch a pass walks
// over all tensors by blocks of 4,096 elements (UpdatePlan); arithmetic and order of sums are those of the
// CPU (element_math.hpp, block_table.hpp), so the same gradients give the same bits.
//
//   BlockSums       squares of each block of the gradients (lars, lamb: and of the weights)
//   AddBlocks       blocks of a tensor, in their order
//   PrepareUpdate   judges the step; clipping, rates, and T of lars
//   LambMoments     lamb: moments, and the squares of r; AddBlocks; LambTrust
//   ApplyUpdate     the rule, and the moving average
//
// A gradient that is not finite makes its sum of squares so, and with it the step is judged; what else of the
// gradients must be finite is summed with them, and stays out of the norm. Everything that
// changes parameters or state reads that judgement from device memory and does nothing where a step is not
// admitted.
#pragma once

#include "runtime/kernels/cuda/bodies/block.hpp"
#include "runtime/optim/running_statistics.hpp"
#include "runtime/optim/update_plan.hpp"

namespace trireme::cuda {

/// What a pass over blocks adds up: Terms::term(block, element of the arenas) in fp64, in the order of
/// rules::LaneSums. A block of 256 threads takes 16 blocks of the table, 16 lanes each. Index: which of
/// those.
template <class Terms>
struct BlockSums {
    static constexpr int threads = 256;
    static constexpr int at_once = threads / rules::lanes;

    const UpdateBlock* table;
    std::int64_t blocks;
    Terms terms;
    double* sums;  ///< [blocks]

    [[nodiscard]] static std::int64_t groups(std::int64_t blocks) { return (blocks + at_once - 1) / at_once; }
    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        if (!terms.wanted()) return;
        auto* lanes = block.template array<double>(block.threads());
        const auto own = [&](int t) { return index * at_once + t / rules::lanes; };
        block.for_each_thread([&](int t) {
            double sum = 0;
            if (own(t) < blocks) {
                const UpdateBlock place = table[own(t)];
                for (std::int64_t i = t % rules::lanes; i < place.size; i += rules::lanes)
                    sum += terms.term(place, place.begin + i);
            }
            lanes[t] = sum;
        });
        for (int half = rules::lanes / 2; half > 0; half /= 2) {
            block.for_each_thread([&](int t) {
                if (t % rules::lanes < half) lanes[t] += lanes[t + half];
            });
        }
        block.for_each_thread([&](int t) {
            if (t % rules::lanes == 0 && own(t) < blocks) sums[own(t)] = lanes[t];
        });
    }
};

struct Squares {
    const float* values;
    [[nodiscard]] TRIREME_HD bool wanted() const { return true; }
    [[nodiscard]] TRIREME_HD double term(const UpdateBlock&, std::int64_t i) const {
        return rules::square_of(values[i]);
    }
};

/// lamb's first pass: brings the moments up to date on its way.
struct LambMoments {
    const StepState* state;
    const UpdateRates* rates;
    const float* weights;
    const float* gradients;
    float* first;
    float* second;

    [[nodiscard]] TRIREME_HD bool wanted() const { return state->admitted != 0; }
    [[nodiscard]] TRIREME_HD double term(const UpdateBlock& place, std::int64_t i) const {
        const rules::Adam& adam = rates[place.tensor].adam;
        rules::moments_element(adam, gradients[i], first[i], second[i]);
        return rules::square_of(rules::lamb_direction(adam, weights[i], first[i], second[i]));
    }
};

/// Index: a tensor. A tile of its blocks' sums is loaded by all threads and added by one, in order.
struct AddBlocks {
    static constexpr int threads = 256;

    const UpdateTensor* tensors;
    const double* block_sums;
    double* sums;  ///< [tensors]

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(threads + 1).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        auto* tile = block.template array<double>(block.threads() + 1);
        double& total = tile[block.threads()];
        const UpdateTensor tensor = tensors[index];
        block.for_each_thread([&](int t) {
            if (t == 0) total = 0;
        });
        for (std::int64_t first = 0; first < tensor.blocks; first += block.threads()) {
            block.for_each_thread([&](int t) {
                if (first + t < tensor.blocks) tile[t] = block_sums[tensor.first_block + first + t];
            });
            block.for_each_thread([&](int t) {
                if (t > 0) return;
                double sum = total;
                for (int i = 0; i < block.threads() && first + i < tensor.blocks; ++i) sum += tile[i];
                total = sum;
            });
        }
        block.for_each_thread([&](int t) {
            if (t == 0) sums[index] = total;
        });
    }
};

/// One block for all: judges the step, then sets the numbers of each tensor.
struct PrepareUpdate {
    static constexpr int threads = 256;

    UpdateSettings settings;
    std::int64_t count;    ///< of tensors
    std::int64_t watched;  ///< of those behind them that must be finite and are not updated
    const UpdateTensor* tensors;
    const StepOrders* orders;
    const float* status;
    const double* gradient_squares;
    const double* weight_squares;  ///< read by lars
    StepState* state;
    UpdateRates* rates;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return 0; }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t) const {
        block.for_each_thread([&](int t) {
            if (t == 0) judge();
        });
        block.for_each_thread([&](int t) {
            if (state->admitted == 0) return;
            for (std::int64_t i = t; i < count; i += block.threads()) rates[i] = rates_of(i);
        });
    }

    TRIREME_HD void judge() const {
        double squares = 0;
        for (std::int64_t i = 0; i < count; ++i) squares += gradient_squares[i];
        double all = squares;
        for (std::int64_t i = count; i < count + watched; ++i) all += gradient_squares[i];
        judge_step(*state, settings.scaling, status, all);
        state->clipped = 0;
        state->gradient_norm = 0;
        if (settings.clip <= 0 || state->admitted == 0) return;
        const rules::Clipping c = rules::clipping(state->gradient_scale, settings.clip, squares);
        state->gradient_norm = c.norm;
        state->clipped = c.clipped ? 1 : 0;
        state->gradient_scale = c.scale;
    }
    [[nodiscard]] TRIREME_HD UpdateRates rates_of(std::int64_t i) const {
        UpdateRates r;
        r.scalars = {.lr = orders->lr * tensors[i].lr_factor,
                     .weight_decay = tensors[i].weight_decay,
                     .gradient_scale = state->gradient_scale,
                     .trust = 1,
                     .update = state->update};
        if (settings.rule == UpdateRule::lars && tensors[i].adapted) {
            r.scalars.trust =
                rules::lars_trust(settings.trust, weight_squares[i], gradient_squares[i], r.scalars);
        }
        r.sgd = rules::sgd_scalars(settings.constants, r.scalars);
        if (settings.rule == UpdateRule::adamw || settings.rule == UpdateRule::lamb) {
            r.adam = rules::adam_scalars(settings.constants, r.scalars, settings.rule == UpdateRule::lamb);
        }
        return r;
    }
};

/// Index: a tensor.
struct LambTrust {
    UpdateSettings settings;
    const UpdateTensor* tensors;
    const StepState* state;
    const double* direction_squares;
    const double* weight_squares;
    UpdateRates* rates;

    TRIREME_HD void operator()(std::int64_t i) const {
        if (state->admitted == 0 || !tensors[i].adapted) return;
        rates[i].scalars.trust = rules::lamb_trust(weight_squares[i], direction_squares[i]);
        rates[i].adam = rules::adam_scalars(settings.constants, rates[i].scalars, true);
    }
};

/// Parameters and their state, arenas of one layout.
struct UpdateArenas {
    float* weights = nullptr;
    const float* gradients = nullptr;
    float* first = nullptr;    ///< momentum, or first moment
    float* second = nullptr;   ///< second moment
    float* average = nullptr;  ///< null: none
};

/// Index: a block of the table. Blocks begin at multiples of 16 elements, so packs are moved as words.
struct ApplyUpdate {
    static constexpr int threads = 256;

    UpdateSettings settings;
    const UpdateBlock* table;
    const UpdateRates* rates;
    const StepState* state;
    UpdateArenas arenas;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return 0; }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        if (state->admitted == 0) return;
        const UpdateBlock place = table[index];
        const UpdateRates& own = rates[place.tensor];
        const float decay = rules::average_decay(settings.ema, state->update);
        block.for_each_thread([&](int t) {
            for_each_pack(t, block.threads(), place.begin, place.begin + place.size,
                          [&](std::int64_t at, int n) {
                              const Pack w = update(own, at, n);
                              if (arenas.average == nullptr) return;
                              Pack mean = load(arenas.average, at, n);
                              for (int k = 0; k < pack_size; ++k)
                                  rules::average_element(decay, mean[k], w[k]);
                              store(arenas.average, at, n, mean);
                          });
        });
    }

  private:
    [[nodiscard]] TRIREME_HD static Pack load(const float* arena, std::int64_t at, int n) {
        return Source{reinterpret_cast<const std::byte*>(arena), DType::f32}.read(at, n);
    }
    TRIREME_HD static void store(float* arena, std::int64_t at, int n, const Pack& pack) {
        Sink{reinterpret_cast<std::byte*>(arena), DType::f32}.write(at, n, pack);
    }

    /// The new weights.
    [[nodiscard]] TRIREME_HD Pack update(const UpdateRates& own, std::int64_t at, int n) const {
        Pack w = load(arenas.weights, at, n);
        Pack m{};
        Pack v{};
        if (arenas.first != nullptr) m = load(arenas.first, at, n);
        if (arenas.second != nullptr) v = load(arenas.second, at, n);
        const Pack g = load(arenas.gradients, at, n);
        for (int k = 0; k < pack_size; ++k) element(own, w[k], g[k], m[k], v[k]);
        store(arenas.weights, at, n, w);
        // lamb's moments are up to date already.
        if (arenas.first != nullptr && settings.rule != UpdateRule::lamb) store(arenas.first, at, n, m);
        if (arenas.second != nullptr && settings.rule != UpdateRule::lamb) store(arenas.second, at, n, v);
        return w;
    }
    TRIREME_HD void element(const UpdateRates& own, float& w, float g, float& m, float& v) const {
        switch (settings.rule) {
            case UpdateRule::sgd:
                return rules::sgd_element(own.sgd, w, g);
            case UpdateRule::sgd_momentum:
                return rules::sgd_momentum_element(own.sgd, w, g, m);
            case UpdateRule::sgd_nesterov:
                return rules::sgd_nesterov_element(own.sgd, w, g, m);
            case UpdateRule::adamw:
                return rules::adamw_element(own.adam, w, g, m, v);
            case UpdateRule::lars:
                return rules::lars_element(own.sgd, w, g, m);
            case UpdateRule::lamb:
                return rules::lamb_element(own.adam, w, m, v);
        }
    }
};

/// Index: a batch norm. After the step has been judged.
struct UpdateRunning {
    static constexpr int threads = 256;

    const RunningNorm* norms;
    const StepState* state;
    const float* gradients;
    float* buffers;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return 0; }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        if (state->admitted == 0) return;
        const RunningNorm norm = norms[index];
        const double values = state->samples * static_cast<double>(norm.positions);
        block.for_each_thread([&](int t) {
            for (std::int64_t c = t; c < norm.channels; c += block.threads()) {
                update_running_channel(gradients + norm.statistics + c, norm.channels, values, norm.momentum,
                                       buffers[norm.mean + c], buffers[norm.variance + c]);
            }
        });
    }
};

/// One block: the losses of a launch's samples become status words, or are added to those of earlier
/// micro-batches. What this rank wishes of all goes with them. Without losses (none of this rank's samples
/// are in the step) the words are zeros and the wishes.
struct RecordLoss {
    static constexpr int threads = 256;

    const float* losses;
    std::int64_t samples;
    bool on_top;
    const StepOrders* orders;
    float* status;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t) const {
        auto* sums = block.template array<double>(block.threads());
        block.for_each_thread([&](int t) {
            double sum = 0;
            for (std::int64_t i = t; i < samples; i += block.threads()) sum += static_cast<double>(losses[i]);
            sums[t] = sum;
        });
        combine_by_halves(block, 1, [&](int t, int other) { sums[t] += sums[other]; });
        block.for_each_thread([&](int t) {
            if (t > 0) return;
            put(StatusWord::loss_sum, static_cast<float>(sums[0]));
            put(StatusWord::samples, static_cast<float>(samples));
            put(StatusWord::nonfinite, is_finite(sums[0]) ? 0.0F : 1.0F);
            put(StatusWord::stop, orders->stop_wish);
            put(StatusWord::save, orders->save_wish);
        });
    }
    TRIREME_HD void put(StatusWord word, float value) const {
        float& to = status[static_cast<int>(word)];
        to = on_top ? to + value : value;
    }
};

}  // namespace trireme::cuda
