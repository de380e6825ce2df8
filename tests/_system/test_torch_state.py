"""What a caller has set in PyTorch neither changes a result nor is changed by one."""

import ast
import contextlib
import itertools
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch.utils.checkpoint import checkpoint

import infobound
from infobound._system import torch_state
from infobound.bounds import tiled, variational
from infobound.config import Config
from infobound.critics import contract
from infobound.errors import InputError
from infobound.plotting import figures
from infobound.training import loop
from infobound.training.run_directory import Run

PACKAGE = Path(infobound.__file__).parent
SHORT = {"n_iters": 4, "eval_every": 2, "folds": 2, "batch_size": 32, "hidden_dim": 8}
QUICK = {**SHORT, "base": "gaussian", "certify": False}
NOTEBOOK = Config.notebook().with_(n_iters=4, eval_every=2, batch_size=20, hidden_dim=8)
NUMBER = iter(itertools.count())


def rows(n=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    return x, x**2 + 0.5 * rng.normal(size=(n, 2))


class Inner(torch.nn.Module):
    """A critic as a user writes one; with noise it draws in evaluation, too."""

    def __init__(self, *, dropout=0.0, noise=0.0, checkpointed=False):
        super().__init__()
        self.x = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(dropout))
        self.y = torch.nn.Linear(2, 8)
        self.noise, self.checkpointed = noise, checkpointed

    def forward(self, x, y):
        hidden = checkpoint(self.x, x, use_reentrant=False) if self.checkpointed else self.x(x)
        if self.noise:
            hidden = hidden + self.noise * torch.randn_like(hidden)
        return hidden @ self.y(y).T


def inner(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Inner(**options)


MODULE = inner(dropout=0.2)


def streamed():
    stream = infobound.IndependenceStream()
    return [stream.update(*(side[k : k + 30] for side in rows())) for k in range(0, 120, 30)]


def resumed(folder):
    run, ticks = folder / f"run-{next(NUMBER)}", itertools.count()
    with pytest.raises(infobound.Interrupted):
        infobound.estimate(*rows(), run=run, stop=lambda: next(ticks) >= 3, **QUICK)
    return infobound.resume(run)


ENTRIES = {
    "estimate": lambda _: infobound.estimate(*rows(), base="gaussian,student", **SHORT),
    "joint": lambda _: infobound.estimate(*rows(), critic="joint", activation="elu", **QUICK),
    "module": lambda _: infobound.estimate(*rows(), module=MODULE, **SHORT),
    "certify": lambda _: infobound.certify(MODULE, *rows(), seen=[-side for side in rows()]),
    "compare": lambda _: infobound.compare(rows()[0], rows()[0][:, :1], rows()[1], **QUICK),
    "check": lambda _: infobound.check(*rows(), estimator="gaussian", **QUICK),
    "rehearse": lambda _: infobound.rehearse(
        *rows(), ladder=[0.5], kinds=["monotone"], seeds=1, jobs=1, estimator="gaussian"
    ),
    "stream": lambda _: streamed(),
    "reproduce": lambda _: infobound.reproduce(NOTEBOOK, d=2, sample_size=40),
    "resume": resumed,
}


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def everything():
    with contextlib.ExitStack() as stack:
        for name in ("float64", "inference_mode", "autocast", "meta device", "deterministic"):
            stack.enter_context(STATES[name]())
        yield


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "no_grad": torch.no_grad,
    "grad disabled": lambda: torch.set_grad_enabled(False),
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: default_device("meta"),
    "meta device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "anomaly": torch.autograd.detect_anomaly,
    "everything": everything,
}


