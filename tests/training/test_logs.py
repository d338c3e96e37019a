from torch.utils.tensorboard import SummaryWriter

from softcam.training.logs import EventFiles, cut_back
from tests.training.test_kills import events


class _Trainer:
    def __init__(self, *loggers):
        self.loggers = loggers
        self.is_global_zero = True


class _Logger:
    def __init__(self, experiment):
        self.experiment = experiment


def test_what_came_after_a_checkpoint_is_cut_off(tmp_path):
    logs = tmp_path / "logs"
    writer = SummaryWriter(str(logs))
    files = EventFiles(logs)
    files.setup(_Trainer(_Logger(writer), _Logger(None)), None, "fit")
    for step in range(5):
        writer.add_scalar("loss", step / 2, step)
        if step == 2:
            state = files.state_dict()
    writer.close()
    later = SummaryWriter(str(logs), filename_suffix=".later")
    later.add_scalar("loss", 9, 9)
    later.close()
    (logs / "metrics.csv").write_text("epoch\n")
    assert len(events(tmp_path)) == 6
    cut_back(logs, state["bytes"])
    assert events(tmp_path) == [(0, "loss", 0.0), (1, "loss", 0.5), (2, "loss", 1.0)]
    assert (logs / "metrics.csv").exists()
    cut_back(logs, {})
    assert [path.name for path in logs.iterdir()] == ["metrics.csv"]


def test_a_folder_that_is_not_there_has_no_logs(tmp_path):
    cut_back(tmp_path / "logs", {})
    assert EventFiles(tmp_path / "logs").state_dict() == {"bytes": {}}
