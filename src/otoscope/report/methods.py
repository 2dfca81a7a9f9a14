"""The methods note: what each measure is, its estimator, its null level, its limits, its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MethodNote", "method_notes"]


CKA = "Centred kernel alignment"
CCA = "Canonical correlations"
SHAPES = "Shapes and regression"
FRAMES = "Frames and items compared one by one"
PAPER = "For comparison with earlier figures"


@dataclass(frozen=True, slots=True)
class MethodNote:
    """One measure explained. `formula` is plain text; `group` is the family that it belongs to."""

    measure: str
    group: str
    name: str
    formula: str
    meaning: str
    null: str
    limits: str
    source: str


_ROTATION = "Unchanged by rotating, reflecting and uniformly scaling either layer's units."
_INVERTIBLE = "Unchanged by any invertible linear map of either layer's units."
_KORNBLITH = "Kornblith et al. 2019, arXiv 1905.00414"
_RAGHU = "Raghu et al. 2017, arXiv 1706.05806"
_UNKNOWN = "Not known in closed form: read it beside shuffled utterances."
_SAMPLED = "Measured on the frames of some whole utterances, spread evenly over the speech, since it compares frames."
_SHAPE = "X and Y are centred; ‖·‖_* is the sum of the singular values."

_NOTES = (
    MethodNote(
        "cka",
        CKA,
        "Linear CKA, cross-utterance estimator",
        "S(X,Y) = ‖Σᵤ XᵤᵀYᵤ‖² − Σᵤ ‖XᵤᵀYᵤ‖² − (Σᵤ |xᵤ|²)(Σᵤ |yᵤ|²) / (N² − Σᵤ nᵤ²);  CKA = S(X,Y) / √(S(X,X) S(Y,Y))",
        f"How alike two layers lay out the frames of speech, in inner products. {_ROTATION} Only products "
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
        CKA,
        "Linear CKA, debiased",
        "CKA = HSICᵤ(X,Y) / √(HSICᵤ(X,X) HSICᵤ(Y,Y))",
        f"The same quantity with the bias of few samples removed, each frame taken as a sample. {_ROTATION}",
        "0 where frames are independent samples.",
        "Frames of speech are not independent: slow layers read too high, and removing the bias of few samples "
        "does not help against that.",
        "Song et al. 2012 (unbiased HSIC); Nguyen et al. 2021, arXiv 2010.15327",
    ),
    MethodNote(
        "cka-biased",
        CKA,
        "Linear CKA, biased",
        "CKA = ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), X and Y centred",
        f"The usual form, for comparison with published figures. {_ROTATION}",
        "About √(pq / ((n+p)(n+q))) for n independent frames and p, q units; more where frames are alike.",
        "Reads high for few frames, wide layers and slowly moving signals, related or not.",
        _KORNBLITH,
    ),
    MethodNote(
        "cka-pc-removed",
        CKA,
        "Linear CKA without the leading principal component",
        "CKA of X(I − vvᵀ) and Y(I − wwᵀ), v and w the leading eigenvectors of XᵀX and YᵀY",
        f"Whether a single strong direction makes layers alike: read it beside cka. {_ROTATION} {_SAMPLED}",
        "0, as for cka.",
        "What is removed may be what matters, so that it does not replace cka.",
        "Nguyen et al. 2021, 2022; Davari et al. 2022",
    ),
    MethodNote(
        "cka-partial",
        CKA,
        "Linear CKA beyond the input",
        "R(X,Y) / √(R(X,X) R(Y,Y)),  R(X,Y) = S(X,Y) − S(X,I) S(Y,I) / S(I,I), S as for cka, I the input's features",
        "What two layers have in common beyond what comes with the input, whose inner products are regressed out of "
        f"theirs. {_ROTATION}",
        "0.",
        "A layer with the geometry of the input has nothing left to compare, and is refused.",
        "Cui et al. 2022; they regress Gram matrices that are not centred.",
    ),
    MethodNote(
        "cka-rbf",
        CKA,
        "CKA with a Gaussian kernel",
        "As cka, of Kₛₜ = exp(−|xₛ − xₜ|² / 2σ²), σ the median distance between frames",
        f"Likeness that need not be linear, near frames counting most. {_ROTATION} {_SAMPLED} Entries between frames "
        "of one utterance are left out, and row and column effects are taken off the others.",
        "0 for unrelated layers.",
        "With this bandwidth it reads much like linear CKA, which sees all speech: look there first.",
        f"{_KORNBLITH}; Cristianini et al. 2006",
    ),
    MethodNote(
        "cka-laplace",
        CKA,
        "CKA with a Laplace kernel",
        "As cka-rbf, of Kₛₜ = exp(−|xₛ − xₜ| / σ)",
        f"As cka-rbf; the kernel has longer tails and a sharper peak. {_ROTATION} {_SAMPLED}",
        "0 for unrelated layers.",
        "As for cka-rbf.",
        f"{_KORNBLITH}; Cristianini et al. 2006",
    ),
    MethodNote(
        "cka-polynomial",
        CKA,
        "CKA with a quadratic kernel",
        "As cka-rbf, of Kₛₜ = (⟨xₛ, xₜ⟩ / m + 1)², m the mean of |x|²",
        f"Likeness in the units and in their products, large values counting most. {_ROTATION} {_SAMPLED}",
        "0 for unrelated layers.",
        "A few frames with large activations can carry it.",
        f"{_KORNBLITH}; Cristianini et al. 2006",
    ),
    MethodNote(
        "cka-minibatch",
        CKA,
        "Linear CKA from minibatches",
        "Σ_b S_b(X,Y) / √(Σ_b S_b(X,X) Σ_b S_b(Y,Y)) over shuffled batches b of 256 frames, S_b unbiased",
        f"A quick look at linear CKA, with the error of looking quickly. {_ROTATION} {_SAMPLED}",
        "0 for unrelated layers.",
        "Approximate, where cka is exact.",
        "Nguyen et al. 2021, arXiv 2010.15327",
    ),
    MethodNote(
        "cca",
        CCA,
        "Mean canonical correlation",
        "Mean of the canonical correlations ρ₁ … ρₖ between X and Y, k the smaller rank",
        "How well linear functions of one layer follow those of the other, all directions weighing alike. "
        f"{_INVERTIBLE}",
        "Above 0: the mean of ρ² is about max(p, q) / (n − 1) for n independent frames; the null level is given "
        "with each value.",
        "Exactly 1 where there are no more frames than units, so that too few frames for the units are refused. "
        "Directions of noise count as much as those that carry speech.",
        f"Hotelling 1936; {_RAGHU}",
    ),
    MethodNote(
        "cca-r2",
        CCA,
        "Mean squared canonical correlation",
        "Σᵢ ρᵢ² / k, k the smaller rank",
        f"As cca, as a share of variance. {_INVERTIBLE}",
        "max(p, q) / (n − 1) for n independent frames and ranks p, q: exact.",
        "As for cca.",
        f"{_KORNBLITH} (R² of CCA)",
    ),
    MethodNote(
        "svcca",
        CCA,
        "SVCCA",
        "Mean canonical correlation of the principal components that hold 99 % of each layer's variance",
        "As CCA, with directions of little variance left out. Unchanged by rotations and uniform scaling.",
        "Above 0, as for CCA with the number of components for the number of units.",
        "Depends on the share of variance that is kept.",
        _RAGHU,
    ),
    MethodNote(
        "pwcca",
        CCA,
        "PWCCA",
        "Σᵢ αᵢ ρᵢ / Σᵢ αᵢ,  αᵢ = Σⱼ |⟨hᵢ, xⱼ⟩|, with hᵢ the i-th canonical variate of the row's layer, xⱼ its units",
        "Canonical correlations, each weighed by how much of the row's layer its direction accounts for. "
        "Activations are centred before weighing. Unchanged by any invertible linear map of the column's units, and by "
        "uniform scaling and another order of the row's.",
        "Above 0, as for CCA.",
        "Not symmetric: the row's layer gives the weights, so (row, column) and (column, row) differ.",
        "Morcos et al. 2018, arXiv 1806.05759",
    ),
    MethodNote(
        "cca-ridge",
        CCA,
        "Regularised CCA",
        "Σᵢ σᵢ / √(Σᵢ sᵢ Σᵢ tᵢ), σ the singular values of (C_xx + κv_x I)^(−½) C_xy (C_yy + κv_y I)^(−½), s and t "
        "those of each layer with itself, v its mean variance, κ = 0.1",
        f"As cca, with weak directions counting little and none cut off. {_ROTATION}",
        _UNKNOWN,
        "With few frames for the units it reads high on unrelated layers: the ridge does not help there.",
        "Vinod 1976",
    ),
    MethodNote(
        "cca-held-out",
        CCA,
        "Held-out CCA",
        "Mean correlation, in utterances left out, of the canonical variates of all others; five folds",
        f"CCA whose directions must hold in other utterances than those they were found in. {_INVERTIBLE} {_SAMPLED}",
        "0: directions that fit by chance do not correlate elsewhere.",
        "A lower bound of what more speech would give, since directions found in few frames are found poorly.",
        "Cross-validated as in Bilenko & Gallant 2016",
    ),
    MethodNote(
        "bures",
        SHAPES,
        "Normalised Bures similarity",
        f"c = ‖XᵀY‖_* / (‖X‖ ‖Y‖). {_SHAPE}",
        "How well the layers coincide after the best rotation: directions count by their standard deviation, between "
        f"cca (alike) and cka (by variance). {_ROTATION}",
        _UNKNOWN,
        "Reads high with few frames for the units. Procrustes and shape distance are the same number: report one.",
        "Bures 1969; Tang et al. 2020; Harvey et al. 2024",
    ),
    MethodNote(
        "procrustes",
        SHAPES,
        "Procrustes distance",
        f"√(2 − 2c) = min_Q ‖X/‖X‖ − YQ/‖Y‖‖, Q orthogonal, c as for bures. {_SHAPE}",
        "A distance, and a metric: 0 for layers alike but for a rotation, √2 for layers with nothing shared. "
        f"{_ROTATION}",
        _UNKNOWN,
        "Unrelated layers come near each other where frames are few for the units.",
        "Schönemann 1966; Williams et al. 2021",
    ),
    MethodNote(
        "shape-distance",
        SHAPES,
        "Angular shape distance",
        f"arccos c, c as for bures; in radians. {_SHAPE}",
        "A distance, and a metric whose lengths add up along a path: 0 for layers alike but for a rotation, π/2 for "
        f"layers with nothing shared. {_ROTATION}",
        _UNKNOWN,
        "As for the Procrustes distance.",
        "Williams et al. 2021",
    ),
    MethodNote(
        "regression",
        SHAPES,
        "Linear regression R²",
        "R² = 1 − min_B ‖Y − XB‖² / ‖Y‖², X the row's layer, Y the column's, both centred",
        "The share of the column's variance that the row's layer predicts linearly. Unchanged by any invertible linear "
        "map of the row's units, and by rotating and uniformly scaling the column's.",
        "p / (n − 1) for n independent frames and the rank p of the row's layer: exact.",
        "Not symmetric: (row, column) and (column, row) are two questions. Reads high where frames are few.",
        f"{_KORNBLITH}, there with the layers in the other order",
    ),
    MethodNote(
        "distance-correlation",
        FRAMES,
        "Squared distance correlation",
        "As cka-rbf, of the negative distances −|xₛ − xₜ|",
        f"Dependence of any kind, with no bandwidth to choose. {_ROTATION} {_SAMPLED}",
        "0 for unrelated layers.",
        "As a similarity it reads close to CKA.",
        "Székely, Rizzo & Bakirov 2007; Székely & Rizzo 2014",
    ),
    MethodNote(
        "mutual-knn",
        FRAMES,
        "Mutual nearest neighbours",
        "Mean over frames of |Nₓ(s) ∩ N_y(s)| / 10, N(s) the 10 nearest frames of other utterances",
        f"Which frames are near which, whatever the distances. {_ROTATION} {_SAMPLED}",
        "10 over the number of frames to choose from: exact.",
        "Depends on the number of frames: compare values of equal numbers only.",
        "Huh et al. 2024",
    ),
    MethodNote(
        "rsa",
        FRAMES,
        "Representational similarity analysis of utterances",
        "Spearman correlation, over pairs of utterances, of the distances between their mean frames",
        f"Whether layers put the same utterances near each other. {_ROTATION} {_SAMPLED}",
        "0 for unrelated layers.",
        "Spreads widely with fewer than 20 utterances; what happens within an utterance does not count.",
        "Kriegeskorte, Mur & Bandettini 2008",
    ),
    MethodNote(
        "paper-cca",
        PAPER,
        "|r| of flattened layers",
        "|r| = |correlation of all numbers of X with those of Y|, frames × units laid out in one column",
        "What the released code of Ollerenshaw et al. 2021 computes in the place of CCA for LSTM and Transformer "
        "layers. Unchanged by uniform scaling only.",
        "The mean over permutations of one layer's frames, which keeps the units' means.",
        "It compares unit 1 with unit 1: another order of the units, which changes nothing in a network, changes it. "
        "Layers must have one width.",
        "Code of Ollerenshaw, Jalal & Hain 2021",
    ),
    MethodNote(
        "paper-cka",
        PAPER,
        "r² of flattened layers",
        "r², r as for paper-cca",
        "What the same code computes in the place of CKA. Unchanged by uniform scaling only.",
        "As for paper-cca.",
        "As for paper-cca.",
        "Code of Ollerenshaw, Jalal & Hain 2021",
    ),
)


def method_notes(measures: Sequence[str]) -> list[MethodNote]:
    """The notes of the measures that a study used, family by family; a measure unknown here is named without a note.

    >>> [note.name for note in method_notes(["svcca", "rsa", "pwcca"])]
    ['SVCCA', 'PWCCA', 'Representational similarity analysis of utterances']
    """
    known = {note.measure: note for note in _NOTES}
    blank = ("", "This measure has no note here; see where it was registered.", "", "", "")
    notes = [known.get(name, MethodNote(name, "Other measures", name, *blank)) for name in measures]
    families = list(dict.fromkeys(note.group for note in notes))
    return sorted(notes, key=lambda note: families.index(note.group))
