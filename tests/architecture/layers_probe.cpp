// Calls a function of the layers box; see CMakeLists.txt for what it is linked against.
#include <cstdio>

#include "layers/ops.hpp"

int main() {
    const auto name = trireme::layers::name_of(trireme::layers::Op(trireme::layers::Flatten{}));
    std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
    return 0;
}
