#include "io/library_versions.hpp"

#include <fmt/format.h>
#include <hdf5.h>
#include <zlib.h>

#include "io/image/codec.hpp"

namespace trireme::io {

std::vector<std::pair<std::string, std::string>> library_versions() {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    H5get_libversion(&major, &minor, &release);
    return {{"hdf5", fmt::format("{}.{}.{}", major, minor, release)},
            {"zlib", zlibVersion()},
            {"libjpeg-turbo", jpeg_library_version()},
            {"libpng", png_library_version()}};
}

}  // namespace trireme::io
