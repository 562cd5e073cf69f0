// Samples of an HDF5 file that someone else wrote: one data set with samples, one with targets, counted along
// their first axes.
//
//      x   uint8, or floats (stored as float32), of any shape
//      y   integers, one a sample             a class; the labels must be 0, 1, ... without gaps
//          integers or truth values [n, k]    a vector of 0 and 1 (k = 1: a class)
//          floats [n] or [n, k]               a vector of floats, for regression
#pragma once

#include <filesystem>

#include "io/import/source.hpp"

namespace trireme::io {

class Hdf5Source final : public ImportSource {
  public:
    /// Reads all integer targets, to check them. Throws DataError, or ConfigError where a name is missing.
    Hdf5Source(const std::filesystem::path& file, const std::string& x, const std::string& y,
               std::string licence = "see the source");
    ~Hdf5Source() override;

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] std::string licence() const override { return licence_; }
    [[nodiscard]] Shape sample_shape() const override;
    [[nodiscard]] DType dtype() const override;
    [[nodiscard]] std::string target_kind() const override { return kind_; }
    [[nodiscard]] Shape target_shape() const override;
    [[nodiscard]] std::int64_t classes() const override { return classes_; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override;
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override;
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override;

  private:
    struct Opened;
    void read_integers();
    void take_classes(const std::vector<std::int64_t>& labels);
    void take_truths(const std::vector<std::int64_t>& values, std::int64_t first_row) const;

    std::filesystem::path path_;
    std::string licence_;
    std::unique_ptr<Opened> opened_;
    std::string kind_;
    std::int64_t classes_ = 0;
    std::vector<std::int32_t> labels_;  ///< where targets are classes
};

}  // namespace trireme::io
