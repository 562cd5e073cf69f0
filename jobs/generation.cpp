#include "jobs/generation.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::jobs {

std::int32_t draw_token(std::span<const float> scores, const GenerationSetup& setup, std::int64_t index) {
    if (!std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); })) {
        throw NumericError(
            fmt::format("the scores of token {} are not finite: the network's training has "
                        "failed; take an earlier checkpoint",
                        index));
    }
    const auto best = std::max_element(scores.begin(), scores.end());
    if (setup.temperature == 0) return static_cast<std::int32_t>(best - scores.begin());
    const auto weight = [&](float score) {
        return std::exp((static_cast<double>(score) - static_cast<double>(*best)) / setup.temperature);
    };
    double sum = 0;
    for (const float score : scores) sum += weight(score);
    const std::uint64_t bits = RandomStream(setup.seed, "generate").bits(static_cast<std::uint64_t>(index));
    double left = sum * static_cast<double>(bits >> 11) * 0x1p-53;
    for (std::size_t token = 0; token < scores.size(); ++token) {
        left -= weight(scores[token]);
        if (left < 0) return static_cast<std::int32_t>(token);
    }
    return static_cast<std::int32_t>(best - scores.begin());  // rounding has left a last sliver
}

void generate(Executor& executor, std::vector<std::int32_t> prompt, const GenerationSetup& setup,
              const std::function<void(std::int32_t)>& visit) {
    ensure(!prompt.empty() && setup.context >= 1, "there is a token to go on from");
    const auto context = static_cast<std::size_t>(setup.context);
    const auto outputs = static_cast<std::size_t>(executor.classes() / setup.context);
    const Bytes bytes = bytes_of(Elements(setup.context), DType::i32);
    const Region memory(executor.staging(), bytes);
    const Region targets(executor.staging(), bytes);  // zeros, which a loss reads that nobody looks at
    const std::span window(reinterpret_cast<std::int32_t*>(memory.data()), context);
    for (std::int64_t index = 0; index < setup.tokens; ++index) {
        // The text stands at the window's beginning; what is behind it is not seen by positions before it.
        const std::size_t shown = std::min(prompt.size(), context);
        std::fill(std::copy_n(prompt.end() - static_cast<std::ptrdiff_t>(shown), shown, window.begin()),
                  window.end(), 0);
        const Executor::Prediction said = executor.forward({memory.bytes(), targets.bytes(), 1});
        const std::int32_t token =
            draw_token(said.logits.subspan((shown - 1) * outputs, static_cast<std::size_t>(setup.vocabulary)),
                       setup, index);
        visit(token);
        prompt.push_back(token);
    }
}

}  // namespace trireme::jobs
