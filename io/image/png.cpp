#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#include "io/image/codec.hpp"

namespace trireme::io {
namespace {

constexpr std::size_t signature_bytes = 8;
constexpr std::uint32_t max_chunks_kept = 64;
constexpr std::size_t max_chunk_bytes = std::size_t{8} << 20;
// Deflate makes at most 1032 bytes of one.
constexpr std::int64_t most_inflated = 1032;

/// What libpng's callbacks share. Errors jump out of the library into `PngReader::runs`: no object of ours
/// with a destructor lies between.
struct PngState {
    std::jmp_buf place;
    char text[256];
    const std::byte* next;
    std::size_t left;
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
    auto* state = static_cast<PngState*>(png_get_error_ptr(png));
    std::snprintf(state->text, sizeof state->text, "%s", text);
    std::longjmp(state->place, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_memory(png_structp png, png_bytep out, std::size_t wanted) {
    auto* state = static_cast<PngState*>(png_get_io_ptr(png));
    if (wanted > state->left) png_error(png, "the file is cut short");
    std::memcpy(out, state->next, wanted);
    state->next += wanted;
    state->left -= wanted;
}

/// Owns what libpng allocates, also where the constructor of its reader ends by an error.
struct ReadStructs {
    png_structp png = nullptr;
    png_infop info = nullptr;
    ReadStructs() = default;
    ~ReadStructs() { png_destroy_read_struct(&png, &info, nullptr); }
    ReadStructs(const ReadStructs&) = delete;
    ReadStructs& operator=(const ReadStructs&) = delete;
};

/// One decoder. Its calls into libpng go through `runs`.
class PngReader {
  public:
    explicit PngReader(const ImageFile& file) : file_(file) {
        state_.next = file.bytes.data();
        state_.left = file.bytes.size();
        png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state_, on_error, on_warning);
        if (png_ != nullptr) info_ = png_create_info_struct(png_);
        if (info_ == nullptr) throw std::bad_alloc();
        require([this] {
            png_set_read_fn(png_, &state_, read_memory);
            png_set_chunk_cache_max(png_, max_chunks_kept);
            png_set_chunk_malloc_max(png_, max_chunk_bytes);
            png_read_info(png_, info_);
        });
        file_.require_extents(png_get_image_height(png_, info_), png_get_image_width(png_, info_));
    }

    [[nodiscard]] bool colour() const {
        return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0;
    }
    [[nodiscard]] int orientation() {
        png_uint_32 bytes = 0;
        png_bytep data = nullptr;
        if (png_get_eXIf_1(png_, info_, &bytes, &data) == 0) return 1;
        return exif_orientation(std::as_bytes(std::span(data, bytes)));
    }
    [[nodiscard]] ImageHeader header() {
        const std::int64_t height = png_get_image_height(png_, info_);
        const std::int64_t width = png_get_image_width(png_, info_);
        const bool swap = swaps_axes(orientation());
        return {swap ? width : height, swap ? height : width, colour()};
    }
    Image decode();

  private:
    /// False where libpng jumped out of `calls`, which must have no objects with destructors.
    template <class Calls>
    bool runs(Calls calls) {
        if (setjmp(state_.place) != 0) return false;
        calls();
        return true;
    }
    template <class Calls>
    void require(Calls calls) {
        if (!runs(calls)) file_.refuse(fmt::format("cannot be decoded as PNG: {}", state_.text));
    }
    void require_possible_size();
    [[nodiscard]] std::vector<std::uint8_t> read_rows(std::size_t row_bytes, int passes);

    const ImageFile& file_;
    PngState state_{};
    ReadStructs structs_;
    png_structp& png_ = structs_.png;
    png_infop& info_ = structs_.info;
};

void PngReader::require_possible_size() {
    const auto claimed = static_cast<std::int64_t>(png_get_rowbytes(png_, info_)) *
                         static_cast<std::int64_t>(png_get_image_height(png_, info_));
    const auto has = static_cast<std::int64_t>(file_.bytes.size());
    if (claimed / most_inflated > has) {
        file_.refuse(fmt::format("claims {} bytes of pixels, which its {} bytes cannot hold", claimed, has));
    }
}

std::vector<std::uint8_t> PngReader::read_rows(std::size_t row_bytes, int passes) {
    const std::size_t height = png_get_image_height(png_, info_);
    std::vector<std::uint8_t> rows;
    // The rows of an image that is not interlaced grow with what the file really has.
    if (passes > 1) rows.resize(height * row_bytes);
    for (int pass = 0; pass < passes; ++pass) {
        for (std::size_t y = 0; y < height; ++y) {
            if (passes == 1) rows.resize((y + 1) * row_bytes);
            png_bytep row = rows.data() + y * row_bytes;
            require([this, row] { png_read_row(png_, row, nullptr); });
        }
    }
    require([this] { png_read_end(png_, info_); });
    return rows;
}

/// Drops the alpha channel of pixels with `channels` values, the last of them alpha, and lays them over
/// white.
std::vector<std::uint8_t> over_white(const std::vector<std::uint8_t>& pixels, std::size_t channels) {
    std::vector<std::uint8_t> result;
    result.reserve(pixels.size() / channels * (channels - 1));
    for (std::size_t i = 0; i < pixels.size(); i += channels) {
        const unsigned alpha = pixels[i + channels - 1];
        for (std::size_t c = 0; c + 1 < channels; ++c) {
            const unsigned blended = pixels[i + c] * alpha + 255U * (255U - alpha);
            result.push_back(static_cast<std::uint8_t>((blended + 127U) / 255U));
        }
    }
    return result;
}

Image PngReader::decode() {
    require_possible_size();
    const bool has_colour = colour();
    int passes = 0;
    require([this, &passes] {
        png_set_scale_16(png_);
        png_set_expand(png_);
        passes = png_set_interlace_handling(png_);
        png_read_update_info(png_, info_);
    });
    const std::size_t channels = png_get_channels(png_, info_);
    Image image{png_get_image_height(png_, info_), png_get_image_width(png_, info_), has_colour ? 3 : 1, {}};
    image.pixels = read_rows(png_get_rowbytes(png_, info_), passes);
    if (channels == 2 || channels == 4) image.pixels = over_white(image.pixels, channels);
    return oriented(std::move(image), orientation());
}

}  // namespace

bool is_png(std::span<const std::byte> file) {
    return file.size() >= signature_bytes &&
           png_sig_cmp(reinterpret_cast<png_const_bytep>(file.data()), 0, signature_bytes) == 0;
}

ImageHeader read_png_header(const ImageFile& file) { return PngReader(file).header(); }

Image decode_png(const ImageFile& file) { return PngReader(file).decode(); }

std::string png_library_version() { return png_get_libpng_ver(nullptr); }

}  // namespace trireme::io
