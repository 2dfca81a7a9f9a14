"""What other libraries, and the plain formulas, answer in the cases that they get wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from benchmarks.measures import situations
from benchmarks.measures.situations import LENGTHS, UNITS, Slices
from benchmarks.peers import METHODS, correlations, formulas, installed, kernels, stubs
from benchmarks.peers.minibatches import quiet
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["ANSWERS"]

Answers = dict[str, str]
Call = Callable[[Any, Any], float]

LIBRARIES = {method.needs for method in METHODS if method.needs}

CCA: dict[str, Call] = {
    formulas.COVARIANCES: formulas.cca,
    "QR and SVD in numpy": formulas.cca_by_qr,
    formulas.SVCCA_CODE: formulas.svcca_code_mean,
    "cca-zoo": correlations.cca_zoo,
    "ultimate-anatome": correlations.anatome_cca,
    "deep-reps": correlations.deep_reps_cca,
    "repsim": correlations.repsim_cca,
}
PWCCA: dict[str, Call] = {
    formulas.COVARIANCES: formulas.pwcca,
    formulas.SVCCA_CODE: formulas.svcca_code_weighted,
    "repsim": correlations.repsim_pwcca,
    "deep-reps": correlations.deep_reps_pwcca,
    "ultimate-anatome": correlations.anatome_pwcca,
}
RUNNING_PWCCA = {name: call for name, call in PWCCA.items() if name not in ("deep-reps", "ultimate-anatome")}
SVCCA: dict[str, Call] = {
    formulas.SVDS: formulas.svcca,
    formulas.SVCCA_CODE: formulas.svcca_code_reduced,
    "ultimate-anatome": correlations.anatome_svcca,
    "deep-reps": correlations.deep_reps_svcca,
    "repsim": correlations.repsim_svcca,
}
BIASED: dict[str, Call] = {
    formulas.FEATURES: formulas.cka,
    "ultimate-anatome": kernels.anatome_cka,
    "ckatorch": kernels.ckatorch_base,
    "thingsvision": kernels.thingsvision_cka,
    "repsim": kernels.repsim_cka,
    "deep-reps": kernels.deep_reps_cka,
}
DEBIASED: dict[str, Call] = {
    formulas.FEATURES: formulas.debiased_cka,
    "ultimate-anatome": kernels.anatome_debiased,
    "ckatorch": kernels.ckatorch_unbiased,
    "thingsvision": kernels.thingsvision_unbiased,
    "pytorch-cka": kernels.pytorch_cka_features,
    "repsim": kernels.repsim_song,
}
MINIBATCH: dict[str, Call] = {"pytorch-cka": kernels.pytorch_cka_features}


def there(name: str) -> bool:
    return installed(name if name in LIBRARIES else None)


def tried(call: Callable[[], object]) -> str:
    """A number, or the error that came instead."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = call()
    except ModuleNotFoundError:  # the environment's fault, not theirs
        raise
    except Exception as error:  # whatever they raise is the answer
        text = str(error).strip().splitlines()
        return f"{type(error).__name__}" + (f": {text[0][:70]}" if text else "")
    return f"{answer:.3f}" if isinstance(answer, float) else str(answer)


def pairs(calls: dict[str, Call], x: Any, y: Any, *, prefix: str = "") -> Answers:
    return {
        f"{prefix}{name}": tried(lambda call=call: call(x.copy(), y.copy()))
        for name, call in calls.items()
        if there(name)
    }


def several(calls: dict[str, Call], data: Sequence[tuple[Any, Any]]) -> Answers:
    """The same on several versions of the data."""
    answers: Answers = {}
    for name, call in calls.items():
        if there(name):
            said = [tried(lambda c=call, x=x, y=y: c(x.copy(), y.copy())) for x, y in data]
            refused = len(set(said)) == 1 and "Error" in said[0]
            answers[name] = said[0] if refused else ", ".join(said)
    return answers


def scaled() -> Answers:
    x, y = situations.ordinary()
    data = [(np.float32(f) * x, np.float32(f) * y) for f in (1, 1e-3, 1e-6)]
    return {
        **{f"CKA, {k}": v for k, v in several({**DEBIASED, "repsim": kernels.repsim_cka}, data).items()},
        **{f"CCA, {k}": v for k, v in several({k: v for k, v in CCA.items() if k != "cca-zoo"}, data).items()},
        **hooked(
            {
                f"CKA, {name}": lambda name=name: ", ".join(
                    f"{over_batches(name, frame_batches(a, b, 100), widths=(24, 32)):.3f}" for a, b in data
                )
                for name in ("cka-pytorch", "pytorch-cka", "torch-cka")
            }
        ),
    }


