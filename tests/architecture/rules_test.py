"""Shows each rule a file that breaks it and one that does not."""

import unittest

from rules import MAX_LINES, RULES, Source


def broken(rule: str, path: str, text: str) -> int:
    return len(list(RULES[rule](Source(path, text))))


class RulesTest(unittest.TestCase):
    def test_mpi_header(self):
        self.assertEqual(broken("mpi_header", "runtime/exec/x.cpp", "#include <mpi.h>\n"), 1)
        self.assertEqual(broken("mpi_header", "io/x.hpp", '  #  include "mpi.h"\n'), 1)
        self.assertEqual(broken("mpi_header", "jobs/x.cpp", "#include <mpi-ext.h>\n"), 1)
        self.assertEqual(broken("mpi_header", "comm/transport/mpi.cpp", "#include <mpi.h>\n"), 0)
        self.assertEqual(broken("mpi_header", "tests/mpi/x.cpp", "#include <mpi.h>\n"), 0)
        self.assertEqual(broken("mpi_header", "runtime/x.cpp", '#include "comm/mpi_transport.hpp"\n'), 0)

    def test_hdf5_header(self):
        self.assertEqual(broken("hdf5_header", "runtime/x.cpp", "#include <hdf5.h>\n"), 1)
        self.assertEqual(broken("hdf5_header", "tests/unit/io/x.cpp", "#include <H5Dpublic.h>\n"), 1)
        self.assertEqual(broken("hdf5_header", "io/hdf5/handle.cpp", "#include <hdf5.h>\n"), 0)
        self.assertEqual(broken("hdf5_header", "runtime/x.cpp", '#include "io/hdf5/handle.hpp"\n'), 0)

    def test_cuda_headers(self):
        for header in ("cuda_runtime.h", "cudnn.h", "cudnn_frontend.h", "cublasLt.h", "cuda.h", "cub/cub.cuh"):
            text = f"#include <{header}>\n"
            self.assertEqual(broken("cuda_headers", "runtime/exec/x.cpp", text), 1, header)
            self.assertEqual(broken("cuda_headers", "comm/x.cpp", text), 1, header)
            self.assertEqual(broken("cuda_headers", "runtime/kernels/cudnn/x.cpp", text), 0, header)
        self.assertEqual(broken("cuda_headers", "runtime/x.cpp", '#include "runtime/device/device.hpp"\n'), 0)
        self.assertEqual(broken("cuda_headers", "runtime/kernels/cuda/x.cu", "#include <cuda_runtime.h>\n"), 0)
        self.assertEqual(broken("cuda_headers", "runtime/kernels/rules/x.cu", "#include <cuda_runtime.h>\n"), 1)

    def test_headers_of_ours_with_cuda_inside(self):
        text = '#include "runtime/device/cuda/cuda_device.hpp"\n'
        self.assertEqual(broken("cuda_headers", "runtime/exec/x.cpp", text), 1)
        self.assertEqual(broken("cuda_headers", "tests/unit/runtime/x.cpp", text), 1)
        self.assertEqual(broken("cuda_headers", "runtime/available_backends_cuda.cpp", text), 0)
        self.assertEqual(broken("cuda_headers", "tests/deviceless/x.cpp", text), 0)
        free = '#include "runtime/kernels/cuda/bodies/relu.hpp"\n#include "runtime/device/cuda_choice.hpp"\n'
        self.assertEqual(broken("cuda_headers", "tests/unit/runtime/x.cpp", free), 0)
        self.assertEqual(broken("cuda_headers", "runtime/kernels/cuda/bodies/relu.hpp", "#include <cuda_fp16.h>\n"), 1)

    def test_backend_conditionals(self):
        for line in ("#if TRIREME_WITH_CUDA", "#ifdef __CUDACC__", "#  ifndef HAVE_DNNL", "#elif defined(USE_ONEDNN)"):
            self.assertEqual(broken("backend_conditionals", "runtime/x.cpp", line + "\n"), 1, line)
            self.assertEqual(broken("backend_conditionals", "runtime/available_backends_cuda.cpp", line + "\n"), 0)
        self.assertEqual(broken("backend_conditionals", "runtime/x.cpp", "#if defined(__SANITIZE_THREAD__)\n"), 0)

    def test_arrows(self):
        self.assertEqual(broken("arrows", "layers/x.hpp", '#include "runtime/plan/plan.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "comm/x.cpp", '#include "layers/graph.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "io/x.cpp", "#include <comm/ring.hpp>\n"), 1)
        self.assertEqual(broken("arrows", "runtime/x.cpp", '#include "jobs/job_spec.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "runtime/core/x.cpp", '#include "runtime/device/device.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "comm/x.cpp", '#include "ring.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "comm/x.cpp", '#include "../layers/graph.hpp"\n'), 1)
        self.assertEqual(broken("arrows", "comm/x.cpp", '#include "runtime/core/error.hpp"\n#include <vector>\n'), 0)
        self.assertEqual(broken("arrows", "runtime/x.cpp", '#include "comm/ring.hpp"\n'), 0)
        self.assertEqual(broken("arrows", "jobs/x.cpp", '#include "cluster/doctor.hpp"\n'), 0)

    def test_file_length(self):
        self.assertEqual(broken("file_length", "comm/x.cpp", "\n" * (MAX_LINES + 1)), 1)
        self.assertEqual(broken("file_length", "comm/x.cpp", "\n" * MAX_LINES), 0)

    def test_words(self):
        self.assertEqual(broken("words", "comm/x.cpp", "int a;  // " + "TO" + "DO later\n"), 1)
        self.assertEqual(broken("words", "comm/x.cpp", "// FIX" + "ME\n"), 1)
        self.assertEqual(broken("words", "comm/x.cpp", "int todos_left = 0;\n"), 0)


if __name__ == "__main__":
    unittest.main()
