#include "runtime/telemetry/rank_split.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trireme {
namespace {

constexpr double least_share = 0.02;    // of the others' time, to be worth a name
constexpr double most_own_share = 0.5;  // of the others' wait

/// Mean over all ranks but one.
template <class Value>
double mean_of_others(const std::vector<RankSplit>& ranks, const RankSplit& but, Value value) {
    double sum = 0;
    for (const RankSplit& other : ranks) sum += &other == &but ? 0 : value(other);
    return sum / static_cast<double>(ranks.size() - 1);
}

}  // namespace

std::string RankSplit::text() const {
    nlohmann::json json{
        {"rank", rank}, {"host", host}, {"steps", steps}, {"wall", wall}, {"total", times.total}};
    for (const auto& [name, seconds] : times.columns()) json[std::string(name)] = seconds;
    return json.dump();
}

RankSplit RankSplit::parse(std::string_view text) {
    const nlohmann::json json = nlohmann::json::parse(text);
    RankSplit split;
    split.rank = json.at("rank");
    split.host = json.at("host");
    split.steps = json.at("steps");
    split.wall = json.at("wall");
    split.times.total = json.at("total");
    split.times.data_wait = json.at("data_wait");
    split.times.compute = json.at("compute");
    split.times.exposed_comm = json.at("exposed_comm");
    split.times.straggler_wait = json.at("straggler_wait");
    split.times.checkpoint = json.at("checkpoint");
    return split;
}

std::string Straggler::str() const {
    const std::string text =
        fmt::format("the others waited {:.2f} ms a step for rank {} (host {})", wait * 1e3, rank, host);
    if (longer_in.empty()) return text;
    return text + fmt::format(", which took {:.2f} ms longer in {}", longer_by * 1e3, longer_in);
}

std::optional<Straggler> straggler_of(const std::vector<RankSplit>& ranks) {
    if (ranks.size() < 2) return std::nullopt;
    const auto wait = [](const RankSplit& r) { return r.a_step(r.times.straggler_wait); };
    const RankSplit& last = *std::ranges::min_element(ranks, {}, wait);
    const double others = mean_of_others(ranks, last, wait);
    const double wall = mean_of_others(ranks, last, [](const RankSplit& r) { return r.a_step(r.wall); });
    // Where nothing was trained, nobody was waited for: that is no more than 2 % of no time.
    if (others <= 0 || others < least_share * wall || wait(last) > most_own_share * others)
        return std::nullopt;
    Straggler found;
    found.rank = last.rank;
    found.host = last.host;
    found.wait = others;
    const auto mine = last.times.columns();
    for (std::size_t c = 0; c < mine.size(); ++c) {
        const double theirs = mean_of_others(
            ranks, last, [c](const RankSplit& r) { return r.a_step(r.times.columns()[c].second); });
        const double longer = last.a_step(mine[c].second) - theirs;
        if (longer <= found.longer_by) continue;
        found.longer_by = longer;
        found.longer_in = mine[c].first;
    }
    return found;
}

}  // namespace trireme
