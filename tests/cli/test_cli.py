"""The command line as a user meets it: results on stdout, the rest on stderr, exit codes, JSON."""

import io
import json
import re
import shutil
import subprocess
import sys

import pytest
import xarray as xr
from rich.console import Console

from otoscope.cli import main, progress
from otoscope.cli.app import app

COMMANDS = (
    "study",
    "train",
    "measure",
    "layers",
    "transcribe",
    "content",
    "series",
    "advise",
    "runs",
    "validate",
    "report",
    "corpus",
    "show-versions",
)


@pytest.fixture
def run(capsys):
    """Runs a command; gives its exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return run


@pytest.fixture(scope="module")
def checkpoint(finished_study):
    return max((finished_study / "recognisers/cnn/seed0/checkpoints").glob("*.safetensors"))


def test_every_command_explains_itself(run):
    code, overview, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert command in overview
        code, out, err = run(command, "--help")
        assert (code, err) == (0, "")
        assert len(out.splitlines()) > 5
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)


def test_the_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("otoscope 0.")
    code, out, _ = run("show-versions", "--json")
    assert code == 0
    assert {"python", "torch", "otoscope", "machine"} <= set(json.loads(out))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["studdy"], 2, "Unknown command"),
        (["study", "--epochs", "many"], 2, "--epochs"),
        (["study", "--epochs", "0", "--dry-run"], 1, "epochs is 0; expected a whole number of at least 1"),
        (["study", "--workers", "0"], 2, "Must be >= 1"),
        (["measure", "a.safetensors", "--utterances", "0"], 2, "Must be >= 1"),
        (["measure", "a.safetensors", "--samples", "0"], 2, "Must be >= 1"),
        (["study", "--samples", "10", "--dry-run"], 1, "samples: Input should be greater than or equal to 100"),
        (["train"], 2, "what"),
        (["train", "rnn"], 1, "nothing to train by the name rnn: expected cnn, lstm, transformer, conformer, or"),
        (["train", "cnn", "--run", "lstm"], 1, "the study has no run lstm; its runs are cnn/seed0"),
        (["study", "--config", "/nowhere/study.toml"], 1, "error: /nowhere/study.toml cannot be read"),
        (["study", "--corpus", "/nowhere", "--dry-run"], 1, "error: "),
        (["study", "--measures", "cosine", "--dry-run"], 1, "no such measure: cosine"),
        (["report", "/nowhere"], 1, "error: "),
        (["layers", "/nowhere.safetensors"], 1, "error: there is no model '/nowhere.safetensors'"),
        (["series", "/nowhere"], 1, "error: there is no series of checkpoints at /nowhere"),
        (["transcribe", "nothing"], 1, "error: there is no model 'nothing': expected a checkpoint or a graph"),
        (["corpus", "fetch", "switchboard"], 1, "switchboard"),
        (["corpus", "check", "/nowhere"], 1, "/nowhere"),
    ],
)
def test_a_mistake_is_one_clear_error_and_an_exit_code(run, arguments, code, said):
    seen, out, err = run(*arguments)
    assert seen == code
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "option",
    [
        ("--format", "tsv"),
        ("--recognisers", "lstm"),
        ("--size", "small"),
        ("--seeds", "3", "4"),
        ("--epochs", "3"),
        ("--checkpoints", "3"),
        ("--measures", "cka"),
        ("--intervals",),
        ("--samples", "1000"),
    ],
    ids=lambda option: option[0],
)
def test_a_config_file_says_all(run, tmp_path, option):
    path = tmp_path / "study.toml"
    path.write_text('[recognisers.a]\narchitecture = "cnn"\n')
    code, _, err = run("study", "--config", path, *option, "--dry-run")
    assert code == 1
    assert f"study.toml says all of the study, so {option[0]} cannot be given beside it" in err


def test_a_config_file_says_all_in_training_too(run, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('[recognisers.a]\narchitecture = "cnn"\n')
    for option in ("--seeds", "--epochs", "--checkpoints"):
        code, _, err = run("train", path, option, 3)
        assert code == 1
        assert f"so {option} cannot be given beside it" in err


def test_a_config_file_can_be_asked_of_other_speech_and_watched(run, an4_subset, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('corpus = "nowhere"\n[recognisers.a]\narchitecture = "cnn"\nsize = "small"\n')
    code, out, err = run("study", "--config", path, "--corpus", an4_subset, "--watch", "--dry-run")
    assert code == 0, err
    assert "an4-subset" in out
    assert "watching     20 of them at each checkpoint" in out


def test_a_studys_own_config_goes_on_in_its_folder(run, finished_study, tmp_path, monkeypatch):
    folder = tmp_path / "moved"
    shutil.copytree(finished_study, folder)
    (folder / "report.html").unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    code, out, err = run("study", "--config", "moved/study.toml", "--json")
    assert code == 0, err
    assert json.loads(out)["folder"] == "moved"
    assert (folder / "report.html").exists()
    assert not (tmp_path / "studies").exists()
    state = "recognisers/cnn/seed0/state.safetensors"
    assert (folder / state).stat().st_mtime == (finished_study / state).stat().st_mtime  # nothing was trained again


def test_a_dry_run_says_what_will_run_and_writes_nothing(run, an4_subset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("study", "--corpus", an4_subset, "--size", "small", "--epochs", 1, "--dry-run")
    assert code == 0
    for word in ("corpus", "probe set", "cnn", "lstm", "transformer", "comparisons", "disk", "time"):
        assert word in out
    code, out, _ = run(
        "study", "--corpus", an4_subset, "--recognisers", "cnn", "--size", "small", "--dry-run", "--json"
    )
    plan = json.loads(out)
    assert [r["recogniser"] for r in plan["runs"]] == ["cnn"]
    assert plan["utterances"]["test"] == 16
    assert (plan["path"], plan["reason"]) == ("covariance", "cca needs the covariances")
    code, out, _ = run(
        *("study", "--corpus", an4_subset, "--recognisers", "cnn", "--size", "small", "--dry-run", "--json"),
        *("--intervals", "--measures", "cka", "mutual-knn"),
    )
    assert json.loads(out)["moments_bytes"] == 20 * plan["moments_bytes"]
    code, out, _ = run(
        *("study", "--corpus", an4_subset, "--recognisers", "cnn", "--size", "small", "--dry-run"),
        *("--samples", "100", "--measures", "rsa"),
    )
    assert "the study will be refused: samples is 100 frames" in out
    assert "covariance" not in out
    assert not list(tmp_path.iterdir())


def test_a_whole_study_from_the_shell(finished_study, tmp_path):
    """The finished study once more through the real command: stdout ends with the report's path."""
    command = [sys.executable, "-m", "otoscope", "study", "--config", str(finished_study / "study.toml")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "s"), "--workers", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *table, page = done.stdout.splitlines()
    assert page == str(tmp_path / "s" / "report.html")
    assert (tmp_path / "s" / "report.html").exists()
    assert [line.split()[0] for line in table] == ["run", "cnn/seed0", "lstm/seed0", "transformer/seed0", "findings"]
    assert "training cnn/seed0" in done.stderr
    assert "comparing layers" in done.stderr


