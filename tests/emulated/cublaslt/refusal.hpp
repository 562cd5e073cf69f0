// The double is strict: what cuBLASLt's documentation forbids or leaves undefined, and what the double does
// not know, is an error of the documented code and a line on stderr.
#pragma once

#include <cstdio>
#include <string>

#include <cublasLt.h>

namespace trireme::emulated {

/// `function`: that the program called.
inline cublasStatus_t refuse(cublasStatus_t status, const char* function, const std::string& reason) {
    std::fprintf(stderr, "emulated cuBLASLt: %s: %s\n", function, reason.c_str());
    return status;
}

}  // namespace trireme::emulated
