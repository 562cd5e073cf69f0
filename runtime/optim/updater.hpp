// One update of all parameters: clipping, the norms that lars and lamb want, the rule of every element, the
// moving average. Knows tensors as ranges of arenas that all have one layout. Bits depend on the numbers
// alone, not on threads.
//
// Clipping (Pascanu, Mikolov, Bengio 2013): where the norm of the mean gradient, over all parameters, is
// above `clip`, gradients are multiplied by clip / (norm + 1e-6), as PyTorch's clip_grad_norm_ does. Norms of
// lars are those of the clipped gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/optim/block_table.hpp"
#include "runtime/optim/optimizer.hpp"
#include "runtime/optim/param_groups.hpp"

namespace trireme {

/// What an update saw.
struct UpdateReport {
    double gradient_norm = 0;  ///< of the mean gradient, before clipping; 0 where nothing asked for it
    bool clipped = false;
};

class Updater {
  public:
    /// `tensors`: where each parameter lies in the arenas, in name order; `settings` in the same order.
    Updater(OptimizerSpec spec, std::vector<IndexRange> tensors, std::vector<ParamSettings> settings);

    /// Updates `weights` and `state` (an arena for each of state_names) from the sums in `gradients`.
    /// Allocates nothing.
    UpdateReport apply(const UpdateScalars& scalars, std::span<float> weights,
                       std::span<const float> gradients, std::span<const std::span<float>> state,
                       int threads);

  private:
    struct Arenas;
    void set_scalars(const UpdateScalars& scalars);
    [[nodiscard]] double clipped_scale(double scale, UpdateReport& report) const;
    void trust_of_lars(const Arenas& arenas, int threads);
    void trust_of_lamb(const Arenas& arenas, int threads);

    OptimizerSpec spec_;
    BlockTable table_;
    std::vector<ParamSettings> settings_;
    std::vector<RangeScalars> scalars_;     ///< [tensors], of the step at hand
    std::vector<double> block_sums_;        ///< [blocks]
    std::vector<double> weight_squares_;    ///< [tensors]
    std::vector<double> gradient_squares_;  ///< [tensors], of sums; lamb: of r
};

}  // namespace trireme
