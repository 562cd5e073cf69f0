#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>
// After jpeglib.h, whose types it needs.
#include <jerror.h>

#include "io/image/codec.hpp"

namespace trireme::io {
namespace {

// Files of cameras have about ten. A file can claim thousands, each of which costs a pass over the whole
// image.
constexpr int max_scans = 100;
constexpr int exif_marker = JPEG_APP0 + 1;
constexpr unsigned longest_marker = 0xffff;
constexpr std::string_view exif_name{"Exif\0\0", 6};

/// libjpeg tells errors by a jump. It begins in the library and ends in `JpegReader::runs`: no object of ours
/// with a destructor lies between.
struct ErrorJump {
    jpeg_error_mgr manager;
    std::jmp_buf place;
    char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void jump(j_common_ptr info) {
    auto* errors = reinterpret_cast<ErrorJump*>(info->err);
    errors->manager.format_message(info, errors->text);
    std::longjmp(errors->place, 1);
}

/// Warnings mean that pixels are made up, except for these few, which cameras are known to cause.
void judge_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    const int code = info->err->msg_code;
    if (code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR) jump(info);
}

void limit_scans(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= max_scans) return;
    auto* errors = reinterpret_cast<ErrorJump*>(info->err);
    std::snprintf(errors->text, sizeof errors->text, "has more than %d scans", max_scans);
    std::longjmp(errors->place, 1);
}

/// Owns what libjpeg allocates, also where the constructor of its reader ends by an error.
struct Decompressor {
    jpeg_decompress_struct info{};
    Decompressor() = default;
    ~Decompressor() { jpeg_destroy_decompress(&info); }
    Decompressor(const Decompressor&) = delete;
    Decompressor& operator=(const Decompressor&) = delete;
};

/// One decoder. Its calls into libjpeg go through `runs`.
class JpegReader {
  public:
    explicit JpegReader(const ImageFile& file) : file_(file) {
        info_.err = jpeg_std_error(&errors_.manager);
        errors_.manager.error_exit = jump;
        errors_.manager.emit_message = judge_message;
        progress_.progress_monitor = limit_scans;
        require([this] {
            jpeg_create_decompress(&info_);
            info_.progress = &progress_;
            jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file_.bytes.data()),
                         static_cast<unsigned long>(file_.bytes.size()));
            jpeg_save_markers(&info_, exif_marker, longest_marker);
            jpeg_read_header(&info_, TRUE);
        });
        file_.require_extents(info_.image_height, info_.image_width);
    }

    [[nodiscard]] int orientation() const {
        for (auto* marker = info_.marker_list; marker != nullptr; marker = marker->next) {
            const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
            if (marker->marker != exif_marker || !data.starts_with(exif_name)) continue;
            return exif_orientation(std::as_bytes(std::span(data.substr(exif_name.size()))));
        }
        return 1;
    }
    [[nodiscard]] bool colour() const { return info_.num_components > 1; }
    [[nodiscard]] ImageHeader header() const {
        const bool swap = swaps_axes(orientation());
        return {swap ? info_.image_width : info_.image_height, swap ? info_.image_height : info_.image_width,
                colour()};
    }
    Image decode();

  private:
    /// False where libjpeg jumped out of `calls`, which must have no objects with destructors.
    template <class Calls>
    bool runs(Calls calls) {
        if (setjmp(errors_.place) != 0) return false;
        calls();
        return true;
    }
    template <class Calls>
    void require(Calls calls) {
        if (!runs(calls)) file_.refuse(fmt::format("cannot be decoded as JPEG: {}", errors_.text));
    }
    void choose_colours();

    const ImageFile& file_;
    ErrorJump errors_{};
    jpeg_progress_mgr progress_{};
    Decompressor decompressor_;
    jpeg_decompress_struct& info_ = decompressor_.info;
};

void JpegReader::choose_colours() {
    switch (info_.jpeg_color_space) {
        case JCS_GRAYSCALE:
            info_.out_color_space = JCS_GRAYSCALE;
            return;
        case JCS_YCbCr:
        case JCS_RGB:
            info_.out_color_space = JCS_RGB;
            return;
        case JCS_CMYK:
        case JCS_YCCK:
            info_.out_color_space = JCS_CMYK;
            return;
        default:
            file_.refuse(fmt::format("is a JPEG of {} components, of which no colours can be made",
                                     info_.num_components));
    }
}

/// One row of CMYK to RGB. Adobe's programs store the inverse of the inks, and say so by a marker.
void inks_to_rgb(std::span<const std::uint8_t> inks, bool inverted, std::vector<std::uint8_t>& rgb) {
    const auto light = [&](std::uint8_t ink) { return inverted ? ink : 255U - ink; };
    for (std::size_t i = 0; i < inks.size(); i += 4) {
        for (std::size_t c = 0; c < 3; ++c) {
            const unsigned product = light(inks[i + c]) * light(inks[i + 3]);
            rgb.push_back(static_cast<std::uint8_t>((product + 127U) / 255U));
        }
    }
}

Image JpegReader::decode() {
    choose_colours();
    require([this] { jpeg_start_decompress(&info_); });
    const bool inks = info_.out_color_space == JCS_CMYK;
    Image image{info_.output_height, info_.output_width, colour() ? 3 : 1, {}};
    std::vector<std::uint8_t> row(std::size_t{info_.output_width} *
                                  static_cast<std::size_t>(info_.output_components));
    // The image grows with the rows that the file really has.
    while (info_.output_scanline < info_.output_height) {
        JSAMPROW place = row.data();
        require([this, &place] { jpeg_read_scanlines(&info_, &place, 1); });
        if (inks) {
            inks_to_rgb(row, info_.saw_Adobe_marker != 0, image.pixels);
        } else {
            image.pixels.insert(image.pixels.end(), row.begin(), row.end());
        }
    }
    const int turn = orientation();  // finishing forgets the markers
    require([this] { jpeg_finish_decompress(&info_); });
    return oriented(std::move(image), turn);
}

}  // namespace

bool is_jpeg(std::span<const std::byte> file) {
    return file.size() >= 3 && file[0] == std::byte{0xff} && file[1] == std::byte{0xd8} &&
           file[2] == std::byte{0xff};
}

ImageHeader read_jpeg_header(const ImageFile& file) { return JpegReader(file).header(); }

Image decode_jpeg(const ImageFile& file) { return JpegReader(file).decode(); }

// The library has no function that tells its version; the number is 2001005 for 2.1.5.
std::string jpeg_library_version() {
    constexpr int number = LIBJPEG_TURBO_VERSION_NUMBER;
    return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
}

}  // namespace trireme::io
