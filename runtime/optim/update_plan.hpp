// An update of all parameters for a device: the tables that its kernels walk by, as one image of memory, and
// where the norms and rates of a step lie behind it. The cut is BlockTable's, blocks of 4,096 elements of one
// tensor, and so is the order of sums: an update on a GPU gives the bits that Updater gives on CPU cores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/strong.hpp"
#include "runtime/core/virtual_shards.hpp"
#include "runtime/optim/element_math.hpp"
#include "runtime/optim/optimizer.hpp"
#include "runtime/optim/param_groups.hpp"
#include "runtime/optim/step_state.hpp"

namespace trireme {

/// A block of the arenas.
struct UpdateBlock {
    std::int64_t begin = 0;  ///< element of the arenas
    std::int32_t size = 0;
    std::int32_t tensor = 0;
};

/// A parameter: its blocks and settings.
struct UpdateTensor {
    std::int64_t first_block = 0;
    std::int64_t blocks = 0;
    double lr_factor = 1;
    double weight_decay = 0;
    bool adapted = true;
};

/// The numbers of one parameter in one step, as the rule at hand wants them.
struct UpdateRates {
    RangeScalars scalars;
    rules::Sgd sgd;
    rules::Adam adam;
};

enum class UpdateRule : std::int32_t { sgd, sgd_momentum, sgd_nesterov, adamw, lars, lamb };

/// How the parameters of a model are updated. The part of an UpdatePlan that kernels are given.
struct UpdateSettings {
    UpdateRule rule = UpdateRule::sgd;
    rules::Constants constants;
    double clip = 0;   ///< 0: no clipping
    double trust = 0;  ///< lars: its coefficient
    double ema = 0;    ///< 0: no moving average
    LossScaling scaling;
};

class UpdatePlan {
  public:
    /// `tensors`: where each parameter lies in the arenas, in name order; `settings` in the same order.
    /// `watched`: what else of the gradients must be finite, though no rule reads it (statistics, gradients
    /// of frozen parameters).
    UpdatePlan(const OptimizerSpec& spec, const std::vector<IndexRange>& tensors,
               const std::vector<ParamSettings>& settings, const LossScaling& scaling,
               const std::vector<IndexRange>& watched = {});

    [[nodiscard]] const UpdateSettings& settings() const { return settings_; }
    [[nodiscard]] std::int64_t blocks() const { return blocks_; }
    [[nodiscard]] std::int64_t tensors() const { return tensors_; }
    /// Watched ones included, which stand behind the others.
    [[nodiscard]] std::int64_t all_blocks() const { return all_blocks_; }
    [[nodiscard]] std::int64_t all_tensors() const { return all_tensors_; }
    /// Device memory that the update needs; the first image().size() bytes of it hold the image.
    [[nodiscard]] Bytes memory() const { return Bytes(memory_); }
    [[nodiscard]] std::span<const std::byte> image() const { return image_; }

    // Offsets in that memory.
    [[nodiscard]] std::int64_t block_table() const { return 0; }
    [[nodiscard]] std::int64_t tensor_table() const { return tensor_table_; }
    [[nodiscard]] std::int64_t block_sums() const { return block_sums_; }          ///< double [all blocks]
    [[nodiscard]] std::int64_t weight_squares() const { return weight_squares_; }  ///< double [tensors]
    [[nodiscard]] std::int64_t gradient_squares() const {
        return gradient_squares_;
    }                                                            ///< double [all tensors]
    [[nodiscard]] std::int64_t rates() const { return rates_; }  ///< UpdateRates [tensors]

  private:
    UpdateSettings settings_;
    std::int64_t blocks_ = 0;
    std::int64_t tensors_ = 0;
    std::int64_t all_blocks_ = 0;
    std::int64_t all_tensors_ = 0;
    std::int64_t tensor_table_ = 0;
    std::int64_t block_sums_ = 0;
    std::int64_t weight_squares_ = 0;
    std::int64_t gradient_squares_ = 0;
    std::int64_t rates_ = 0;
    std::int64_t memory_ = 0;
    std::vector<std::byte> image_;
};

}  // namespace trireme
