// Names and shapes of parameters, in order, of the networks as torchvision 0.29 has them: taken from its
// model classes without running any kernel. resnet18-cifar is its resnet18 with 10 classes, but for the
// stem's 3x3.
#pragma once

#include <string_view>

namespace trireme::test {

inline constexpr std::string_view published_vgg11 = R"(
features.0.weight 64x3x3x3, features.0.bias 64, features.3.weight 128x64x3x3, features.3.bias 128,
features.6.weight 256x128x3x3, features.6.bias 256, features.8.weight 256x256x3x3, features.8.bias 256,
features.11.weight 512x256x3x3, features.11.bias 512, features.13.weight 512x512x3x3,
features.13.bias 512, features.16.weight 512x512x3x3, features.16.bias 512,
features.18.weight 512x512x3x3, features.18.bias 512, classifier.0.weight 4096x25088,
classifier.0.bias 4096, classifier.3.weight 4096x4096, classifier.3.bias 4096,
classifier.6.weight 1000x4096, classifier.6.bias 1000)";

inline constexpr std::string_view published_resnet18_cifar = R"(
conv1.weight 64x3x3x3, bn1.weight 64, bn1.bias 64, layer1.0.conv1.weight 64x64x3x3,
layer1.0.bn1.weight 64, layer1.0.bn1.bias 64, layer1.0.conv2.weight 64x64x3x3, layer1.0.bn2.weight 64,
layer1.0.bn2.bias 64, layer1.1.conv1.weight 64x64x3x3, layer1.1.bn1.weight 64, layer1.1.bn1.bias 64,
layer1.1.conv2.weight 64x64x3x3, layer1.1.bn2.weight 64, layer1.1.bn2.bias 64,
layer2.0.conv1.weight 128x64x3x3, layer2.0.bn1.weight 128, layer2.0.bn1.bias 128,
layer2.0.conv2.weight 128x128x3x3, layer2.0.bn2.weight 128, layer2.0.bn2.bias 128,
layer2.0.downsample.0.weight 128x64x1x1, layer2.0.downsample.1.weight 128,
layer2.0.downsample.1.bias 128, layer2.1.conv1.weight 128x128x3x3, layer2.1.bn1.weight 128,
layer2.1.bn1.bias 128, layer2.1.conv2.weight 128x128x3x3, layer2.1.bn2.weight 128,
layer2.1.bn2.bias 128, layer3.0.conv1.weight 256x128x3x3, layer3.0.bn1.weight 256,
layer3.0.bn1.bias 256, layer3.0.conv2.weight 256x256x3x3, layer3.0.bn2.weight 256,
layer3.0.bn2.bias 256, layer3.0.downsample.0.weight 256x128x1x1, layer3.0.downsample.1.weight 256,
layer3.0.downsample.1.bias 256, layer3.1.conv1.weight 256x256x3x3, layer3.1.bn1.weight 256,
layer3.1.bn1.bias 256, layer3.1.conv2.weight 256x256x3x3, layer3.1.bn2.weight 256,
layer3.1.bn2.bias 256, layer4.0.conv1.weight 512x256x3x3, layer4.0.bn1.weight 512,
layer4.0.bn1.bias 512, layer4.0.conv2.weight 512x512x3x3, layer4.0.bn2.weight 512,
layer4.0.bn2.bias 512, layer4.0.downsample.0.weight 512x256x1x1, layer4.0.downsample.1.weight 512,
layer4.0.downsample.1.bias 512, layer4.1.conv1.weight 512x512x3x3, layer4.1.bn1.weight 512,
layer4.1.bn1.bias 512, layer4.1.conv2.weight 512x512x3x3, layer4.1.bn2.weight 512,
layer4.1.bn2.bias 512, fc.weight 10x512, fc.bias 10)";

