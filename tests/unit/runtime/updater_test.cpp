// Whole updates against plain fp64 formulas: clipping, lars, lamb, groups, the moving average; and the same
// bits for any number of threads and any place in the arena.
#include "runtime/optim/updater.hpp"

#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Values = std::vector<double>;

/// A model of a few tensors, each with its own length, updated by an Updater on floats.
struct Model {
    std::vector<IndexRange> places;
    std::vector<ParamSettings> settings;
    std::vector<float> weights;
    std::vector<float> gradients;
    std::vector<std::vector<float>> state;

    Model(const OptimizerSpec& spec, const std::vector<std::int64_t>& sizes, std::int64_t gap = 0) {
        std::int64_t at = gap;
        for (std::int64_t size : sizes) {
            places.push_back({at, at + size});
            at += size + gap;
            settings.push_back({1, spec.weight_decay, true});
        }
        weights.resize(static_cast<std::size_t>(at));
        gradients.resize(weights.size());
        state.assign(state_names(spec).size(), weights);
        std::mt19937 random(7);
        for (const IndexRange& place : places) {
            for (std::int64_t i = place.begin; i < place.end; ++i)
                weights[static_cast<std::size_t>(i)] = std::normal_distribution<float>(0, 0.2F)(random);
        }
    }
    void draw_gradients(unsigned seed, float scale = 1) {
        std::mt19937 random(seed);
        for (const IndexRange& place : places) {
            for (std::int64_t i = place.begin; i < place.end; ++i)
                gradients[static_cast<std::size_t>(i)] = std::normal_distribution<float>(0, scale)(random);
        }
    }
    UpdateReport step(Updater& updater, const UpdateScalars& scalars, int threads = 1) {
        const std::vector<std::span<float>> spans(state.begin(), state.end());
        return updater.apply(scalars, weights, gradients, spans, threads);
    }
    Updater updater(const OptimizerSpec& spec) const { return {spec, places, settings}; }
    Values tensor(const std::vector<float>& arena, std::size_t t) const {
        return {arena.begin() + places[t].begin, arena.begin() + places[t].end};
    }
};

