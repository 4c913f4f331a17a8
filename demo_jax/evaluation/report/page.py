"""The report as one HTML page: everything inside it, nothing loaded, readable on a phone and on paper."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from demo_jax.evaluation.report.examples import Example
from demo_jax.evaluation.report.svg import control_curve, heat_map, number
from demo_jax.evaluation.report.thresholds import Target

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1f2430; background: #f4f5f8; margin: 0; }
main { max-width: 1020px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 30px; margin: 8px 0 2px; } h2 { font-size: 21px; margin: 0 0 6px; } p { margin: 4px 0 12px; }
section { background: #fff; border-radius: 14px; padding: 20px 24px; margin: 18px 0; box-shadow: 0 1px 3px #0001; }
.about, .note { color: #69707f; font-size: 14px; }
.row { display: flex; flex-wrap: wrap; gap: 14px 22px; align-items: flex-start; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
td, th { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid #eceef3; }
td.n, th.n { text-align: right; }
.pill { display: inline-block; border-radius: 99px; padding: 0 10px; font-size: 13px; color: #fff; }
.yes { background: #228b74; } .no { background: #c94c3c; } .none { background: #9aa1b1; }
img { border-radius: 8px; max-width: 100%; image-rendering: auto; } figure { margin: 0 0 10px; }
figcaption { font-size: 13px; color: #69707f; } svg text { font-family: system-ui, sans-serif; }
svg { max-width: 100%; height: auto; }
"""

# Section -> heading and what its figures mean, in a sentence or two.
EXPLAINED = {
    "reconstruction": (
        "Reconstruction of speech",
        "One frame is the source; every other frame is rendered from it and the frame's own motion code. “Copy” shows "
        "the source instead: the baseline.",
    ),
    "probe_reconstruction": (
        "Reconstruction of independent factors",
        "The same on frames whose head, gaze, lips and brows were sampled independently over their whole range: the "
        "hardest case, and the one the targets are set for.",
    ),
    "real_reconstruction": ("Reconstruction of real video", "The same on held-out people in real video."),
    "probe": (
        "What each block of the code predicts",
        "A linear probe predicts each factor from each block of the code, on people it was not fitted to (R²: 1 is "
        "exact, 0 is no better than the mean). The own factor should be high, all others and identity low. The second "
        "map is the same for the true factors, which are related: a smile widens the mouth.",
    ),
    "codes": (
        "How alike the blocks are",
        "Correlation between coordinates of two blocks, their CKA (1: same information up to rotation), and the "
        "distances the paper gives. Orthogonal bases make the latents' cosine small for any codes, so the first two "
        "are more informative.",
    ),
    "leakage": (
        "Leakage in the image",
        "One factor's block is replaced by that of a factor-swapped render; the judge reads the output. Off the "
        "diagonal: how far another factor moved; on it: the gain; in standard deviations. The excess subtracts what "
        "the judge reads from true renders of the same change.",
    ),
    "control": (
        "Controls: requested and measured",
        "A control is set on a resting portrait and read from the image. Grey is exact; orange is the judge on true "
        "renders; blue is the model, with one standard deviation over people.",
    ),
    "reenactment": (
        "Another's motion, the same face",
        "Motion of the same person and of others on a portrait. Identity: the judge's nearest of all test people. "
        "Errors are of the judge's estimate; beside them its own on true renders.",
    ),
    "jacobians": (
        "Do blocks move the same pixels the same way?",
        "Principal angles between the image's derivatives by two blocks: 90° means no common direction. The smallest "
        "angle is the worst direction.",
    ),
    "lip_sync": ("Lips from speech", "The aperture generated from speech against the recording's."),
    "holding": ("Frozen factors", "How still a frozen factor stays in the output, measured by MediaPipe's landmarks."),
    "response": ("Controls measured by MediaPipe", "Gain of +10° of head angle in generated video; 1 is exact."),
    "real_pose": (
        "Head pose on real video",
        "MediaPipe's pose of reconstructed frames against its pose of the true ones, on held-out clips whose yaw "
        "varies by at least 4° (standard deviation). The baseline keeps the source's pose.",
    ),
    "real_leakage": (
        "Leakage on real video",
        "A block of one frame's code is replaced by that of another frame of the clip; MediaPipe measures the change, "
        "in standard deviations of the clips. Its own noise is part of these numbers and is not subtracted.",
    ),
}


