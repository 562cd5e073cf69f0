// Where samples come from before they are shards. An importer implements this for one kind of input.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"

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
    [[nodiscard]] virtual std::int64_t classes() const = 0;
    [[nodiscard]] virtual std::vector<std::string> class_names() const = 0;  ///< one a class, or none
    [[nodiscard]] virtual std::vector<SourcePart> parts() const = 0;
    /// Writes the raw bytes of one sample to `x` and returns its class. Thread-safe. Throws DataError naming
    /// the file, the index and what is wrong, also where the class is out of range.
    virtual std::int32_t read(std::size_t part, std::int64_t index, std::span<std::byte> x) const = 0;
};

}  // namespace trireme::io
