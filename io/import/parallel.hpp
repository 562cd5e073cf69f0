// A loop over samples by several threads, for importers: decoding is where their time goes.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/core/virtual_shards.hpp"

namespace trireme::io {

/// Calls `work` for every index of `range`, by up to `threads` threads, this one among them. What the lowest
/// failing index threw is thrown when all threads have ended, whatever else failed: the same error every
/// time.
void for_each_index(IndexRange range, int threads, const std::function<void(std::int64_t)>& work);

}  // namespace trireme::io
