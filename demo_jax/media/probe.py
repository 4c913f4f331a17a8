"""Reads the headers and packets of a media file with PyAV, which uses ffmpeg's libraries.

ffmpeg's messages are not parsed, since they repeat titles and comments of the file. The caller has checked that the
file is local; the same containers and protocols are allowed as for ffmpeg.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from demo_jax.errors import InputError

CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "mxf", "ogg", "yuv4mpegpipe", "dv", "gxf", "nut", "wtv",
    "rm", "wav", "w64", "mp3", "flac", "aac", "aiff", "au", "caf", "amr", "ac3", "wv",
)  # fmt: skip
PROTOCOLS = "file,pipe"
HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}  # PQ and HLG, by their numbers in ITU-T H.273
BT2020 = 9  # primaries
UNSPECIFIED = 2  # of matrix, primaries and transfer
_TS_DISCONT = 0x200  # AVFMT_TS_DISCONT: ffmpeg counts time from the first packet of the streams in use
_EARLY = 3  # packets by which the parser of a transport stream may mark lost data too early
_NOT_KNOWN = 0x7F000000  # larger sizes, beyond the file's end, mean that the writer did not know the length


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The video stream with this index. Colours are numbers of ITU-T H.273."""

    index: int
    width: int
    height: int
    fps: float
    matrix: int
    primaries: int
    transfer: int
    is_rgb: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """The audio stream with this index. layout: "stereo", "5.1", ..., or "" if the channels' positions are unknown."""

    index: int
    rate: int
    channels: int
    layout: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MediaFacts:
    """Facts about a media file.

    container       ffmpeg's name
    duration        seconds, of the longest stream; 0 if unknown
    zero            the start of the file's clock, in seconds of its time stamps
    joins           whether it may be several recordings in sequence, each with its own clock
    video, audio    the tracks that are read
    length_unknown  whether the header of an audio file leaves its length open
    """

    container: str
    duration: float
    zero: float
    joins: bool
    video: VideoTrack | None
    audio: AudioTrack | None
    video_tracks: int
    audio_tracks: int
    length_unknown: bool


def read_facts(file: Path, kind: str) -> MediaFacts:
    """Returns the facts of a local file that has been checked. Of several tracks the first one marked default is
    chosen, else the first. Raises InputError ("... cannot be read as `kind` ...")."""
    with _opened(file, kind) as container:
        videos = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
        audios = [s for s in container.streams.audio if _has_audio(s)]
        video, audio = _chosen(videos), _chosen(audios)
        zero = _zero(container, [s for s in (video, audio) if s is not None])
        return MediaFacts(
            container=container.format.name,
            duration=(container.duration or 0) / 1e6,
            zero=zero,
            joins=_joins(container),
            video=None if video is None else _video_track(video),
            audio=None if audio is None else _audio_track(audio),
            video_tracks=len(videos),
            audio_tracks=len(audios),
            length_unknown=_length_unknown(file),
        )


def track_warnings(path: str | os.PathLike, facts: MediaFacts, kind: str) -> Iterator[str]:
    """Yields one line if there are several tracks of `kind`, "video" or "audio"."""
    count, track = (facts.video_tracks, facts.video) if kind == "video" else (facts.audio_tracks, facts.audio)
    if track is not None and count > 1:
        yield f"{path} has {count} {kind} tracks; stream {track.index}, marked default or the first, is read."


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredFrames:
    """The frames of a video as stored; times in seconds from the file's zero.

    times    [frames] sorted presentation times; None if the time stamps jump (joined recordings) or are missing
    damaged  (from, to) of damaged stretches, each from a frame that could not be decoded completely to the next intact
             key frame
    """

    times: np.ndarray | None
    damaged: list[tuple[float, float]]


