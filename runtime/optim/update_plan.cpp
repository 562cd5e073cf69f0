#include "runtime/optim/update_plan.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/optim/block_table.hpp"

namespace trireme {
namespace {

UpdateRule rule_of(const OptimizerSpec& spec) {
    if (spec.name == "adamw") return UpdateRule::adamw;
    if (spec.name == "lamb") return UpdateRule::lamb;
    if (spec.name == "lars") return UpdateRule::lars;
    ensure(spec.name == "sgd", "the optimizer has a rule");
    if (spec.momentum == 0) return UpdateRule::sgd;
    return spec.nesterov ? UpdateRule::sgd_nesterov : UpdateRule::sgd_momentum;
}

template <class T>
std::int64_t room_for(std::int64_t count) {
    return aligned(Bytes(count * static_cast<std::int64_t>(sizeof(T)))).value;
}

template <class T>
void put(std::vector<std::byte>& image, std::int64_t at, const std::vector<T>& values) {
    if (!values.empty()) std::memcpy(image.data() + at, values.data(), values.size() * sizeof(T));
}

}  // namespace

UpdatePlan::UpdatePlan(const OptimizerSpec& spec, const std::vector<IndexRange>& tensors,
                       const std::vector<ParamSettings>& settings, const LossScaling& scaling,
                       const std::vector<IndexRange>& watched)
    : settings_{rule_of(spec), constants_of(spec), spec.clip, spec.trust, spec.ema, scaling} {
    ensure(tensors.size() == settings.size(), "each parameter has its settings");
    std::vector<UpdateBlock> block_list;
    std::vector<UpdateTensor> tensor_list;
    const auto blocks_so_far = [&] { return static_cast<std::int64_t>(block_list.size()); };
    const auto add = [&](const IndexRange& range, const ParamSettings& own) {
        const std::int64_t first = blocks_so_far();
        for (std::int64_t begin = range.begin; begin < range.end; begin += norm_block) {
            block_list.push_back({begin, static_cast<std::int32_t>(std::min(norm_block, range.end - begin)),
                                  static_cast<std::int32_t>(tensor_list.size())});
        }
        tensor_list.push_back({first, blocks_so_far() - first, own.lr_factor, own.weight_decay, own.adapted});
    };
    for (std::size_t t = 0; t < tensors.size(); ++t) add(tensors[t], settings[t]);
    blocks_ = blocks_so_far();
    tensors_ = static_cast<std::int64_t>(tensor_list.size());
    for (const IndexRange& range : watched) add(range, {});
    all_blocks_ = blocks_so_far();
    all_tensors_ = static_cast<std::int64_t>(tensor_list.size());
    tensor_table_ = room_for<UpdateBlock>(all_blocks_);
    image_.resize(static_cast<std::size_t>(tensor_table_ + room_for<UpdateTensor>(all_tensors_)));
    put(image_, 0, block_list);
    put(image_, tensor_table_, tensor_list);
    block_sums_ = static_cast<std::int64_t>(image_.size());
    weight_squares_ = block_sums_ + room_for<double>(all_blocks_);
    gradient_squares_ = weight_squares_ + room_for<double>(tensors_);
    rates_ = gradient_squares_ + room_for<double>(all_tensors_);
    memory_ = rates_ + room_for<UpdateRates>(tensors_);
}

}  // namespace trireme
