// How ranks come to one verdict and one speaker. Lives on the progress thread; a state machine that is fed
// with control messages and the time.
//
//   rank 3 fails:     announce --> all              (grace: others that fail together announce too)
//   the arbiter:      settled{speaker, verdict} --> all
//   all ranks:        every wait throws JobFailed with that verdict; the speaker alone prints it
//
//   rank 2's wait expires:   query --> all, report <-- all that live, query again, report again
//   at the window's end:     judge(reports) -> verdict, which rank 2 announces as above
//
// The arbiter is the lowest rank; should it not settle in time, the next rank does (each waits a little
// longer than the one before), so a dead arbiter costs a fraction of a second. It chooses an error of a rank
// before a verdict about a stall, and the lowest announcing rank among equals. Everything is over within the
// window, the grace and 0.15 s for each dead rank below the first living one.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/collective_table.hpp"
#include "comm/control.hpp"
#include "comm/transport.hpp"
#include "runtime/core/deadline.hpp"

namespace trireme::comm {

class FailureProtocol {
  public:
    using Time = Deadline::Clock::time_point;
    /// Fills in what this rank answers to a question about collective `sequence`.
    using SelfReport = std::function<RankReport(std::uint64_t sequence)>;

    FailureProtocol(Transport& transport, const CommOptions& options, SelfReport self_report);

    /// This rank has failed, or knows who has.
    void announce(const Verdict& verdict, Time now);
    /// A wait for collective `awaited`, which is open, passed its deadline after `waited` seconds.
    void inquire(std::uint64_t awaited, double waited, const CollectiveTable& table, Time now);
    /// Handles all control messages that are there; true when there were any.
    bool listen(Time now);
    /// Moves on by the clock. An inquiry ends without a verdict when the awaited collective is done.
    void tick(Time now, const CollectiveTable& table);
    /// The hosts of all ranks, so that one which does not answer can be named with its host.
    void set_hosts(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }

    /// True while something goes on that needs prompt polling.
    [[nodiscard]] bool busy() const { return inquiry_ || (first_heard_ && !settled_); }
    struct Outcome {
        Verdict verdict;
        int speaker = -1;
    };
    [[nodiscard]] const std::optional<Outcome>& settled() const { return settled_; }
    [[nodiscard]] bool has_announced() const;
    /// The longest that a failure takes from the expiry of a wait to the settled verdict.
    [[nodiscard]] static double longest(const CommOptions& options, int ranks);

  private:
    struct Inquiry {
        std::uint64_t awaited = 0;
        StallQuestion question;
        Time began;
        int round = 1;
        std::vector<RankReport> first;
        std::vector<RankReport> second;
    };

    void handle(int from, const Control& control, Time now);
    void tell_all(const Control& control);
    void hear(int from, const Verdict& verdict, Time now);
    void settle();
    void tick_inquiry(Time now, const CollectiveTable& table);
    void conclude_inquiry(Time now);
    void ask(int round);
    [[nodiscard]] double settle_after() const;

    Transport& transport_;
    const CommOptions options_;
    SelfReport self_report_;
    std::vector<std::string> hosts_;
    std::map<int, Verdict> announced_;
    std::optional<Time> first_heard_;
    std::optional<Outcome> settled_;
    std::optional<Inquiry> inquiry_;
};

}  // namespace trireme::comm
