"""What users do wrong and what goes wrong under them: each case has its exit code and names place and remedy."""

import json
import os
import shutil
import subprocess
import unittest

import h5py

from tests.support.trireme_cli import JOB, CliTest, flip_bit, run, write_idx


class FaultsTest(CliTest):
    def test_unknown_key(self):
        done = run("train", self.job(JOB + "[checkpoint]\nevry = 5\n"))
        self.expect(done, 2, "ConfigError", "test.cfg:18: checkpoint.evry = 5: unknown key (did you mean checkpoint.every?)")

    def test_five_mistakes_together(self):
        text = JOB.replace("steps = 20", "stepz = 20").replace("batch = 30", "batch = none").replace("lr = 0.05", "lr = -1")
        text = text.replace("name = mlp", "name = mpl").replace("threads = 1", "threads")
        done = run("train", self.job(text))
        self.expect(done, 2, "5 mistakes", "test.cfg:4: job.stepz", "test.cfg:5: threads: is neither", "test.cfg:8: data.batch = none",
                    "test.cfg:10: model.name = mpl", "did you mean mlp?", "test.cfg:13: optimizer.lr = -1: must be a number from 0")

    def test_mistakes_are_told_once_under_mpirun(self):
        done = run("train", self.job(JOB.replace("name = mlp", "name = mpl")), ranks=3)
        self.expect(done, 2, "did you mean mlp?")
        self.assertEqual(done.err.count("ConfigError"), 1, done)

    def test_missing_data(self):
        done = run("train", self.job(data=self.folder / "nothing"), ranks=2)
        self.expect(done, 3, "DataError", str(self.folder / "nothing"), "data import")
        self.assertEqual(done.err.count("DataError"), 1, done)

    def test_flipped_bit_in_a_shard(self):
        write_idx(self.folder / "idx", test=0)
        data = self.folder / "set"
        self.expect(run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", data, "--shards", 1), 0)
        shard = data / "shard-00.h5"
        flip_bit(shard, shard.read_bytes().index(bytes(56 * [200])))  # the first image's bright bar
        self.expect(run("data", "verify", data), 3, "shard-00.h5", "chunk 0 of /train/x", "checksum")
        done = run("train", self.job(data=data), ranks=2)
        self.expect(done, 3, "DataError", "shard-00.h5", "chunk 0 of /train/x", "checksum")
        self.assertEqual(done.err.count("DataError"), 1, done)
        verdict = json.loads((self.folder / "run" / "verdict.json").read_text())
        self.assertEqual((verdict["class"], verdict["kind"]), ("DataError", "ERROR"))

    def test_truncated_shard(self):
        data = self.copy_of_data()
        shard = data / "shard-02.h5"
        os.truncate(shard, shard.stat().st_size * 2 // 3)
        self.expect(run("train", self.job(data=data)), 3, "DataError", "shard-02.h5")

    def test_missing_shard(self):
        data = self.copy_of_data()
        (data / "shard-01.h5").unlink()
        self.expect(run("train", self.job(data=data)), 3, "DataError", "shard-01.h5")

    def test_shards_of_another_schema(self):
        data = self.copy_of_data()
        with h5py.File(data / "shard-00.h5", "r+") as file:
            file.attrs["schema"] = 9
        self.expect(run("train", self.job(data=data)), 3, "DataError", "shard-00.h5", "schema", "9")

    def test_label_out_of_range(self):
        write_idx(self.folder / "idx", bad_label_at=17)
        done = run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", self.folder / "set", ranks=2)
        self.expect(done, 3, "DataError", "train-labels-idx1-ubyte.gz", "17", "77")
        self.assertFalse((self.folder / "set").exists())

    def test_world_that_does_not_fit(self):
        done = run("train", self.job(), "--parallel.data", 3, ranks=2)
        self.expect(done, 2, "parallel.data = 3 does not fit a world of 2 ranks", "mpirun with -n 3")

    def test_rank_that_throws_in_step_7_of_20(self):
        done = run("train", self.job(), ranks=3, environment={"TRIREME_FAULT": "throw:rank=1:step=7"})
        self.expect(done, 70, "rank 1 (host", "InternalError: fault drill: thrown before step 7")
        self.assertEqual(done.err.count("InternalError"), 1, done)
        self.assertLess(done.seconds, 10, done)  # the job's start included; the end itself takes less than 5
        verdict = json.loads((self.folder / "run" / "verdict.json").read_text())
        self.assertEqual((verdict["class"], verdict["rank"]), ("InternalError", 1))

    def test_stopped_rank_is_named_and_no_victim(self):
        done = run("train", self.job(), "--deadline.step", 3, "--deadline.data", 3, ranks=3, environment={"TRIREME_FAULT": "stop:rank=1:step=7"})
        self.expect(done, 5, "rank 1", "CommTimeout")
        verdict = json.loads((self.folder / "run" / "verdict.json").read_text())
        self.assertEqual((verdict["class"], verdict["rank"]), ("CommTimeout", 1), verdict)
        self.assertNotIn("rank 0 (host", done.err.replace("rank 0 warning", ""))

    def test_flipped_bit_of_one_rank_is_found_and_the_rank_named(self):
        done = run("train", self.job(), "--job.hash_every", 5, "--checkpoint.every", 10, ranks=3, environment={"TRIREME_FAULT": "flip:rank=1:step=7"})
        self.expect(done, 9, "rank 1 (host", "IntegrityError: after step 10", "rank 1 differs from the majority", "ranks 0, 2 have")
        self.assertEqual(done.err.count("IntegrityError"), 1, done)
        verdict = json.loads((self.folder / "run" / "verdict.json").read_text())
        self.assertEqual((verdict["class"], verdict["rank"]), ("IntegrityError", 1))
        self.assertEqual(list((self.folder / "run" / "checkpoints").iterdir()), [], "nothing was saved after the bit had flipped")

    def test_flipped_bit_on_one_of_two_ranks_names_both(self):
        done = run("train", self.job(), "--job.hash_every", 5, ranks=2, environment={"TRIREME_FAULT": "flip:rank=1:step=7"})
        self.expect(done, 9, "IntegrityError: after step 10", "no majority tells which are right: rank 0 has", "; rank 1 has")
        self.assertEqual(done.err.count("IntegrityError"), 1, done)

    def test_comparing_replicas_changes_nothing(self):
        self.expect(run("train", self.job(), ranks=3), 0)
        before = json.loads((self.folder / "run" / "summary.json").read_text())
        self.expect(run("train", self.job(), "--job.hash_every", 1, "--job.output", self.folder / "compared", ranks=3), 0)
        after = json.loads((self.folder / "compared" / "summary.json").read_text())
        self.assertEqual(before["state_sha256"], after["state_sha256"])

    def test_killed_rank_ends_the_job(self):
        done = run("train", self.job(), ranks=3, environment={"TRIREME_FAULT": "kill:rank=2:step=5"})
        self.assertNotEqual(done.code, 0, done)  # mpirun reports a killed rank in its own way
        self.assertLess(done.seconds, 15, done)

    def test_full_disk_while_importing(self):
        mount = self.folder / "small"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", mount], capture_output=True).returncode != 0:
            self.skipTest("a small tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        write_idx(self.folder / "idx")
        done = run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", mount / "set", ranks=2)
        self.expect(done, 3, "DataError", "space")
        self.assertEqual(sorted(p.name for p in mount.iterdir()), [], "nothing half-written stays")

    def test_import_over_an_existing_set(self):
        write_idx(self.folder / "idx")
        (self.folder / "set").mkdir()
        done = run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", self.folder / "set")
        self.expect(done, 2, "ConfigError", str(self.folder / "set"), "exists already")

    def test_run_folder_that_cannot_be_made(self):
        (self.folder / "run").write_text("a file, not a folder")
        self.expect(run("train", self.job(), ranks=2), 3, "DataError", str(self.folder / "run"))

    def test_loss_that_is_not_finite(self):
        done = run("train", self.job(), "--optimizer.lr", "1e6", ranks=2)
        self.expect(done, 7, "NumericError", "optimizer.lr")
        self.assertEqual(done.err.count("NumericError"), 1, done)

    def test_memory_limit(self):
        self.expect(run("train", self.job(), "--job.memory_limit", "100K"), 2, "job.memory_limit is 100.0 KiB", "data.batch")

    def test_cuda_in_a_build_without(self):
        self.expect(run("train", self.job(), "--job.device", "cuda"), 4, "DeviceError", "CUDA")

    def test_unknown_command_and_flag(self):
        self.expect(run("trian", "x"), 2, "unknown command trian (did you mean train?)")
        self.expect(run("train", "x", "--job.seeed", 4), 2, "--job.seeed: unknown flag (did you mean job.seed?)")
        self.expect(run("submit", "x"), 2, "not available yet")

    def test_damaged_checkpoint(self):
        self.expect(run("train", self.job()), 0)
        part = next((self.folder / "run" / "checkpoints").glob("step-*/part-0000.h5"))
        flip_bit(part, part.stat().st_size // 2)
        done = run("eval", self.job(), "--checkpoint", self.folder / "run" / "checkpoints")
        self.expect(done, 3, "DataError", "part-0000.h5", "checksum")

    def test_checkpoint_of_another_network(self):
        self.expect(run("train", self.job()), 0)
        done = run("eval", self.job(), "--model.hidden", 16, "--checkpoint", self.folder / "run" / "checkpoints")
        self.expect(done, 2, "ConfigError", "another network")
        shutil.rmtree(self.folder / "run")


if __name__ == "__main__":
    unittest.main()
