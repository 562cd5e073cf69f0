"""Data as users have them, over the real binary: HDF5 files that h5py wrote, and folders of ugly images."""

import csv
import json
import unittest

import h5py
import numpy
from PIL import Image

from tests.support.trireme_cli import JOB, CliTest, run

ORIENTATION = 0x0112  # of EXIF


def picture(seed, height=20, width=26):
    """Smooth colours that no two seeds share."""
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [128 + 110 * numpy.sin((x * (c + 1) + y * (seed + 2)) / 9 + seed) for c in range(3)]
    return numpy.stack(planes, axis=-1).astype(numpy.uint8)


def write_ugly_images(folder):
    """Two classes of images that decoders trip over, and three files that are none; returns the names of those."""
    cats, dogs = folder / "cat", folder / "dog"
    cats.mkdir(parents=True)
    dogs.mkdir()
    Image.fromarray(picture(1)).convert("L").save(cats / "grey.jpg")
    Image.fromarray(picture(2)).convert("CMYK").save(cats / "print.jpg")
    deep = (picture(3)[:, :, 0].astype(numpy.uint16) * 257) ^ 0x55
    Image.fromarray(deep).save(cats / "deep.png")
    turned = Image.fromarray(picture(4))
    exif = turned.getexif()
    exif[ORIENTATION] = 6
    turned.save(cats / "turned.jpg", exif=exif)
    Image.fromarray(picture(5)).save(cats / "slow.JPEG", progressive=True)
    Image.fromarray(picture(6)).quantize(7).save(dogs / "palette.png")
    Image.fromarray(numpy.dstack([picture(7), picture(8)[:, :, :1]])).save(dogs / "glass.png")
    Image.fromarray(picture(9)).save(dogs / "really a png.jpg", format="PNG")
    Image.fromarray(picture(10, 1, 1)).save(dogs / "dot.png")
    Image.fromarray(picture(11, 300, 7)).save(dogs / "ribbon.png")
    whole = cats / "cut.jpg"
    Image.fromarray(picture(12)).save(whole)
    whole.write_bytes(whole.read_bytes()[:-200])
    (dogs / "notes.txt").write_text("this is no image\n")
    (dogs / "empty.png").write_bytes(b"")
    return ["cut.jpg", "empty.png", "notes.txt"]


class OwnDataTest(CliTest):
    def imported(self, *arguments, ranks=None):
        done = run("data", "import", *arguments, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        return done

    def test_hdf5_file_of_floats_with_vector_targets_trains_with_mse(self):
        dice = numpy.random.default_rng(4)
        x = dice.normal(size=(400, 6))
        y = numpy.stack([x[:, 0] - 2 * x[:, 1], 0.5 * x[:, 2] + x[:, 5], x.sum(axis=1)], axis=1)
        with h5py.File(self.folder / "theirs.h5", "w") as file:
            file.create_dataset("measured/inputs", data=x, chunks=(50, 6), compression="gzip")
            file["measured/outputs"] = y
        source = f"hdf5:{self.folder / 'theirs.h5'}"
        self.imported("--source", source, "--x", "measured/inputs", "--y", "measured/outputs", "--out", self.folder / "set", "--shards", 1, "--split",
                      "train=0.8,test=0.2", ranks=2)
        job = self.job(JOB.replace("steps = 20", "epochs = 40"), data=self.folder / "set")
        sums = {}
        for ranks in (1, 3):
            done = run("train", job, "--job.deterministic", "canonical", "--job.output", self.folder / f"run{ranks}", "--optimizer.momentum", 0.9,
                       "--optimizer.lr", 0.01, ranks=ranks)
            self.assertEqual(done.code, 0, done)
            summary = json.loads((self.folder / f"run{ranks}" / "summary.json").read_text())
            sums[ranks] = summary["params_sha256"]
        self.assertEqual(sums[1], sums[3])
        done = run("eval", job, "--checkpoint", self.folder / "run3", "--split", "test", "--json", ranks=2)
        self.assertEqual(done.code, 0, done)
        told = json.loads(done.out)
        self.assertEqual((told["samples"], told["accuracy"]), (80, None))
        out = self.folder / "rows.csv"
        done = run("predict", job, "--checkpoint", self.folder / "run3", "--input", self.folder / "set", "--split", "test", "--out", out, ranks=3)
        self.assertEqual(done.code, 0, done)
        rows = list(csv.reader(out.read_text().splitlines()))
        self.assertEqual(rows[0], ["sample", "output_0", "output_1", "output_2"])
        said = numpy.array([[float(v) for v in row[1:]] for row in rows[1:]])
        with h5py.File(self.folder / "set" / "shard-00.h5") as file:
            wanted = file["test/y"][:]
        self.assertLess(numpy.mean((said - wanted) ** 2), 0.1 * numpy.var(wanted), "what was written is what was learned")

    def test_ugly_images_are_imported_alike_by_one_and_by_three_ranks(self):
        bad = write_ugly_images(self.folder / "images")
        source = ("--source", f"folder:{self.folder / 'images'}", "--size", "16x16", "--shards", 2)
        for ranks in (1, 3):
            done = run("data", "import", *source, "--out", self.folder / "none", ranks=ranks)
            self.expect(done, 3, "DataError", "--skip-bad")
            self.assertEqual(done.err.count("DataError"), 1, done)
            self.assertTrue(any(name in done.err for name in bad), done)
            self.assertFalse((self.folder / "none").exists())
        files, told = {}, {}
        for ranks in (1, 3):
            out = self.folder / f"by{ranks}"
            done = self.imported(*source, "--skip-bad", "--out", out, ranks=ranks)
            files[ranks] = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
            told[ranks] = sorted(line for line in done.err.splitlines() if "left out" in line)
        self.assertEqual(files[1], files[3])
        self.assertEqual(told[1], told[3])
        self.assertEqual(len(told[1]), len(bad) + 1, told[1])
        for name in bad:
            self.assertEqual(sum(name in line for line in told[1]), 1, told[1])
        self.assertEqual(run("data", "verify", self.folder / "by3").code, 0)
        images, labels = [], []
        for shard in sorted((self.folder / "by3").iterdir()):
            with h5py.File(shard) as file:
                images.extend(file["train/x"][:])
                labels.extend(file["train/y"][:])
        self.assertEqual(sorted(labels), [0] * 5 + [1] * 5)
        self.assertEqual(images[0].shape, (16, 16, 3))
        self.assertEqual(sum(len(numpy.unique(image.reshape(-1, 3), axis=0)) == 1 for image in images), 1, "the dot is the only even one")

    def test_sideways_photo_stands_upright(self):
        """A photo whose EXIF says `turn me`, beside the same pixels turned before they were saved."""
        folder = self.folder / "images" / "one"
        folder.mkdir(parents=True)
        pixels = Image.fromarray(picture(4, 32, 32))
        exif = pixels.getexif()
        exif[ORIENTATION] = 6
        pixels.save(folder / "sideways.jpg", exif=exif, quality=95)
        Image.open(folder / "sideways.jpg").transpose(Image.Transpose.ROTATE_270).save(folder / "upright.png")
        self.imported("--source", f"folder:{self.folder / 'images'}", "--out", self.folder / "set", "--shards", 1)
        with h5py.File(self.folder / "set" / "shard-00.h5") as file:
            a, b = file["train/x"][:].astype(int)
        self.assertLessEqual(abs(a - b).max(), 3)


if __name__ == "__main__":
    unittest.main()
