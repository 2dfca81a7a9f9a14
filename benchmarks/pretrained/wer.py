"""Word, character and phone error rates on the test split."""

from __future__ import annotations

import jiwer
from benchmarks.pretrained.models import IPA, MODELS, SAME, corpus
from benchmarks.pretrained.records import Record, Records, paragraph

from otoscope.capture import Speech, Transcribes
from otoscope.corpora import Corpus, Utterance, read_audio
from otoscope.study import transcribe

MEANT = 0.06
"""The word error rate that Whisper and Moonshine are to reach."""


def run(models: list[str], utterances: int | None, records: Records) -> list[str]:
    """Scores the models; what is above the rate that is meant."""
    speech, wrong = corpus().split("test"), []
    most = utterances or len(speech)
    for model in models:
        with records.kept("wer", model) as record:
            rates = {"words": words, "phones": phones, "Japanese phones": one_transcript}
            record |= rates[MODELS[model].writes](model, speech, most)
        if record.get("wer", 0) > MEANT:
            wrong.append(f"{model}: WER {record['wer']:.1%}, meant at most {MEANT:.0%}")
        write(records)
    return wrong


def words(model: str, speech: Corpus, utterances: int) -> Record:
    found = transcribe(MODELS[model].load(), corpus=speech, utterances=utterances)
    return {
        "wer": found.wer,
        "cer": found.cer,
        "words": found.words,
        "utterances": len(found.transcripts),
        "normaliser": found.normaliser,
        "transcripts": found.transcripts,
    }


def phones(model: str, speech: Corpus, utterances: int) -> Record:
    """Of the phones of the alignments, without silences; edit distance over phones, pooled over the utterances."""
    recogniser = MODELS[model].load()
    assert isinstance(recogniser, Transcribes)
    chosen = speech.utterances[:utterances]
    heard = {u.id: recogniser.transcribe([Speech(read_audio(u))])[0] for u in chosen}
    said = {u.id: spoken(u) for u in chosen}
    counted = jiwer.process_words(
        [" ".join(said[u.id]) for u in chosen],
        [" ".join(SAME.get(phone, phone) for phone in heard[u.id].split()) for u in chosen],
    )
    return {
        "per": counted.wer,
        "substitutions": counted.substitutions,
        "deletions": counted.deletions,
        "insertions": counted.insertions,
        "phones": sum(map(len, said.values())),
        "utterances": len(chosen),
        "transcripts": heard,
    }


def one_transcript(model: str, speech: Corpus, _utterances: int) -> Record:
    """What a recogniser of another language makes of one short utterance."""
    recogniser = MODELS[model].load()
    assert isinstance(recogniser, Transcribes)
    chosen = min(speech.utterances, key=lambda u: u.duration)
    return {"text": chosen.text, "heard": recogniser.transcribe([Speech(read_audio(chosen))])[0]}


def spoken(utterance: Utterance) -> list[str]:
    return [IPA[phone.label] for phone in utterance.phones if phone.label in IPA]


def write(records: Records) -> None:
    found = records.of("wer", list(MODELS))
    lines = [
        "The test split of librispeech-mini (114 utterances of 3 speakers, 25 minutes) or some of it. Greedy decoding.",
        "",
        "| recogniser | weights from | utterances | words | WER | CER | at most 6 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, record in found.items():
        if "wer" in record:
            lines.append(
                f"| {MODELS[model].what} | {MODELS[model].package} | {record['utterances']} | {record['words']} | "
                f"{record['wer']:.2%} | {record['cer']:.2%} | {'yes' if record['wer'] <= MEANT else '**no**'} |"
            )
    normalisers = {record["normaliser"] for record in found.values() if "normaliser" in record}
    lines += ["", f"Texts were normalised by {', '.join(sorted(normalisers))}, before both rates.", ""]
    for model, record in found.items():
        if "per" in record:
            lines += phone_lines(model, record)
        if "heard" in record:
            lines += [
                "## Another language",
                "",
                *paragraph(
                    f"{MODELS[model].what} ({MODELS[model].package}) knows the phones of Japanese only, so there is no "
                    "error rate to state. One utterance:"
                ),
                "",
                f"- said: {record['text']}",
                f"- heard: {record['heard']}",
                "",
            ]
    records.page("wer", "Error rates of pretrained recognisers", found, lines[:-1])


ERRORS = ("substitutions", "deletions", "insertions")


def phone_lines(model: str, record: Record) -> list[str]:
    shares = " | ".join(f"{record[kind] / record['phones']:.1%}" for kind in ERRORS)
    same = ", ".join(f"{a} counts as {b}" for a, b in SAME.items())
    text = f"""
    Against the phones of the corpus's forced alignments, which are dictionary pronunciations and not what a listener
    wrote down: vowels that speakers reduce count as errors. The alignments' 39 ARPABET phones are mapped one to one to
    IPA, silences left out. Of hama's symbols {same} (AH is ʌ and ə in one). Word boundaries are left out. No other
    phones are merged.
    """
    return [
        "## Phones",
        "",
        f"| recogniser | weights from | utterances | phones | phone error rate | {' | '.join(ERRORS)} |",
        "|---|---|---|---|---|---|---|---|",
        f"| {MODELS[model].what} | {MODELS[model].package} | {record['utterances']} | {record['phones']} | "
        f"{record['per']:.1%} | {shares} |",
        "",
        *paragraph(text),
        "",
    ]
