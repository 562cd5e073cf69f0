"""Stops, resumes, kills and damage around checkpoints, over the real binary."""

import csv
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy

from tests.support.trireme_cli import BINARY, JOB, REPOSITORY, CliTest, flip_bit, mpi_command, mpi_scratch, mpi_variables, run

MOMENTUM = ("--optimizer.momentum", "0.9")
ALL = os.environ.get("TRIREME_TEST_ALL") == "1"


def losses(folder):
    """Loss by step; what a resumed run wrote again replaces what the killed one wrote."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def steps(folder):
    return sorted(int(p.name[5:]) for p in (folder / "checkpoints").glob("step-*") if (p / "DONE").exists())


def part_of(folder, step):
    return folder / "checkpoints" / f"step-{step}" / "part-0000.h5"


class ResumeTest(CliTest):
    def train(self, name, *more, ranks=2, code=0):
        done = run("train", self.job(), "--job.output", self.folder / name, *MOMENTUM, *more, ranks=ranks)
        self.assertEqual(done.code, code, done)
        return done

    def summary(self, name):
        return json.loads((self.folder / name / "summary.json").read_text())

    def hashes(self, name):
        summary = self.summary(name)
        return summary["params_sha256"], summary["state_sha256"]

    def started(self, name, *more, ranks=2):
        """The job under mpirun in a session of its own."""
        command = [*mpi_command(ranks), BINARY, "train", self.job(), "--job.output", self.folder / name, *MOMENTUM, *more]
        scratch = mpi_scratch()
        process = subprocess.Popen(list(map(str, command)), cwd=REPOSITORY, env=mpi_variables(scratch.name), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(scratch.cleanup)
        self.addCleanup(self.kill_all, process)
        return process

    def ranks_of(self, process):
        """Processes of the session that mpirun leads which run the binary itself."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.getsid(int(entry.name)) == process.pid:
                    if os.readlink(entry / "exe") == os.path.realpath(BINARY):
                        found.append(int(entry.name))
            except OSError:
                continue
        return sorted(found)

    def kill_all(self, process):
        """SIGKILL to mpirun and all ranks at once, wherever mpirun put them."""
        pids = [*self.ranks_of(process), process.pid]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        while any(self.lives(pid) for pid in pids):
            time.sleep(0.01)
        for stream in (process.stdout, process.stderr):
            if not stream.closed:
                stream.close()

    def lives(self, pid):
        """A thread that was killed inside a system call still ends that call; until then the process is listed with it."""
        try:
            threads = os.listdir(f"/proc/{pid}/task")
            return len(threads) > 1 or pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def wait_until(self, process, ready, seconds=90):
        limit = time.monotonic() + seconds
        while not ready():
            # Where others take the cores, a job may come to its end between two looks: then it is ready all the same.
            if process.poll() is not None and not ready():
                self.fail(f"the job ended too early, with code {process.returncode}: {''.join(process.communicate())}")
            self.assertLess(time.monotonic(), limit, "the job does not come to that point")
            time.sleep(0.002)

    # Resume

    def test_random_stop_then_resume_gives_the_same_bits(self):
        self.train("whole")
        stop = random.randrange(2, 19)
        self.train("parts", "--job.stop_at", stop)
        self.assertEqual(self.summary("parts")["status"], "stopped")
        self.assertEqual(steps(self.folder / "parts"), [stop])
        self.train("parts")
        self.assertEqual(self.hashes("parts"), self.hashes("whole"), f"stopped at {stop}")

    def test_chain_of_four_over_rank_counts(self):
        # 600 samples in batches of 70: an epoch of 9 steps, the last of 40; 25 steps cross two epochs.
        size = ("--data.batch", 70, "--job.steps", 25)
        self.train("whole", *size, ranks=1)
        for ranks, stop in ((2, 4), (3, 9), (1, 17), (2, 25)):
            self.train("chain", *size, "--job.stop_at", stop, ranks=ranks)
        first, chain = losses(self.folder / "whole"), losses(self.folder / "chain")
        self.assertEqual(sorted(chain), list(range(1, 26)))
        for step, loss in first.items():
            self.assertAlmostEqual(chain[step], loss, delta=1e-4 * abs(loss), msg=f"step {step}")

    def test_state_hash_is_that_of_the_checkpoint(self):
        self.train("run", "--optimizer.name", "adamw", "--optimizer.momentum", 0, "--job.stop_at", 7)
        done = run("checkpoint", "show", self.folder / "run", "--json")
        self.assertEqual(done.code, 0, done)
        shown = json.loads(done.out)
        params, state = self.hashes("run")
        self.assertEqual((json.loads(shown["meta"]["params_sha256"]), json.loads(shown["meta"]["state_sha256"])), (params, state))
        self.assertEqual(shown["step"], 7)
        self.assertIn("optimizer/exp_avg_sq/fc1.weight", [tensor["name"] for tensor in shown["tensors"]])

    def test_another_precision_is_told(self):
        self.train("run", "--job.stop_at", 10)
        done = self.train("run", "--precision.compute", "bf16")
        self.assertIn("saved with precision \"fp32\", now \"bf16\"", done.err)

    def test_a_dynamic_loss_scale_goes_on_where_it_was(self):
        scaled = ("--precision.compute", "bf16", "--precision.loss_scale", "dynamic", "--optimizer.name", "adamw",
                  "--optimizer.momentum", 0)
        self.train("whole", *scaled)
        self.train("parts", *scaled, "--job.stop_at", 7)
        meta = json.loads(run("checkpoint", "show", self.folder / "parts", "--json").out)["meta"]
        self.assertEqual((float(meta["loss_scale"]), int(meta["good_in_a_row"])), (65536, 7))
        self.train("parts", *scaled)
        self.assertEqual(self.hashes("parts"), self.hashes("whole"))  # the scale and its count are part of the state
        self.assertEqual(self.summary("parts")["loss_scale"], 65536)

    def test_checkpoint_of_another_seed_or_batch_is_refused(self):
        self.train("run", "--job.stop_at", 5)
        self.expect(run("train", self.job(), "--job.output", self.folder / "run", *MOMENTUM, "--job.seed", 9), 2, "job.seed = 0, the job says 9")
        self.expect(run("train", self.job(), "--job.output", self.folder / "run", *MOMENTUM, "--data.batch", 31), 2, "data.batch = 30")

    # Signals

    def stopped_by(self, number, sync):
        self.train("whole", "--job.steps", 3000, "--telemetry.log_every", 500, "--checkpoint.every", 5000)
        long = ("--job.steps", 3000, "--telemetry.log_every", 1, "--checkpoint.every", 5000, "--checkpoint.async", sync)
        process = self.started("run", *long, ranks=2)
        self.wait_until(process, lambda: (self.folder / "run" / "metrics.jsonl").exists())
        os.kill(self.ranks_of(process)[-1], number)
        out, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 8, out + err)
        summary = self.summary("run")
        self.assertEqual(summary["status"], "stopped")
        self.assertLess(summary["steps"], 3000)
        self.assertEqual(steps(self.folder / "run"), [summary["steps"]])
        self.assertFalse((self.folder / "run" / "verdict.json").exists())
        self.train("run", *long)
        self.assertEqual(self.hashes("run"), self.hashes("whole"))

    def test_sigusr1_to_one_rank(self):
        self.stopped_by(signal.SIGUSR1, "true")

    def test_sigterm_to_one_rank(self):
        self.stopped_by(signal.SIGTERM, "false")

    def test_a_peer_that_does_not_answer_means_leaving_without_saving(self):
        process = self.started("run", "--job.steps", 100000, "--checkpoint.every", 1000000, "--deadline.step", 3, "--deadline.data", 3)
        self.wait_until(process, lambda: (self.folder / "run" / "metrics.jsonl").exists())
        first, second = self.ranks_of(process)
        os.kill(second, signal.SIGSTOP)
        os.kill(first, signal.SIGTERM)
        out, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 5, out + err)
        self.assertEqual(steps(self.folder / "run"), [])

    # Kills while saving

    def test_kill_of_the_whole_job_while_it_saves(self):
        often = ("--job.steps", 60, "--checkpoint.every", 1, "--checkpoint.keep", 2, "--model.hidden", "256,128")
        self.train("whole", *often)
        dice = random.Random(time.time_ns())
        moments = 100 if ALL else 10
        restarted = 0
        for moment in range(moments):
            name = f"run{restarted}"
            checkpoints = self.folder / name / "checkpoints"
            before = max(steps(self.folder / name), default=0) if checkpoints.exists() else 0
            process = self.started(name, *often, "--checkpoint.async", dice.choice(("true", "false")))
            # A save is on its way every few milliseconds: wait for some, then strike at any point of the next ones.
            after = dice.randrange(1, 6)
            self.wait_until(process, lambda: checkpoints.exists() and max(steps(self.folder / name), default=0) >= before + after)
            time.sleep(dice.random() * 0.03)
            self.kill_all(process)
            newest = max(steps(self.folder / name))
            self.assertGreater(newest, 0)
            for step in steps(self.folder / name):
                done = run("checkpoint", "verify", checkpoints / f"step-{step}")
                self.assertEqual(done.code, 0, f"moment {moment}: {done}")
            if newest > 40:
                self.train(name, *often)
                self.assertEqual(self.hashes(name), self.hashes("whole"), f"moment {moment}")
                restarted += 1
        if (self.folder / f"run{restarted}").exists():
            self.train(f"run{restarted}", *often)
            self.assertEqual(self.hashes(f"run{restarted}"), self.hashes("whole"))
            left = sorted(p.name for p in (self.folder / f"run{restarted}" / "checkpoints").iterdir())
            self.assertEqual(left, ["step-59", "step-60"], "nothing of the killed saves stays")

    # Damage

    def test_newest_is_damaged_and_the_one_before_serves(self):
        self.train("whole", "--checkpoint.every", 5)
        shutil.copytree(self.folder / "whole", self.folder / "run")
        part = part_of(self.folder / "run", 20)
        flip_bit(part, part.stat().st_size - 8)
        listed = run("checkpoint", "verify", self.folder / "run")
        self.expect(listed, 3, "step-20/part-0000.h5", "checksum")
        done = self.train("run", "--checkpoint.every", 5)
        self.assertIn("passed over", done.err)
        self.assertIn("step-20/part-0000.h5", done.err)
        self.assertIn("going on from", done.err)
        self.assertEqual(self.hashes("run"), self.hashes("whole"))
        self.assertEqual(run("checkpoint", "verify", self.folder / "run").code, 0, "the damaged one is written anew")

    def test_a_deleted_part_file(self):
        self.train("whole", "--checkpoint.every", 8)
        shutil.copytree(self.folder / "whole", self.folder / "run")
        part_of(self.folder / "run", 20).unlink()
        done = self.train("run", "--checkpoint.every", 8)
        self.assertIn("part-0000.h5: cannot open the file", done.err)
        self.assertEqual(self.hashes("run"), self.hashes("whole"))

    def test_a_named_damaged_checkpoint_is_an_error(self):
        self.train("run", "--checkpoint.every", 8)
        part = part_of(self.folder / "run", 16)
        flip_bit(part, part.stat().st_size - 8)
        named = part.parent
        done = run("train", self.job(), "--job.output", self.folder / "other", *MOMENTUM, "--checkpoint.resume", named, ranks=2)
        self.expect(done, 3, "DataError", "step-16/part-0000.h5", "checksum")
        self.assertEqual(done.err.count("DataError"), 1, done)

    def test_when_all_are_damaged_nothing_is_thrown_away(self):
        self.train("run")
        part = part_of(self.folder / "run", 20)
        flip_bit(part, part.stat().st_size - 8)
        done = run("train", self.job(), "--job.output", self.folder / "run", *MOMENTUM)
        self.expect(done, 3, "no checkpoint of", "is good", "--checkpoint.resume never")
        self.assertTrue(part.exists())

    def test_full_disk_while_saving(self):
        mount = self.folder / "small"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", mount], capture_output=True).returncode != 0:
            self.skipTest("a small tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        self.train("whole", "--checkpoint.every", 2)
        # 25,450 parameters and their momentum: 200 KiB a checkpoint. The third does not fit.
        keep = ("--checkpoint.every", 2, "--checkpoint.keep", 10)
        done = run("train", self.job(), "--job.output", mount / "run", *MOMENTUM, *keep, ranks=2)
        self.expect(done, 3, "DataError", "free some space")
        self.assertEqual(done.err.count("DataError"), 1, done)
        saved = steps(mount / "run")
        self.assertTrue(saved, "those before stay")
        self.assertEqual(run("checkpoint", "verify", mount / "run").code, 0)
        self.assertFalse(list((mount / "run" / "checkpoints").glob(".tmp-*")), "the half-written one takes no room")
        subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
        done = run("train", self.job(), "--job.output", mount / "run", *MOMENTUM, *keep, ranks=2)
        self.assertEqual(done.code, 0, done)
        again = json.loads((mount / "run" / "summary.json").read_text())
        self.assertEqual((again["params_sha256"], again["state_sha256"]), self.hashes("whole"))

    def test_read_only_folder(self):
        mount = self.folder / "frozen"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], capture_output=True).returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        self.train("run", "--job.stop_at", 10)
        shutil.copytree(self.folder / "run", mount / "run")
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        done = run("train", self.job(), "--job.output", mount / "run", *MOMENTUM, ranks=2)
        self.expect(done, 3, "DataError", str(mount / "run"))
        self.assertEqual(run("checkpoint", "verify", mount / "run").code, 0, "reading needs no writing")
        self.train("other", "--checkpoint.resume", mount / "run")
        self.train("run")
        self.assertEqual(self.hashes("other"), self.hashes("run"))

    # What is kept

    def test_keep_keep_every_and_going_back(self):
        self.train("run", "--checkpoint.every", 2, "--checkpoint.keep", 2, "--checkpoint.keep_every", 6)
        self.assertEqual(steps(self.folder / "run"), [6, 12, 18, 20])
        back = self.folder / "run" / "checkpoints" / "step-6"
        self.train("run", "--checkpoint.every", 2, "--checkpoint.resume", back, "--job.stop_at", 8)
        self.assertEqual(steps(self.folder / "run"), [6, 8])
        self.assertTrue((self.folder / "run" / "checkpoints" / "aside-step-20" / "DONE").exists(), "set aside, not thrown away")
        self.assertGreater(self.summary("run")["step_time_split"]["checkpoint"], 0)

    def test_minutes_between_saves(self):
        self.train("run", "--checkpoint.every", "5m")
        self.assertEqual(steps(self.folder / "run"), [20], "a short job saves at its end alone, not at the end of an epoch")
        done = run("train", self.job(), "--checkpoint.every", "5min")
        self.expect(done, 2, "checkpoint.every = 5min", "minutes such as 30m")

    def test_best_stays(self):
        # A rate that falls apart: the first epochs are the best ones.
        data = self.folder / "set"
        source = self.data().parent / "idx"
        self.assertEqual(run("data", "import", "--source", f"idx:{source}", "--out", data, "--split", "train=0.8,val=0.2").code, 0)
        job = self.job(data=data)
        done = run("train", job, "--job.output", self.folder / "run", "--job.steps", 96, "--checkpoint.keep", 1, "--checkpoint.best", "val_loss",
                   "--optimizer.lr", 0.3, "--optimizer.momentum", 0.95, ranks=2)
        self.assertEqual(done.code, 0, done)
        said = [json.loads(line) for line in (self.folder / "run" / "metrics.jsonl").read_text().splitlines()]
        values = {line["step"]: line["val_loss"] for line in said if "val_loss" in line}
        best = min(values, key=lambda step: (values[step], step))
        self.assertEqual(steps(self.folder / "run"), sorted({best, 96}), values)
        listed = json.loads(run("checkpoint", "list", self.folder / "run", "--json").out)["checkpoints"]
        self.assertEqual(next(row["val_loss"] for row in listed if row["step"] == best), values[best])

    # Fine-tuning

    def test_init_from_and_freeze(self):
        self.train("base", "--job.stop_at", 10)
        base = self.folder / "base"
        done = self.train("tuned", "--model.init_from", base, "--model.classes", 12, "--model.freeze", "fc1.*", "--telemetry.progress", "plain")
        self.assertIn("not taken: params/fc2.weight: ", done.err)
        self.assertNotIn("not taken: params/fc1", done.err)
        one = run("checkpoint", "show", base, "--json")
        two = run("checkpoint", "show", self.folder / "tuned", "--json")
        self.assertEqual((one.code, two.code), (0, 0))

        def checksums(folder, step):
            index = json.loads((folder / "checkpoints" / f"step-{step}" / "index.json").read_text())
            return {piece["name"]: piece["xxh3"] for piece in index["slices"]}

        before, after = checksums(base, 10), checksums(self.folder / "tuned", 20)
        for name in ("fc1.weight", "fc1.bias"):
            self.assertEqual(after[f"params/{name}"], before[f"params/{name}"], "frozen parameters stay what was taken")
        self.assertNotEqual(after["params/fc2.bias"], before["params/fc2.bias"])
        self.expect(run("train", self.job(), "--job.output", self.folder / "x", "--model.freeze", "conv*"), 2, "model.freeze = conv*: matches no parameter")
        self.expect(run("train", self.job(), "--job.output", self.folder / "x", "--model.init_from", base, "--model.hidden", 7, "--model.classes", 11), 2,
                    "model.init_from", "none of its tensors fits")

    # Results

    def test_predictions_are_the_same_file_on_any_rank_count(self):
        self.train("run", "--job.steps", 60)
        job, data = self.job(), self.data()
        files = {}
        for ranks in (1, 3):
            for kind in ("csv", "h5"):
                out = self.folder / f"p{ranks}.{kind}"
                done = run("predict", job, "--checkpoint", self.folder / "run", "--input", data, "--out", out, "--data.eval_batch", 13, ranks=ranks)
                self.assertEqual(done.code, 0, done)
                files[ranks, kind] = out.read_bytes()
        for kind in ("csv", "h5"):
            self.assertEqual(files[1, kind], files[3, kind], kind)
        rows = list(csv.reader((self.folder / "p3.csv").read_text().splitlines()))
        self.assertEqual(rows[0][:3], ["sample", "predicted", "probability_0"])
        self.assertEqual([int(row[0]) for row in rows[1:]], list(range(100)))
        for row in rows[1:]:
            shares = list(map(float, row[2:]))
            self.assertAlmostEqual(sum(shares), 1, places=5)
            self.assertEqual(shares.index(max(shares)), int(row[1]))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p.name.startswith(".")), [])
        self.same_in_hdf5(rows[1:])
        # What was predicted is what is counted.
        done = run("eval", job, "--checkpoint", self.folder / "run", "--split", "test", "--json")
        counts = [sum(row[c] for row in json.loads(done.out)["confusion"]) for c in range(10)]
        self.assertEqual(counts, [sum(int(row[1]) == c for row in rows[1:]) for c in range(10)])
        shown = run("eval", job, "--checkpoint", self.folder / "run", "--split", "test").out
        for piece in ("recall", "precision", "confusion (rows: actual, columns: predicted)"):
            self.assertIn(piece, shown)

    def same_in_hdf5(self, rows):
        with h5py.File(self.folder / "p3.h5") as file:
            self.assertEqual(list(file["sample"]), [int(row[0]) for row in rows])
            self.assertEqual(list(file["predicted"]), [int(row[1]) for row in rows])
            self.assertTrue((file["probability"][:] == numpy.array([row[2:] for row in rows], dtype=numpy.float32)).all())
            self.assertEqual(file.attrs["split"].decode(), "test")

    def test_predict_says_what_is_wrong(self):
        self.train("run", "--job.stop_at", 2)
        common = ("predict", self.job(), "--checkpoint", self.folder / "run", "--input", self.data())
        self.expect(run(*common, "--out", self.folder / "x.txt"), 2, "must end in .h5 or .csv")
        self.expect(run(*common), 2, "--out is missing")
        self.expect(run(*common, "--out", self.folder / "nowhere" / "deeper" / "x.csv", "--split", "val"), 2, "val")
        self.expect(run("predict", self.job(), "--checkpoint", self.folder / "none", "--input", self.data(), "--out", self.folder / "x.csv"), 3,
                    "there is no such checkpoint folder")

    def test_checkpoint_commands(self):
        self.train("run", "--checkpoint.every", 10)
        listed = run("checkpoint", "list", self.folder / "run")
        self.assertEqual([int(m) for m in re.findall(r"^ +(\d+) ", listed.out, re.M)], [20, 10], listed)
        (self.folder / "run" / "checkpoints" / "step-10" / "DONE").unlink()
        listed = json.loads(run("checkpoint", "list", self.folder / "run", "--json").out)["checkpoints"]
        self.assertEqual([row["state"] for row in listed], ["complete", "bad"])
        self.assertIn("is not complete", listed[1]["problem"])
        self.expect(run("checkpoint", "verify", self.folder / "run"), 3, "step-10", "is not complete")
        self.assertEqual(run("checkpoint", "verify", self.folder / "run" / "checkpoints" / "step-20").code, 0)
        self.expect(run("checkpoint", "show", self.folder / "nothing"), 3, "there is no such checkpoint folder")


if __name__ == "__main__":
    unittest.main()
