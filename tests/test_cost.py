"""Costs are counted, not guessed: every figure here has a closed form, or a lower bound that physics gives."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ambench import cost
from ambench.core import InputError, Model

CPU = torch.device("cpu")


def model_of(network: nn.Module, shape: tuple[int, ...] = (4, 8, 8)) -> Model:
    return Model("tiny", "none", network.eval(), {}, {}, "", shape)


@pytest.fixture
def equal_layers() -> nn.Module:
    """Three convolutions that cost the same, so that each backward costs exactly one more forward."""
    return nn.Sequential(*(layer for _ in range(3) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def passes(network: nn.Module, explain: object, images: Tensor) -> float | None:
    return cost.measure(explain, model_of(network), images, repeats=1).model_passes  # type: ignore[arg-type]


class TestOperations:
    def test_a_forward_is_one_pass(self, equal_layers: nn.Module, images: Tensor) -> None:
        assert passes(equal_layers, equal_layers, images) == 1.0

    def test_saliency_on_frozen_parameters_is_two_passes(self, equal_layers: nn.Module, images: Tensor) -> None:
        equal_layers.requires_grad_(False)

        def saliency(x: Tensor) -> None:
            leaf = x.clone().requires_grad_()
            torch.autograd.grad(equal_layers(leaf).sum(), leaf)

        assert passes(equal_layers, saliency, images) == 2.0

    def test_backward_with_parameter_gradients_is_three_passes(self, equal_layers: nn.Module, images: Tensor) -> None:
        def backward(x: Tensor) -> None:
            equal_layers(x.clone().requires_grad_()).sum().backward()

        assert passes(equal_layers, backward, images) == 3.0

    def test_without_an_input_gradient_the_first_layer_saves_its_share(
        self, equal_layers: nn.Module, images: Tensor
    ) -> None:
        assert passes(equal_layers, lambda x: equal_layers(x).sum().backward(), images) == pytest.approx(3 - 1 / 3)

    def test_an_occlusion_loop_is_windows_plus_one(self, equal_layers: nn.Module, images: Tensor) -> None:
        def occlusion(x: Tensor) -> None:
            for _ in range(9 + 1):
                equal_layers(x)

        assert passes(equal_layers, occlusion, images) == 10.0

    def test_an_explanation_that_ignores_the_model_is_no_pass(self, equal_layers: nn.Module, images: Tensor) -> None:
        assert passes(equal_layers, lambda x: x.abs(), images) == 0.0

    def test_without_countable_operations_there_are_no_passes(self, images: Tensor) -> None:
        assert passes(nn.Identity(), lambda x: x, images) is None

    def test_count_equals_the_closed_form_of_a_convolution(self, images: Tensor) -> None:
        network = nn.Conv2d(4, 6, 3, stride=2)  # 3 x 3 places
        assert cost.operations(lambda: network(images)) == 2 * 4 * 6 * 3 * 3 * 3 * 3 * 4

    def test_count_equals_torchs_own_counter(self, equal_layers: nn.Module, images: Tensor) -> None:
        network = nn.Sequential(equal_layers, nn.Flatten(), nn.Linear(256, 5))
        with FlopCounterMode(display=False) as counter:
            network(images).sum().backward()
        assert cost.operations(lambda: network(images).sum().backward()) == counter.get_total_flops()

    @pytest.mark.parametrize("train", [False, True])
    def test_attention_is_counted_with_and_without_the_fast_path(self, train: bool) -> None:
        block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(train)
        tokens, width, hidden, batch = 5, 8, 16, 3
        linear = 4 * width * width + 2 * width * hidden  # query, key, value, output; and the two of the MLP
        attention = 2 * tokens * width  # query x key, and attention x value, per token
        x = torch.rand(batch, tokens, width)
        with torch.no_grad():
            assert cost.operations(lambda: block(x)) == 2 * batch * tokens * (linear + attention)

    def test_counting_in_inference_mode_gives_the_same(self, equal_layers: nn.Module, images: Tensor) -> None:
        with torch.inference_mode():
            inside = cost.operations(lambda: equal_layers(images))
        assert inside == cost.operations(lambda: equal_layers(images))

    @pytest.mark.parametrize("fast", [True, False])
    def test_switches_are_as_found_also_after_an_exception(self, fast: bool) -> None:
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(fast)
        flash = torch.backends.cuda.flash_sdp_enabled()
        try:
            with pytest.raises(ZeroDivisionError):
                cost.operations(lambda: 1 / 0)
            assert torch.backends.mha.get_fastpath_enabled() is fast
            assert torch.backends.cuda.flash_sdp_enabled() is flash
        finally:
            torch.backends.mha.set_fastpath_enabled(before)


@dataclass
class FakeClock:
    """A clock that only the explanation moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class TestSeconds:
    def test_seconds_are_per_image_and_leave_the_warm_up_out(
        self, images: Tensor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, durations = FakeClock(), iter([50.0, 50.0, 2.0, 4.0, 8.0])  # warm-up, count, then three repeats
        monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=clock, process_time=clock))

        def explain(x: Tensor) -> None:
            clock.now += next(durations)

        result = cost.measure(explain, model_of(nn.Identity()), images, repeats=3)
        assert result.seconds_per_image.tolist() == [0.5, 1.0, 2.0]
        assert next(durations, None) is None

    def test_a_sleep_takes_at_least_as_long_as_it_says(self) -> None:
        assert cost.wall_seconds(lambda: time.sleep(0.05), CPU) >= 0.05

    def test_fitting_counts_processor_time_only(self, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock()
        monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=time.perf_counter, process_time=clock))

        def fit() -> None:
            clock.now += 3.0
            time.sleep(0.01)

        assert cost.measure(lambda x: x, model_of(nn.Identity()), images, fit, repeats=1).fit_seconds == 3.0

    def test_without_fitting_it_took_nothing(self, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=time.perf_counter, process_time=FakeClock()))
        assert cost.measure(lambda x: x, model_of(nn.Identity()), images, repeats=1).fit_seconds == 0.0

    def test_the_stopwatch_stops_when_the_block_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock()
        monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=time.perf_counter, process_time=clock))
        timed = cost.stopwatch(CPU)
        watch = timed.__enter__()
        clock.now += 2.0
        assert not timed.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        assert watch.seconds == 2.0


