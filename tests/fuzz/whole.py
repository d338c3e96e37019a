"""The files that the fuzz run damages: a small whole one of every kind that softcam reads."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from io import BytesIO

import nibabel
import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from tests.data import dicoms, files
from tests.data.test_tiff import tiff

HEIGHT, WIDTH = 35, 40


@dataclass(frozen=True)
class Whole:
    """A file without damage.

    Attributes:
        format: PNG, JPEG, TIFF, DICOM or NIfTI.
        data: Its bytes.
        suffix: Of its name.
        frame: The frame to read; None where there is one only.
    """

    format: str
    data: bytes
    suffix: str
    frame: int | None = None


def whole_images() -> dict[str, Whole]:
    """One file of every kind, alike on every call."""
    rng = np.random.default_rng(8)
    grey = rng.integers(0, 4096, (HEIGHT, WIDTH)).astype(np.uint16)
    blocks = rng.integers(0, 256, (HEIGHT // 5, WIDTH // 5, 3), np.uint8)
    colour = np.kron(blocks, np.ones((5, 5, 1), np.uint8))
    return {
        **{name: Whole("PNG", data, ".png") for name, data in _pngs(rng, grey, colour).items()},
        **{name: Whole("JPEG", data, ".jpg") for name, data in _jpegs(colour).items()},
        **_tiffs(rng, grey, colour),
        **_dicoms(grey, colour),
        **_niftis(grey),
    }


def _saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def _pngs(rng: np.random.Generator, grey: np.ndarray, colour: np.ndarray) -> dict[str, bytes]:
    deep = rng.integers(0, 65536, (HEIGHT, WIDTH, 4))
    image = Image.fromarray(colour)
    return {
        "png grey": _saved(image.convert("L"), "PNG"),
        "png colour": _saved(image, "PNG"),
        "png palette": _saved(image.quantize(16), "PNG", transparency=3),
        "png interlaced": files.png(deep >> 8, files.RGBA, 8, interlaced=True),
        "png 16 bits": files.png(grey, files.GREY, 16, late_exif=files.exif(6)),
        "png 16 bits colour": files.png(deep[:, :, :3], files.RGB, 16),
        "png 16 bits alpha": files.png(deep, files.RGBA, 16, exif=files.exif(8)),
    }


def _jpegs(colour: np.ndarray) -> dict[str, bytes]:
    image = Image.fromarray(colour)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "jpeg baseline": _saved(image, "JPEG"),
        "jpeg grey": _saved(image.convert("L"), "JPEG"),
        "jpeg progressive": _saved(image, "JPEG", progressive=True),
        "jpeg cmyk": _saved(image.convert("CMYK"), "JPEG"),
        "jpeg turned": _saved(image, "JPEG", exif=exif),
    }


def _tiffs(rng: np.random.Generator, grey: np.ndarray, colour: np.ndarray) -> dict[str, Whole]:
    image = Image.fromarray(colour)
    deep = rng.integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    pages = [Image.fromarray(grey), Image.fromarray(grey[::-1].copy())]
    made = {
        "tiff plain": _saved(image, "TIFF"),
        "tiff 16 bits": _saved(Image.fromarray(grey), "TIFF", compression="tiff_lzw"),
        "tiff big-endian": tiff(grey, ">"),
        "tiff 16 bits colour": tiff(deep),
        "tiff palette": _saved(image.quantize(16), "TIFF", compression="packbits"),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        made[f"tiff {compression}"] = _saved(image, "TIFF", compression=compression)
    found = {name: Whole("TIFF", data, ".tif") for name, data in made.items()}
    several = _saved(
        pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
    )
    found["tiff pages"] = Whole("TIFF", several, ".tiff", frame=2)
    return found


def _dicoms(grey: np.ndarray, colour: np.ndarray) -> dict[str, Whole]:
    made = {
        f"dicom {name}": dicoms.encode(
            dicoms.dataset(grey, bits=12, WindowCenter=900, WindowWidth=2000), name
        )
        for name in dicoms.LOSSLESS
    }
    made["dicom jpeg"] = dicoms.lossy_jpeg(colour, "YBR_FULL_422")[0]
    made["dicom colour rle"] = dicoms.encode(dicoms.dataset(colour, "RGB"), "rle")
    made["dicom inverse"] = dicoms.save(dicoms.dataset((grey >> 4).astype(np.uint8), "MONOCHROME1"))
    table = dicoms.lut(np.arange(0, 4096, 16), 0, 12)
    made["dicom lut"] = dicoms.save(dicoms.dataset(grey, bits=12, VOILUTSequence=[table]))
    made["dicom palette"] = dicoms.save(_palette())
    made["dicom near-lossless"] = _near_lossless((grey >> 4).astype(np.uint8))
    found = {name: Whole("DICOM", data, ".dcm") for name, data in made.items()}
    frames = np.stack([grey, grey[::-1], grey[:, ::-1]])
    for name in ("explicit", "rle", "jpeg-2000"):
        several = dicoms.encode(dicoms.dataset(frames, bits=12, frames=3), name)
        found[f"dicom frames {name}"] = Whole("DICOM", several, ".dcm", frame=2)
    return found


def _palette() -> dicoms.FileDataset:
    entries = np.arange(256, dtype=np.uint16)
    indices = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    made = dicoms.dataset(indices, "PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", (entries * 257).tobytes())
    return made


def _near_lossless(grey: np.ndarray) -> bytes:
    import jpeg_ls

    made = dicoms.dataset(grey)
    made.PixelData = encapsulate([bytes(jpeg_ls.encode_array(grey, lossy_error=2))])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = uid.JPEGLSNearLossless
    return dicoms.save(made)


def _niftis(grey: np.ndarray) -> dict[str, Whole]:
    turned = np.diag([-0.5, 0.7, 2.0, 1.0])
    flat = nibabel.Nifti1Image(grey.astype(np.int16), turned).to_bytes()
    volume = np.stack([grey, grey[::-1], grey], axis=2)
    second = nibabel.Nifti2Image(volume.astype(np.float32), turned).to_bytes()
    colours = np.zeros((HEIGHT, WIDTH), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return {
        "nifti": Whole("NIfTI", flat, ".nii"),
        "nifti gz": Whole("NIfTI", gzip.compress(flat, mtime=0), ".nii.gz"),
        "nifti 2": Whole("NIfTI", second, ".nii", frame=2),
        "nifti 2 gz": Whole("NIfTI", gzip.compress(second, mtime=0), ".nii.gz", frame=3),
        "nifti colour": Whole("NIfTI", nibabel.Nifti1Image(colours, turned).to_bytes(), ".nii"),
    }


def _colour_png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)
    return _saved(Image.fromarray(pixels), "PNG")


def _mask_png() -> bytes:
    return _saved(Image.fromarray(np.eye(24, 30, dtype=np.uint8) * 255), "PNG")


def whole_data_set() -> dict[str, bytes]:
    """The files of a small data set, by their path in its folder."""
    rows = "".join(
        f"{i}.png,{i % 2},{'train' if i < 4 else 'val' if i < 6 else 'test'},p{i}\n"
        for i in range(8)
    )
    return {
        "table.csv": b"image,label,split,patient\n" + rows.encode(),
        "boxes.csv": b"image,x,y,width,height,finding\n1.png,3,4,8,8,dot\n3.png,1,2,8.5,8,spot\n",
        "dataset.yaml": (
            b"task: binary\nclasses: [plain, dotted]\npositive: dotted\nfindings: {dot: dotted}\n"
        ),
        "masks/dot/5.png": _mask_png(),
        **{f"images/{i}.png": _colour_png(i) for i in range(8)},
    }
