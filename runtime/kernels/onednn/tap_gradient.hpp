// The weight gradient of a convolution on small images, as one matrix product for each place (tap) of the
// kernel:
//
//     dW[o, i, ky, kx] = sum over pixels p of all samples  dY[p, o] X[at(p, ky, kx), i]
//
// A direct kernel keeps a part of dW in registers and runs over the rows of one image, which are too short
// here to pay for loading it. The products run over the pixels of the whole batch instead, and over those
// alone whose tap lies in the image: on images of 4x4 with a 3x3 kernel that is 69 % of them. Pixels are
// gathered in scratch for each tap; docs/kernels-cpu.md has what it gains.
#pragma once

#include <string>
#include <vector>

#include "layers/ops.hpp"
#include "runtime/core/shape.hpp"
#include "runtime/kernels/onednn/copies.hpp"

namespace trireme::onednn {

class TapGradient {
  public:
    /// True where this is faster than the direct kernels, as was measured.
    [[nodiscard]] static bool pays(const layers::Conv2d& op, const Shape& input, const Shape& output);

    TapGradient() = default;
    /// x and d_y are of type `compute`; takes its room from `layout`.
    TapGradient(const Context& context, const std::string& what, const layers::Conv2d& op, const Shape& input,
                const Shape& output, std::int64_t batch, DType compute, int threads, ScratchLayout& layout);

    [[nodiscard]] const std::string& implementation() const { return implementation_; }
    /// Writes d_weight [out, in, kh, kw].
    void run(const std::byte* x, const std::byte* d_y, std::byte* d_weight, std::byte* scratch);

  private:
    /// Neighbouring pixels of one sample: of the output, and where the tap finds them in the input.
    struct Run {
        std::int64_t out;
        std::int64_t in;
        std::int64_t count;
    };
    struct Tap {
        std::vector<Run> runs;
        std::int64_t pixels = 0;     ///< of one sample
        bool gathers_input = true;   ///< false: the pixels are all of the input, in order
        bool gathers_output = true;  ///< false: the pixels are all of the output, in order
        PrimitiveCall product;
    };
    /// Where a sample's pixels come from, and how they stand in the gathered matrix.
    struct Gather {
        const std::byte* from;
        std::byte* to;
        std::int64_t pixel_bytes;
        std::int64_t sample_pixels;  ///< of `from`
    };

    [[nodiscard]] static Tap tap_of(const layers::Conv2d& op, const Shape& input, const Shape& output,
                                    std::int64_t ky, std::int64_t kx);
    void gather(const Tap& tap, const Gather& what, bool input) const;

    std::string implementation_;
    std::vector<Tap> taps_;
    std::int64_t batch_ = 0;
    int threads_ = 1;
    std::int64_t input_pixels_ = 0;
    std::int64_t output_pixels_ = 0;
    std::int64_t input_pixel_bytes_ = 0;
    std::int64_t output_pixel_bytes_ = 0;
    std::int64_t tap_bytes_ = 0;  ///< of one tap's part of the gradient
    std::int64_t input_offset_ = 0;
    std::int64_t output_offset_ = 0;
    std::int64_t scratchpad_offset_ = 0;
    ScratchCopy gradient_;  ///< [tap, out, in] to [out, in, tap]
};

}  // namespace trireme::onednn
