#include "io/pipeline/decode.hpp"

#include <cstring>

namespace trireme::io {
namespace {

constexpr std::size_t least_stretch = 64;

template <class T>
void affine(const T* in, float* out, std::size_t elements, const std::vector<float>& scale,
            const std::vector<float>& shift) {
    const float* a = scale.data();
    const float* b = shift.data();
    for (std::size_t begin = 0; begin < elements; begin += scale.size()) {
        const std::size_t n = std::min(scale.size(), elements - begin);
        const T* from = in + begin;
        float* to = out + begin;
        for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]) * a[i] + b[i];
    }
}

}  // namespace

Decoder::Decoder(const DataSetInfo& info, bool normalize)
    : dtype_(info.x_dtype),
      elements_(static_cast<std::size_t>(info.sample_shape.elements().value)),
      copy_(info.x_dtype == DType::f32 && !normalize) {
    const double unit = info.x_dtype == DType::u8 ? 1.0 / 255.0 : 1.0;
    const std::size_t channels = normalize ? info.mean.size() : 1;
    const std::size_t stretch = channels * ((least_stretch + channels - 1) / channels);
    for (std::size_t i = 0; i < stretch; ++i) {
        const double mean = normalize ? info.mean[i % channels] : 0.0;
        const double stddev = normalize && info.stddev[i % channels] > 0 ? info.stddev[i % channels] : 1.0;
        scale_.push_back(static_cast<float>(unit / stddev));
        shift_.push_back(static_cast<float>(-mean / stddev));
    }
}

void Decoder::decode(const std::byte* sample, float* out) const {
    if (copy_) {
        std::memcpy(out, sample, elements_ * sizeof(float));
    } else if (dtype_ == DType::u8) {
        affine(reinterpret_cast<const unsigned char*>(sample), out, elements_, scale_, shift_);
    } else {
        affine(reinterpret_cast<const float*>(sample), out, elements_, scale_, shift_);
    }
}

}  // namespace trireme::io
