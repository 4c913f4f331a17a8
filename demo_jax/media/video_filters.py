"""ffmpeg's filters from decoded frames to RGB at 25 a second."""

from __future__ import annotations

from demo_jax.constants import FPS
from demo_jax.media.probe import BT2020, HDR_TRANSFERS, UNSPECIFIED, VideoTrack

HD_HEIGHT = 720  # untagged video of at least this height is BT.709, lower video BT.601
REFERENCE_WHITE = 203  # cd/m2: of graphics white in HDR (ITU-R BT.2408)


def frame_filters(track: VideoTrack, max_side: int | None) -> str:
    """Returns the filters for deinterlaced frames, 25 a second from the file's start, BT.709, square pixels, the longer
    side at most `max_side`."""
    filters = ["bwdif=deint=interlaced", f"fps={FPS}:start_time=0"]
    if track.matrix == UNSPECIFIED and not track.is_rgb and track.transfer not in HDR_TRANSFERS:
        filters.append(f"setparams=colorspace={'bt709' if track.height >= HD_HEIGHT else 'smpte170m'}")
    filters += ["scale='trunc(iw*sar)':ih", "setsar=1"]
    if max_side is not None:
        limit = f"'min({max_side},iw)':'min({max_side},ih)'"
        filters.append(f"scale={limit}:force_original_aspect_ratio=decrease:flags=area")
    return ",".join(filters + _to_bt709(track))


def _to_bt709(track: VideoTrack) -> list[str]:
    """HDR: white at the level of graphics, brighter lights compressed (no change below 0.7 of white). Wide gamut
    without HDR: the primaries only."""
    transfer = HDR_TRANSFERS.get(track.transfer)
    if track.is_rgb or (transfer is None and track.primaries != BT2020):
        return []
    source = f"transferin={transfer or 'bt709'}"
    if track.matrix == UNSPECIFIED:
        source += ":matrixin=2020_ncl"
    if track.primaries == UNSPECIFIED:
        source += ":primariesin=bt2020"
    linear = [f"zscale={source}:transfer=linear:npl={REFERENCE_WHITE}", "format=gbrpf32le", "zscale=primaries=bt709"]
    tone = ["tonemap=mobius:param=0.7:desat=0"] if transfer else []
    return [*linear, *tone, "zscale=transfer=bt709:matrix=gbr:range=full", "format=gbrp"]
