#include "comm/staged_buffer.hpp"

#include <algorithm>
#include <map>

namespace trireme::comm {
namespace {

/// A set of elements as ranges that neither overlap nor touch.
class RangeSet {
  public:
    /// Adds a range; `fresh` hears, in ascending order, the parts that were not in the set.
    template <class Fresh>
    void add(IndexRange range, const Fresh& fresh) {
        if (range.empty()) return;
        auto next = ranges_.upper_bound(range.begin);
        if (next != ranges_.begin() && std::prev(next)->second >= range.begin) --next;
        std::int64_t at = range.begin;
        IndexRange joined = range;
        for (; next != ranges_.end() && next->first <= range.end; next = ranges_.erase(next)) {
            if (at < next->first) fresh(IndexRange{at, next->first});
            at = std::max(at, next->second);
            joined = {std::min(joined.begin, next->first), std::max(joined.end, next->second)};
        }
        if (at < range.end) fresh(IndexRange{at, range.end});
        ranges_.emplace(joined.begin, joined.end);
    }

  private:
    std::map<std::int64_t, std::int64_t> ranges_;  ///< begin, end
};

}  // namespace

std::vector<FinalStore> final_stores(const StepList& steps) {
    std::vector<FinalStore> found;
    RangeSet stored;  // by steps that come later
    for (std::size_t i = steps.size(); i-- > 0;) {
        if (!stores(steps[i].verb)) continue;
        const auto keep = [&](IndexRange part) { found.push_back({i, part}); };
        stored.add(range_of(steps[i]), keep);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const FinalStore& a, const FinalStore& b) { return a.step < b.step; });
    return found;
}

std::vector<std::size_t> first_touches(const StepList& steps, std::span<const IndexRange> pieces) {
    std::vector<std::size_t> order;
    std::vector<bool> touched(pieces.size(), false);
    const auto touch = [&](IndexRange range) {
        auto piece = std::partition_point(pieces.begin(), pieces.end(),
                                          [&](const IndexRange& p) { return p.end <= range.begin; });
        for (; piece != pieces.end() && piece->begin < range.end; ++piece) {
            const auto index = static_cast<std::size_t>(piece - pieces.begin());
            if (!touched[index]) order.push_back(index);
            touched[index] = true;
        }
    };
    for (const Step& step : steps) {
        touch(range_of(step));
        if (step.verb == Verb::add) touch(source_of(step));
    }
    return order;
}

}  // namespace trireme::comm
