// A folder of images, one folder a class, JPEG or PNG; or train/, val/ and test/ with such folders inside,
// where train/ is a must and says which classes there are.
//
//      photos/cat/1.jpg            photos/train/cat/1.jpg
//      photos/dog/a/2.png          photos/val/dog/2.png
//
// Classes are numbered in the order of their names as bytes. All files below a class's folder count, whatever
// their names end with, except those whose names begin with a dot; files beside the class folders are passed
// over.
//
// Opening looks at the head of every file (with --skip-bad at all of it), shared out between members and
// threads, so that mistakes are told before anything is written and every member knows the same. Images are
// grey where all are, RGB otherwise.
#pragma once

#include <filesystem>
#include <optional>

#include "io/import/import.hpp"
#include "io/import/synthetic_source.hpp"

namespace trireme::io {

struct FolderOptions {
    std::optional<ImageSize> size;  ///< resized to it; empty: all images must have one size
    bool skip_bad = false;  ///< files that cannot be decoded are left out instead of ending the import
    std::string licence = "see the source";
};

class FolderSource final : public ImportSource {
  public:
    /// All members of the team call it together. Throws DataError: no classes, no images, the first bad file,
    /// the first image of another size.
    FolderSource(const std::filesystem::path& folder, const FolderOptions& options, const ImportTeam& team);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] std::string licence() const override { return options_.licence; }
    [[nodiscard]] Shape sample_shape() const override { return {size_.height, size_.width, channels_}; }
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override {
        return static_cast<std::int64_t>(class_names_.size());
    }
    [[nodiscard]] std::vector<std::string> class_names() const override { return class_names_; }
    [[nodiscard]] std::vector<SourcePart> parts() const override;
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override;
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override;

    /// A message a file; the same on every member.
    [[nodiscard]] std::vector<std::string> skipped() const override { return skipped_; }

  private:
    struct Sample {
        std::filesystem::path path;
        std::int32_t label = 0;
    };
    struct Part {
        std::string name;
        std::vector<Sample> samples;
    };
    void list_parts();
    void list_classes(const std::filesystem::path& folder, const std::string& part);
    void survey(const ImportTeam& team);

    std::filesystem::path folder_;
    FolderOptions options_;
    std::vector<std::string> class_names_;
    std::vector<Part> parts_;
    std::vector<std::string> skipped_;
    ImageSize size_;
    std::int64_t channels_ = 3;
};

}  // namespace trireme::io
