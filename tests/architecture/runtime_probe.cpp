// Calls a function of the runtime box; see CMakeLists.txt for what it is linked against.
#include <cstdio>

#include "runtime/plan/parallel_plan.hpp"

int main() {
    const auto name = trireme::name_of(trireme::StepKind::full);
    std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
    return 0;
}
