// Networks described in TOML: docs/models.md is the user's page. A file is data: layers in order, each with a
// type, a name, the layers it reads and its attributes.
//
// Repeat blocks are unrolled: layer `conv` of the repeat `block` becomes block.0.conv, block.1.conv, ...
// Within the block, `conv` means that of the same round, and "block_input" what the round started from.
//
// All mistakes are told together, each with its line. A layer that reads from a wrong one is checked for its
// attributes only, so that one mistake is told once.
#pragma once

#include <string>
#include <string_view>

#include "jobs/models/model_spec.hpp"
#include "layers/graph.hpp"

namespace trireme::jobs {

/// Bounds on what a file can ask for; largest_model_file and its neighbours bound the text.
inline constexpr std::int64_t most_repeats = 1000;
inline constexpr int deepest_repeats = 4;         ///< repeat blocks inside each other
inline constexpr std::size_t most_layers = 4096;  ///< after unrolling
inline constexpr std::size_t longest_layer_name = 64;
inline constexpr std::size_t most_layer_inputs = 64;

/// Builds the network that `text` describes; `file` names it in messages. Throws ConfigError with all
/// mistakes.
[[nodiscard]] layers::ModelGraph model_from_toml(std::string_view text, const std::string& file,
                                                 const ModelSpec& spec);
/// The same from the file that `spec` names.
[[nodiscard]] layers::ModelGraph read_model_file(const ModelSpec& spec);

}  // namespace trireme::jobs