def found(name, folder):
    """A result as text, to the last bit, without what differs from call to call."""
    return re.sub(r"(seconds|path)=[^,)]+", "", repr(ENTRIES[name](folder)))


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(figures, "render", lambda figure, kind: kind.encode())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What each entry point gives alone, computed once."""
    results = {}

    def result(name):
        if name not in results:
            results[name] = found(name, tmp_path_factory.mktemp(name))
        return results[name]

    return result


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
@pytest.mark.parametrize(
    ("entry", "state"),
    [(entry, "everything") for entry in ENTRIES]
    + [(entry, state) for entry in ("joint", "module", "stream") for state in STATES],
)
def test_a_result_does_not_depend_on_the_state_of_the_caller(tmp_path, alone, entry, state):
    expected, generator = alone(entry), torch.get_rng_state()
    with STATES[state]():
        modes = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
        here = found(entry, tmp_path)
        after = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
    assert here == expected
    assert after == modes
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("state", ["float64", "inference_mode"])
def test_a_module_that_was_made_in_another_state_works(state):
    expected = infobound.estimate(*rows(), module=MODULE, **QUICK)
    with STATES[state]():
        module = inner(dropout=0.2)
        found = infobound.estimate(*rows(), module=module, **QUICK)
        proved = infobound.certify(module, *rows(), seen=[-side for side in rows()])
    assert found.mi == pytest.approx(expected.mi, abs=1e-4)
    assert 0 < proved.p_value <= 1


def test_certifying_leaves_a_module_in_its_mode():
    module = inner(dropout=0.2)
    module.y.eval()
    infobound.certify(module, *rows(), seen=[-side for side in rows()])
    assert module.training
    assert module.x.training
    assert not module.y.training


@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"noise": 0.5}])
def test_threads_do_not_disturb_each_others_random_numbers(options):
    module, settings = inner(**options), {**QUICK, "n_iters": 8, "base": "none"}

    def value(seed):
        return infobound.estimate(*rows(), module=module, seed=seed, **settings).held_out

    alone, together = [value(k) for k in range(3)], {}
    assert len(set(alone)) == 3

    torch.manual_seed(5)
    expected = torch.rand(200)
    torch.manual_seed(5)
    threads = [
        threading.Thread(target=lambda k: together.update({k: value(k)}), args=(k,))
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    drawn = []
    while any(thread.is_alive() for thread in threads):  # the caller goes on drawing
        drawn += [torch.rand(1)] if len(drawn) < 200 else []
        threads[0].join(0.002)
    assert [together[k] for k in range(3)] == alone
    assert torch.equal(torch.cat([*drawn, torch.rand(200 - len(drawn))]), expected)


def test_a_module_that_draws_in_evaluation_is_a_function_of_its_rows():
    module, (x, y) = inner(noise=1.0), (torch.from_numpy(side).float() for side in rows(50))
    one, two = (tiled.scores(module, x, y) for _ in range(2))
    assert torch.equal(one, two)
    bound = variational.BOUNDS["infonce"]
    mean = tiled.terms(module, [bound], x, y)[1][0].mean()
    assert mean.item() == pytest.approx(
        float(loop.values(module, bound, (x, y), 50).mean()), abs=1e-5
    )


@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"noise": 0.5}])
def test_tracing_a_module_that_draws_leaves_the_global_generator(tmp_path, recwarn, options):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, before = Run.create(tmp_path / "run", record={}), torch.get_rng_state()
    events = run.tensorboard("fit", purge_step=0)
    events.graph(inner(**options).eval(), (torch.ones(2, 2), torch.ones(2, 2)))
    events.close()
    assert torch.equal(torch.get_rng_state(), before)
    assert [str(warning.message) for warning in recwarn] == []
    assert EventAccumulator(str(run.path / "tensorboard" / "fit")).Reload().Graph().node


DRAWS = {
    "dropout": lambda x: torch.nn.functional.dropout(x, 0.3),
    "fused dropout": lambda x: torch.native_dropout(x, 0.3, True)[0],  # takes no generator
    "normal": torch.randn_like,
    "integers": lambda x: torch.randint(1 << 40, (9,)),
    "order": lambda x: torch.randperm(9),
    "attention": lambda x: torch.nn.functional.scaled_dot_product_attention(
        x[None], x[None], x[None], dropout_p=0.3
    ),
    "gamma": lambda x: torch.distributions.Gamma(x, x).sample(),
    "mapped": lambda x: torch.func.vmap(torch.nn.functional.dropout, randomness="different")(x),
    "own generator": lambda x: torch.rand(3, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_numbers_are_those_of_the_seed_and_the_global_generator_stays(draw):
    x = torch.ones(6, 8)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = [DRAWS[draw](x) for _ in range(2)]
    before = torch.get_rng_state()
    with torch_state.seeded(7):
        drawn = [DRAWS[draw](x) for _ in range(2)]
    assert all(map(torch.equal, drawn, expected))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_inside_activation_checkpointing_is_refused():
    settings = {**QUICK, "base": "none"}
    plain, recomputed = (
        infobound.estimate(*rows(), module=inner(checkpointed=flag), **settings).mi
        for flag in (False, True)
    )
    assert recomputed == pytest.approx(plain, abs=1e-6)
    with pytest.raises(InputError, match="no random numbers in the backward pass"):
        infobound.estimate(*rows(), module=inner(dropout=0.2, checkpointed=True), **settings)


def test_of_our_own_critics_nothing_draws():
    config = Config(hidden_dim=8)
    for name in infobound.CRITICS:
        network = infobound.CRITICS[name](2, 2, config, torch.Generator())
        assert not contract.is_random(network)
        assert not any(isinstance(part, torch.nn.Dropout) for part in network.modules())


MAKERS = {
    *("arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "normal"),
    *("ones", "rand", "randn", "scalar_tensor", "tensor", "zeros"),
}


def without_dtype(source):
    """Calls that make a tensor of the default dtype; of `arange`'s, those of integers are not."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).partition("torch.")[2] in MAKERS - {"arange"}
        and not any(keyword.arg == "dtype" for keyword in node.keywords)
    ]


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_every_call_that_makes_a_tensor_names_its_dtype(module):
    assert without_dtype(module.read_text(encoding="utf-8")) == []


def test_the_dtype_check_can_fail():
    assert without_dtype("torch.zeros(3)") == ["torch.zeros(3)"]
    assert without_dtype("torch.zeros(3, dtype=x.dtype) + torch.zeros_like(x)") == []


def blas_threads():
    """The numbers of threads of the BLAS libraries."""
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_a_context_of_one_thread_holds_for_blas_and_restores_its_threads():
    """scikit-learn's logistic regression takes BLAS: on busy cores it was ten times as slow."""
    assert blas_threads()
    with threadpool_limits(2, user_api="blas"):
        one, other = torch_state.single_thread(), torch_state.single_thread()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        other.__exit__(None, None, None)
        assert set(blas_threads()) == {2}


def test_overlapping_contexts_of_one_thread_restore_the_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        one, other = torch_state.single_thread(), torch_state.single_thread()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        other.__exit__(None, None, None)
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), torch_state.single_thread():
            _ = 1 / 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_libraries_are_sought_again_after_an_import(monkeypatch):
    with torch_state.single_thread():
        known = torch_state._libraries(len(sys.modules))
    assert torch_state._libraries(len(sys.modules)) is known
    monkeypatch.setitem(sys.modules, "imported_by_a_test", torch)
    sought = []
    monkeypatch.setattr(torch_state, "ThreadpoolController", lambda: sought.append(1) or known)
    with torch_state.single_thread():
        assert sought == [1]
    torch_state._libraries.cache_clear()
