// A look at many image files by all members of an import: which are bad, which sizes and colours there are.
#pragma once

#include <filesystem>

#include "io/image/image.hpp"
#include "io/import/import.hpp"

namespace trireme::io {

/// The bytes of an image file; one that is too large is a DataError before it is read.
[[nodiscard]] std::vector<std::byte> read_image_file(const std::filesystem::path& path);

struct ImageSurvey {
    struct Bad {
        std::int64_t file = 0;
        std::string message;
    };
    std::vector<Bad> bad;     ///< in ascending order
    bool colour = false;      ///< any good image has colours
    std::int64_t first = -1;  ///< the first good image, and its extents
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::int64_t first_other = -1;  ///< the first good image of other extents; -1: none
    std::int64_t other_height = 0;
    std::int64_t other_width = 0;
};

/// Looks at `files`, this member at its share of them by its threads; `whole` decodes them, else only their
/// heads are read. Every member returns the same.
[[nodiscard]] ImageSurvey survey_images(const std::vector<std::filesystem::path>& files, bool whole,
                                        const ImportTeam& team);

}  // namespace trireme::io