double norm(const Values& values) {
    return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

void expect_near(const Values& truth, const Values& ours, double tolerance, const char* what) {
    ASSERT_EQ(truth.size(), ours.size());
    for (std::size_t i = 0; i < truth.size(); ++i)
        ASSERT_NEAR(truth[i], ours[i], tolerance) << what << " element " << i;
}

/// Algorithm 1 of the lars paper, one tensor, in double.
void lars_truth(const OptimizerSpec& spec, const ParamSettings& own, double lr, Values& w, const Values& g,
                Values& v) {
    double local = 1;
    if (own.adapted && norm(w) > 0 && norm(g) > 0)
        local = spec.trust * norm(w) / (norm(g) + own.weight_decay * norm(w));
    for (std::size_t i = 0; i < w.size(); ++i) {
        v[i] = spec.momentum * v[i] + lr * local * (g[i] + own.weight_decay * w[i]);
        w[i] -= v[i];
    }
}

/// Algorithm 2 of the lamb paper, one tensor, in double.
void lamb_truth(const OptimizerSpec& spec, const ParamSettings& own, double lr, int t, Values& w,
                const Values& g, Values& m, Values& v) {
    Values r(w.size());
    for (std::size_t i = 0; i < w.size(); ++i) {
        m[i] = spec.beta1 * m[i] + (1 - spec.beta1) * g[i];
        v[i] = spec.beta2 * v[i] + (1 - spec.beta2) * g[i] * g[i];
        const double m_hat = m[i] / (1 - std::pow(spec.beta1, t));
        const double v_hat = v[i] / (1 - std::pow(spec.beta2, t));
        r[i] = m_hat / (std::sqrt(v_hat) + spec.eps) + own.weight_decay * w[i];
    }
    const double ratio = own.adapted && norm(w) > 0 && norm(r) > 0 ? norm(w) / norm(r) : 1;
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= lr * ratio * r[i];
}

Values scaled(Values values, double factor) {
    for (double& value : values) value *= factor;
    return values;
}

const std::vector<std::int64_t> sizes{3, 4096, 4097, 20000, 1};

TEST(Updater, LarsIsThePapers) {
    const OptimizerSpec spec{.name = "lars", .momentum = 0.9, .weight_decay = 0.02, .trust = 0.1};
    Model model(spec, sizes);
    model.settings[0] = {1, 0, false};   // as a bias has it
    model.settings[1].lr_factor = 0.25;  // as a group has it
    Updater updater = model.updater(spec);
    std::vector<Values> w;
    std::vector<Values> v;
    for (std::size_t t = 0; t < sizes.size(); ++t) {
        w.push_back(model.tensor(model.weights, t));
        v.emplace_back(w.back().size());
    }
    for (int step = 1; step <= 5; ++step) {
        model.draw_gradients(static_cast<unsigned>(step), 8);
        const double lr = 0.5 / step;
        model.step(updater, {lr, 0.125, step});
        for (std::size_t t = 0; t < sizes.size(); ++t) {
            lars_truth(spec, model.settings[t], lr * model.settings[t].lr_factor, w[t],
                       scaled(model.tensor(model.gradients, t), 0.125), v[t]);
            expect_near(w[t], model.tensor(model.weights, t), 3e-6, "weight");
            expect_near(v[t], model.tensor(model.state[0], t), 3e-6, "velocity");
        }
    }
}

TEST(Updater, LambIsThePapers) {
    const OptimizerSpec spec{.name = "lamb", .weight_decay = 0.05, .eps = 1e-6};
    Model model(spec, sizes);
    model.settings[4] = {1, 0, false};
    Updater updater = model.updater(spec);
    std::vector<Values> w;
    std::vector<Values> m;
    std::vector<Values> v;
    for (std::size_t t = 0; t < sizes.size(); ++t) {
        w.push_back(model.tensor(model.weights, t));
        m.emplace_back(w.back().size());
        v.emplace_back(w.back().size());
    }
    for (int step = 1; step <= 5; ++step) {
        model.draw_gradients(static_cast<unsigned>(step), 8);
        model.step(updater, {0.02, 0.125, step});
        for (std::size_t t = 0; t < sizes.size(); ++t) {
            lamb_truth(spec, model.settings[t], 0.02, step, w[t],
                       scaled(model.tensor(model.gradients, t), 0.125), m[t], v[t]);
            expect_near(w[t], model.tensor(model.weights, t), 3e-6, "weight");
            expect_near(m[t], model.tensor(model.state[0], t), 3e-6, "first moment");
        }
    }
}

TEST(Updater, AParameterOfZerosTakesPlainSteps) {
    for (const char* name : {"lars", "lamb"}) {
        const OptimizerSpec spec{.name = name, .momentum = 0.5};
        Model model(spec, {8});
        std::fill(model.weights.begin(), model.weights.end(), 0.0F);
        model.draw_gradients(1);
        Updater updater = model.updater(spec);
        model.step(updater, {0.1, 1, 1});
        for (std::size_t i = 0; i < 8; ++i) {
            const float direction =
                spec.name == "lars" ? model.gradients[i] : std::copysign(1.0F, model.gradients[i]);
            EXPECT_NEAR(model.weights[i], -0.1F * direction, 1e-6) << name;
        }
    }
}

TEST(Updater, ClipsByTheNormOfAllParameters) {
    const OptimizerSpec spec{.name = "sgd", .clip = 0.5};
    Model model(spec, sizes);
    Updater updater = model.updater(spec);
    model.draw_gradients(3, 4);
    double squares = 0;
    for (std::size_t t = 0; t < sizes.size(); ++t)
        squares += std::pow(norm(model.tensor(model.gradients, t)), 2);
    const double expected = std::sqrt(squares) / 16;
    const Values before(model.weights.begin(), model.weights.end());
    const UpdateReport report = model.step(updater, {0.1, 1.0 / 16, 1});
    EXPECT_TRUE(report.clipped);
    EXPECT_NEAR(report.gradient_norm, expected, 1e-12 * expected);
    for (std::size_t i = 0; i < before.size(); ++i) {
        const double g = static_cast<double>(model.gradients[i]) / 16 * 0.5 / (expected + 1e-6);
        ASSERT_NEAR(model.weights[i], before[i] - 0.1 * g, 1e-7);
    }
    model.draw_gradients(3, 1e-4F);
    EXPECT_FALSE(model.step(updater, {0.1, 1.0 / 16, 2}).clipped);
}

TEST(Updater, KeepsAMovingAverageOfWhatItUpdated) {
    const OptimizerSpec spec{.name = "sgd", .momentum = 0.9, .ema = 0.75};
    ASSERT_EQ(state_names(spec), (std::vector<std::string>{"momentum", "ema"}));
    Model model(spec, {100});
    Updater updater = model.updater(spec);
    Values average;
    for (int step = 1; step <= 6; ++step) {
        model.draw_gradients(static_cast<unsigned>(step));
        model.step(updater, {0.1, 1, step});
        const Values w = model.tensor(model.weights, 0);
        if (step == 1) average = w;
        for (std::size_t i = 0; i < w.size(); ++i)
            average[i] = step == 1 ? w[i] : 0.75 * average[i] + 0.25 * w[i];
        expect_near(average, model.tensor(model.state[1], 0), 1e-6, "average");
    }
}

TEST(Updater, SameBitsForAnyThreadsAndAnyPlace) {
    for (const char* name : {"sgd", "adamw", "lars", "lamb"}) {
        const OptimizerSpec spec{
            .name = name, .momentum = 0.9, .weight_decay = 0.01, .trust = 0.1, .clip = 1, .ema = 0.9};
        const std::vector<std::int64_t> large{5, 150001, 77, 100000};
        Model truth(spec, large);
        Updater updater = truth.updater(spec);
        for (int step = 1; step <= 3; ++step) {
            truth.draw_gradients(static_cast<unsigned>(step));
            truth.step(updater, {0.1, 0.1, step});
        }
        for (int threads : {2, 3}) {
            Model other(spec, large, threads * 13);
            Updater again = other.updater(spec);
            for (int step = 1; step <= 3; ++step) {
                other.draw_gradients(static_cast<unsigned>(step));
                other.step(again, {0.1, 0.1, step}, threads);
            }
            for (std::size_t t = 0; t < large.size(); ++t) {
                EXPECT_EQ(truth.tensor(truth.weights, t), other.tensor(other.weights, t)) << name;
                for (std::size_t k = 0; k < truth.state.size(); ++k)
                    EXPECT_EQ(truth.tensor(truth.state[k], t), other.tensor(other.state[k], t)) << name;
            }
        }
    }
}

TEST(GradientNorms, AddBlocksInTheirOrder) {
    const OptimizerSpec spec;
    Model model(spec, {3 * norm_block + 5, 7}, 16);
    model.draw_gradients(11, 3);
    const BlockTable table(model.places);
    const std::vector<double> norms = gradient_norms(table, model.gradients, 1);
    ASSERT_EQ(norms.size(), 3U);
    // The order that the header states, written out: 16 running sums in a block, added by halves.
    double all = 0;
    for (std::size_t t = 0; t < 2; ++t) {
        const Values g = model.tensor(model.gradients, t);
        double tensor = 0;
        for (std::size_t begin = 0; begin < g.size(); begin += norm_block) {
            std::array<double, 16> sums{};
            for (std::size_t i = begin; i < std::min<std::size_t>(g.size(), begin + norm_block); ++i)
                sums[(i - begin) % 16] += g[i] * g[i];
            for (std::size_t half = 8; half > 0; half /= 2) {
                for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
            }
            tensor += sums[0];
        }
        EXPECT_EQ(norms[t], std::sqrt(tensor));
        all += tensor;
    }
    EXPECT_EQ(norms[2], std::sqrt(all));
}

TEST(AllFinite, FindsOneBadElementAnywhere) {
    std::vector<float> values(3 * 16 * norm_block + 3, std::numeric_limits<float>::max());
    values[1] = -0.0F;
    values[2] = std::numeric_limits<float>::denorm_min();
    for (int threads : {1, 3}) {
        EXPECT_TRUE(all_finite(values, threads));
        for (std::size_t at : {std::size_t{0}, std::size_t{70000}, values.size() - 1}) {
            for (float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN()}) {
                const float kept = std::exchange(values[at], bad);
                EXPECT_FALSE(all_finite(values, threads)) << at << " " << bad;
                values[at] = kept;
            }
        }
    }
    EXPECT_TRUE(all_finite({}));
}

}  // namespace
}  // namespace trireme
