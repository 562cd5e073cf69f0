// A point in time by which a wait must have ended. Every wait of the runtime has one (promise 2 of the
// design).
#pragma once

#include <chrono>

namespace trireme {

class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    static Deadline in(std::chrono::duration<double> span) {
        return Deadline(Clock::now() + std::chrono::duration_cast<Clock::duration>(span));
    }
    static Deadline in_seconds(double s) { return in(std::chrono::duration<double>(s)); }

    [[nodiscard]] bool expired() const { return Clock::now() >= at_; }
    [[nodiscard]] Clock::time_point time() const { return at_; }
    [[nodiscard]] double seconds_left() const {
        return std::chrono::duration<double>(at_ - Clock::now()).count();
    }

  private:
    explicit Deadline(Clock::time_point at) : at_(at) {}
    Clock::time_point at_;
};

/// What a rank is doing, as a verdict names it and as deadlines are set (`[deadline]` of the job file).
enum class Phase { join, data, step, checkpoint, evaluate, finish };

[[nodiscard]] constexpr const char* name_of(Phase p) {
    switch (p) {
        case Phase::join:
            return "join";
        case Phase::data:
            return "data";
        case Phase::step:
            return "step";
        case Phase::checkpoint:
            return "checkpoint";
        case Phase::evaluate:
            return "evaluate";
        case Phase::finish:
            return "finish";
    }
    return "?";
}

}  // namespace trireme