def page(report: dict[str, Any], summary: list[Target], shown: list[Example]) -> str:
    """Returns the page of report.json's contents, the thresholds and the examples."""
    about = report["about"]
    parts = [f"<h1>{html.escape(str(about['checkpoint']))}</h1>", f'<p class="about">{_about(about)}</p>']
    if summary:
        parts.append(_summary(summary))
    parts.append(
        _section("What it looks like", "Held-out people; grey where rendered frame and truth agree.", "", shown)
    )
    for name, result in report["results"].items():
        if name in EXPLAINED:
            heading, text = EXPLAINED[name]
            parts.append(_section(heading, text, _body(name, result), []))
    parts.append(_section("How this was measured", _provenance(report), "", []))
    title = html.escape(f"Report on {about['checkpoint']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _about(about: dict[str, Any]) -> str:
    what = f"{about['kind']} of {about['size']} px on {about['corpus']} data"
    return html.escape(f"{what}, split {about['split']}, seed {about['seed']}.")


def _summary(summary: list[Target]) -> str:
    rows = []
    for t in summary:
        mark = {True: ("yes", "reached"), False: ("no", "missed"), None: ("none", "not measured")}[t.reached]
        rows.append(
            f'<tr><td>{html.escape(t.name)}</td><td class="n">{number(t.value, t.digits)}</td>'
            f'<td>{html.escape(t.threshold)}</td><td><span class="pill {mark[0]}">{mark[1]}</span></td></tr>'
        )
    reached, known = sum(t.reached is True for t in summary), sum(t.reached is not None for t in summary)
    head = f"<h2>{reached} of {known} targets reached</h2>"
    table = f'<table><tr><th>figure</th><th class="n">here</th><th>target</th><th></th></tr>{"".join(rows)}</table>'
    return f"<section>{head}{table}</section>"


def _section(heading: str, text: str, body: str, shown: Sequence[Example]) -> str:
    figures = "".join(
        f'<figure><img src="{s.uri}" width="{s.width}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for s, caption in ((s, html.escape(s.caption)) for s in shown)
    )
    return f"<section><h2>{html.escape(heading)}</h2><p>{html.escape(text)}</p>{body}{figures}</section>"


def _body(name: str, result: dict[str, Any]) -> str:
    match name:
        case "probe" | "leakage" | "real_leakage":
            return _maps(result, {k: k for k in ("model", "truth", "excess") if k in result})
        case "codes":
            titles = {"cross_covariance": "correlation (RMS)", "cka": "CKA", "l2": "L2", "cosine": "cosine"}
            return _maps(result, titles, diagonal_good=False)
        case "jacobians":
            titles = {k: f"{k} angle, degrees" for k in ("smallest", "mean")}
            return _maps(result, titles, high=90, digits=0, diagonal_good=False)
        case "control":
            return _control(result)
        case "reenactment":
            return _reenactment(result)
        case "real_pose":
            return _rows_table(result["poses"]) + _counts(result)
    return _table(result)


def _maps(result: dict[str, Any], titles: dict[str, str], **options: Any) -> str:
    """The heat maps of the matrices named in `titles`, in a row."""
    maps = (heat_map(result["rows"], result["columns"], result[k], title=t, **options) for k, t in titles.items())
    return f'<div class="row">{"".join(maps)}</div>{_counts(result)}'


def _control(result: dict[str, Any]) -> str:
    curves, rows = [], []
    for name, r in result.items():
        c, m = r["curve"], r["model"]
        note = f"gain {number(m['gain'])}, error {number(m['mae'])}"
        curves.append(control_curve(name, c["asked"], c["model"], c["truth"], c["model_std"], note))
        cells = (m["gain"], r["truth"]["gain"], m["offset"], m["mae"], r["truth"]["mae"], r["excess_mae"],
                 m["correlation"], r["side_effect"])  # fmt: skip
        usable = f"{number(r['usable_low'])} to {number(r['usable_high'])}"
        body = "".join(f'<td class="n">{number(v, 3)}</td>' for v in cells)
        rows.append(f"<tr><td>{name}</td>{body}<td>{usable}</td></tr>")
    heads = ("gain", "judge's", "offset", "error", "judge's", "excess", "correlation", "side effect")
    head = "".join(f'<th class="n">{h}</th>' for h in heads)
    table = f"<table><tr><th>control</th>{head}<th>within tolerance</th></tr>{''.join(rows)}</table>"
    return f'<div class="row">{"".join(curves)}</div>{table}'


def _reenactment(result: dict[str, Any]) -> str:
    if "skipped" in result:
        return f'<p class="note">Not measured: {html.escape(result["skipped"])}.</p>'
    rows = []
    for name in result["self"]["model"]:
        cells = [result[case][kind].get(name) for case in ("self", "cross") for kind in ("model", "truth")]
        body = "".join(f'<td class="n">{number(v, 3)}</td>' for v in cells)
        rows.append(f"<tr><td>{name.replace('_', ' ')}</td>{body}</tr>")
    head = '<th class="n">own motion</th><th class="n">true render</th><th class="n">another\'s</th>'
    return f'<table><tr><th></th>{head}<th class="n">true render</th></tr>{"".join(rows)}</table>{_counts(result)}'


def _rows_table(rows: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(rows.values()), {}))
    head = "".join(f'<th class="n">{c.replace("_", " ")}</th>' for c in columns)
    body = "".join(
        f"<tr><td>{name}</td>" + "".join(f'<td class="n">{number(r[c], 3)}</td>' for c in columns) + "</tr>"
        for name, r in rows.items()
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _table(table: dict[str, dict[str, float]]) -> str:
    rows = "".join(
        f'<tr><td>{html.escape(name.replace("_", " "))}</td><td class="n">{number(v["mean"], 3)}</td>'
        f'<td class="n">± {number(v["error"], 3)}</td><td class="n">{v["count"]}</td></tr>'
        for name, v in table.items()
    )
    head = '<tr><th></th><th class="n">mean</th><th class="n">standard error</th><th class="n">n</th></tr>'
    return f"<table>{head}{rows}</table>"


def _counts(result: dict[str, Any]) -> str:
    known = ("frames", "pairs", "people", "portraits", "clips")
    text = ", ".join(f"{result[k]} {k}" for k in known if k in result)
    if "ceiling" in result:
        most = ", ".join(f"{number(v)} of {n}" for n, v in result["ceiling"].items())
        text += f"; by its size a block can predict at most {most}"
    if result.get("independent_frames") is False:
        text += "; frames of takes (the corpus has no independent frames)"
    return f'<p class="note">{text}</p>' if text else ""


def _provenance(report: dict[str, Any]) -> str:
    return "; ".join(f"{k.replace('_', ' ')}: {v}" for k, v in report["about"].items() if v not in (None, ""))
