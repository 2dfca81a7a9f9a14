"""Every importer reads real recordings laid out as its publisher does, and says what is wrong with a bad table."""

import builtins
import gzip
import json
import shutil
import sys

import numpy as np
import pytest
import soundfile

from otoscope.corpora import IMPORTERS, check, load, read_audio
from otoscope.errors import CorpusError


def lay_out_an4(root, few, samples, write):
    for split, folder in (("train", "an4_clstk"), ("test", "an4test_clstk")):
        mine = [u for u in few if u.split == split]
        (root / "etc").mkdir(parents=True, exist_ok=True)
        lines = [f"<s> {u.text} </s> ({u.id})" if split == "train" else f"{u.text} ({u.id})" for u in mine]
        (root / "etc" / f"an4_{split}.transcription").write_text("\n".join(lines) + "\n")
        ids = "\n".join(f"{folder}/{u.speaker}/{u.id}" for u in mine)
        (root / "etc" / f"an4_{split}.fileids").write_text(ids + "\n")
        for u in mine:
            path = root / "wav" / folder / u.speaker / u.id
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, samples[u.id])


def write_sphere(path, x):
    soundfile.write(path.with_name(path.name + ".sph"), x, 16000, format="NIST")


def write_big_endian(path, x):
    path.with_name(path.name + ".raw").write_bytes(x.astype(">i2").tobytes())


def write_little_endian(path, x):
    path.with_name(path.name + ".raw").write_bytes(x.astype("<i2").tobytes())


