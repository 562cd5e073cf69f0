#include "comm/failure.hpp"

#include <algorithm>
#include <utility>

namespace trireme::comm {
namespace {

/// How much longer each rank waits than the one below before it settles in its place.
constexpr double step_of_patience = 0.15;
constexpr int most_steps_of_patience = 20;

double seconds_between(FailureProtocol::Time from, FailureProtocol::Time to) {
    return std::chrono::duration<double>(to - from).count();
}

bool all_answered(const std::vector<RankReport>& reports) {
    return std::all_of(reports.begin(), reports.end(), [](const RankReport& r) { return r.answered; });
}

}  // namespace

FailureProtocol::FailureProtocol(Transport& transport, const CommOptions& options, SelfReport self_report)
    : transport_(transport), options_(options), self_report_(std::move(self_report)) {}

double FailureProtocol::longest(const CommOptions& options, int ranks) {
    return options.verdict_window + options.abort_grace +
           step_of_patience * std::min(ranks, most_steps_of_patience);
}

bool FailureProtocol::has_announced() const { return announced_.contains(transport_.rank()); }

void FailureProtocol::announce(const Verdict& verdict, Time now) {
    if (settled_) return;
    Control control;
    control.kind = ControlKind::announce;
    control.verdict = verdict;
    tell_all(control);
    hear(transport_.rank(), verdict, now);
}

void FailureProtocol::inquire(std::uint64_t awaited, double waited, const CollectiveTable& table, Time now) {
    if (inquiry_ || settled_ || has_announced()) return;
    const auto ranks = static_cast<std::size_t>(transport_.size());
    inquiry_ = Inquiry{awaited, {transport_.rank(), table.oldest(), waited}, now, 1, {}, {}};
    inquiry_->first.resize(ranks);
    inquiry_->second.resize(ranks);
    ask(1);
}

void FailureProtocol::ask(int round) {
    inquiry_->round = round;
    auto& mine =
        (round == 1 ? inquiry_->first : inquiry_->second)[static_cast<std::size_t>(transport_.rank())];
    mine = self_report_(inquiry_->question.sequence);
    mine.answered = true;
    Control control;
    control.kind = ControlKind::query;
    control.number = inquiry_->question.sequence;
    control.round = round;
    tell_all(control);
}

bool FailureProtocol::listen(Time now) {
    bool heard = false;
    while (const std::optional<ControlMessage> message = transport_.poll_control()) {
        heard = true;
        if (const std::optional<Control> control = decode(message->text))
            handle(message->from, *control, now);
    }
    return heard;
}

void FailureProtocol::handle(int from, const Control& control, Time now) {
    switch (control.kind) {
        case ControlKind::announce:
            hear(from, control.verdict, now);
            break;
        case ControlKind::settled:
            if (!settled_) settled_ = Outcome{control.verdict, static_cast<int>(control.number)};
            break;
        case ControlKind::query: {
            Control answer;
            answer.kind = ControlKind::report;
            answer.number = control.number;
            answer.round = control.round;
            answer.report = self_report_(control.number);
            transport_.send_control(from, encode(answer));
            break;
        }
        case ControlKind::report:
            if (inquiry_ && control.number == inquiry_->question.sequence) {
                auto& reports = control.round == 1 ? inquiry_->first : inquiry_->second;
                reports[static_cast<std::size_t>(from)] = control.report;
            }
            break;
    }
}

void FailureProtocol::tell_all(const Control& control) {
    const std::string text = encode(control);
    for (int rank = 0; rank < transport_.size(); ++rank) {
        if (rank != transport_.rank()) transport_.send_control(rank, text);
    }
}

void FailureProtocol::hear(int from, const Verdict& verdict, Time now) {
    announced_.emplace(from, verdict);
    if (!first_heard_) first_heard_ = now;
}

double FailureProtocol::settle_after() const {
    if (announced_.size() == static_cast<std::size_t>(transport_.size())) return 0;
    const int steps = std::min(transport_.rank(), most_steps_of_patience);
    return options_.abort_grace + step_of_patience * steps;
}

void FailureProtocol::tick(Time now, const CollectiveTable& table) {
    if (settled_) return;
    if (first_heard_) {
        if (seconds_between(*first_heard_, now) >= settle_after()) settle();
        return;
    }
    if (inquiry_) tick_inquiry(now, table);
}

void FailureProtocol::settle() {
    const auto own_error = std::find_if(announced_.begin(), announced_.end(),
                                        [](const auto& entry) { return entry.second.kind == "ERROR"; });
    const auto& [announcer, verdict] = own_error != announced_.end() ? *own_error : *announced_.begin();
    // A rank that leaves says so itself, but will not be there to speak.
    const bool leaves = verdict.kind == "DEAD" && verdict.rank == announcer;
    const int speaker = !leaves                          ? announcer
                        : transport_.rank() != announcer ? transport_.rank()
                                                         : (announcer == 0 ? 1 : 0);
    settled_ = Outcome{verdict, speaker};
    Control control;
    control.kind = ControlKind::settled;
    control.number = static_cast<std::uint64_t>(speaker);
    control.verdict = verdict;
    tell_all(control);
}

void FailureProtocol::tick_inquiry(Time now, const CollectiveTable& table) {
    const double elapsed = seconds_between(inquiry_->began, now);
    if (!table.is_open(inquiry_->question.sequence)) {
        const Inquiry old = std::move(*inquiry_);
        inquiry_.reset();
        // The one that was stuck went through; if the awaited one is still open, ask about what holds it now.
        if (table.is_open(old.awaited)) inquire(old.awaited, old.question.waited + elapsed, table, now);
        return;
    }
    if (inquiry_->round == 1) {
        const bool no_hope = all_answered(inquiry_->first) && shows_mismatch(inquiry_->first);
        if (no_hope) {
            conclude_inquiry(now);
        } else if (elapsed >= options_.verdict_window / 2) {
            ask(2);
        }
    } else if (elapsed >= options_.verdict_window) {
        conclude_inquiry(now);
    }
}

void FailureProtocol::conclude_inquiry(Time now) {
    Inquiry inquiry = std::move(*inquiry_);
    inquiry_.reset();
    for (std::size_t r = 0; r < inquiry.first.size(); ++r) {
        if (!inquiry.second[r].answered) inquiry.second[r] = inquiry.first[r];
    }
    inquiry.question.waited += seconds_between(inquiry.began, now);
    Verdict verdict = judge(inquiry.question, inquiry.first, inquiry.second);
    const auto culprit = static_cast<std::size_t>(verdict.rank);
    if (verdict.host.empty() && culprit < hosts_.size()) verdict.host = hosts_[culprit];
    announce(verdict, now);
}

}  // namespace trireme::comm
