#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {

Shape infer(const Flatten&, const Shapes& inputs) { return {inputs.front().elements().value}; }

Cost cost(const Flatten&, const Shape&, const Shape&) { return {}; }

BackwardNeeds needs(const Flatten&) { return {}; }

}  // namespace trireme::layers::rules
