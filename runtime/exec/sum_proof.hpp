// Whether a way of sums forms them right. Devices may say that they reach each other's memory and yet read
// what was there before, or nothing, such as GPUs whose PCIe traffic an IOMMU or ACS redirects; that is no
// error of any call. So before gradients go that way, known numbers do: small integers, whose sum is exact in
// fp32 in whatever order it is formed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/deadline.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/device/device.hpp"
#include "runtime/exec/bucket_sums.hpp"

namespace trireme {

/// The numbers of one proof: of `rank`, in its `slot`, at `element` of the bucket; and what they add up to.
class KnownNumbers {
  public:
    /// `operands`: slots that each rank has something to add in. `salt`: proofs after each other have other
    /// numbers, so that what one has left behind does not pass in the next. No two operands have the same,
    /// as far as there are numbers: 256.
    KnownNumbers(std::vector<std::int64_t> operands, std::uint32_t salt);

    [[nodiscard]] float of(int rank, std::int64_t slot, std::int64_t element) const {
        return static_cast<float>((pattern(element) + shift(rank, slot)) % values);
    }
    [[nodiscard]] float sum(std::int64_t element) const { return sums_[pattern(element)]; }
    [[nodiscard]] std::int64_t operands(int rank) const { return operands_[static_cast<std::size_t>(rank)]; }

  private:
    static constexpr std::uint32_t values = 256;
    [[nodiscard]] std::uint32_t pattern(std::int64_t element) const;
    [[nodiscard]] std::uint32_t shift(int rank, std::int64_t slot) const;

    std::vector<std::int64_t> operands_;
    std::vector<std::int64_t> before_;  ///< operands of lower ranks
    std::uint32_t salt_;
    std::vector<float> sums_;  ///< by pattern
};

/// A bucket that holds known numbers.
class SumProof {
  public:
    /// Puts this rank's numbers into the gradients of `bucket`; all ranks make one, with the same bucket and
    /// salt. `compute` has nothing to do until the proof is over. Throws DeviceError.
    SumProof(const SumSite& site, Stream& compute, int bucket, std::uint32_t salt);

    /// Sums them and zeroes the memory again; all ranks call it. Empty where this rank finds the sum that it
    /// should, else what it finds. Throws what waits throw.
    [[nodiscard]] std::string failure_of(BucketSums& sums, const Deadline& deadline);

  private:
    [[nodiscard]] std::span<float> host() const;
    [[nodiscard]] std::byte* slot_at(std::int64_t slot) const;

    SumSite site_;
    Stream& compute_;
    int bucket_;
    KnownNumbers numbers_;
    IndexRange range_;
    Region host_;  ///< the host's end of copies
};

}  // namespace trireme