def lay_out_librispeech(root, few, samples):
    """Reader and chapter numbers as LibriSpeech has them; gives the new ids."""
    ids = {}
    for number, u in enumerate(few):
        subset = "train-clean-5" if u.split == "train" else "test-clean"
        chapter = root / "LibriSpeech" / subset / str(100 + number // 2) / "2000"
        chapter.mkdir(parents=True, exist_ok=True)
        ids[u.id] = f"{100 + number // 2}-2000-{number:04d}"
        soundfile.write(chapter / f"{ids[u.id]}.flac", samples[u.id], 16000)
        with (chapter / f"{chapter.parent.name}-2000.trans.txt").open("a") as file:
            file.write(f"{ids[u.id]} {u.text}\n")
    return ids


def same_speech(corpus, few, samples, ids=None):
    """The corpus holds these utterances: texts, splits and every sample."""
    found = {u.id: u for u in corpus}
    assert len(found) == len(corpus) == len(few)
    for u in few:
        v = found[ids[u.id] if ids else u.id]
        assert (v.text, v.split) == (u.text, u.split)
        assert v.duration == pytest.approx(len(samples[u.id]) / 16000, abs=1e-3)
        np.testing.assert_array_equal(read_audio(v), samples[u.id].astype(np.float32) / 32768)


# -- the TSV layout --------------------------------------------------------------------------------------------


def test_tsv_reads_all_of_an4(an4):
    assert len(an4) == 1078
    assert {s: len(an4.split(s)) for s in an4.splits} == {"train": 948, "test": 130}
    assert len({u.speaker for u in an4}) == 84
    u = next(u for u in an4 if u.id == "an251-fash-b")
    assert [w.label for w in u.words] == ["YES"]
    assert [p.label for p in u.phones][:4] == ["SIL", "Y", "EH", "S"]
    assert u.words[0].start == 0.31


def test_alignments_cover_the_words_of_nearly_every_utterance(an4):
    # forced alignment leaves a few out
    whole = sum([w.label for w in u.words] == u.text.split() for u in an4)
    assert whole > 0.95 * len(an4)


def test_tsv_reads_opus(corpora_root):
    corpus = load(corpora_root / "librispeech-mini", parts=["dev"])
    assert len(corpus) == 77
    u = min(corpus, key=lambda u: u.duration)
    assert len(read_audio(u)) == pytest.approx(u.duration * 16000, abs=16)


def test_tsv_without_durations_or_alignments(tmp_path, few, samples):
    lines = ["utt_id\tspeaker\tpath\ttext\tsplit"]
    for u in few:
        soundfile.write(tmp_path / f"{u.id}.wav", samples[u.id], 16000)
        lines.append(f"{u.id}\t{u.speaker}\t{u.id}.wav\t{u.text}\t{u.split}")
    (tmp_path / "transcripts.tsv").write_text("\n".join(lines))
    same_speech(load(tmp_path), few, samples)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("utt_id\ttext\nu\tA\n", "lacks the column speaker, path, split"),
        ("utt_id\tspeaker\tpath\ttext\tsplit\nu\ts\ta.wav\tA\n", "row 2: expected 5 tab-separated fields"),
        ("utt_id\tspeaker\tpath\tduration\ttext\tsplit\nu\ts\ta.wav\tlong\tA\ttrain\n", "expected seconds, got 'long'"),
        (b"utt_id\tspeaker\tpath\ttext\tsplit\nu\ts\ta.wav\t\xff\ttrain\n", "is not UTF-8 text"),
    ],
)
def test_tsv_says_what_is_wrong_with_a_table(tmp_path, table, told):
    (tmp_path / "transcripts.tsv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(CorpusError, match=told):
        load(tmp_path)


def test_tsv_names_a_damaged_alignment_table(tmp_path, few):
    (tmp_path / "transcripts.tsv").write_text("utt_id\tspeaker\tpath\ttext\tsplit\n")
    (tmp_path / "alignments.tsv.gz").write_bytes(gzip.compress(b"utt_id\n" * 99)[:-12])
    with pytest.raises(CorpusError, match="cannot be read as gzip"):
        load(tmp_path)


# -- AN4 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_sphere, write_big_endian, write_little_endian])
@pytest.mark.parametrize("above", [False, True])
def test_an4_as_released(tmp_path, few, samples, write, above):
    lay_out_an4(tmp_path / "an4", few, samples, write)
    corpus = load(tmp_path if above else tmp_path / "an4")
    assert corpus.name == "an4"
    assert {u.speaker for u in corpus} == {u.speaker for u in few}
    same_speech(corpus, few, samples)
    assert len(check(corpus)) == len(few)


def test_an4_names_what_fileids_lacks_and_audio_that_is_missing(tmp_path, few, samples):
    lay_out_an4(tmp_path, few, samples, write_sphere)
    ids = tmp_path / "etc" / "an4_train.fileids"
    ids.write_text("\n".join(ids.read_text().splitlines()[1:]))
    next(tmp_path.rglob(f"{few[1].id}.sph")).unlink()
    checked = check(load(tmp_path))
    assert [(p.utterance, p.kind) for p in checked.problems] == [
        (few[0].id, "unreadable"),
        (few[1].id, "missing"),
    ]
    assert "an4_train.fileids does not list it" in checked.problems[0].what


def test_an4_says_what_a_line_should_be(tmp_path, few, samples):
    lay_out_an4(tmp_path, few, samples, write_sphere)
    (tmp_path / "etc" / "an4_test.transcription").write_text("YES\n")
    with pytest.raises(CorpusError, match=r"line 1: expected '<s> TEXT </s> \(utterance\)', got 'YES'"):
        load(tmp_path)


# -- LibriSpeech -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "LibriSpeech"])
def test_librispeech_from_the_folder_or_its_parent(tmp_path, few, samples, below):
    ids = lay_out_librispeech(tmp_path, few, samples)
    corpus = load(tmp_path / below)
    assert next(iter(corpus)).speaker.isdigit()
    same_speech(corpus, few, samples, ids)


def test_librispeech_single_subset_and_parts(tmp_path, few, samples):
    lay_out_librispeech(tmp_path, few, samples)
    assert load(tmp_path / "LibriSpeech" / "test-clean").splits == ("test",)
    assert load(tmp_path, parts=["train-*"]).splits == ("train",)
    with pytest.raises(CorpusError, match="holds no utterances in the parts dev-clean"):
        load(tmp_path, parts=["dev-clean"])


def test_librispeech_says_what_a_line_should_be(tmp_path, few, samples):
    lay_out_librispeech(tmp_path, few, samples)
    next(tmp_path.rglob("*.trans.txt")).write_text("HELLO THERE\n")
    with pytest.raises(CorpusError, match="line 1: expected 'speaker-chapter-number TEXT', got 'HELLO THERE'"):
        load(tmp_path)


# -- a directory -----------------------------------------------------------------------------------------------


def lay_out_directory(root, few, samples, *, splits):
    for u in few:
        path = (root / u.split / u.speaker if splits else root / u.speaker) / f"{u.id}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples[u.id], 16000)
        path.with_suffix(".txt").write_text(u.text.lower() + ".\n")


def test_directory_with_splits(tmp_path, few, samples):
    lay_out_directory(tmp_path, few, samples, splits=True)
    corpus = check(load(tmp_path))
    ids = {u.id: f"{u.split}/{u.speaker}/{u.id}" for u in few}
    same_speech(corpus, few, samples, ids)
    assert {u.speaker for u in corpus} == {u.speaker for u in few}


def test_directory_without_splits_draws_them_by_speaker(tmp_path, few, samples):
    lay_out_directory(tmp_path, few, samples, splits=False)
    corpus = load(tmp_path)
    assert set(corpus.splits) == {"train", "dev", "test"}
    by_split = {s: {u.speaker for u in corpus.split(s)} for s in corpus.splits}
    assert not by_split["train"] & (by_split["dev"] | by_split["test"])
    assert load(tmp_path) == corpus


def test_directory_names_audio_without_text_and_text_without_audio(tmp_path, few, samples):
    lay_out_directory(tmp_path, few, samples, splits=True)
    first, second = sorted(tmp_path.rglob("*.flac"))[:2]
    first.with_suffix(".txt").unlink()
    second.unlink()
    problems = load(tmp_path).problems
    assert [p.kind for p in problems] == ["no transcript", "missing"]
    assert first.stem in problems[0].utterance
    assert second.stem in problems[1].utterance


# -- lhotse ----------------------------------------------------------------------------------------------------


def lay_out_lhotse(root, few, samples):
    """One recording a speaker, its utterances cut out of it."""
    import lhotse  # not at the top: one test wants it not imported

    for split in ("train", "test"):
        cuts = []
        for speaker in dict.fromkeys(u.speaker for u in few if u.split == split):
            mine = [u for u in few if u.speaker == speaker]
            path = root / f"{speaker}.wav"
            soundfile.write(path, np.concatenate([samples[u.id] for u in mine]), 16000)
            recording = lhotse.Recording.from_file(path)
            at = 0
            for u in mine:
                start, duration = at / 16000, len(samples[u.id]) / 16000
                words = [lhotse.supervision.AlignmentItem(w.label, w.start, w.end - w.start) for w in u.words]
                supervision = lhotse.SupervisionSegment(
                    u.id, recording.id, 0.0, duration, text=u.text, speaker=speaker, alignment={"word": words}
                )
                cuts.append(lhotse.MonoCut(u.id, start, duration, 0, [supervision], recording=recording))
                at += len(samples[u.id])
        lhotse.CutSet.from_cuts(cuts).to_file(root / f"an4_cuts_{split}.jsonl.gz")


def test_lhotse_cuts_inside_recordings(tmp_path, few, samples):
    lay_out_lhotse(tmp_path, few, samples)
    corpus = load(tmp_path)
    same_speech(corpus, few, samples)
    assert len(check(corpus)) == len(few)
    for u, v in zip(sorted(few, key=lambda u: u.id), sorted(corpus, key=lambda u: u.id), strict=True):
        assert v.speaker == u.speaker
        assert [w.label for w in v.words] == [w.label for w in u.words]
        assert [w.start for w in v.words] == pytest.approx([w.start for w in u.words])


def test_lhotse_single_manifest(tmp_path, few, samples):
    lay_out_lhotse(tmp_path, few, samples)
    assert load(tmp_path / "an4_cuts_test.jsonl.gz").splits == ("test",)


def test_lhotse_names_cuts_it_cannot_use(tmp_path, few, samples):
    lay_out_lhotse(tmp_path, few, samples)
    manifest = tmp_path / "an4_cuts_train.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(manifest.read_bytes()).decode().splitlines()]
    lines[0]["recording"]["sources"][0]["type"] = "command"
    lines[1]["supervisions"] = []
    manifest.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    told = [p.what for p in load(manifest).problems]
    assert "the recording comes from ['command']; expected one file" in told[0]
    assert told[1] == "the cut has no supervision, so no transcript"


def test_lhotse_manifest_that_is_none(tmp_path):
    (tmp_path / "cuts.jsonl").write_text('{"id": 3}\n')
    with pytest.raises(CorpusError, match="is not a lhotse cut manifest"):
        load(tmp_path)


def test_lhotse_absent_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "cuts.jsonl").write_text("{}\n")
    monkeypatch.setitem(sys.modules, "lhotse", None)  # what the interpreter holds for a module that is not there
    with pytest.raises(CorpusError, match=r"pip install 'otoscope\[lhotse\]'"):
        load(tmp_path)


