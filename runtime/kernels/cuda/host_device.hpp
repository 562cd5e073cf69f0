// Bodies of kernels are functions of host and device. Where nvcc compiles them, its command line defines
// TRIREME_HD as its two words; everywhere else they are plain functions, which tests run on the CPU.
#pragma once

#ifndef TRIREME_HD
#define TRIREME_HD
#endif
