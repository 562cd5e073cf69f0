// Where samples come from before they are shards. An importer implements this for one kind of input.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/data_set.hpp"

namespace trireme::io {

/// A part that the source itself makes: "train", "val" or "test".
struct SourcePart {
    std::string name;
    std::int64_t samples = 0;
};

class ImportSource {
  public:
    virtual ~ImportSource() = default;
    /// Where it came from and under what terms, kept in the data set.
    [[nodiscard]] virtual std::string description() const = 0;
    [[nodiscard]] virtual std::string licence() const = 0;
    [[nodiscard]] virtual Shape sample_shape() const = 0;
    [[nodiscard]] virtual DType dtype() const = 0;  ///< u8 or f32
    /// What a target is, as in DataSetInfo; a class where a source does not say otherwise.
    [[nodiscard]] virtual std::string target_kind() const { return std::string(target_class); }
    [[nodiscard]] virtual Shape target_shape() const { return {}; }
    /// Classes, or the length of a target vector.
    [[nodiscard]] virtual std::int64_t classes() const = 0;
    [[nodiscard]] virtual std::vector<std::string> class_names() const = 0;  ///< one a class, or none
    [[nodiscard]] virtual std::vector<SourcePart> parts() const = 0;
    /// What was left out because it is damaged, a message each; only where that was asked for.
    [[nodiscard]] virtual std::vector<std::string> skipped() const { return {}; }
    /// Writes one sample and its target as they are stored (a class is an i32). Thread-safe. Throws DataError
    /// naming the file, the index and what is wrong.
    virtual void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                      std::span<std::byte> target) const = 0;
    /// The class of a sample, without reading the sample: what a stratified split counts. Called only where
    /// targets are classes.
    [[nodiscard]] virtual std::int32_t label(std::size_t part, std::int64_t index) const = 0;
};

}  // namespace trireme::io
