#include "comm/stall.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace trireme::comm {
namespace {

using Reports = std::vector<RankReport>;

const RankReport& of(const Reports& reports, int rank) { return reports[static_cast<std::size_t>(rank)]; }

/// The ranks that `from` waits for, directly or through others, in the order of a breadth-first search.
std::vector<int> waited_for(const Reports& reports, int from) {
    std::vector<int> order{from};
    std::vector<bool> seen(reports.size(), false);
    seen[static_cast<std::size_t>(from)] = true;
    for (std::size_t i = 0; i < order.size(); ++i) {
        for (const int peer : of(reports, order[i]).waits_for) {
            if (peer < 0 || peer >= static_cast<int>(reports.size()) ||
                seen[static_cast<std::size_t>(peer)]) {
                continue;
            }
            seen[static_cast<std::size_t>(peer)] = true;
            order.push_back(peer);
        }
    }
    order.erase(order.begin());
    return order;
}

std::string list_of(const std::vector<int>& ranks) {
    return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

std::string doing(const RankReport& report) {
    std::string text = fmt::format("phase {}", report.phase);
    if (!report.instruction.empty()) text += fmt::format(", instruction {}", report.instruction);
    return text;
}

Verdict about(int rank, const RankReport& report, std::string kind, std::string reason) {
    return {ErrorClass::comm_timeout, std::move(kind),  rank, report.host, report.phase,
            report.instruction,       std::move(reason)};
}

/// Ranks that answered, by the fingerprint that they have for the sequence in question.
std::map<std::string, std::vector<int>> sides(const Reports& reports) {
    std::map<std::string, std::vector<int>> by_fingerprint;
    for (std::size_t r = 0; r < reports.size(); ++r) {
        if (reports[r].answered && !reports[r].asked.empty()) {
            by_fingerprint[reports[r].asked].push_back(static_cast<int>(r));
        }
    }
    return by_fingerprint;
}

/// The smaller side is at fault; of equal ones that without the lowest rank.
Verdict mismatch(const Reports& reports) {
    const auto by_fingerprint = sides(reports);
    const auto wrong =
        std::min_element(by_fingerprint.begin(), by_fingerprint.end(), [](const auto& a, const auto& b) {
            return a.second.size() != b.second.size() ? a.second.size() < b.second.size()
                                                      : a.second.front() > b.second.front();
        });
    std::vector<std::string> said;
    for (const auto& [fingerprint, ranks] : by_fingerprint) {
        said.push_back(fmt::format("{} called {}", list_of(ranks), fingerprint));
    }
    const int culprit = wrong->second.front();
    return about(culprit, of(reports, culprit), "MISMATCH",
                 fmt::format("the ranks disagree about a collective: {}", fmt::join(said, "; ")));
}

std::string waited_text(const StallQuestion& question, const Reports& reports) {
    return fmt::format("rank {} waited {:.1f} s for {}", question.asker, question.waited,
                       of(reports, question.asker).collective);
}

Verdict silent(const StallQuestion& question, const Reports& reports, const std::vector<int>& order) {
    std::vector<int> missing;
    for (std::size_t r = 0; r < reports.size(); ++r) {
        if (!reports[r].answered) missing.push_back(static_cast<int>(r));
    }
    const auto reached =
        std::find_if(order.begin(), order.end(), [&](int rank) { return !of(reports, rank).answered; });
    const int culprit = reached != order.end() ? *reached : missing.front();
    std::vector<int> waiting;
    for (std::size_t r = 0; r < reports.size(); ++r) {
        const std::vector<int>& peers = reports[r].waits_for;
        if (std::find(peers.begin(), peers.end(), culprit) != peers.end())
            waiting.push_back(static_cast<int>(r));
    }
    std::string reason = fmt::format("{}; rank {} does not answer", waited_text(question, reports), culprit);
    if (!waiting.empty()) reason += fmt::format(", and {} wait for it directly", list_of(waiting));
    if (missing.size() > 1) reason += fmt::format(" (silent: {})", list_of(missing));
    return about(culprit, of(reports, culprit), "DEAD", std::move(reason));
}

/// True when the rank has not called the collective in question, and no earlier one holds it up.
bool holds_up(const RankReport& report, std::uint64_t sequence) {
    return report.entered <= sequence && !report.waiting;
}

}  // namespace

bool shows_mismatch(const Reports& reports) { return sides(reports).size() > 1; }

Verdict judge(const StallQuestion& question, const Reports& first, const Reports& second) {
    if (shows_mismatch(second)) return mismatch(second);
    const std::vector<int> order = waited_for(second, question.asker);
    const bool all_answered =
        std::all_of(second.begin(), second.end(), [](const RankReport& r) { return r.answered; });
    if (!all_answered) return silent(question, second, order);

    for (const int rank : order) {
        const RankReport& report = of(second, rank);
        if (!holds_up(report, question.sequence)) continue;
        const bool moves = report.changes != of(first, rank).changes;
        return about(rank, report, moves ? "SLOW" : "MISSING",
                     fmt::format("{}; rank {} {} ({})", waited_text(question, second), rank,
                                 moves ? "is still on its way to it" : "has not called it", doing(report)));
    }
    int last = question.asker;
    for (int rank = 0; rank < static_cast<int>(second.size()); ++rank) {
        const RankReport& a = of(second, rank);
        const RankReport& b = of(second, last);
        if (a.sequence < b.sequence || (a.sequence == b.sequence && a.steps < b.steps)) last = rank;
    }
    return about(
        last, of(second, last), "SLOW",
        fmt::format("{}; all ranks have called it, and rank {} got least far with it: {} steps ({})",
                    waited_text(question, second), last, of(second, last).steps, doing(of(second, last))));
}

}  // namespace trireme::comm
