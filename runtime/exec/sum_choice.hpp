// Which way the gradients of an asynchronous device take (runtime/plan/sum_path.hpp), decided when the ranks
// have met: what each of them finds is gathered, what can be taken is tried on the largest bucket, with
// numbers whose sum is known (sum_proof.hpp), and rank 0 decides for all.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/exec/device_sums.hpp"
#include "runtime/plan/sum_path.hpp"

namespace trireme {

class SumChoice {
  public:
    /// Gathers what is there, and makes memory for gradients that serves every way which can be taken. All
    /// ranks call it, and `take`. Throws DeviceError where the pinned way is missing, and what waits throw.
    SumChoice(const ParallelPlan& plan, comm::Communicator& comm, Device& device);

    /// Device memory, zeroed: where kernels write gradients.
    [[nodiscard]] float* gradients() const { return gradients_; }
    /// Tries what can be taken and returns the best. `compute` has nothing to do meanwhile. This must outlive
    /// the result.
    [[nodiscard]] std::unique_ptr<BucketSums> take(DeviceTransfers& transfers, Stream& compute,
                                                   const StreamMemoryOps::Add& add);
    /// What was taken and why, for people; empty for a rank alone.
    [[nodiscard]] const std::string& text() const { return text_; }

    /// Bytes beside the slots of gradients that the device may need for sums.
    [[nodiscard]] static Bytes extra_bytes(const ParallelPlan& plan, int rank);

  private:
    void find_candidates();
    void make_memory();
    [[nodiscard]] std::string failure_of_all(const std::string& mine);
    [[nodiscard]] std::string try_to_make(SumPath path, const SumSite& site, Stream& compute,
                                          const StreamMemoryOps::Add& add, std::unique_ptr<BucketSums>& sums);
    [[nodiscard]] std::unique_ptr<BucketSums> make(SumPath path, const SumSite& site,
                                                   const StreamMemoryOps::Add& add);
    [[nodiscard]] double measure(BucketSums& sums, const SumSite& site, Stream& compute);

    const ParallelPlan& plan_;
    comm::Communicator& comm_;
    Device& device_;
    SumWishes wishes_;
    std::vector<SumCandidate> candidates_;
    std::vector<SumPath> choices_;
    std::optional<PeerMemory> peers_;
    Region region_;  ///< where peers do not see it
    float* gradients_ = nullptr;
    std::string text_;
};

}  // namespace trireme
