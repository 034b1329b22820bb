"""Frames side by side: the same results in the same order, and nothing begun after an error."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from facekit.render import Camera, render
from facekit.render.frames import ahead, beside, on_threads, side_by_side, together

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of(items, device=CPU):
    """Names of the threads that worked, and torch's threads in each."""
    return list(side_by_side(lambda k: (k, threading.current_thread().name, torch.get_num_threads()), items, device))


@torch.no_grad()
def test_workers_have_one_thread_each_and_the_order_is_kept(two_threads):
    found = threads_of(range(5))
    assert [k for k, _, _ in found] == list(range(5))
    assert all(name.startswith("facekit-frames") and threads == 1 for _, name, threads in found)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("why", ["one thread", "gradients", "another device", "one item"])
def test_otherwise_it_goes_in_turn(two_threads, why):
    if why == "one thread":
        torch.set_num_threads(1)
    with torch.set_grad_enabled(why == "gradients"):
        items = range(1 if why == "one item" else 3)
        found = threads_of(items, torch.device("cuda") if why == "another device" else CPU)
    assert {name for _, name, _ in found} == {threading.current_thread().name}


@torch.inference_mode()
def test_modes_go_along(two_threads):
    def mode(_):
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    assert list(side_by_side(mode, range(2), CPU)) == [(True, False)] * 2


@torch.no_grad()
def test_an_error_ends_it(two_threads):
    begun = []

    def fails(k):
        begun.append(k)
        time.sleep(0.02)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(fails, range(40), CPU))
    assert len(begun) < 10
    assert torch.get_num_threads() == 2


@torch.no_grad()
def test_pictures_do_not_depend_on_it(two_threads, tiny_mesh, monkeypatch):
    monkeypatch.setattr("facekit.render.memory._FREE_CPU", 0)  # one frame at a time
    cameras = Camera.orbit([-30.0, 0.0, 30.0])
    parallel = render(tiny_mesh, cameras, 48, quality="high")
    torch.set_num_threads(1)
    single = render(tiny_mesh, cameras, 48, quality="high")
    assert torch.equal(parallel.rgb, single.rgb)
    assert torch.equal(parallel.face_ids, single.face_ids)


def test_what_comes_next_is_made_meanwhile(two_threads):
    made = threading.Event()

    def items():
        for k in range(5):
            if k == 1:
                made.set()
            yield k, threading.current_thread().name, torch.get_num_threads()

    found = []
    for k, name, threads in ahead(items(), CPU):
        assert made.wait(5)  # the second is begun while the first is in use
        found.append(k)
        assert name.startswith("facekit-ahead") and threads == 1
    assert found == list(range(5))
    assert torch.get_num_threads() == 2


def test_nothing_is_made_after_the_caller_stops(two_threads):
    begun = []

    def items():
        for k in range(40):
            begun.append(k)
            yield k

    for _ in ahead(items(), CPU):
        break
    assert len(begun) <= 2 and torch.get_num_threads() == 2


def test_errors_of_what_is_made_ahead_arrive(two_threads):
    def items():
        yield 0
        raise KeyError("second")

    found = ahead(items(), CPU)
    assert next(found) == 0
    with pytest.raises(KeyError, match="second"):
        next(found)


def test_two_functions_run_beside_each_other(two_threads):
    met = threading.Barrier(2, timeout=20)

    def job():
        met.wait()  # breaks unless both are under way
        return threading.current_thread().name, torch.get_num_threads(), torch.is_grad_enabled()

    first, second = together(job, job, CPU)
    assert first == (threading.current_thread().name, 1, False)
    assert second[0].startswith("facekit-beside") and second[1:] == (1, False)
    assert torch.get_num_threads() == 2 and torch.is_grad_enabled()


def test_on_one_thread_they_run_in_turn():
    before, said = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        together(lambda: said.append((1, threading.get_ident())), lambda: said.append((2, threading.get_ident())), CPU)
    finally:
        torch.set_num_threads(before)
    assert said == [(1, threading.get_ident()), (2, threading.get_ident())]


@pytest.mark.parametrize("which", [0, 1])
def test_an_error_of_either_arrives(two_threads, which):
    def fails():
        raise ValueError("no")

    jobs = [lambda: 1, lambda: 2]
    jobs[which] = fails
    with pytest.raises(ValueError, match="no"):
        together(*jobs, CPU)
    assert torch.get_num_threads() == 2


def test_what_is_begun_runs_beside_the_caller_on_one_thread(two_threads):
    met = threading.Barrier(2, timeout=20)

    def job():
        met.wait()
        return threading.current_thread().name, torch.get_num_threads(), torch.is_grad_enabled()

    with beside(CPU) as begin:
        first, second = begin(job), begin(lambda: 2)
        met.wait()  # breaks unless it is under way
        assert torch.get_num_threads() == 2
        name, threads, gradients = first.result()
    assert name.startswith("facekit-beside") and threads == 1 and not gradients and second.result() == 2
    assert torch.get_num_threads() == 2


def test_after_an_error_nothing_more_is_begun(two_threads):
    ran, go = [], threading.Event()
    with pytest.raises(KeyError, match="mine"), beside(CPU) as begin:
        begin(lambda: go.wait(20))
        begin(lambda: ran.append(1))
        threading.Timer(0.2, go.set).start()
        raise KeyError("mine")
    assert not ran


def test_threads_are_limited_and_given_back(two_threads):
    assert on_threads(1)(torch.get_num_threads)() == 1 and on_threads(8)(torch.get_num_threads)() == 2
    with pytest.raises(ZeroDivisionError):
        on_threads(1)(lambda: 1 // 0)()
    assert torch.get_num_threads() == 2
