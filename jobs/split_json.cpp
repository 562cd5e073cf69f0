#include "jobs/split_json.hpp"

#include <algorithm>

namespace trireme::jobs {

std::vector<RankSplit> gather_splits(const StepTimes& times, std::int64_t steps, double wall,
                                     comm::Communicator& comm, const Deadline& deadline) {
    RankSplit mine;
    mine.rank = comm.rank();
    mine.host = comm.host();
    mine.steps = steps;
    mine.times = times;
    mine.wall = wall;
    std::vector<RankSplit> ranks;
    for (const std::string& text : comm.all_gather(mine.text(), "time splits", deadline))
        ranks.push_back(RankSplit::parse(text));
    return ranks;
}

nlohmann::ordered_json split_json(const StepTimes& times, std::int64_t steps) {
    nlohmann::ordered_json json;
    for (const auto& [name, seconds] : times.columns())
        json[std::string(name)] = seconds / static_cast<double>(std::max<std::int64_t>(steps, 1));
    return json;
}

nlohmann::ordered_json rest_json(const RankSplit& split) {
    return {{"wall", split.a_step(split.wall)}, {"unaccounted", split.a_step(split.unaccounted())}};
}

nlohmann::ordered_json ranks_json(const std::vector<RankSplit>& ranks) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const RankSplit& split : ranks) {
        nlohmann::ordered_json line{{"rank", split.rank}, {"host", split.host}};
        line.update(split_json(split.times, split.steps));
        line.update(rest_json(split));
        list.push_back(std::move(line));
    }
    return list;
}

nlohmann::ordered_json waited_for_json(const std::vector<RankSplit>& ranks) {
    const auto straggler = straggler_of(ranks);
    if (!straggler) return nullptr;
    return {{"rank", straggler->rank},
            {"host", straggler->host},
            {"wait", straggler->wait},
            {"longer_in", straggler->longer_in},
            {"longer_by", straggler->longer_by}};
}

}  // namespace trireme::jobs
