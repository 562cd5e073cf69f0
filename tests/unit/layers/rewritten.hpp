// What tests of rewrites share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "values.hpp"

namespace trireme::layers {

inline constexpr std::int64_t rewritten_batch = 3;

/// The mean over positions, a layer of three classes, and the loss.
inline TensorId head(ModelGraph& g, TensorId x) {
    x = g.add("pool", GlobalAveragePool{}, {x});
    x = linear_bias(g, "fc", {.out_features = 3}, x);
    return g.add("loss", SoftmaxCrossEntropy{}, {x, g.target()});
}

/// Loss, running statistics and every gradient, in training and evaluation.
inline void expect_alike_when_rewritten(const ModelGraph& before, const ModelGraph& after) {
    for (bool training : {true, false}) {
        reference::Model a(before);
        reference::Model b(after);
        const std::vector<double> x =
            random_values("x", rewritten_batch * before.tensor(before.input()).shape.elements().value);
        const std::vector<double> target = random_classes("target", rewritten_batch, 3);
        for (auto* side : {&a, &b}) {
            randomize(*side, side == &a ? before : after);
            side->forward(rewritten_batch, x, target, {training, {}});
            side->backward();
            if (training) side->update_buffers();
        }
        EXPECT_NEAR(a.loss_sum(), b.loss_sum(), 1e-12);
        for (std::size_t p = 0; p < before.params().size(); ++p) {
            EXPECT_EQ(before.params()[p].name, after.params()[p].name);
            const auto id = static_cast<ParamId>(p);
            EXPECT_THAT(b.param_gradient(id),
                        testing::Pointwise(testing::DoubleNear(1e-12), a.param_gradient(id)))
                << before.params()[p].name;
        }
        for (std::size_t i = 0; i < before.buffers().size(); ++i) {
            const auto id = static_cast<BufferId>(i);
            EXPECT_EQ(before.buffers()[i].name, after.buffers()[i].name);
            EXPECT_THAT(b.buffer(id), testing::Pointwise(testing::DoubleNear(1e-12), a.buffer(id)));
        }
        EXPECT_THAT(b.input_gradient(), testing::Pointwise(testing::DoubleNear(1e-12), a.input_gradient()));
    }
}

}  // namespace trireme::layers
