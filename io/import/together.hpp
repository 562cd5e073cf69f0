// A phase of an import that all members do together, and fail together.
#pragma once

#include "io/import/import.hpp"

namespace trireme::io {

/// Runs a phase on every member and returns all results, in rank order. Where one failed all throw: itself
/// its own error, the others one that names it.
std::vector<std::string> together(const ImportTeam& team, const std::function<std::string()>& work);

}  // namespace trireme::io