def read_pictures(file: Path, facts: MediaFacts) -> StoredFrames:
    """Decodes a video once to find the times of its frames and the damaged ones. Raises InputError if the file cannot
    be opened."""
    import av

    assert facts.video is not None
    times: list[float | None] = []
    keys: list[tuple[float, int]] = []  # presentation times of key frames, and their packets' numbers
    damaged_from: list[tuple[float, int]] = []  # the same of damaged frames
    count, now = 0, 0.0
    with _opened(file, "video") as container:
        stream = container.streams[facts.video.index]
        stream.thread_type = "SLICE"  # frame threads would report errors late

        def time(stamp: int | None) -> float | None:
            return None if stamp is None else float(stamp * stream.time_base) - facts.zero

        packets = container.demux(stream)
        while True:
            frames: list[Any] = []
            broken, count = True, count + 1
            shown: float | None = None
            try:
                packet = next(packets)
                shown = time(packet.pts)
                frames = packet.decode()
                broken = packet.is_corrupt
            except StopIteration:
                break
            except av.error.FFmpegError:  # of the container, which then gives no more packets, or of a frame
                pass
            if broken and keys:  # nothing is shown before the first key frame
                damaged_from.append((now if shown is None else shown, count + _EARLY))
            elif not broken and shown is not None and packet.is_keyframe:
                keys.append((shown, count))
            for frame in frames:
                times.append(time(frame.pts))
                now = now if times[-1] is None else times[-1]
                if frame.is_corrupt:
                    damaged_from.append((now, 0))
    end = max(facts.duration, now) + 1
    damaged = [
        (begin, min((shown for shown, at in keys if shown > begin and at > last), default=end))
        for begin, last in damaged_from
    ]
    return StoredFrames(times=_ordered(times, facts.joins), damaged=_merged(damaged))


def _merged(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(stretches):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _ordered(times: list[float | None], joins: bool) -> np.ndarray | None:
    if not times or None in times:
        return None
    array = np.array(times, np.float64)
    back = np.maximum.accumulate(array) - array > 1  # seconds
    forward = joins and (np.diff(array) > 10).any()  # seconds: ffmpeg closes such gaps
    return None if forward or back.any() else np.unique(array)


@contextlib.contextmanager
def _opened(file: Path, kind: str) -> Iterator[Any]:
    import av

    options = {"protocol_whitelist": PROTOCOLS, "format_whitelist": ",".join(CONTAINERS)}
    try:
        container = av.open(os.fspath(file), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as {kind}: it is damaged, cut, or in no known format.") from error
    with container:
        yield container


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _has_audio(stream: Any) -> bool:
    context = stream.codec_context
    return context is not None and context.sample_rate > 0 and context.layout.nb_channels > 0


def _chosen(streams: list[Any]) -> Any | None:
    from av.stream import Disposition

    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def _joins(container: Any) -> bool:
    return bool(int(container.format.flags) & _TS_DISCONT)


def _zero(container: Any, streams: list[Any]) -> float:
    """The zero of all streams' clocks when ffmpeg maps `streams`."""
    if _joins(container):
        starts = [float(s.start_time * s.time_base) for s in streams if s.start_time is not None]
        return min(starts, default=0.0)
    return (container.start_time or 0) / 1e6


def _video_track(stream: Any) -> VideoTrack:
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return VideoTrack(
        index=stream.index,
        width=context.width,
        height=context.height,
        fps=float(rate) if rate else 25.0,
        matrix=int(context.colorspace),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        is_rgb=context.format is not None and context.format.is_rgb,
    )


def _audio_track(stream: Any) -> AudioTrack:
    layout = stream.codec_context.layout
    names = tuple(channel.name for channel in layout.channels)
    known = "NONE" not in names
    return AudioTrack(
        index=stream.index,
        rate=stream.codec_context.sample_rate,
        channels=layout.nb_channels,
        layout=layout.name if known else "",
        names=names,
    )


def _length_unknown(file: Path) -> bool:
    """Whether the header of a wav, rf64 or au file gives no length, as when it was written to a pipe."""
    with file.open("rb") as stream:
        head, total = stream.read(12), file.stat().st_size
        if head[:4] == b".snd":
            return int.from_bytes(head[8:12], "big") == 0xFFFFFFFF
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
            return False
        long = 0  # rf64 has its size in another chunk
        while len(header := stream.read(8)) == 8:
            size, at = int.from_bytes(header[4:], "little"), stream.tell()
            if header[:4] == b"ds64":
                long = int.from_bytes(stream.read(16)[8:], "little")
            if header[:4] == b"data":
                size = long if head[:4] != b"RIFF" and size == 0xFFFFFFFF else size
                return at < total and (size == 0 or (size >= _NOT_KNOWN and at + size > total))
            stream.seek(at + size + size % 2)
    return False
