"""A bundle runs where nothing of this host is: in a root folder with glibc, a shell, and what the kernel offers."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from tests.support.trireme_cli import BINARY, JOB, REPOSITORY, write_idx

ENVIRONMENT = {"PATH": "/bin", "HOME": "/tmp", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}
LARGEST, LARGEST_WITHOUT_ONEDNN = 60_000_000, 30_000_000


def foreign_root(folder):
    """glibc and dash of this host, and no other file of it."""
    for name in ("bin", "tmp", "proc", "dev", "sys", "bundle", "work"):
        (folder / name).mkdir(parents=True)
    files = subprocess.run(["dpkg", "-L", "libc6"], capture_output=True, text=True, check=True).stdout.split()
    for file in map(pathlib.Path, files):
        if ".so" in file.name and file.is_file() and "gconv" not in file.parts:
            target = folder / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    shutil.copy(shutil.which("dash"), folder / "bin/sh")
    return folder


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


class BundleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if "TRIREME_TEST_ALL" not in os.environ:
            raise unittest.SkipTest("bundles are tried by tests/run.sh --all")
        as_root = [] if os.getuid() == 0 else ["--map-root-user"]
        cls.enter = ["unshare", "--mount", *as_root]
        if subprocess.run([*cls.enter, "true"], capture_output=True, check=False).returncode != 0:
            raise unittest.SkipTest("this host lets nobody make a mount namespace")
        cls._folder = tempfile.TemporaryDirectory(prefix="trireme-bundle-")
        cls.addClassCleanup(cls._folder.cleanup)
        cls.top = pathlib.Path(cls._folder.name)
        cls.root = foreign_root(cls.top / "root")
        cls.bundle = cls.make("here")

    @classmethod
    def make(cls, name, *options):
        """Made in one place and moved to another: nothing in it may know where it was made."""
        made = cls.top / "made"
        build = pathlib.Path(BINARY).resolve().parents[1]
        subprocess.run([REPOSITORY / "cluster/bundle.sh", "--build", build, *options, made], check=True, capture_output=True, text=True)
        return made.rename(cls.root / "bundle" / name)

    def inside(self, command):
        mounts = " && ".join(f"mount --rbind /{name} {self.root}/{name}" for name in ("proc", "dev", "sys"))
        script = f"{mounts} && cd / && exec chroot {self.root} /bin/sh -c 'cd /work && {command}'"
        return subprocess.run([*self.enter, "sh", "-c", script], capture_output=True, text=True, timeout=150, env=dict(ENVIRONMENT, PATH="/usr/sbin:/usr/bin:/sbin:/bin"), check=False)

    def succeed(self, command):
        done = self.inside(command)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def test_it_trains_and_evaluates_alone_and_under_its_mpirun(self):
        write_idx(self.root / "work/idx")
        (self.root / "work/job.cfg").write_text(JOB.format(output="/work/run", data="/work/set"))
        trireme = "/bundle/here/bin/trireme"
        self.succeed(f"{trireme} data import --source idx:/work/idx --out /work/set --shards 3")
        alone = self.succeed(f"{trireme} train job.cfg --job.deterministic canonical")
        together = self.succeed(f"/bundle/here/bin/mpirun --oversubscribe --bind-to none -n 2 {trireme} train job.cfg --job.deterministic canonical --job.output /work/run2")
        self.succeed(f"{trireme} eval job.cfg --checkpoint /work/run --split test")
        hashes = {line for text in (alone, together) for line in text.splitlines() if line.startswith("parameters sha256")}
        self.assertEqual(len(hashes), 1, alone + together)
        self.assertNotIn("Sorry!", alone + together)  # Open MPI looked for a file of this host

    def test_programs_start_through_links_and_tell_versions(self):
        link = self.root / "bin/trireme"
        link.symlink_to("/bundle/here/bin/trireme")
        shutil.copy(shutil.which("readlink"), self.root / "bin/readlink")
        text = self.succeed("trireme version")
        self.assertIn("onednn", text)
        self.assertIn("Open MPI", text)

    def test_nothing_outside_is_needed(self):
        self.assertLess(size_of(self.bundle), LARGEST)
        libraries = [file for file in self.bundle.glob("lib/**/*.so*") if file.suffix != ".gz"]
        for file in [*self.bundle.glob("libexec/*"), *libraries]:
            rpath = subprocess.run(["patchelf", "--print-rpath", file], capture_output=True, text=True, check=True).stdout.strip()
            self.assertEqual(rpath, "$ORIGIN/../lib" if file.parent.name == "libexec" else "", file)

    def hash_of_training(self, name, output):
        (self.root / "work/job.cfg").write_text(JOB.format(output=output, data="/work/set"))
        if not (self.root / "work/set").exists():
            write_idx(self.root / "work/idx")
            self.succeed(f"/bundle/{name}/bin/trireme data import --source idx:/work/idx --out /work/set --shards 3")
        text = self.succeed(f"/bundle/{name}/bin/trireme train job.cfg --job.deterministic canonical")
        return next(line for line in text.splitlines() if line.startswith("parameters sha256"))

    def test_unpacked_onednn_computes_the_same(self):
        self.assertTrue((self.bundle / "lib/libdnnl.so.3.gz").exists(), "oneDNN lies packed")
        whole = self.make("whole", "--unpacked-onednn")
        self.assertFalse((whole / "lib/libdnnl.so.3.gz").exists())
        self.assertEqual(self.hash_of_training("whole", "/work/whole"), self.hash_of_training("here", "/work/packed"))

    def test_onednn_unpacks_into_a_folder_where_nameless_memory_is_forbidden(self):
        source = "#include <errno.h>\nint memfd_create(const char *name, unsigned flags) { (void)name; (void)flags; errno = EACCES; return -1; }\n"
        subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", self.root / "work/forbidden.so"], input=source, text=True, check=True)
        (self.root / "work/job.cfg").write_text(JOB.format(output="/work/run", data=""))
        inspect = "/bundle/here/bin/trireme inspect job.cfg --world 1 --job.device cpu"
        self.succeed(f"LD_PRELOAD=/work/forbidden.so {inspect}")
        self.assertEqual(list((self.root / "tmp").glob("trireme-*")), [])
        refused = self.inside(f"LD_PRELOAD=/work/forbidden.so TMPDIR=/nowhere {inspect}")
        self.assertEqual(refused.returncode, 4, refused)
        self.assertIn("cannot be loaded from memory or from $TMPDIR", refused.stderr)

    def test_a_damaged_onednn_is_told(self):
        shutil.copytree(self.bundle, self.root / "bundle/damaged", symlinks=True)
        packed = self.root / "bundle/damaged/lib/libdnnl.so.3.gz"
        bytes_of = bytearray(packed.read_bytes())
        (self.root / "work/job.cfg").write_text(JOB.format(output="/work/run", data=""))
        inspect = "/bundle/damaged/bin/trireme inspect job.cfg --world 1 --job.device cpu"
        middle = len(bytes_of) // 2
        for damaged, why in ((bytes_of[:middle] + b"other" + bytes_of[middle + 5 :], "it is damaged"), (bytes_of[:middle], "it is damaged"), (None, "No such file")):
            packed.unlink()
            if damaged is not None:
                packed.write_bytes(damaged)
            refused = self.inside(inspect)
            self.assertEqual(refused.returncode, 4, refused)
            self.assertIn(why, refused.stderr)
            self.assertIn("copy the bundle again", refused.stderr)

    def test_without_onednn_it_is_small_and_says_what_it_cannot(self):
        self.assertLess(size_of(self.make("small", "--without-onednn")), LARGEST_WITHOUT_ONEDNN)
        (self.root / "work/job.cfg").write_text(JOB.format(output="/work/run", data=""))
        inspect = "/bundle/small/bin/trireme inspect job.cfg --world 1 --job.device"
        self.succeed(f"{inspect} reference")
        refused = self.inside(f"{inspect} cpu")
        self.assertEqual(refused.returncode, 4, refused)
        self.assertIn("DeviceError: this bundle was made without oneDNN", refused.stderr)
