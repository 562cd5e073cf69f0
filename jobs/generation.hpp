// Text from a network that predicts tokens: one token after the other, each drawn from what the network says
// of the window before it. The whole window is computed again for each token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/exec/executor.hpp"

namespace trireme::jobs {

struct GenerationSetup {
    std::int64_t context = 0;     ///< tokens of a window
    std::int64_t vocabulary = 0;  ///< tokens that may be drawn; at most the network's
    std::int64_t tokens = 0;      ///< how many are made
    double temperature = 1;       ///< scores are divided by it; 0: always the most probable token
    std::uint64_t seed = 0;
};

/// The token that is drawn from the scores of a position; `index` counts the tokens made before it. A
/// function of (scores, temperature, seed, index); of equal scores the lower token is the most probable one.
/// Throws NumericError where a score is not finite.
[[nodiscard]] std::int32_t draw_token(std::span<const float> scores, const GenerationSetup& setup,
                                      std::int64_t index);

/// Goes on from `prompt`, which has at least one token, and calls `visit` with each token made. The
/// executor's evaluation batch is 1. Where the text is longer than the context, its end counts.
void generate(Executor& executor, std::vector<std::int32_t> prompt, const GenerationSetup& setup,
              const std::function<void(std::int32_t)>& visit);

}  // namespace trireme::jobs