def test_lhotse_is_imported_only_when_needed(tmp_path, few, samples, monkeypatch):
    lay_out_directory(tmp_path, few, samples, splits=True)
    real = builtins.__import__
    monkeypatch.delitem(sys.modules, "lhotse", raising=False)

    def guarded(name, *args, **kwargs):
        assert name.split(".")[0] != "lhotse"
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    load(tmp_path)
    assert "lhotse" not in sys.modules


# -- Kaldi -----------------------------------------------------------------------------------------------------


def lay_out_kaldi(root, few, samples, *, segments):
    for split in ("train", "test"):
        mine = [u for u in few if u.split == split]
        data = root / "data" / split
        data.mkdir(parents=True)
        tables = {"wav.scp": [], "text": [], "utt2spk": []}
        tables |= {"segments": []} if segments else {}
        for u in mine:
            tables["text"].append(f"{u.id} {u.text}")
            tables["utt2spk"].append(f"{u.id} {u.speaker}")
            if not segments:
                soundfile.write(root / f"{u.id}.wav", samples[u.id], 16000)
                tables["wav.scp"].append(f"{u.id} {u.id}.wav")  # from the recipe's folder
        for speaker in dict.fromkeys(u.speaker for u in mine) if segments else ():
            its = [u for u in mine if u.speaker == speaker]
            soundfile.write(root / f"{speaker}.wav", np.concatenate([samples[u.id] for u in its]), 16000)
            tables["wav.scp"].append(f"{speaker} {root / speaker}.wav")
            at = 0
            for u in its:
                end = at + len(samples[u.id])
                tables["segments"].append(f"{u.id} {speaker} {at / 16000:.5f} {end / 16000:.5f}")
                at = end
        for name, lines in tables.items():
            (data / name).write_text("\n".join(sorted(lines)) + "\n")
    return root / "data"


