// Early stopping: a job ends after so many evaluations without gain (Prechelt 1998). A gain is a loss below
// the best one so far; a loss that is not a number is none. All ranks feed it the same joined loss, so all of
// them stop at the same evaluation.
#pragma once

#include <cstdint>
#include <limits>

namespace trireme {

class EarlyStop {
  public:
    /// `patience`: evaluations without gain, 1 or more, that end the job. `best` and `without_gain` go on
    /// from a checkpoint.
    explicit EarlyStop(std::int64_t patience, double best = std::numeric_limits<double>::infinity(),
                       std::int64_t without_gain = 0)
        : patience_(patience), best_(best), without_gain_(without_gain) {}

    /// Takes the loss of an evaluation. True: stop.
    [[nodiscard]] bool update(double loss) {
        const bool gain = loss < best_;
        if (gain) best_ = loss;
        without_gain_ = gain ? 0 : without_gain_ + 1;
        return without_gain_ >= patience_;
    }

    [[nodiscard]] double best() const { return best_; }
    [[nodiscard]] std::int64_t without_gain() const { return without_gain_; }

  private:
    std::int64_t patience_;
    double best_;
    std::int64_t without_gain_;
};

}  // namespace trireme
