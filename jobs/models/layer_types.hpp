// The layer types of model files: which op each one is, and which attributes it takes. docs/models.md is the
// user's page of this table.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/models/toml_reader.hpp"
#include "layers/ops.hpp"

namespace trireme::jobs {

/// A layer as a file describes it: one op, or an op and its bias (layers/build.hpp).
struct LayerOp {
    layers::Op op;
    bool bias = false;
};

/// Reads the attributes of a type. `outputs`: what "classes" stands for.
using ReadLayer = LayerOp (*)(TomlReader& attributes, std::int64_t outputs);

struct LayerType {
    std::string_view name;
    ReadLayer read;
    /// Its node carries parameters or random numbers that are keyed by the layer's name, which must be given.
    bool named = false;
};

[[nodiscard]] std::span<const LayerType> layer_types();
/// Null when there is no such type.
[[nodiscard]] const LayerType* find_layer_type(std::string_view name);

}  // namespace trireme::jobs
