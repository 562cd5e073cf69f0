#include "runtime/kernels/onednn/tap_gradient.hpp"

#include <cstring>

#include <fmt/format.h>

#include "runtime/device/cpu/kernel_threads.hpp"

namespace trireme::onednn {
namespace {

using desc = dnnl::memory::desc;

std::int64_t pixels_of(const Shape& image) { return image[0] * image[1]; }

}  // namespace

bool TapGradient::pays(const layers::Conv2d& op, const Shape& input, const Shape& output) {
    constexpr std::int64_t most_pixels = 49;
    constexpr std::int64_t fewest_channels = 64;
    return op.groups == 1 && op.kernel[0] * op.kernel[1] > 1 && pixels_of(output) <= most_pixels &&
           std::min(input[2], output[2]) >= fewest_channels;
}

TapGradient::Tap TapGradient::tap_of(const layers::Conv2d& op, const Shape& input, const Shape& output,
                                     std::int64_t ky, std::int64_t kx) {
    Tap tap;
    for (std::int64_t y = 0; y < output[0]; ++y) {
        const std::int64_t iy = y * op.stride[0] - op.padding[0] + ky * op.dilation[0];
        if (iy < 0 || iy >= input[0]) continue;
        for (std::int64_t x = 0; x < output[1]; ++x) {
            const std::int64_t ix = x * op.stride[1] - op.padding[1] + kx * op.dilation[1];
            if (ix < 0 || ix >= input[1]) continue;
            const std::int64_t out = y * output[1] + x;
            const std::int64_t in = iy * input[1] + ix;
            ++tap.pixels;
            if (!tap.runs.empty() && tap.runs.back().out + tap.runs.back().count == out &&
                tap.runs.back().in + tap.runs.back().count == in) {
                ++tap.runs.back().count;
            } else {
                tap.runs.push_back({out, in, 1});
            }
        }
    }
    tap.gathers_output = tap.pixels != pixels_of(output);
    tap.gathers_input = tap.gathers_output || tap.runs.size() != 1 || pixels_of(input) != pixels_of(output);
    return tap;
}

TapGradient::TapGradient(const Context& context, const std::string& what, const layers::Conv2d& op,
                         const Shape& input, const Shape& output, std::int64_t batch, DType compute,
                         int threads, ScratchLayout& layout)
    : batch_(batch), threads_(threads), input_pixels_(pixels_of(input)), output_pixels_(pixels_of(output)) {
    const std::int64_t in = input[2];
    const std::int64_t out = output[2];
    input_pixel_bytes_ = in * size_of(compute);
    output_pixel_bytes_ = out * size_of(compute);
    tap_bytes_ = out * in * size_of(DType::f32);
    std::size_t scratchpad = 0;
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
        for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
            Tap tap = tap_of(op, input, output, ky, kx);
            if (const std::int64_t rows = batch * tap.pixels; rows > 0) {
                const desc d_y({out, rows}, type_of(compute), dnnl::memory::dims{1, out});
                const dnnl::matmul::primitive_desc pd(context.engine, d_y, plain({rows, in}, compute),
                                                      plain({out, in}), attributes());
                implementation_ = fmt::format("taps matmul {}", pd.impl_info_str());
                scratchpad = std::max(scratchpad, pd.scratchpad_desc().get_size());
                tap.product = {context,
                               what,
                               dnnl::matmul(pd),
                               {{DNNL_ARG_SRC, pd.src_desc()},
                                {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                                {DNNL_ARG_DST, pd.dst_desc()},
                                {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
            }
            taps_.push_back(std::move(tap));
        }
    }
    const dnnl::memory::dims weight{out, in, op.kernel[0], op.kernel[1]};
    const desc by_taps(weight, type_of(DType::f32),
                       dnnl::memory::dims{in, 1, op.kernel[1] * out * in, out * in});
    gradient_ = {context, what, layout, by_taps, plain(weight), ScratchCopy::Pass::writes};
    input_offset_ = layout.take(static_cast<std::size_t>(batch * output_pixels_ * input_pixel_bytes_));
    output_offset_ = layout.take(static_cast<std::size_t>(batch * output_pixels_ * output_pixel_bytes_));
    scratchpad_offset_ = layout.take(scratchpad);
}

void TapGradient::gather(const Tap& tap, const Gather& what, bool input) const {
    cpu::parallel_ranges(threads_, batch_, [&](int, std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
            std::byte* to = what.to + n * tap.pixels * what.pixel_bytes;
            const std::byte* from = what.from + n * what.sample_pixels * what.pixel_bytes;
            for (const Run& run : tap.runs) {
                const std::int64_t bytes = run.count * what.pixel_bytes;
                std::memcpy(to, from + (input ? run.in : run.out) * what.pixel_bytes,
                            static_cast<std::size_t>(bytes));
                to += bytes;
            }
        }
    });
}

void TapGradient::run(const std::byte* x, const std::byte* d_y, std::byte* d_weight, std::byte* scratch) {
    std::byte* target = gradient_.target(d_weight, scratch);
    for (Tap& tap : taps_) {
        std::byte* part = target + (&tap - taps_.data()) * tap_bytes_;
        if (tap.pixels == 0) {  // the kernel reaches beyond the image here at every pixel
            std::memset(part, 0, static_cast<std::size_t>(tap_bytes_));
            continue;
        }
        const std::byte* pixels = x;
        if (tap.gathers_input) {
            gather(tap, {x, scratch + input_offset_, input_pixel_bytes_, input_pixels_}, true);
            pixels = scratch + input_offset_;
        }
        const std::byte* gradients = d_y;
        if (tap.gathers_output) {
            gather(tap, {d_y, scratch + output_offset_, output_pixel_bytes_, output_pixels_}, false);
            gradients = scratch + output_offset_;
        }
        tap.product.run({gradients, pixels, part, scratch + scratchpad_offset_});
    }
    gradient_.finish(d_weight, scratch);
}

}  // namespace trireme::onednn
