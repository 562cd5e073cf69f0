#include "comm/simulate.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace trireme::comm {
namespace {

/// A send that has been issued and not been received.
struct Flying {
    std::size_t step;
    std::int64_t offset;
    std::int64_t count;
    bool from_slot;            ///< carries a sum that is not in the sender's buffer
    std::vector<float> value;  ///< that sum
};

struct SimulatedRank {
    std::size_t next = 0;
    bool received = false;        ///< the receive half of the step `next` is done; its send half is not
    std::vector<float> incoming;  ///< what that receive half got
};

bool overlap(std::int64_t a, std::int64_t a_size, std::int64_t b, std::int64_t b_size) {
    return a < b + b_size && b < a + a_size;
}

class Simulation {
  public:
    Simulation(std::span<const StepList> lists, std::span<std::vector<float>> data)
        : lists_(lists), data_(data), ranks_(lists.size()) {}

    SimulationResult run() {
        check_lists();
        bool moved = true;
        while (moved && result_.ok()) {
            moved = false;
            for (std::size_t r = 0; r < ranks_.size() && result_.ok(); ++r) {
                while (result_.ok() && play(r)) moved = true;
            }
        }
        if (result_.ok()) report_unfinished();
        return std::move(result_);
    }

  private:
    using Channel = std::pair<int, int>;

    void check_lists() {
        const int ranks = static_cast<int>(lists_.size());
        for (int r = 0; r < ranks; ++r) {
            const auto elements = static_cast<std::int64_t>(data_[static_cast<std::size_t>(r)].size());
            const auto wrong_peer = [&](int peer) { return peer < 0 || peer >= ranks || peer == r; };
            for (const Step& s : lists_[static_cast<std::size_t>(r)]) {
                const bool peers_wrong =
                    (receives(s.verb) && wrong_peer(s.from)) || (sends(s.verb) && wrong_peer(s.to));
                const bool range_wrong = s.offset < 0 || s.count < 0 || s.offset + s.count > elements ||
                                         s.source < 0 ||
                                         s.source + (s.verb == Verb::add ? s.count : 0) > elements;
                if (peers_wrong || range_wrong) {
                    result_.problem =
                        fmt::format("rank {}: {} {}", r, str(s),
                                    peers_wrong ? "names a peer that does not exist" : "leaves the buffer");
                    return;
                }
            }
        }
    }

    /// Plays the next step of rank r as far as it can; false when nothing moved.
    bool play(std::size_t r) {
        SimulatedRank& rank = ranks_[r];
        if (rank.next == lists_[r].size()) return false;
        const Step& step = lists_[r][rank.next];
        if (receives(step.verb) && !rank.received) return receive(r, step);
        if (stores(step.verb) && read_by_flying(r, step)) return false;
        if (step.verb == Verb::recv_reduce_send && flying_slots(r) >= stream_depth) return false;
        execute(r, step);
        rank.received = false;
        ++rank.next;
        return true;
    }

    bool receive(std::size_t r, const Step& step) {
        const int me = static_cast<int>(r);
        std::deque<Flying>& channel = channels_[{step.from, me}];
        if (channel.empty()) return false;
        const Flying& message = channel.front();
        const auto sender = static_cast<std::size_t>(step.from);
        if (message.count != step.count) {
            result_.problem =
                fmt::format("sizes differ: rank {} step {}: {}; rank {} step {}: {}", step.from, message.step,
                            str(lists_[sender][message.step]), me, ranks_[r].next, str(step));
            return false;
        }
        ranks_[r].incoming.assign(static_cast<std::size_t>(step.count), 0.0F);
        const float* source =
            message.from_slot ? message.value.data() : data_[sender].data() + message.offset;
        std::copy_n(source, step.count, ranks_[r].incoming.data());
        result_.messages.push_back({step.from, me, step.count});
        channel.pop_front();
        ranks_[r].received = true;
        return true;
    }

    void execute(std::size_t r, const Step& step) {
        float* mine = data_[r].data() + step.offset;
        std::vector<float>& in = ranks_[r].incoming;
        const auto count = static_cast<std::size_t>(step.count);
        if (step.verb == Verb::add) {
            const float* source = data_[r].data() + step.source;
            for (std::size_t i = 0; i < count; ++i) mine[i] += source[i];
            return;
        }
        if (reduces(step.verb)) {
            for (std::size_t i = 0; i < count; ++i) in[i] += mine[i];
        }
        if (stores(step.verb)) std::copy_n(in.data(), count, mine);
        if (!sends(step.verb)) return;
        const bool from_slot = step.verb == Verb::recv_reduce_send;
        channels_[{static_cast<int>(r), step.to}].push_back(
            {ranks_[r].next, step.offset, step.count, from_slot, from_slot ? in : std::vector<float>{}});
    }

    bool read_by_flying(std::size_t r, const Step& step) const {
        return any_flying(r, [&](const Flying& f) {
            return !f.from_slot && overlap(f.offset, f.count, step.offset, step.count);
        });
    }

    int flying_slots(std::size_t r) const {
        int slots = 0;
        (void)any_flying(r, [&](const Flying& f) {
            slots += f.from_slot ? 1 : 0;
            return false;
        });
        return slots;
    }

    template <class Predicate>
    bool any_flying(std::size_t r, Predicate holds) const {
        const int me = static_cast<int>(r);
        for (auto at = channels_.lower_bound({me, 0}); at != channels_.end() && at->first.first == me; ++at) {
            for (const Flying& f : at->second) {
                if (holds(f)) return true;
            }
        }
        return false;
    }

    void report_unfinished() {
        std::string stuck;
        for (std::size_t r = 0; r < ranks_.size(); ++r) {
            const std::size_t next = ranks_[r].next;
            if (next < lists_[r].size()) {
                stuck += fmt::format("\n  rank {} waits at step {}: {}", r, next, str(lists_[r][next]));
            }
        }
        if (!stuck.empty()) {
            result_.problem = "deadlock:" + stuck;
            return;
        }
        for (const auto& [channel, flying] : channels_) {
            if (flying.empty()) continue;
            const auto sender = static_cast<std::size_t>(channel.first);
            result_.problem = fmt::format("rank {} step {}: {}: nobody receives it", channel.first,
                                          flying.front().step, str(lists_[sender][flying.front().step]));
            return;
        }
    }

    std::span<const StepList> lists_;
    std::span<std::vector<float>> data_;
    std::vector<SimulatedRank> ranks_;
    std::map<Channel, std::deque<Flying>> channels_;
    SimulationResult result_;
};

}  // namespace

SimulationResult simulate(std::span<const StepList> lists, std::span<std::vector<float>> data) {
    if (lists.size() != data.size()) return {"each rank needs a list and a buffer", {}};
    return Simulation(lists, data).run();
}

}  // namespace trireme::comm
