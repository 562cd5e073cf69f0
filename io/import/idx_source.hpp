// MNIST's four files in the IDX format (http://yann.lecun.com/exdb/mnist/), gzipped or plain: a big-endian
// header (two zero bytes, the element type, the number of dimensions, the extents) and then unsigned bytes.
#pragma once

#include <filesystem>

#include "io/import/source.hpp"

namespace trireme::io {

/// One IDX file of unsigned bytes, read into memory.
struct IdxFile {
    std::filesystem::path path;
    std::vector<std::int64_t> dims;
    std::vector<std::byte> bytes;
};

/// Reads and checks a file; memory grows with what the file has, never with what its header claims. Throws
/// DataError.
[[nodiscard]] IdxFile read_idx(const std::filesystem::path& path);

class IdxSource final : public ImportSource {
  public:
    /// `folder` holds train-images-idx3-ubyte and train-labels-idx1-ubyte, and may hold the t10k pair, each
    /// with or without .gz (the older names with a dot before idx are found too).
    explicit IdxSource(const std::filesystem::path& folder, std::int64_t classes = 10,
                       std::string licence = "see the source");

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] std::string licence() const override { return licence_; }
    [[nodiscard]] Shape sample_shape() const override { return shape_; }
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override { return classes_; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override;
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override;
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override;

  private:
    struct Part {
        std::string name;
        IdxFile images;
        IdxFile labels;
    };
    void add_part(const std::string& name, const std::string& prefix, bool required);

    std::filesystem::path folder_;
    std::int64_t classes_;
    std::string licence_;
    Shape shape_;
    std::vector<Part> parts_;
};

}  // namespace trireme::io
