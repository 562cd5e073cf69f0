"""The binary of the CUDA build on a host without a GPU: it starts, trains on cores, and says what a GPU job lacks."""

import json

from tests.support.trireme_cli import CliTest, run


class NoGpuTest(CliTest):
    def setUp(self):
        super().setUp()
        self.versions = json.loads(run("version", "--json").out)

    def skip_where_a_gpu_may_be(self):
        if self.versions["cuda_driver"] != "no driver":
            self.skipTest("an NVIDIA driver is here")

    def test_a_gpu_job_ends_with_what_is_missing(self):
        self.skip_where_a_gpu_may_be()
        done = run("train", self.job(), "--job.device", "cuda")
        self.expect(done, 4, "DeviceError: job.device is cuda, and this host has no NVIDIA driver (libcuda.so.1)", "set job.device to cpu")

    def test_it_is_told_once_under_mpirun(self):
        self.skip_where_a_gpu_may_be()
        done = run("train", self.job(), "--job.device", "cuda", ranks=2)
        self.expect(done, 4, "no NVIDIA driver")
        self.assertEqual(done.err.count("DeviceError"), 1, done)

    def test_other_jobs_run_on_cores(self):
        self.skip_where_a_gpu_may_be()
        self.expect(run("train", self.job(), "--job.steps", 2), 0)

    def test_version_lists_the_libraries(self):
        for name in ("cuda_runtime", "cuda_driver", "cudnn", "cublaslt", "onednn"):
            self.assertIn(name, self.versions)
