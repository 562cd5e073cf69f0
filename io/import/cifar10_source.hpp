// CIFAR-10 in its binary version (https://www.cs.toronto.edu/~kriz/cifar.html): records of one byte of class
// and 3 x 32 x 32 bytes, channel by channel; here height, width, channels.
#pragma once

#include <filesystem>

#include "io/import/source.hpp"
#include "io/posix_file.hpp"

namespace trireme::io {

class Cifar10Source final : public ImportSource {
  public:
    /// `folder` holds data_batch_1.bin to data_batch_5.bin, and may hold test_batch.bin and batches.meta.txt
    /// (the names of the classes, one a line). Files may have any number of whole records.
    explicit Cifar10Source(const std::filesystem::path& folder, std::string licence = "see the source");

    [[nodiscard]] std::string description() const override { return "cifar10"; }
    [[nodiscard]] std::string licence() const override { return licence_; }
    [[nodiscard]] Shape sample_shape() const override;
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override { return 10; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return class_names_; }
    [[nodiscard]] std::vector<SourcePart> parts() const override;
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override;
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override;

  private:
    struct File {
        PosixFile file;
        std::int64_t records = 0;
    };
    struct Part {
        std::string name;
        std::vector<File> files;
        [[nodiscard]] std::int64_t records() const;
    };
    void read_names(const std::filesystem::path& folder);
    /// Fills `out` from the beginning of a record.
    void read_record(std::size_t part, std::int64_t index, std::span<std::byte> out) const;

    std::string licence_;
    std::vector<std::string> class_names_;
    std::vector<Part> parts_;
};

}  // namespace trireme::io