def test_train_scores_and_tells_where_the_checkpoint_is(run, an4_subset, tmp_path):
    out_folder = tmp_path / "t"
    arguments = ["train", "lstm", "--corpus", an4_subset, "--size", "small", "--epochs", 1, "--checkpoints", 2]
    code, out, err = run(*arguments, "--out", out_folder, "--json")
    assert code == 0, err
    scores = json.loads(out)["runs"]["lstm/seed0"]
    assert 0 < scores["test_wer"] <= 2
    code, out, _ = run("layers", scores["checkpoint"], "--json")
    layers = json.loads(out)
    assert layers["kind"] == "Lstm"
    assert layers["default"] == ["subsample", "blocks.0", "blocks.1", "blocks.2"]
    assert {row["layer"]["stride"] for row in layers["rows"] if row["name"] in layers["default"]} == {0.04}


def test_what_was_skipped_is_said_and_counted(run, an4_subset, tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(an4_subset, corpus, symlinks=True)
    first = sorted(path for path in corpus.rglob("*") if path.is_symlink())[0]
    first.unlink()
    first.write_bytes(b"no audio")
    options = ["--corpus", corpus, "--size", "small", "--epochs", 1, "--checkpoints", 2]
    code, out, err = run("train", "cnn", *options, "--out", tmp_path / "t", "--json")
    assert code == 0, err
    assert json.loads(out)["skipped_utterances"] == 1
    assert first.stem in err
    config = tmp_path / "t" / "study.toml"
    config.write_text(re.sub("measures = .*", 'measures = ["cka"]', config.read_text()))  # the others take longer
    code, out, err = run("study", "--config", config, "--json")
    assert code == 0, err
    assert json.loads(out)["skipped_utterances"] == 1
    assert first.stem in err


def test_a_dry_run_warns_of_what_the_study_would_refuse(run, an4_subset, tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(an4_subset, corpus, symlinks=True)
    table = corpus / "transcripts.tsv"
    header, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text(header + "".join([row for row in rows if row.endswith("\ttest\n")][:5]), encoding="utf-8")
    code, out, _ = run("study", "--corpus", corpus, "--recognisers", "cnn", "--size", "small", "--dry-run", "--json")
    assert code == 0
    warned = "\n".join(json.loads(out)["warnings"])
    assert "no utterance in train" in warned
    assert "5 utterances in the probe's splits (dev, test), at least 8 are needed" in warned


def test_what_the_system_refuses_is_one_line(run, an4_subset, tmp_path):
    occupied = tmp_path / "a-file"
    occupied.write_text("")
    code, out, err = run("study", "--corpus", an4_subset, "--size", "small", "--out", occupied / "study")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {occupied}")
    assert "Not a directory" in err
    assert len(err.splitlines()) == 1


def test_ctrl_c_is_heard_while_the_commands_load():
    script = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "otoscope.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from otoscope.cli import main
main(["--version"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["interrupted. What is finished is kept: the same command goes on from there."]


def test_progress_on_a_terminal_takes_any_text(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, force_terminal=True, width=100))
    with progress._bars() as show:
        show("checking audio, /corpus/[/x]/[bold]a.wav", 1, 2)
    assert "/corpus/[/x]/[bold]a.wav" in screen.getvalue()


def test_layers_as_a_table(run, checkpoint):
    code, out, _ = run("layers", checkpoint)
    assert code == 0
    assert "blocks.1" in out
    assert "40 ms" in out


def test_measure_prints_a_matrix_and_writes_netcdf(run, checkpoint, an4_subset, tmp_path):
    target = tmp_path / "cka.nc"
    code, out, err = run("measure", checkpoint, "--corpus", an4_subset, "--out", target)
    assert code == 0, err
    assert "blocks.1" in out
    found = xr.load_dataset(target, engine="h5netcdf")
    assert found["cka"].sel(layer_x="blocks.0", layer_y="blocks.0") == pytest.approx(1)


def test_measure_two_checkpoints_by_several_measures(run, checkpoint, finished_study, an4_subset):
    other = max((finished_study / "recognisers/lstm/seed0/checkpoints").glob("*.safetensors"))
    arguments = ["measure", checkpoint, other, "--corpus", an4_subset, "--measures", "cka", "svcca"]
    code, out, err = run(*arguments, "--layers", "blocks.*", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["layer_x"] == found["layer_y"] == ["blocks.0", "blocks.1"]
    matched = found["matches"]["cka"]
    assert set(matched["best"]) == set(matched["path"]) == {"blocks.0", "blocks.1"}
    assert matched["path_mean"] <= matched["best_mean"]
    code, out, _ = run(*arguments, "--layers", "blocks.*")
    assert f"best match by cka: mean {matched['best_mean']:.3f}" in out
    assert set(found["measures"]) == {"cka", "svcca"}
    assert all(-1 <= v <= 1 for row in found["measures"]["svcca"]["value"] for v in row)
    code, _, err = run("measure", checkpoint, "--corpus", an4_subset, "--layers", "encoder.*")
    assert code == 1
    assert "no layer matches 'encoder.*'" in err


def test_measure_tells_intervals_kept_frames_and_what_it_could_not_do(
    run, checkpoint, finished_study, an4_subset, tmp_path
):
    other = max((finished_study / "recognisers/lstm/seed0/checkpoints").glob("*.safetensors"))
    names = ["cka", "procrustes", "mutual-knn", "paper-cca"]
    arguments = ["measure", checkpoint, other, "--corpus", an4_subset, "--measures", *names, "--layers", "blocks.*"]
    target = tmp_path / "found.nc"
    code, out, err = run(*arguments, "--intervals", "--samples", 600, "--json", "--out", target)
    assert code == 0, err
    found = json.loads(out)
    assert (found["clusters"], found["cluster_count"]) == ("speakers", 10)
    for name in names[:3]:
        about = found["measures"][name]
        assert about["distance"] == (name == "procrustes")
        assert (about["level"], about["interval"]) == (0.95, "jackknife")
        for low, high in zip(about["low"], about["high"], strict=True):
            assert all(a < b for a, b in zip(low, high, strict=True))
    assert found["measures"]["procrustes"]["null"] == [[None, None], [None, None]]  # which is not known
    assert found["measures"]["mutual-knn"]["frames"] <= 600 < found["measures"]["cka"]["frames"] == found["frames"]
    refused = found["measures"]["paper-cca"]
    assert refused["value"] == [[None, None], [None, None]]
    assert len(refused["undefined"]) == 4
    assert refused["undefined"][0].startswith("blocks.0 | blocks.0: paper-cca compares unit by unit")
    stored = xr.load_dataset(target, engine="h5netcdf")
    assert float(stored["cka_low"][0, 1]) == found["measures"]["cka"]["low"][0][1]
    assert list(stored["paper-cca"].attrs["undefined"]) == refused["undefined"]
    code, out, err = run(*arguments, "--intervals", "--samples", 600)
    assert code == 0, err
    assert "95 % intervals: jackknife over blocks of 10 speakers" in out
    about = found["measures"]["cka"]
    cell = f"{about['value'][0][1]:.3f} [{about['low'][0][1]:.3f}, {about['high'][0][1]:.3f}]"
    assert cell in out
    assert "procrustes (a distance: 0 is alike; no null level is known)" in out
    assert f"on {found['measures']['mutual-knn']['frames']} frames of" in out
    assert "not computed: blocks.0 | blocks.0: paper-cca" in out
    assert "(and 3 more)" in out


def test_measure_says_what_it_would_do_and_reads_no_audio(run, checkpoint, an4_subset, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for table in ("transcripts.tsv", "alignments.tsv.gz"):
        shutil.copy(an4_subset / table, corpus)
    arguments = ["measure", checkpoint, "--corpus", corpus, "--measures", "cka", "cca", "rsa", "--samples", "800"]
    code, out, err = run(*arguments, "--intervals", "--dry-run", "--json")
    assert (code, err) == (0, "")
    plan = json.loads(out)
    assert plan["utterances"] == 16
    assert plan["layers"] == [{"subsample": 24, "blocks.0": 24, "blocks.1": 24}]
    assert (plan["pairs"], plan["path"], plan["blocks"], plan["clusters"]) == (9, "covariance", 20, "speakers")
    assert plan["moments_bytes"] == 16 * 6 * 24 * 24 * 20  # six pairs, each layer with itself among them
    assert 400 < plan["sampled_frames"] <= 800 < plan["frames"]
    code, out, _ = run(*arguments, "--dry-run")
    assert code == 0
    for said in (
        f"{plan['frames']} frames",
        "3 layers × 24 units",
        "pairs        9",
        "cca needs the covariances",
        "0.1 MB",
    ):
        assert said in out
    assert "intervals" not in out
    assert not list(tmp_path.rglob("*.nc"))


def test_measure_names_the_splits_there_are(run, checkpoint, an4_subset, tmp_path):
    code, _, err = run("measure", checkpoint, "--corpus", an4_subset, "--split", "nosuch")
    assert code == 1
    assert "has no split 'nosuch'; --split takes train, test or all" in err


def test_measure_says_why_no_utterance_is_left(run, an4_subset, tmp_path):
    audio = next(path for path in an4_subset.rglob("*") if path.is_symlink())
    for name, content in {"wav.scp": f"a {audio}\n", "text": "", "utt2spk": "a s\n"}.items():
        (tmp_path / name).write_text(content)
    code, _, err = run("measure", "any.safetensors", "--corpus", tmp_path)
    assert code == 1
    assert "can be used:\n1 skipped, unreadable: a (" in err
    assert "/text does not list it" in err


def test_a_corpus_is_listed_and_checked(run, an4_subset):
    code, out, _ = run("corpus", "list", "--json")
    assert code == 0
    assert {"an4", "mini-librispeech", "librispeech-100"} <= set(json.loads(out)["fetch"])
    code, out, _ = run("corpus", "check", an4_subset, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["splits"]["test"]["utterances"] == 16
    assert found["problems"] == []
    code, out, _ = run("corpus", "check", an4_subset)
    assert "no problems" in out


def test_the_report_is_written_anew(run, finished_study, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished_study, folder)
    code, out, err = run("report", folder)
    assert code == 0, err
    assert out.strip() == str(folder / "report.html")


def test_transcribe_writes_what_is_heard_and_scores_it(run, checkpoint, an4_subset):
    arguments = ["transcribe", checkpoint, "--corpus", an4_subset, "--split", "test", "--utterances", "4"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert len(out.splitlines()) == 5
    assert out.splitlines()[-1].startswith("WER ")
    found = json.loads(run(*arguments, "--json")[1])
    assert len(found["transcripts"]) == 4
    assert f"WER {found['wer']:.1%}" in out
    assert found["normaliser"].startswith("whisper-normalizer ")


def test_series_compares_the_checkpoints_of_a_run(run, finished_study, an4_subset, tmp_path):
    place = finished_study / "recognisers/lstm/seed0"
    arguments = ["series", place, "--corpus", an4_subset, "--utterances", "6", "--out", tmp_path / "series"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "cka of each layer with its final state, by step" in out
    assert (tmp_path / "series" / "results.nc").is_file()
    found = json.loads(run(*arguments, "--json")[1])
    final = found["curves"]["cka"]["to_final"]
    assert final["columns"] == found["steps"]
    assert [row[-1] for row in final["data"]] == pytest.approx([1] * len(final["index"]))
