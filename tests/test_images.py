"""Image files of every common kind become upright sRGB; the message for an unreadable one has a remedy."""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from demo_jax.errors import InputError
from demo_jax.media.images import IMAGE_FORMATS, read_image

SIZE = (48, 40)  # width, height
COLOUR = (200, 90, 40)

# Primaries as columns x, y of red, green, blue (D65 white), and the exponent of their transfer curve.
P3 = np.array([(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)])
ADOBE = np.array([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)])
REC709 = np.array([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
D65, D50 = (0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([(0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)])


def xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_d50(primaries: np.ndarray) -> np.ndarray:
    """Linear light of these primaries -> XYZ as a profile has it, adapted from D65 to D50: [3, 3]."""
    white, columns = xyz(*D65), np.stack([xyz(*p) for p in primaries], 1)
    matrix = columns * np.linalg.solve(columns, white)
    return np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD @ matrix


def icc(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.1."""
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name, b"cprt": b"text" + bytes(4) + b"-\0", b"wtpt": numbers(D50)} | tags
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for key, data in tags.items():
        table += struct.pack(">4sII", key, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s", at + len(body), 0x02100000, kind, space, connection, b"acsp")
    head += bytes(68 - len(head)) + struct.pack(">3i", *(round(v * 65536) for v in D50))
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def numbers(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(primaries: np.ndarray, gamma: float) -> bytes:
    matrix = to_d50(primaries)
    tags = {f"{c}XYZ".encode(): numbers(matrix[:, i]) for i, c in enumerate("rgb")}
    return icc(b"RGB ", b"XYZ ", b"mntr", tags | {f"{c}TRC".encode(): curve(gamma) for c in "rgb"})


def cmyk_profile() -> bytes:
    """Any ink at all looks like L = 58.8, a = 32, b = 18; paper is white."""
    grid = np.array([(255, 128, 128)] + [(150, 160, 146)] * 15, np.uint8)
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(np.eye(3, dtype=int).ravel() * 65536))
    return icc(b"CMYK", b"Lab ", b"prtr", {b"A2B0": lut + ramp * 4 + grid.tobytes() + ramp * 3})


def srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, to 0..255."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def converted(primaries: np.ndarray, gamma: float, colour: tuple[int, ...] = COLOUR) -> np.ndarray:
    light = (np.array(colour) / 255) ** gamma
    return srgb(np.linalg.solve(to_d50(REC709), to_d50(primaries) @ light))


def shown(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.shape == (SIZE[1], SIZE[0], 3) and image.dtype == np.uint8
    return image.astype(float).mean((0, 1))


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 563 / 256), (P3[[1, 2, 0]], 1.8)])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_colour_profiles_are_applied(tmp_path, primaries, gamma, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", SIZE, COLOUR).save(path, icc_profile=rgb_profile(primaries, gamma), quality=100)
    wanted = converted(primaries, gamma)
    assert np.abs(wanted - COLOUR).max() > 12  # so that it matters
    np.testing.assert_allclose(shown(path), wanted, atol=3)  # eight bits in and out, and what JPEG loses


def test_profiles_apply_to_every_matching_mode(tmp_path):
    profile, wanted = rgb_profile(ADOBE, 2.2), converted(ADOBE, 2.2)
    Image.new("RGBA", SIZE, (*COLOUR, 255)).save(tmp_path / "alpha.png", icc_profile=profile)
    Image.new("RGB", SIZE, COLOUR).quantize(4).save(tmp_path / "palette.png", icc_profile=profile)
    for name in ("alpha", "palette"):
        np.testing.assert_allclose(shown(tmp_path / f"{name}.png"), wanted, atol=2)
    grey = icc(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": curve(1.0)})
    Image.new("L", SIZE, 100).save(tmp_path / "grey.png", icc_profile=grey)
    np.testing.assert_allclose(shown(tmp_path / "grey.png"), srgb(np.full(3, 100 / 255)), atol=2)
    Image.new("CMYK", SIZE, (255, 255, 0, 0)).save(tmp_path / "inks.tif", icc_profile=cmyk_profile())
    lab = ImageCms.profileToProfile(Image.new("RGB", (1, 1), (200, 118, 111)), ImageCms.createProfile("sRGB"),
                                    ImageCms.createProfile("LAB"), outputMode="LAB")  # fmt: skip
    assert np.abs(np.array(lab)[0, 0] - np.array([150, 32, 18])).max() < 2  # what that colour is
    np.testing.assert_allclose(shown(tmp_path / "inks.tif"), (200, 118, 111), atol=4)
    lab.resize(SIZE).save(tmp_path / "lab.tif")
    np.testing.assert_allclose(shown(tmp_path / "lab.tif"), (200, 118, 111), atol=3)


def test_damaged_profiles_and_those_of_another_mode_are_ignored(tmp_path):
    good = rgb_profile(P3, 2.2)
    grey = icc(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": curve(1.0)})
    cut = good[:200] + bytes(len(good) - 200)
    for name, profile in {"noise": b"\1\2\3" * 99, "cut": good[:140], "zeros": cut, "grey": grey}.items():
        Image.new("RGB", SIZE, COLOUR).save(tmp_path / f"{name}.png", icc_profile=profile)
        np.testing.assert_allclose(shown(tmp_path / f"{name}.png"), COLOUR, atol=0.5)
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "srgb.png", icc_profile=same)
    assert np.abs(read_image(tmp_path / "srgb.png").astype(int) - noise).max() <= 1


@pytest.mark.parametrize("name", [n for n in IMAGE_FORMATS if n not in ("PSD", "QOI")])
def test_every_format_that_pillow_reads_is_accepted(tmp_path, name):
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow is without AVIF")
    side = (128, 128) if name in ("ICO", "ICNS") else SIZE
    options = {"quality": 95} if name in ("JPEG", "AVIF", "WEBP") else {}
    options |= {"sizes": [side]} if name == "ICO" else {}
    Image.new("RGB", side, COLOUR).save(tmp_path / "a.png", name, **options)  # the content counts, not the suffix
    image = read_image(tmp_path / "a.png")
    assert image.shape[:2] == side[::-1] or name == "ICNS"
    np.testing.assert_allclose(image.astype(float).mean((0, 1)), COLOUR, atol=3)


@pytest.mark.parametrize(("kind", "white"), [("unit", 1.0), ("bytes", 255.0), ("words", 65535.0)])
def test_floating_point_images(tmp_path, kind, white):
    values = np.tile(np.linspace(0, 1, SIZE[0]), (SIZE[1], 1)) * white
    wanted = np.repeat((values / white * 255)[..., None], 3, -1)
    if kind == "unit":
        values[0, :3] = (1.2, -0.1, np.nan)  # brighter than white, darker than black, nothing
        wanted[0, :3] = np.array([(255,), (0,), (0,)])
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "F"
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), wanted, atol=1.01)


def write_png(path: Path, values: np.ndarray, colour_type: int) -> None:
    """uint16 [H, W, C] as a PNG of 16 bits, which Pillow cannot write."""
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def write_tiff(path: Path, values: np.ndarray, bits: int) -> None:
    """uint16 [H, W, C], one strip, little-endian; `bits` below 16 are packed two samples in three bytes."""
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    if bits == 12:
        first, second = values.reshape(-1, 2).astype(np.uint16).T
        packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
        data = packed.astype(np.uint8).tobytes()
    entries = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, 2 if channels > 1 else 1),
               (273, 4, 0), (277, 3, channels), (278, 3, height), (279, 4, len(data))]  # fmt: skip
    entries += [(338, 3, 2)] if channels == 4 else []
    at = 8 + 2 + 12 * len(entries) + 4
    table = b"".join(
        struct.pack("<HHII", tag, 3, channels, at) if tag == 258 and channels > 1
        else struct.pack("<HHII", tag, kind, 1, at + 2 * channels if tag == 273 else value)
        for tag, kind, value in entries
    )  # fmt: skip
    samples = struct.pack(f"<{channels}H", *[bits] * channels)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + samples + data)


def test_sixteen_bits_a_channel(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 65536, (*SIZE[::-1], 4)).astype(np.uint16)
    colours[..., 3] = 65535
    for channels, kind in ((1, 0), (3, 2), (4, 6)):
        values = colours[..., :channels]
        write_png(tmp_path / "a.png", values, kind)
        write_tiff(tmp_path / "a.tif", values, 16)
        for name in ("a.png", "a.tif"):
            wanted = np.broadcast_to(values[..., :3] / 257, (*SIZE[::-1], 3))
            np.testing.assert_allclose(read_image(tmp_path / name), wanted, atol=1.01)
    both = np.stack([colours[..., 0], np.full(SIZE[::-1], 65535)], -1)
    write_png(tmp_path / "la.png", both, 4)
    np.testing.assert_allclose(read_image(tmp_path / "la.png")[..., 1], colours[..., 0] / 257, atol=1.01)
    twelve = (colours[..., :1] >> 4).astype(np.uint16)
    write_tiff(tmp_path / "twelve.tif", twelve, 12)
    np.testing.assert_allclose(read_image(tmp_path / "twelve.tif")[..., 0], twelve[..., 0] / 4095 * 255, atol=1.01)


def test_few_bits_and_transparency(tmp_path):
    half = np.zeros(SIZE[::-1], bool)
    half[:, 20:] = True
    Image.fromarray(half).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[..., 0], np.where(half, 255, 0))
    palette = Image.new("P", SIZE)
    palette.putdata(half.astype(np.uint8).ravel().tolist())
    palette.putpalette([*COLOUR, 0, 0, 0])
    palette.save(tmp_path / "one.png", transparency=1)
    palette.save(tmp_path / "many.png", transparency=bytes((255, 128)))
    for name, behind in (("one", 255), ("many", 127)):
        seen = read_image(tmp_path / f"{name}.png")
        assert (seen[:, :20] == COLOUR).all() and np.abs(seen[:, 20:].astype(int) - behind).max() <= 1
    grey = np.dstack([np.full(SIZE[::-1], 90), np.where(half, 0, 255)]).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png")[..., 2], np.where(half, 255, 90))


def test_inks_of_a_jpeg(tmp_path):
    """Adobe's CMYK JPEG files are stored inverted; Pillow writes and reads them so."""
    Image.new("CMYK", SIZE, (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(shown(tmp_path / "a.jpg"), (255, 0, 0), atol=6)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_of_several_images_is_read(tmp_path, name):
    frames = [Image.new("RGB", SIZE, colour) for colour in (COLOUR, (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if name == "WEBP" else {}
    frames[0].save(tmp_path / "a.jpg", name, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_allclose(shown(tmp_path / "a.jpg"), COLOUR, atol=3)


def test_damaged_exif_is_not_an_error(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    good = exif.tobytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(good)
        for at in rng.integers(6, len(data), 4):
            data[at] = rng.integers(256)
        Image.new("RGB", SIZE, COLOUR).save(tmp_path / "a.jpg", exif=bytes(data))
        assert sorted(read_image(tmp_path / "a.jpg").shape[:2]) == sorted(SIZE)


def heic(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(500)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (heic(b"heic"), r"HEIC image, as phones make them; pip install 'demo_jax\[heif\]', or convert to JPEG"),
        (heic(b"mif1"), r"pip install 'demo_jax\[heif\]'"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(100), "JPEG XL image, which Pillow cannot read; convert to JPEG"),
        (b"\xff\x0a" + bytes(100), "JPEG XL"),
        (b"%PDF-1.7" + bytes(100), "not an image but a document"),
        (b'<?xml version="1.0"?><svg/>', "not an image but a document or a drawing"),
        (b"\x00\x00\x00\x18ftypisom\0\0\0\0isommp42" + bytes(100), "not an image in a known format"),
    ],
)
def test_unreadable_files_give_a_remedy(tmp_path, monkeypatch, data, says):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(InputError, match=says) as caught:
        read_image(tmp_path / "a.jpg")
    assert "\n" not in str(caught.value)


def test_heic_is_read_if_pillow_heif_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", SIZE, COLOUR)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(shown(tmp_path / "a.jpg"), COLOUR, atol=4)


def test_the_thumbnail_of_a_raw_file_is_not_read(tmp_path):
    Image.new("RGB", SIZE, COLOUR).save(tmp_path / "a.dng", "TIFF", tiffinfo={254: 1})
    with pytest.raises(InputError, match="camera's raw file; convert it to JPEG"):
        read_image(tmp_path / "a.dng")


@pytest.mark.parametrize("name", [n for n in IMAGE_FORMATS if n not in ("PSD", "QOI", "ICO", "ICNS")])
def test_damaged_files_are_one_sentence(tmp_path, name):
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow is without AVIF")
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, name)
    whole = buffer.getvalue()
    refusals = []
    for i in range(12):
        data = bytearray(whole[: len(whole) // 2] if i % 3 == 0 else whole)
        for at in rng.integers(0, min(len(data), 200 if i % 2 else len(data)), 6):
            data[at] = rng.integers(256)
        (tmp_path / "a").write_bytes(data)
        try:
            assert read_image(tmp_path / "a").ndim == 3
        except InputError as error:
            refusals.append(str(error))  # and nothing else is raised
    assert refusals and not any("\n" in text for text in refusals)
