#include <array>

#include <fmt/format.h>

#include "jobs/models/presets.hpp"
#include "layers/build.hpp"

namespace trireme::jobs::presets {
namespace {

using namespace layers;

/// A square convolution without bias whose padding keeps the size at stride 1.
Conv2d square(std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
    Conv2d conv;
    conv.out_channels = channels;
    conv.kernel = {kernel, kernel};
    conv.stride = {stride, stride};
    conv.padding = {kernel / 2, kernel / 2};
    return conv;
}

/// conv<index> and bn<index>.
TensorId conv_norm(ModelGraph& graph, const std::string& block, int index, const Conv2d& conv, TensorId x) {
    return conv_bn(graph, fmt::format("{}conv{}", block, index), fmt::format("{}bn{}", block, index), conv,
                   x);
}

TensorId relu(ModelGraph& graph, const std::string& block, int index, TensorId x) {
    return graph.add(fmt::format("{}relu{}", block, index), Relu{}, {x});
}

/// What a block adds to its residual: its input, or a 1x1 convolution of it where the shapes differ.
TensorId shortcut(ModelGraph& graph, const std::string& block, std::int64_t channels, std::int64_t stride,
                  TensorId x) {
    if (stride == 1 && graph.tensor(x).shape[2] == channels) return x;
    return conv_bn(graph, block + "downsample.0", block + "downsample.1", square(channels, 1, stride), x);
}

///     x --> 3x3 (stride) --> bn --> relu --> 3x3 --> bn --> add --> relu
///      \------------------- shortcut ---------------------/
TensorId basic_block(ModelGraph& graph, const std::string& block, std::int64_t width, std::int64_t stride,
                     TensorId x) {
    TensorId y = relu(graph, block, 1, conv_norm(graph, block, 1, square(width, 3, stride), x));
    y = conv_norm(graph, block, 2, square(width, 3, 1), y);
    y = graph.add(block + "add", Add{}, {y, shortcut(graph, block, width, stride, x)});
    return relu(graph, block, 2, y);
}

///     x --> 1x1 --> bn --> relu --> 3x3 (stride) --> bn --> relu --> 1x1 (4 width) --> bn --> add --> relu
///      \-------------------------------- shortcut ----------------------------------------/
TensorId bottleneck(ModelGraph& graph, const std::string& block, std::int64_t width, std::int64_t stride,
                    TensorId x) {
    constexpr std::int64_t expansion = 4;
    TensorId y = relu(graph, block, 1, conv_norm(graph, block, 1, square(width, 1, 1), x));
    y = relu(graph, block, 2, conv_norm(graph, block, 2, square(width, 3, stride), y));
    y = conv_norm(graph, block, 3, square(width * expansion, 1, 1), y);
    y = graph.add(block + "add", Add{}, {y, shortcut(graph, block, width * expansion, stride, x)});
    return relu(graph, block, 3, y);
}

using Block = TensorId (*)(ModelGraph&, const std::string&, std::int64_t, std::int64_t, TensorId);

/// Four stages of `block`; each but the first halves height and width and doubles the channels.
TensorId stages(ModelGraph& graph, Block block, const std::array<int, 4>& blocks, TensorId x) {
    std::int64_t width = 64;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
        for (int i = 0; i < blocks[stage]; ++i) {
            const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
            x = block(graph, fmt::format("layer{}.{}.", stage + 1, i), width, stride, x);
        }
        width *= 2;
    }
    return x;
}

void head(ModelGraph& graph, const ModelFrame& frame, TensorId x) {
    x = graph.add("avgpool", GlobalAveragePool{}, {x});
    Linear linear;
    linear.out_features = frame.outputs;
    frame.finish(graph, linear_bias(graph, "fc", linear, x));
}

}  // namespace

ModelGraph resnet18_cifar(const ModelFrame& frame) {
    ModelGraph graph = frame.start("resnet18-cifar");
    const TensorId x = relu(graph, "", 1, conv_norm(graph, "", 1, square(64, 3, 1), graph.input()));
    head(graph, frame, stages(graph, basic_block, {2, 2, 2, 2}, x));
    return graph;
}

ModelGraph resnet50(const ModelFrame& frame) {
    ModelGraph graph = frame.start("resnet50");
    TensorId x = relu(graph, "", 1, conv_norm(graph, "", 1, square(64, 7, 2), graph.input()));
    Pool2d pool;
    pool.kernel = {3, 3};
    pool.padding = {1, 1};
    x = graph.add("maxpool", pool, {x});
    head(graph, frame, stages(graph, bottleneck, {3, 4, 6, 3}, x));
    return graph;
}

}  // namespace trireme::jobs::presets
