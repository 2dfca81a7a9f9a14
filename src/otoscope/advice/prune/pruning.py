"""Blocks left out one choice after another, and the word error rate of each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.isotonic import IsotonicRegression

from otoscope.advice.prune import ways
from otoscope.advice.prune.choosing import Blocks, cheapest, cost_of
from otoscope.advice.prune.cosine import cosines
from otoscope.advice.prune.errors import Errors, Hearing, Rate
from otoscope.advice.prune.result import Pruned, Pruning
from otoscope.advice.prune.states import States
from otoscope.asr import batches_by_length
from otoscope.capture import Prunes, Speech, TorchRecogniser
from otoscope.corpora import Corpus, Utterance, read_audio
from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.study import measure as measure_layers
from otoscope.study.cost import one_thread_seconds
from otoscope.study.looking import Model, costs, hearable, loaded, name_of, source_of, spread
from otoscope.study.measuring import BATCH_FRAMES

__all__ = ["COSINE", "advise_prune"]

COSINE = "cosine"
"""Not a measure of layers in general: it takes two states of the same units."""

FEWEST_KNOWN = 4
"""Choices whose word error rate is known, before that of another is predicted."""

TIMES = 3
"""An encoder is timed, of which the least counts: other work only adds to it."""

NOTHING = Rate(math.nan, math.nan, math.nan)

Floats = npt.NDArray[np.float64]


def advise_prune(
    model: Model,
    *,
    corpus: Corpus,
    chosen_on: Corpus | None = None,
    measures: Sequence[str] = ("cka", COSINE),
    most: int | None = None,
    random: int = 5,
    utterances: int = 300,
    folder: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Pruning:
    """Which blocks of an encoder can be left out, chosen by similarity and checked against the word error rate.

    One pass over speech compares the states before and after every stretch of blocks. For each number of blocks, those
    are left out whose states change least by it (`choosing.cheapest`), and what the smaller recogniser hears is scored;
    beside it choices that know nothing of similarity: the last blocks, the first, those of the smallest weights, and
    some drawn at random. Nothing is trained.

    When to use it: before a model is made smaller for a device, as the start of fine-tuning, or to see which blocks
    matter to what is recognised. A similarity tells how little a block changes, not whether the little is needed:
    so the word error rates decide, and the advice is no better than the speech that they are measured on.

    Arguments:
        model: a recogniser that can do without blocks (reference recognisers, models of transformers with known
            families), or its name or path, see `load_recogniser`.
        corpus: speech with transcripts, on which word errors are counted.
        chosen_on: the speech that similarities are taken from (default: the same).
        measures: by which similarities blocks are chosen: registered measures that are symmetric, or "cosine", by
            which published pruning goes. The advice goes by the first.
        most: blocks to leave out at most (default: half of those there are).
        random: how many random choices for each number of blocks.
        utterances: at most so many, spread over each corpus.
        folder: transcripts are kept there, in `pruning.json`: what was stopped goes on.
        progress: called with what is being done, how much is done and how much there is.

    Raises:
        StudyError: a recogniser without blocks that can be left out; speech without words; a measure that is not
            symmetric or not known.
        CaptureError: a model that cannot be loaded.

    Source: ShortGPT (Men et al. 2024) and Gromov et al. 2024 choose by cosines; that all stretches together are
    chosen from one pass is ours.
    """
    recogniser = loaded(model)
    if not isinstance(recogniser, Prunes) or not isinstance(recogniser, TorchRecogniser):
        raise StudyError(
            f"{name_of(recogniser)} cannot do without blocks; expected a reference recogniser or a model of "
            "transformers"
        )
    names = list(recogniser.blocks())
    free = [i for i, why in enumerate(recogniser.blocks().values()) if not why]
    most = _most(most, len(names), free, recogniser.blocks())
    speech, left_out = _speech(recogniser, corpus, utterances)
    seen, not_seen = _speech(recogniser, chosen_on or corpus, utterances)
    step = _Progress(progress)
    states = States(recogniser)
    unlike = _unlike(states, measures, chosen_on or corpus, seen, step)

    def without(blocks: Blocks) -> TorchRecogniser:
        return recogniser.without([names[i] for i in blocks])

    hearing = Hearing(speech, _weights_of(recogniser), None if folder is None else Path(folder) / "pruning.json")
    chosen = _choices(recogniser, names, free, most, random, unlike)
    distinct = list(dict.fromkeys([(), *(blocks for _, blocks in chosen)]))
    errors: dict[Blocks, Errors] = {}
    for done, blocks in enumerate(distinct):
        step("recognising without blocks", done, len(distinct))
        errors[blocks] = hearing.errors(" ".join(names[i] for i in blocks), partial(without, blocks))
    step("recognising without blocks", len(distinct), len(distinct))
    sizes = _sizes(without, distinct, speech)
    rows = [_row(way, blocks, names, chosen, errors, unlike, *sizes[blocks]) for way, blocks in chosen]
    return Pruning(
        source_of(recogniser),
        corpus.name,
        (chosen_on or corpus).name,
        hearing.words,
        len(speech),
        tuple(names),
        sizes[()][0],
        errors[()].less([]),
        tuple(measures),
        tuple(rows),
        tuple(dict.fromkeys([*left_out, *not_seen])),
    )


class _Progress:
    """Nothing where nothing is to be shown."""

    def __init__(self, show: Callable[[str, int, int], None] | None) -> None:
        self.show = show

    def __call__(self, what: str, done: int, total: int) -> None:
        if self.show is not None:
            self.show(what, done, total)


def _most(most: int | None, blocks: int, free: Sequence[int], why: Mapping[str, str]) -> int:
    if not free or blocks < 2:
        reason = next((f": {told}" for told in why.values() if told), "")
        raise StudyError(f"none of the {blocks} blocks of this encoder can be left out{reason}")
    if most is not None and most < 1:
        raise StudyError(f"most is {most}; expected the number of blocks to leave out at most, from 1")
    return min(blocks // 2 if most is None else most, len(free), blocks - 1)


def _speech(recogniser: TorchRecogniser, corpus: Corpus, utterances: int) -> tuple[list[Utterance], list[str]]:
    kept, left_out = hearable(
        spread(corpus.utterances, utterances), {"x": recogniser}, {"x": list(recogniser.layers())}
    )
    if not kept:
        raise StudyError(f"no utterance of the corpus {corpus.name!r} can be used: {(left_out or ['it is empty'])[0]}")
    return kept, left_out


def _unlike(
    states: States, measures: Sequence[str], corpus: Corpus, speech: Sequence[Utterance], step: _Progress
) -> dict[str, Floats]:
    """By measure (states, states): how unlike two states are. All registered measures come from one pass."""
    step("comparing states", 0, 1)
    own = [registry.get(name) for name in measures if name != COSINE]
    for measure in own:
        if not measure.symmetric:
            raise StudyError(
                f"{measure.name} depends on which layer comes first, and pruning takes a symmetric measure"
            )
    found: dict[str, Floats] = {}
    if own:
        names = [measure.name for measure in own]
        similarity = measure_layers(states, corpus=corpus.keep(list(speech)), measures=names, utterances=len(speech))
        values = {measure: np.asarray(similarity[measure.name].values, dtype=np.float64) for measure in own}
        found = {measure.name: value if measure.distance else 1 - value for measure, value in values.items()}
    if COSINE in measures:
        found[COSINE] = 1 - cosines(states, speech)
    step("comparing states", 1, 1)
    return {name: found[name] for name in measures}


Chosen = list[tuple[str, Blocks]]


def _choices(
    recogniser: TorchRecogniser,
    names: Sequence[str],
    free: Sequence[int],
    most: int,
    random: int,
    unlike: Mapping[str, Floats],
) -> Chosen:
    """Every way with the blocks that it leaves out, in the order in which they are tried."""
    removable = [i in free for i in range(len(names))]
    chosen: Chosen = []
    for count in range(1, most + 1):
        chosen += [(f"random {i}", blocks) for i, blocks in enumerate(ways.by_chance(free, count, random))]
        chosen.append(("last", ways.last(free, count)))
        chosen.append(("first", ways.first(free, count)))
        chosen.append(("magnitude", ways.by_magnitude(recogniser.module, names, free, count)))
    for name, own in unlike.items():
        chosen += [(name, blocks) for blocks in cheapest(own, removable, most)]
    return chosen


def _row(
    way: str,
    blocks: Blocks,
    names: Sequence[str],
    chosen: Chosen,
    errors: Mapping[Blocks, Errors],
    unlike: Mapping[str, Floats],
    parameters: int,
    time: float,
) -> Pruned:
    own = errors[blocks]
    by_chance = [errors[other] for name, other in chosen if name.startswith("random") and len(other) == len(blocks)]
    guided = way in unlike
    return Pruned(
        way,
        tuple(names[i] for i in blocks),
        cost_of(blocks, unlike[way]) if guided else math.nan,
        own.less([]),
        own.less([errors[()]]),
        _predicted(blocks, errors, unlike[way]) if guided else math.nan,
        own.less(by_chance) if by_chance and not way.startswith("random") else NOTHING,
        parameters,
        time,
    )


def _predicted(blocks: Blocks, errors: Mapping[Blocks, Errors], unlike: Floats) -> float:
    """The word error rate that the cost of these blocks makes expect, from all other choices that were measured.

    A curve that rises with the cost (isotonic regression), since that is all that a similarity promises.
    """
    others = [other for other in errors if other != blocks]
    if len(others) < FEWEST_KNOWN:
        return math.nan
    fit = IsotonicRegression(out_of_bounds="clip")
    fit.fit([cost_of(other, unlike) for other in others], [errors[other].wer for other in others])
    return float(fit.predict([cost_of(blocks, unlike)])[0])


def _weights_of(recogniser: TorchRecogniser) -> str:
    """A hash of all weights: other weights under the same path hear otherwise."""
    found = hashlib.sha256()
    for name, weight in recogniser.module.state_dict().items():
        found.update(name.encode())
        found.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _sizes(
    without: Callable[[Blocks], TorchRecogniser], choices: Sequence[Blocks], speech: Sequence[Utterance]
) -> dict[Blocks, tuple[int, float]]:
    """The weights of each choice, and its encoder's time on a batch as a share of the whole one's.

    The time is that of one choice for each number of blocks: blocks of an encoder cost about the same.
    """
    batch = batches_by_length(costs(speech, [without(())]), frames=BATCH_FRAMES)[0][:4]
    by_id = {u.id: u for u in speech}
    audio = [Speech(read_audio(by_id[u])) for u in batch]
    times: dict[int, float] = {}
    found: dict[Blocks, tuple[int, float]] = {}
    for blocks in choices:  # the whole one comes first
        made = without(blocks)
        if len(blocks) not in times:
            times[len(blocks)] = _encoding(made, audio)
        found[blocks] = sum(p.numel() for p in made.module.parameters()), times[len(blocks)] / times[0]
    return found


def _encoding(recogniser: TorchRecogniser, audio: Sequence[Speech]) -> float:
    """Seconds that the encoder takes for some utterances on one thread."""
    batch, last = recogniser.prepare(audio), [recogniser.layers()[-1].name]
    with torch.inference_mode():
        return min(one_thread_seconds(lambda: recogniser.outputs(batch, last)) for _ in range(TIMES))
