"""The methods note: what each measure is, its estimator, its null level, its limits, its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MethodNote", "method_notes"]


@dataclass(frozen=True, slots=True)
class MethodNote:
    """One measure explained. `formula` is plain text."""

    measure: str
    name: str
    formula: str
    meaning: str
    null: str
    limits: str
    source: str


_INVARIANT_CKA = "Unchanged by rotating, reflecting and uniformly scaling either layer's units."
_INVARIANT_CCA = "Unchanged by any invertible linear map of either layer's units."
_KORNBLITH = "Kornblith et al. 2019, arXiv 1905.00414"

_NOTES = (
    MethodNote(
        "cka",
        "Linear CKA, cross-utterance estimator",
        "S(X,Y) = ‖Σᵤ XᵤᵀYᵤ‖² − Σᵤ ‖XᵤᵀYᵤ‖² − (Σᵤ |xᵤ|²)(Σᵤ |yᵤ|²) / (N² − Σᵤ nᵤ²);  CKA = S(X,Y) / √(S(X,X) S(Y,Y))",
        f"How alike two layers lay out the frames of speech, in inner products. {_INVARIANT_CKA} Only products "
        "between frames of different utterances count (Xᵤ are the nᵤ globally centred frames of utterance u, xᵤ their "
        "sum), since neighbouring frames resemble each other in any signal that moves slowly. The last term takes out "
        "what estimating the mean from the same N frames adds.",
        "0 for unrelated layers, at any number of frames and units. It may read slightly below 0 by chance.",
        "Needs many utterances, independent of one another: what a speaker or a channel brings to both layers counts. "
        "Directions of large variance weigh most, so that one strong component, or a few utterances, can carry the "
        "value.",
        f"{_KORNBLITH}; the sum over pairs of different utterances is Otoscope's own estimator.",
    ),
    MethodNote(
        "cka-debiased",
        "Linear CKA, debiased",
        "CKA = HSICᵤ(X,Y) / √(HSICᵤ(X,X) HSICᵤ(Y,Y))",
        f"The same quantity with the bias of few samples removed, each frame taken as a sample. {_INVARIANT_CKA}",
        "0 where frames are independent samples.",
        "Frames of speech are not independent: slow layers read too high, and removing the bias of few samples "
        "does not help against that.",
        "Song et al. 2012 (unbiased HSIC); Nguyen et al. 2021, arXiv 2010.15327",
    ),
    MethodNote(
        "cka-biased",
        "Linear CKA, biased",
        "CKA = ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), X and Y centred",
        f"The usual form, for comparison with published figures. {_INVARIANT_CKA}",
        "About √(pq / ((n+p)(n+q))) for n independent frames and p, q units; more where frames are alike.",
        "Reads high for few frames, wide layers and slowly moving signals, related or not.",
        _KORNBLITH,
    ),
    MethodNote(
        "cca",
        "Mean canonical correlation",
        "Mean of the canonical correlations ρ₁ … ρₖ between X and Y, k the smaller rank",
        f"How well linear functions of one layer follow those of the other, all directions weighing alike. "
        f"{_INVARIANT_CCA}",
        "Above 0: the mean of ρ² is about max(p, q) / (n − 1) for n independent frames; the null level is given "
        "with each value.",
        "Exactly 1 where there are no more frames than units, so that too few frames for the units are refused. "
        "Directions of noise count as much as those that carry speech.",
        "Hotelling 1936; Raghu et al. 2017, arXiv 1706.05806",
    ),
    MethodNote(
        "svcca",
        "SVCCA",
        "Mean canonical correlation of the principal components that hold 99 % of each layer's variance",
        "As CCA, with directions of little variance left out. Unchanged by rotations and uniform scaling.",
        "Above 0, as for CCA with the number of components for the number of units.",
        "Depends on the share of variance that is kept.",
        "Raghu et al. 2017, arXiv 1706.05806",
    ),
    MethodNote(
        "pwcca",
        "PWCCA",
        "Σᵢ αᵢ ρᵢ / Σᵢ αᵢ,  αᵢ = Σⱼ |⟨hᵢ, xⱼ⟩|, with hᵢ the i-th canonical variate of the row's layer, xⱼ its units",
        "Canonical correlations, each weighed by how much of the row's layer its direction accounts for. "
        "Activations are centred before weighing.",
        "Above 0, as for CCA.",
        "Not symmetric: the row's layer gives the weights, so (row, column) and (column, row) differ.",
        "Morcos et al. 2018, arXiv 1806.05759",
    ),
)


def method_notes(measures: Sequence[str]) -> list[MethodNote]:
    """The notes of the measures that a study used, in its order; a measure unknown here is named without a note.

    >>> [note.name for note in method_notes(["svcca"])]
    ['SVCCA']
    """
    known = {note.measure: note for note in _NOTES}
    blank = ("", "This measure has no note here; see where it was registered.", "", "", "")
    return [known.get(name, MethodNote(name, name, *blank)) for name in measures]
