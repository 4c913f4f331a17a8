"""Damaged and hostile images, audio files and tracks, for benchmarks.fuzz."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo_jax.factors import ARKIT_NAMES, CALIBRATED_NAMES, FACTORS
from demo_jax.media import ffmpeg
from demo_jax.paths import ASSETS

NUMBERS = ("0", "1", "-1", "0.5", "nan", "inf", "-inf", "1e308", "1e-320", "", "x", "1,5", "0x10", "٣", "1" * 400)
NAMES = (
    *FACTORS,
    "yaw",
    "pitch",
    "roll",
    "gaze_yaw",
    "aperture",
    "open_left",
    "jaw",
    "",
    "time",
    "Yaw",
    "pose ",
    "\x00",
)


class Case:
    """The folders of one case, and its random numbers."""

    def __init__(self, root: Path, kind: str, number: int, seed: int) -> None:
        self.rng = np.random.default_rng([seed, number, *kind.encode()])
        self.given, self.out, self.temporary = root / "in", root / "out", root / "tmp"
        for folder in (self.given, self.out, self.temporary):
            folder.mkdir(parents=True)

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def damaged(self, data: bytes) -> bytes:
        """Returns the data cut, flipped, blanked, repeated or replaced."""
        raw, rng = bytearray(data), self.rng
        if not raw:
            return data
        a, b = sorted(int(i) for i in rng.integers(0, len(raw) + 1, 2))
        match int(rng.integers(6)):
            case 0:
                return bytes(raw[:a])
            case 1:
                for i in rng.integers(0, len(raw), int(rng.integers(1, 40))):
                    raw[i] ^= 1 << int(rng.integers(8))
            case 2:
                raw[a:b] = bytes(b - a)
            case 3:
                raw[a:a] = raw[a:b]
            case 4:
                raw[: min(64, len(raw))] = rng.bytes(min(64, len(raw)))
            case _:
                return rng.bytes(int(rng.integers(1, 4000)))
        return bytes(raw)


def image(case: Case) -> Path:
    """Writes an image, perhaps damaged and with a sidecar."""
    sides = (1, 2, 31, 32, 33, 64, 129, 256, 700, 20_000)
    width, height = int(case.pick(sides)), int(case.pick(sides))
    if width * height > 4e6:
        height = max(4_000_000 // width, 1)
    if case.chance(0.5):
        height = width = min(width, 700)
    noise = case.rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    content = (
        Image.open(ASSETS / "portrait.png").convert("RGB").resize((width, height))
        if case.chance(0.5)
        else (Image.fromarray(noise))
    )
    mode = case.pick(("RGB", "L", "LA", "RGBA", "P", "CMYK", "1", "YCbCr", "I;16", "F"))
    form = case.pick(("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "ICO", "TGA"))
    buffer, options = io.BytesIO(), {}
    if case.chance(0.3):
        exif = Image.Exif()
        exif[0x0112] = int(case.rng.integers(0, 12))
        options["exif"] = exif.tobytes() if case.chance(0.8) else case.rng.bytes(40)
    with contextlib.suppress(Exception):  # not every mode can be every format
        converted = (
            content.convert("L").convert("I").point(lambda v: v * 256).convert(mode)
            if mode == "I;16"
            else (content.convert(mode))
        )
        converted.save(buffer, form, **options)
    if not buffer.getvalue() and case.chance(0.8):
        content.save(buffer, "PNG")
    data = buffer.getvalue() or _png_header(20_000, 20_000)
    if case.chance(0.4):
        data = case.damaged(data)
    file = case.given / f"p.{case.pick((form.lower(), 'png', 'jpg', 'txt', 'PNG'))}"
    file.write_bytes(data)
    if case.chance(0.75):
        values = case.pick(
            ({"cropped": True}, {"cropped": True}, {"cropped": True}, {"cropped": True, "corpus": "puppet"},
             {"crop": [0, 0, 32]}, {"crop": [-5, -5, 1e9]}, {"crop": ["a", None, {}]}, {"crop": []}, [],
             {"crop": [math.nan, 0, 64]}, {"cropped": "no"})
        )  # fmt: skip
        text = json.dumps(values).encode()
        file.with_suffix(".json").write_bytes(case.damaged(text) if case.chance(0.2) else text)
    return file


def _png_header(width: int, height: int) -> bytes:
    """An image whose header claims that it is large."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    raw = bytearray(buffer.getvalue())
    raw[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(raw)


def audio(case: Case) -> str:
    """Writes or names audio: hostile names and files, or damaged data."""
    name = case.pick(
        ("a.wav", "a b.wav", "-y.wav", "%03d.wav", "é.wav", "a\nb.wav", "a'b.wav", "a;b.wav", "$(x).wav", "file:a.wav",
         "a.mp3", "a.m3u8", "a.sdp", "a")
    )  # fmt: skip
    if case.chance(0.15):
        return case.pick(
            ("http://127.0.0.1:9/a.wav", "concat:a.wav|b.wav", "pipe:0", "data:audio/wav;base64,AAAA", "rtp://127.0.0.1:9",
             "subfile,,start,0,end,9,,:a.wav", "/dev/zero", "/dev/stdin", "..", str(case.given), "x" * 300 + ".wav",
             "lavfi:sine", "a.wav\x00b", "", "~/a.wav", "https://127.0.0.1:9/list.m3u8")
        )  # fmt: skip
    file = case.given / name
    if case.chance(0.1):
        os.mkfifo(file)
        return str(file)
    if case.chance(0.15):
        inside = case.pick(
            ("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "ffconcat version 1.0\nfile /etc/passwd\n",
             "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", "RIFF", "ID3" + "\x7f" * 20)
        )  # fmt: skip
        file.write_text(inside)
        return str(file)
    rate, width = int(case.pick((1, 50, 8000, 16_000, 44_100, 192_000))), int(case.pick((1, 2, 3, 4)))
    length = min(int(case.pick((0, 1, 10, 639, 640, 3200, 8000))), 2 * rate)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(int(case.pick((1, 2, 6))))
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(case.rng.bytes(length * width * out.getnchannels()))
    data = buffer.getvalue()
    if case.chance(0.4) and length:
        suffix = case.pick((".mp3", ".m4a", ".ogg", ".flac", ".aac"))
        encoded = case.given / f"encoded{suffix}"
        command = [
            ffmpeg.ffmpeg_program(),
            "-nostdin",
            "-y",
            "-loglevel",
            "quiet",
            "-f",
            "wav",
            "-i",
            "pipe:0",
            "-t",
            "2",
        ]
        subprocess.run([*command, f"file:{encoded}"], input=data, check=False)
        data = encoded.read_bytes() if encoded.exists() else data
        encoded.unlink(missing_ok=True)
    file.write_bytes(case.damaged(data) if case.chance(0.5) else data)
    return str(file)


def track(case: Case) -> Path:
    """Writes a motion track, perhaps with odd columns and values, or damaged."""
    names = CALIBRATED_NAMES if case.chance(0.7) else (*CALIBRATED_NAMES, *ARKIT_NAMES[:6], *NAMES)
    columns = list(dict.fromkeys(case.pick(names) for _ in range(int(case.rng.integers(1, 5)))))
    odd = case.chance(0.4)  # values that are not numbers
    rows = int(case.pick((0, 1, 2, 25, 400)))
    if case.chance(0.5):
        lines = [",".join(["time", *columns] if case.chance(0.8) else columns)]
        for i in range(rows):
            row = [f"{i / 25:.2f}" if not odd or case.chance(0.97) else case.pick(NUMBERS)]
            row += [f"{case.rng.normal():.3f}" if not odd or case.chance(0.95) else case.pick(NUMBERS) for _ in columns]
            lines.append(",".join(row))
        file, data = case.given / "t.csv", "\n".join(lines).encode("utf-8", "surrogatepass")
    else:
        kinds: tuple[Callable[[int], Any], ...] = (
            lambda n: case.rng.normal(size=n), lambda n: case.rng.normal(size=(n, 2)), lambda n: np.full(n, np.nan),
            lambda n: np.full(n, np.inf), lambda n: np.array(["x"] * n), lambda n: np.array([{}] * n, object),
            lambda n: np.zeros(n, np.complex64), lambda n: np.float32(1),
            lambda n: np.arange(n, dtype=np.int64) * 2**60,
        )  # fmt: skip
        arrays = {"time": np.arange(rows) / case.pick((25, 25, 25, 24, 0.1))}
        with np.errstate(over="ignore"):
            arrays |= {
                name or "empty": case.pick(kinds if odd else kinds[:1])(rows) for name in columns if "\x00" not in name
            }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        file, data = case.given / "t.npz", buffer.getvalue()
    file.write_bytes(case.damaged(data) if case.chance(0.4) else data)
    return file