@pytest.mark.parametrize("segments", [False, True])
def test_kaldi_data_directories(tmp_path, few, samples, segments):
    data = lay_out_kaldi(tmp_path, few, samples, segments=segments)
    corpus = load(data)
    assert {u.speaker for u in corpus} == {u.speaker for u in few}
    same_speech(corpus, few, samples)
    assert len(check(corpus)) == len(few)
    assert load(data / "test").splits == ("test",)


def test_kaldi_commands_are_refused_and_never_run(tmp_path, few, samples):
    data = lay_out_kaldi(tmp_path, few, samples, segments=False)
    witness = tmp_path / "ran"
    (data / "train" / "wav.scp").write_text(f"{few[0].id} touch {witness}; cat a.wav |\n")
    with pytest.raises(CorpusError, match=r"is the command .* Otoscope runs no commands .* wav-copy"):
        load(data)
    assert not witness.exists()


def test_kaldi_archives_are_refused(tmp_path, few, samples):
    data = lay_out_kaldi(tmp_path, few, samples, segments=False)
    (data / "train" / "wav.scp").write_text(f"{few[0].id} /data/raw.ark:1234\n")
    with pytest.raises(CorpusError, match="lies inside an archive"):
        load(data)


def test_kaldi_names_what_a_table_lacks(tmp_path, few, samples):
    data = lay_out_kaldi(tmp_path, few, samples, segments=False)
    for table, drop in (("text", 0), ("utt2spk", 1), ("wav.scp", 2)):
        path = data / "train" / table
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:drop] + lines[drop + 1 :]) + "\n")
    told = sorted(p.what for p in load(data).problems)
    assert told == [f"train/{t} does not list it" for t in ("text", "utt2spk", "wav.scp")]