inline constexpr std::string_view published_resnet50 = R"(
conv1.weight 64x3x7x7, bn1.weight 64, bn1.bias 64, layer1.0.conv1.weight 64x64x1x1,
layer1.0.bn1.weight 64, layer1.0.bn1.bias 64, layer1.0.conv2.weight 64x64x3x3, layer1.0.bn2.weight 64,
layer1.0.bn2.bias 64, layer1.0.conv3.weight 256x64x1x1, layer1.0.bn3.weight 256, layer1.0.bn3.bias 256,
layer1.0.downsample.0.weight 256x64x1x1, layer1.0.downsample.1.weight 256,
layer1.0.downsample.1.bias 256, layer1.1.conv1.weight 64x256x1x1, layer1.1.bn1.weight 64,
layer1.1.bn1.bias 64, layer1.1.conv2.weight 64x64x3x3, layer1.1.bn2.weight 64, layer1.1.bn2.bias 64,
layer1.1.conv3.weight 256x64x1x1, layer1.1.bn3.weight 256, layer1.1.bn3.bias 256,
layer1.2.conv1.weight 64x256x1x1, layer1.2.bn1.weight 64, layer1.2.bn1.bias 64,
layer1.2.conv2.weight 64x64x3x3, layer1.2.bn2.weight 64, layer1.2.bn2.bias 64,
layer1.2.conv3.weight 256x64x1x1, layer1.2.bn3.weight 256, layer1.2.bn3.bias 256,
layer2.0.conv1.weight 128x256x1x1, layer2.0.bn1.weight 128, layer2.0.bn1.bias 128,
layer2.0.conv2.weight 128x128x3x3, layer2.0.bn2.weight 128, layer2.0.bn2.bias 128,
layer2.0.conv3.weight 512x128x1x1, layer2.0.bn3.weight 512, layer2.0.bn3.bias 512,
layer2.0.downsample.0.weight 512x256x1x1, layer2.0.downsample.1.weight 512,
layer2.0.downsample.1.bias 512, layer2.1.conv1.weight 128x512x1x1, layer2.1.bn1.weight 128,
layer2.1.bn1.bias 128, layer2.1.conv2.weight 128x128x3x3, layer2.1.bn2.weight 128,
layer2.1.bn2.bias 128, layer2.1.conv3.weight 512x128x1x1, layer2.1.bn3.weight 512,
layer2.1.bn3.bias 512, layer2.2.conv1.weight 128x512x1x1, layer2.2.bn1.weight 128,
layer2.2.bn1.bias 128, layer2.2.conv2.weight 128x128x3x3, layer2.2.bn2.weight 128,
layer2.2.bn2.bias 128, layer2.2.conv3.weight 512x128x1x1, layer2.2.bn3.weight 512,
layer2.2.bn3.bias 512, layer2.3.conv1.weight 128x512x1x1, layer2.3.bn1.weight 128,
layer2.3.bn1.bias 128, layer2.3.conv2.weight 128x128x3x3, layer2.3.bn2.weight 128,
layer2.3.bn2.bias 128, layer2.3.conv3.weight 512x128x1x1, layer2.3.bn3.weight 512,
layer2.3.bn3.bias 512, layer3.0.conv1.weight 256x512x1x1, layer3.0.bn1.weight 256,
layer3.0.bn1.bias 256, layer3.0.conv2.weight 256x256x3x3, layer3.0.bn2.weight 256,
layer3.0.bn2.bias 256, layer3.0.conv3.weight 1024x256x1x1, layer3.0.bn3.weight 1024,
layer3.0.bn3.bias 1024, layer3.0.downsample.0.weight 1024x512x1x1, layer3.0.downsample.1.weight 1024,
layer3.0.downsample.1.bias 1024, layer3.1.conv1.weight 256x1024x1x1, layer3.1.bn1.weight 256,
layer3.1.bn1.bias 256, layer3.1.conv2.weight 256x256x3x3, layer3.1.bn2.weight 256,
layer3.1.bn2.bias 256, layer3.1.conv3.weight 1024x256x1x1, layer3.1.bn3.weight 1024,
layer3.1.bn3.bias 1024, layer3.2.conv1.weight 256x1024x1x1, layer3.2.bn1.weight 256,
layer3.2.bn1.bias 256, layer3.2.conv2.weight 256x256x3x3, layer3.2.bn2.weight 256,
layer3.2.bn2.bias 256, layer3.2.conv3.weight 1024x256x1x1, layer3.2.bn3.weight 1024,
layer3.2.bn3.bias 1024, layer3.3.conv1.weight 256x1024x1x1, layer3.3.bn1.weight 256,
layer3.3.bn1.bias 256, layer3.3.conv2.weight 256x256x3x3, layer3.3.bn2.weight 256,
layer3.3.bn2.bias 256, layer3.3.conv3.weight 1024x256x1x1, layer3.3.bn3.weight 1024,
layer3.3.bn3.bias 1024, layer3.4.conv1.weight 256x1024x1x1, layer3.4.bn1.weight 256,
layer3.4.bn1.bias 256, layer3.4.conv2.weight 256x256x3x3, layer3.4.bn2.weight 256,
layer3.4.bn2.bias 256, layer3.4.conv3.weight 1024x256x1x1, layer3.4.bn3.weight 1024,
layer3.4.bn3.bias 1024, layer3.5.conv1.weight 256x1024x1x1, layer3.5.bn1.weight 256,
layer3.5.bn1.bias 256, layer3.5.conv2.weight 256x256x3x3, layer3.5.bn2.weight 256,
layer3.5.bn2.bias 256, layer3.5.conv3.weight 1024x256x1x1, layer3.5.bn3.weight 1024,
layer3.5.bn3.bias 1024, layer4.0.conv1.weight 512x1024x1x1, layer4.0.bn1.weight 512,
layer4.0.bn1.bias 512, layer4.0.conv2.weight 512x512x3x3, layer4.0.bn2.weight 512,
layer4.0.bn2.bias 512, layer4.0.conv3.weight 2048x512x1x1, layer4.0.bn3.weight 2048,
layer4.0.bn3.bias 2048, layer4.0.downsample.0.weight 2048x1024x1x1, layer4.0.downsample.1.weight 2048,
layer4.0.downsample.1.bias 2048, layer4.1.conv1.weight 512x2048x1x1, layer4.1.bn1.weight 512,
layer4.1.bn1.bias 512, layer4.1.conv2.weight 512x512x3x3, layer4.1.bn2.weight 512,
layer4.1.bn2.bias 512, layer4.1.conv3.weight 2048x512x1x1, layer4.1.bn3.weight 2048,
layer4.1.bn3.bias 2048, layer4.2.conv1.weight 512x2048x1x1, layer4.2.bn1.weight 512,
layer4.2.bn1.bias 512, layer4.2.conv2.weight 512x512x3x3, layer4.2.bn2.weight 512,
layer4.2.bn2.bias 512, layer4.2.conv3.weight 2048x512x1x1, layer4.2.bn3.weight 2048,
layer4.2.bn3.bias 2048, fc.weight 1000x2048, fc.bias 1000)";

}  // namespace trireme::test
