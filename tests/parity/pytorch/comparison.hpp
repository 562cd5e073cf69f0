// Tensors of ours against what the golden files hold of PyTorch's.
#pragma once

#include <cmath>
#include <span>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace trireme::parity {

/// Of the largest magnitude of a tensor.
inline constexpr double tolerance = 1e-9;

/// Compares tensors with their digests, and keeps the largest deviation for the test's report.
class Comparison {
  public:
    void tensor(const std::string& what, std::span<const double> got, const nlohmann::json& want) {
        ASSERT_EQ(got.size(), want.at("size").get<std::size_t>()) << what;
        const auto largest = want.at("largest").get<double>();
        double squares = 0;
        double largest_got = 0;
        for (double value : got) {
            squares += value * value;
            largest_got = std::max(largest_got, std::abs(value));
        }
        const auto norm = want.at("norm").get<double>();
        near(what + ", norm", std::sqrt(squares), norm, norm);
        near(what + ", largest magnitude", largest_got, largest, largest);
        for (const nlohmann::json& element : want.at("elements")) {
            const auto index = element.at(0).get<std::size_t>();
            ASSERT_LT(index, got.size()) << what;
            near(what + ", element " + std::to_string(index), got[index], element.at(1).get<double>(),
                 largest);
        }
    }
    void near(const std::string& what, double got, double want, double scale) {
        const double deviation = std::abs(got - want) / scale;
        EXPECT_LE(deviation, tolerance) << what << ": " << got << ", PyTorch has " << want;
        largest_ = std::max(largest_, deviation);
    }
    [[nodiscard]] double largest() const { return largest_; }

  private:
    double largest_ = 0;
};

}  // namespace trireme::parity