@pytest.mark.parametrize(
    ("line", "told"),
    [("u r 0.0", "expected 'utterance recording start end'"), ("u r 2.0 1.0", "ends before it starts")],
)
def test_kaldi_bad_segments(tmp_path, few, samples, line, told):
    data = lay_out_kaldi(tmp_path, few, samples, segments=True)
    (data / "train" / "segments").write_text(line + "\n")
    with pytest.raises(CorpusError, match=told):
        load(data)


def test_kaldi_without_speakers(tmp_path, few, samples):
    data = lay_out_kaldi(tmp_path, few, samples, segments=False)
    (data / "train" / "utt2spk").unlink()
    with pytest.raises(CorpusError, match="utt2spk cannot be read"):
        load(data)


# -- finding the layout ----------------------------------------------------------------------------------------


def test_every_layout_is_recognised_as_itself(tmp_path, few, samples, corpora_root):
    lay_out_an4(tmp_path / "a", few, samples, write_sphere)
    lay_out_librispeech(tmp_path / "l", few, samples)
    lay_out_directory(tmp_path / "d", few, samples, splits=False)
    (tmp_path / "c").mkdir()
    lay_out_lhotse(tmp_path / "c", few, samples)
    kaldi = lay_out_kaldi(tmp_path / "k", few, samples, segments=True)
    layouts = {
        "tsv": corpora_root / "an4",
        "an4": tmp_path / "a",
        "librispeech": tmp_path / "l",
        "lhotse": tmp_path / "c",
        "kaldi": kaldi,
        "directory": tmp_path / "d",
    }
    assert set(layouts) == set(IMPORTERS)
    for name, path in layouts.items():
        assert next(i.name for i in IMPORTERS.values() if i.recognises(path)) == name
        assert len(load(path, format=name)) > 0


def test_load_says_what_it_knows(tmp_path, few):
    with pytest.raises(CorpusError, match="There is no folder 'nowhere', and no corpus of that name"):
        load("nowhere")
    with pytest.raises(CorpusError, match=r"not here yet\. Fetch it first: otoscope corpus fetch an4"):
        load("an4")
    with pytest.raises(CorpusError, match=r"(?s)is in no layout that Otoscope knows.*kaldi: wav.scp"):
        load(tmp_path)
    with pytest.raises(CorpusError, match="There is no format 'mp3'; expected one of tsv, an4"):
        load(tmp_path, format="mp3")
    with pytest.raises(CorpusError, match=r"is not in the layout .kaldi.; expected wav\.scp"):
        load(tmp_path, format="kaldi")


def test_a_fetched_corpus_is_found_by_its_name(cache, corpora_root, few, samples):
    lay_out_an4(cache / "corpora" / "an4" / "an4", few, samples, write_sphere)
    assert len(load("an4")) == len(few)
    shutil.rmtree(cache / "corpora")
