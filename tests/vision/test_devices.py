import pytest
import torch

from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.devices import Machine, batch_size, find_device, footprint


def test_devices() -> None:
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        find_device("gpu")
    with pytest.raises(UsageError, match="'cuda:99' is not here"):
        find_device("cuda:99")


def test_autocast_is_refused_where_the_device_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"autocast to bfloat16 is for GPUs, .* is 'cpu'"):
        find_device("cpu", "bfloat16")
    # An old GPU: it has float16 and no bfloat16.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "device", lambda _: torch.autograd.profiler.record_function("x")
    )
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    assert find_device("cuda", "float16").type == "cuda"
    with pytest.raises(UsageError, match=r"\(Old GPU\) cannot compute in bfloat16: take float16"):
        find_device("cuda", "bfloat16")


def test_batches_fit_the_memory(tmp_path) -> None:
    entry = find_model("resnet18-untrained")
    need = footprint(entry)
    assert need.weights == 4 * 11_689_512
    assert need.window > 4 * 2 * 64 * 112 * 112  # conv1 and what follows it

    def fitting(memory: int, at_most: int = 32) -> int:
        return batch_size([entry], Machine(tmp_path, memory, "cpu", at_most))

    assert fitting(10**10) == 32
    assert fitting(10**10, 8) == 8
    assert fitting(need.weights + 3 * need.window) == 3
    with pytest.raises(UsageError, match=r"too little memory for one window of resnet18-untrained"):
        fitting(need.weights + need.window - 1)
