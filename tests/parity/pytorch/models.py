"""The presets lenet, resnet18-cifar and resnet50 in PyTorch: the same structure and the same parameter names.

Activations are channels-first here and channels-last in the runtime; where an image becomes a vector its
elements are put in height, width, channel order first.
"""

import torch
from torch import nn


class LeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        return self.fc2(torch.relu(self.fc1(x)))


def square(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """What both kinds have: the shortcut, projected where shapes differ."""

    def shortcut_of(self, inputs, outputs, stride):
        if stride == 1 and inputs == outputs:
            return nn.Identity()
        return nn.Sequential(square(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Basic(Block):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = square(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = square(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = self.shortcut_of(inputs, width, stride)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(Block):
    """Version 1.5: the stride is in the 3x3 convolution."""

    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = square(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = square(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = square(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample = self.shortcut_of(inputs, 4 * width, stride)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self, block, counts, stem, classes):
        super().__init__()
        self.conv1, self.bn1 = stem, nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem.stride == (2, 2) else nn.Identity()
        channels = 64
        for stage, count in enumerate(counts):
            blocks = []
            for i in range(count):
                blocks.append(block(channels, 64 << stage, 2 if stage > 0 and i == 0 else 1))
                channels = (64 << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def build(name, classes):
    if name == "lenet":
        return LeNet(classes)
    if name == "resnet18-cifar":
        return ResNet(Basic, (2, 2, 2, 2), square(3, 64, 3), classes)
    return ResNet(Bottleneck, (3, 4, 6, 3), square(3, 64, 7, 2), classes)
