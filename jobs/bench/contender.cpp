#include "jobs/bench/contender.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"
#include "runtime/core/quantile.hpp"

namespace trireme::jobs {

double Record::samples_per_second() const { return static_cast<double>(batch) / quantile(seconds, 0.5); }

Ratio ratio_of(const Record& first, const Record& other) {
    ensure(first.turn_medians.size() == other.turn_medians.size(),
           "contenders take as many turns as each other");
    std::vector<double> ratios;
    for (std::size_t turn = 0; turn < first.turn_medians.size(); ++turn)
        ratios.push_back(other.turn_medians[turn] / first.turn_medians[turn]);
    Ratio ratio{other.name, quantile(ratios, 0.5), quantile(ratios, 0.1), quantile(ratios, 0.9), {}};
    if (first.peak_memory && other.peak_memory)
        ratio.memory =
            static_cast<double>(first.peak_memory->value) / static_cast<double>(other.peak_memory->value);
    return ratio;
}

std::vector<Record> alternate(const std::vector<std::unique_ptr<Contender>>& contenders, std::int64_t rounds,
                              std::int64_t steps, const std::function<void()>& between) {
    std::vector<Record> records(contenders.size());
    for (std::size_t c = 0; c < contenders.size(); ++c) {
        records[c].name = contenders[c]->name();
        records[c].batch = contenders[c]->batch();
    }
    for (std::int64_t round = 0; round < rounds; ++round) {
        for (std::size_t k = 0; k < contenders.size(); ++k) {
            const std::size_t c = (k + static_cast<std::size_t>(round)) % contenders.size();
            between();
            const Turn turn = contenders[c]->take_turn(steps);
            Record& record = records[c];
            record.seconds.insert(record.seconds.end(), turn.seconds.begin(), turn.seconds.end());
            record.turn_medians.push_back(quantile(turn.seconds, 0.5));
            record.times += turn.times;
        }
    }
    for (std::size_t c = 0; c < contenders.size(); ++c) records[c].peak_memory = contenders[c]->peak_memory();
    return records;
}

}  // namespace trireme::jobs