def hooked(calls: dict[str, Callable[[], object]]) -> Answers:
    return {name: tried(call) for name, call in calls.items() if installed(name.rsplit(", ", 1)[-1])}


# What hooks into models


Batches = list[torch.Tensor]


def frame_batches(x: Any, y: Any, size: int) -> Batches:
    whole = torch.from_numpy(np.hstack([x, y]))
    return [whole[s : s + size] for s in range(0, len(whole), size)]


def padded_batches(layers: Sequence[Any], *, flatten: bool) -> Batches:
    """Padded batches as they come, (utterances, frames, units); or with every padded frame as a row."""
    return [b.flatten(0, 1) if flatten else b for b, _ in situations.batches(list(layers))]


class Listed:
    """A loader over batches that are there already, with what the peers ask a loader for."""

    drop_last = False
    sampler = None

    def __init__(self, batches: Batches, *, second: bool = False) -> None:
        self.batches, self.dataset, self.second = batches, "listed", second

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter([(b, b) if self.second else (b,) for b in self.batches])


def over_batches(name: str, batches: Batches, *, widths: tuple[int, int] = (UNITS, UNITS)) -> float:
    """A peer's CKA of the layers x and y of a model that is given these batches."""
    model = Slices({"x": widths[0], "y": widths[1]})
    with quiet():
        if name == "pytorch-cka":
            import cka

            found = cka.compute_cka(model, model, Listed(batches), layers=["x", "y"], device="cpu", progress=False)[0]
        elif name == "torch-cka":
            import torch_cka

            compared = torch_cka.CKA(model, model, model1_layers=["x", "y"], model2_layers=["x", "y"])
            compared.compare(Listed(batches))
            found = compared.export()["CKA"]
        elif name == "cka-pytorch":
            calculator = stubs.cka_pytorch().CKACalculator(model, model, ["x", "y"], verbose=False)
            found = calculator.calculate_cka_matrix(Listed(batches, second=True), num_epochs=1)
        else:
            import ckatorch

            found = ckatorch.CKA(model, model, layers=["x", "y"])(Listed(batches), epochs=1)
    return float(found[0, 1])


def everywhere(batches: Batches, names: Sequence[str] = ("pytorch-cka", "torch-cka", "cka-pytorch")) -> Answers:
    return hooked({name: lambda name=name: over_batches(name, batches) for name in names})


def shuffling_loader() -> Answers:
    def torch_cka() -> float:
        import torch_cka

        x, y = situations.unrelated_utterances()
        loader = DataLoader(TensorDataset(torch.from_numpy(np.hstack([x, y]))), batch_size=64, shuffle=True)
        one, two = (Slices({"x": UNITS, "y": UNITS}) for _ in range(2))
        with quiet():
            torch.manual_seed(0)
            compared = torch_cka.CKA(one, two, model1_layers=["x", "y"], model2_layers=["x", "y"])
            compared.compare(loader)
        return float(compared.export()["CKA"][0, 0])

    return hooked({"torch-cka": torch_cka})


def utterance_batches() -> Answers:
    x, y = situations.utterance_factors()
    parts = list(torch.split(torch.from_numpy(np.hstack([x, y])), list(LENGTHS)))
    return {
        **everywhere(parts),
        **hooked({"ckatorch": lambda: over_batches("ckatorch", [b[None] for b in parts])}),
    }


def last_batch() -> Answers:
    layers = situations.last_batch_differs()
    return everywhere(padded_batches(layers, flatten=False), ("ckatorch",))


def padding() -> Answers:
    layers = situations.unrelated_utterances()
    rows = padded_batches(layers, flatten=True)
    whole = torch.cat(rows).numpy()
    return {
        **pairs(BIASED, whole[:, :UNITS], whole[:, UNITS:], prefix="biased CKA, "),
        **everywhere(rows),
    }


def flattening() -> Answers:
    whole = torch.nn.utils.rnn.pad_sequence(
        list(torch.split(torch.from_numpy(np.hstack(situations.unrelated_utterances())), list(LENGTHS))),
        batch_first=True,
    )
    return everywhere([whole])


def clamping() -> Answers:
    def mean(call: Call) -> str:
        values = [call(*situations.unrelated(draw)) for draw in range(200)]
        return f"mean {np.mean(values):.3f}, least {min(values):.3f}"

    return {
        name: tried(lambda call=call: mean(call))
        for name, call in DEBIASED.items()
        if name in ("pytorch-cka", "ckatorch") and there(name)
    }


