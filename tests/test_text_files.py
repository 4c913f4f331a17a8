"""Text files as users' programs save them: byte order marks, UTF-16, other line ends and separators."""

import json

import numpy as np
import pytest

from data_pipelines.extraction.forced_alignment import read_table
from data_pipelines.records import splits
from demo_jax.errors import InputError
from demo_jax.media.text_files import read_csv, read_lines
from demo_jax.sampling import inputs, manifest
from demo_jax.sampling.tracks import read_keyframes, read_track

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig", "utf-32")
SEPARATORS = "\u2028\u2029\u0085\u000b\u000c\u001c"  # where str.splitlines cuts


def encode(text: str, encoding: str) -> bytes:
    return b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-sig" else text.encode(encoding)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_kind_of_user_file_is_read_in_every_encoding(tmp_path, encoding, end):
    def write(name, *lines):
        (tmp_path / name).write_bytes(encode(end.join(lines) + end, encoding))
        return tmp_path / name

    track = read_track(write("a.csv", "time,yaw", "0,1.5", "0.04,", ""))
    np.testing.assert_array_equal(track.columns["yaw"], np.float32([1.5, np.nan]))
    assert list(read_keyframes(write("k.csv", "time,yaw", "0.2,1", "1.0,2")).frames) == [5, 25]
    assert splits.read_identities(str(write("who.csv", "file,identity", "x/ä_01.mp4,änne"))) == {"ä_01.mp4": "änne"}
    assert read_table(write("t.csv", "file,text", 'a.wav,"one, two"')) == [{"file": "a.wav", "text": "one, two"}]
    write("photo.json", '{"cropped":', 'true, "corpus": null}')
    assert inputs.read_sidecar(tmp_path / "photo.png") == {"cropped": True}
    lines = [json.dumps({"portrait": "ä.png", "silence": i, "out": f"{i}.mp4"}, ensure_ascii=False) for i in (1, 2)]
    found = manifest.read_manifest(write("jobs.jsonl", *lines), tmp_path)
    assert [(job.line, job.portrait.name, job.silence) for job in found] == [(1, "ä.png", 1.0), (2, "ä.png", 2.0)]


def test_separators_in_strings_are_characters(tmp_path):
    names = [f"a{character}b" for character in SEPARATORS]
    rows = [{"portrait": "p.png", "silence": 1, "out": f"{name}.mp4"} for name in names[:3]]  # JSON escapes the rest
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "jobs.jsonl").write_bytes(text.encode())
    found = manifest.read_manifest(tmp_path / "jobs.jsonl", tmp_path)
    assert [job.out.name for job in found] == [row["out"] for row in rows]
    assert [job.line for job in found] == [1, 2, 3]
    (tmp_path / "who.csv").write_bytes(b"file,identity\n" + "".join(f"{n}.mp4,x\n" for n in names).encode())
    assert list(splits.read_identities(str(tmp_path / "who.csv"))) == [f"{name}.mp4" for name in names]
    assert read_lines(tmp_path / "who.csv", "it")[1] == f"{names[0]}.mp4,x"