ALLOCATE = """
import numpy, torch
from ambench.cost import peak_memory
with peak_memory(torch.device("cpu")) as memory:
    numpy.ones(256 * 2**20 // 8)
    if {slowly}:
        import time; time.sleep(0.1)
print(memory.rss_mib)
"""


class TestMemory:
    @pytest.mark.parametrize("slowly", [True, False])
    def test_an_array_of_256_mib_is_seen_though_it_is_freed_at_once(self, slowly: bool) -> None:
        done = subprocess.run(
            [sys.executable, "-c", ALLOCATE.format(slowly=slowly)], check=True, capture_output=True, text=True
        )
        assert float(done.stdout) == pytest.approx(256, abs=8)

    def test_samples_alone_see_an_array_that_stays_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost, "_high_water_bytes", lambda: 0)
        with cost.peak_memory(CPU) as memory:
            held = mmap.mmap(-1, 64 * 2**20)  # from the kernel: malloc may hand out pages that earlier tests freed
            for _ in range(64):
                held.write(bytes(2**20))
            time.sleep(1.0)  # the thread that samples must come to its turn
            held.close()
        assert memory.rss_mib >= 56

    def test_without_proc_the_largest_so_far_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("_STATM", "_STATUS", "_CLEAR"):
            monkeypatch.setattr(cost, name, tmp_path / "missing")
        with cost.peak_memory(CPU) as memory:
            pass
        assert memory.rss_mib >= 0
        assert cost._resident_bytes() == cost._high_water_bytes() > 2**20

    def test_no_thread_is_left_behind_also_after_an_exception(self) -> None:
        before = threading.active_count()
        with pytest.raises(ZeroDivisionError), cost.peak_memory(CPU):
            _ = 1 / 0
        assert threading.active_count() == before

    def test_there_is_no_gpu_figure_on_the_cpu(self, images: Tensor) -> None:
        assert cost.measure(lambda x: x, model_of(nn.Identity()), images, repeats=1).peak_gpu_mib is None

    @pytest.mark.gpu
    def test_64_mib_on_the_gpu_are_64_mib(self) -> None:
        device = torch.device("cuda")
        with cost.peak_memory(device) as memory:
            torch.ones(64 * 2**20 // 4, device=device)
        assert memory.gpu_mib == pytest.approx(64, abs=1)


class TestMeasure:
    def test_the_model_and_the_images_are_as_found(self, equal_layers: nn.Module, images: Tensor) -> None:
        before = images.clone()
        state = torch.get_rng_state()
        cost.measure(equal_layers, model_of(equal_layers), images, repeats=1)
        assert torch.equal(images, before)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(p.grad is None and p.requires_grad for p in equal_layers.parameters())

    @pytest.mark.parametrize(("count", "repeats"), [(0, 5), (4, 0)])
    def test_nothing_to_measure_is_refused(self, images: Tensor, count: int, repeats: int) -> None:
        with pytest.raises(InputError, match="at least one image and one repeat"):
            cost.measure(lambda x: x, model_of(nn.Identity()), images[:count], repeats=repeats)
