"""What tests of training look at: the log without its clock, the weights, the losses."""

from otoscope.asr import FeatureStore, ReferenceRecogniser, read_log


class StoppingStore(FeatureStore):
    """A store that interrupts the training that reads from it, as Ctrl-C would."""

    def __init__(self, path, reads):
        super().__init__(path)
        self.left = reads

    def get(self, utterance, speed=1.0):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().get(utterance, speed)


def rows(folder, kind):
    return [row for row in read_log(folder) if row["kind"] == kind]


def numbers(folder):
    """Everything in the log but the wall clock."""
    return [{k: v for k, v in row.items() if "second" not in k} for row in read_log(folder)]


def losses(folder):
    return [row["loss"] for row in rows(folder, "step")]


def weights(folder):
    """The weights of the last checkpoint."""
    return ReferenceRecogniser.load(max((folder / "checkpoints").glob("step-*.safetensors"))).module.state_dict()