def test_cells_may_be_separated_by_semicolons_or_tabs(tmp_path):
    """Excel writes semicolons where the comma is the decimal point, and tabs into its "Unicode Text"."""
    for delimiter in ",;\t":
        (tmp_path / "a.csv").write_text(f'time{delimiter} yaw\n0{delimiter} "1"\n')
        assert read_csv(tmp_path / "a.csv", "it") == [["time", "yaw"], ["0", "1"]]
    (tmp_path / "a.csv").write_text("file,identity\na;b.mp4,x\n")
    assert read_csv(tmp_path / "a.csv", "it")[1] == ["a;b.mp4", "x"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_other_encodings_are_named(tmp_path, encoding):
    text = "é".encode(encoding)[:1] + b"\xff\xfe"
    for name in ("a.csv", "photo.json", "jobs.jsonl"):
        (tmp_path / name).write_bytes(text)
    readers = {
        "a.csv": lambda: read_track(tmp_path / "a.csv"),
        "--identities": lambda: splits.read_identities(str(tmp_path / "a.csv")),
        "photo.json": lambda: inputs.read_sidecar(tmp_path / "photo.png"),
        "jobs.jsonl": lambda: manifest.read_manifest(tmp_path / "jobs.jsonl", tmp_path),
    }
    for name, read in readers.items():
        with pytest.raises(InputError, match=r"not text in UTF-8 \(byte \d\)") as caught:
            read()
        assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"cropped": "false"}, 'cropped is "false"; write true or false'),
        ({"cropped": 0}, "cropped is 0; write true or false"),
        ({"look_at_camera": "no"}, 'look_at_camera is "no"; write true or false'),
        ({"silence": "1"}, "silence '1' is not a number"),
        ({"silence": True}, "silence True is not a number"),
        ({"silence": 10**400}, "silence is too large a number"),
        ({"audio_scale": 10**400}, "audio_scale is too large a number"),
        ({"seed": "3"}, "seed '3' is not a whole number"),
        ({"seed": True}, "seed True is not a whole number"),
        ({"blink": True}, "blink True: give a string"),
        ({"hold": {"pose": 1}}, "hold {'pose': 1}: give a string"),
    ],
)
def test_strings_are_neither_flags_nor_numbers(tmp_path, more, says):
    good = {"portrait": "p.png", "silence": 1, "out": "a.mp4"}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(good | more) + "\n" + json.dumps(good | {"cropped": False}))
    refused, accepted = manifest.read_manifest(tmp_path / "jobs.jsonl", tmp_path)
    assert isinstance(refused, manifest.InvalidJob) and says in refused.error
    assert isinstance(accepted, manifest.ManifestJob) and accepted.cropped is False


def test_null_is_the_same_as_leaving_the_name_out(tmp_path):
    row = {"portrait": "p.png", "audio": None, "silence": 2, "out": "a.mp4", "cropped": None, "seed": None}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(row))
    (job,) = manifest.read_manifest(tmp_path / "jobs.jsonl", tmp_path)
    assert (job.audio, job.silence, job.cropped, job.options.seed) == (None, 2.0, False, 0)


def test_deep_json_is_refused(tmp_path):
    (tmp_path / "jobs.jsonl").write_text("[" * 100_000)
    (refused,) = manifest.read_manifest(tmp_path / "jobs.jsonl", tmp_path)
    assert "it is not JSON" in refused.error
    (tmp_path / "photo.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"photo\.json, the sidecar of .* is not JSON"):
        inputs.read_sidecar(tmp_path / "photo.png")


@pytest.mark.parametrize(("text", "says"), [('"false"', 'is "false"; write true'), ("1", "is 1; write true")])
def test_a_sidecar_needs_true_or_false(tmp_path, text, says):
    (tmp_path / "photo.json").write_text(f'{{"cropped": {text}}}')
    with pytest.raises(InputError, match=says):
        inputs.read_sidecar(tmp_path / "photo.png")


def test_identity_rows_and_videos_that_do_not_match_are_named(tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("file,identity\nC:\\films\\a_01.mp4,anna\nA_02.mp4,anna\ne\u0301_01.mp4,eve\nlone.mp4\n")
    warnings = []
    videos = [tmp_path / name for name in ("a_01.mp4", "a_02.mp4", "\u00e9_01.mp4")]
    assert splits.name_identities(videos, str(table), warnings.append) == ["anna", "a", "eve"]
    assert [text.removeprefix(f"{table}: ") for text in warnings] == [
        "1 of its 3 rows name no video of this call: A_02.mp4.",
        "1 of 3 videos have no row, so their names identify them: a_02.mp4.",
    ]
    warnings.clear()
    splits.name_identities(videos[:1], None, warnings.append)
    splits.name_identities([videos[0], tmp_path / "A_02.mp4", videos[2]], str(table), warnings.append)
    assert warnings == []


def test_one_video_has_one_identity(tmp_path):
    (tmp_path / "who.csv").write_text("file,identity\na.mp4,anna\nb/a.mp4,eve\n")
    with pytest.raises(InputError, match=r"a\.mp4 is both anna and eve"):
        splits.read_identities(str(tmp_path / "who.csv"))
    (tmp_path / "who.csv").write_text("video,identity\na.mp4,anna\n")
    with pytest.raises(InputError, match="columns file and identity; it has no column file"):
        splits.read_identities(str(tmp_path / "who.csv"))