def labels() -> Answers:
    p, q, r = situations.three_layers()
    batches = [torch.from_numpy(np.hstack([r, q, p]))]
    widths = dict.fromkeys(("r", "q", "p"), UNITS)

    def torch_cka() -> str:
        import torch_cka

        model = Slices(widths, run=["p", "q", "r"])
        with quiet():
            compared = torch_cka.CKA(model, model, model1_layers=list(widths), model2_layers=list(widths))
            compared.compare(Listed(batches))
        found = compared.export()
        at = {name: k for k, name in enumerate(found["model1_layers"])}
        cells = {pair: float(found["CKA"][at[pair[0]], at[pair[1]]]) for pair in (("p", "q"), ("q", "r"))}
        return "; ".join(f"({a}, {b}) {v:.3f}" for (a, b), v in cells.items())

    return hooked({"torch-cka": torch_cka})


def call_to_call() -> Answers:
    x, y = (torch.from_numpy(z[:, :24].copy()) for z in situations.ordinary())

    def twice() -> str:
        measure = stubs.deep_reps("alignment_measures").angular_shape_metric
        return f"{measure(x, y, num_iterations=50):.4f}, again {measure(x, y, num_iterations=50):.4f}"

    return {"deep-reps, `angular_shape_metric`": tried(twice)} if installed("deep-reps") else {}


def shifted() -> Answers:
    x, y = situations.ordinary()
    return several(PWCCA, [(x + np.float32(s), y) for s in (0, 3, 30)])


def wider_first() -> Answers:
    x, y = situations.wider_first()
    return several(RUNNING_PWCCA, [(x, y), (y, x)])


def with_itself() -> Answers:
    x, _ = situations.steep()
    return pairs(SVCCA, x, x)


def with_prefix(prefix: str, answers: Answers) -> Answers:
    return {f"{prefix}, {name}": text for name, text in answers.items()}


def of(calls: dict[str, Call], make: Callable[[], Sequence[Any]]) -> Callable[[], Answers]:
    return lambda: pairs(calls, *make()[:2])


def both(first: tuple[str, dict[str, Call]], second: tuple[str, dict[str, Call]], make: Any) -> Callable[[], Answers]:
    def answers() -> Answers:
        x, y = make()[:2]
        return {**with_prefix(first[0], pairs(first[1], x, y)), **with_prefix(second[0], pairs(second[1], x, y))}

    return answers


def half_precision() -> Answers:
    x, y = situations.half_precision()
    return {**with_prefix("debiased CKA", pairs(DEBIASED, x, y)), **with_prefix("CCA", pairs(CCA, x, y))}


def minibatch_bias() -> Answers:
    x, y = situations.unrelated_wide()
    name = "biased CKA of batches of 64, averaged (formula in numpy)"
    return {name: tried(lambda: formulas.cka_over_minibatches(x, y, 64))}


ANSWERS: dict[str, Callable[[], Answers]] = {
    "few-frames": of(CCA, situations.fewer_frames_than_units),
    "three-frames-a-unit": of(CCA, situations.three_frames_a_unit),
    "low-rank": both(("CCA", CCA), ("PWCCA", RUNNING_PWCCA), situations.rotated_low_rank),
    "empty-units": both(("CCA", CCA), ("PWCCA", RUNNING_PWCCA), situations.units_that_say_nothing),
    "constant-layer": both(("CKA", {**BIASED, **MINIBATCH}), ("CCA", CCA), situations.constant_layer),
    "nan": of({**BIASED, **{f"{k} (CCA)": v for k, v in CCA.items()}}, situations.one_nan),
    "large-mean": both(("debiased", DEBIASED), ("biased", BIASED), situations.large_mean),
    "half-precision": half_precision,
    "scale": scaled,
    "svcca-itself": with_itself,
    "svcca-cut": of(SVCCA, situations.steep),
    "pwcca-shift": shifted,
    "pwcca-wider": wider_first,
    "shuffling-loader": shuffling_loader,
    "utterance-batches": utterance_batches,
    "last-batch": last_batch,
    "padding": padding,
    "flattening": flattening,
    "clamping": clamping,
    "labels": labels,
    "call-to-call": call_to_call,
    "minibatch-bias": minibatch_bias,
    "debiased-rotation": of(DEBIASED, situations.rotated_few_frames),
    "cca-wider": of(CCA, situations.wide_and_narrow),
    "centring": of(BIASED, situations.unrelated_with_offsets),
}
