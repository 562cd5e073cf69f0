#include "runtime/exec/bucket_sums.hpp"

#include <utility>

#include <fmt/format.h>

namespace trireme {

ListedSums::ListedSums(const ParallelPlan& plan, comm::Communicator& comm, float* memory,
                       std::int64_t segment)
    : plan_(plan),
      comm_(comm),
      memory_(memory, static_cast<std::size_t>(plan.gradient_elements(comm.rank()).value)) {
    for (std::size_t b = 0; b < plan.buckets().buckets().size(); ++b)
        labels_.push_back(fmt::format("bucket {}", b));
    if (!plan.spec().canonical) return;
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {  // made now, so that no step pays for it
        if (kind == StepKind::short_last && !plan.has_short_step()) continue;
        for (const comm::CanonicalLayout& layout : plan.canonical_layouts(comm.rank(), kind)) {
            lists_[kind].push_back(std::make_shared<const comm::StepList>(
                comm::canonical_all_reduce(layout, comm.rank(), segment)));
        }
    }
}

std::shared_ptr<const comm::StepList> ListedSums::steps(int bucket, StepKind kind) const {
    if (plan_.spec().canonical) return lists_.at(kind)[static_cast<std::size_t>(bucket)];
    return comm_.all_reduce_steps(range_of(bucket).size(), plan_.spec().algorithm);
}

comm::Ticket ListedSums::start(int bucket, StepKind kind, comm::Ready ready, comm::OnLane place) {
    const auto index = static_cast<std::size_t>(bucket);
    const IndexRange range = range_of(bucket);
    if (plan_.spec().canonical) {
        return comm_.canonical_all_reduce(lists_.at(kind)[index], memory_, range.size(), labels_[index],
                                          std::move(ready), std::move(place));
    }
    const auto data =
        memory_.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
    return comm_.all_reduce(data, plan_.spec().algorithm, labels_[index], std::move(ready), std::move(place));
}

}  // namespace trireme
