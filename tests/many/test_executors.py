"""The same bits on every executor, whatever dies on the way: threads, processes, a Dask cluster, the process that asks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from textwrap import dedent
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attnwidget import ExecutorError, ModelError, detect_dataset, load_model, score_dataset, study_dataset
from attnwidget.engine.interrupt import Cancelled, interruptible
from attnwidget.many import forget_model, take_gpu

from ..models import IDS, OTHER_IDS, fresh, subject, unchanged

SPAWN = multiprocessing.get_context("spawn")
WORDS = ["a", "film", "was", "not", "good", "but", "the", "cat", "sat", "on", "its", "mat", "all", "day", "and", "looked", "at", "nobody"]
# Of several lengths; one is too long for the model, and fails everywhere alike.
PROMPTS = [" ".join(WORDS[at : at + 6 + at % 4]) for at in range(9)] + [[5] * 600]
ASKED = {"metric": "embedding_cosine", "threads": 1}
IDS_ONLY = [IDS, OTHER_IDS, IDS[:4], [5, 5, 9], IDS[2:], [7, 8, 9, 10]]
STUDY = {"random": 2, "budget": 20, "max_heads": 2}


@pytest.fixture(scope="module")
def serial():
    found = score_dataset("minilm", PROMPTS, **ASKED)
    yield found
    forget_model()


def same(found, serial):
    np.testing.assert_array_equal(found.samples, serial.samples)
    assert found.per_prompt().equals(serial.per_prompt()) and found.failures == serial.failures
    assert found.describe() == serial.describe()


@pytest.mark.demo
def test_by_name_it_is_the_model_of_load_model(serial):
    model = load_model("minilm")
    before = torch.get_num_threads()
    same(score_dataset(model, PROMPTS, **ASKED), serial)
    assert torch.get_num_threads() == before
    assert [one.index for one in serial.failures] == [9] and "Too long: 600 tokens" in serial.failures[0].reason


@pytest.mark.demo
def test_processes_give_the_same_and_one_that_dies_is_told_and_made_good(serial, tmp_path):
    gpus = SPAWN.SimpleQueue()
    gpus.put(3)
    gpus.put(5)
    with ProcessPoolExecutor(2, mp_context=SPAWN, initializer=take_gpu, initargs=(gpus,)) as pool:
        same(score_dataset("minilm", PROMPTS, executor=pool, **ASKED), serial)
        kinds = detect_dataset("minilm", PROMPTS[:3], ["first_token", "entropy"], executor=pool, threads=1)

        seen = {pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() for _ in range(200)}
        assert seen <= {"3", "5"} and gpus.empty(), "each worker took one of its own"

        def interrupt(done, total, text):
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score_dataset("minilm", PROMPTS, executor=pool, checkpoint=tmp_path / "cut", progress=interrupt, **ASKED)
        kept = len(list((tmp_path / "cut").glob("*.parquet")))
        assert 2 <= kept < 9, "what had not begun was cancelled"
        same(score_dataset("minilm", PROMPTS, executor=pool, checkpoint=tmp_path / "cut", **ASKED), serial)

        def kill(done, total, text):
            if done == 2:
                os.kill(next(iter(pool._processes)), signal.SIGKILL)
                wait_until(lambda: pool._broken)

        with pytest.raises(ExecutorError, match=r"of 10 done and kept in .*; run the same call again with a new executor"):
            score_dataset("minilm", PROMPTS, executor=pool, checkpoint=tmp_path, progress=kill, **ASKED)
        with pytest.raises(ExecutorError, match="0 of 10 done; .* without checkpoint= it starts from the beginning"):
            score_dataset("minilm", PROMPTS, executor=pool, **ASKED)
    assert len(list(tmp_path.glob("*.parquet"))) >= 2
    told = []
    same(score_dataset("minilm", PROMPTS, checkpoint=tmp_path, progress=lambda *step: told.append(step[2]), **ASKED), serial)
    assert "done before" in told[-1]
    here = detect_dataset("minilm", PROMPTS[:3], ["first_token", "entropy"], threads=1)
    for name in here.samples:
        np.testing.assert_array_equal(kinds.samples[name], here.samples[name])


def wait_until(there, seconds=60):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.demo
def test_a_dask_cluster_that_loses_a_worker_gives_the_same(serial, tmp_path):
    import dask
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1", "dashboard_address": None}
    with (
        dask.config.set({"temporary-directory": str(tmp_path / "dask")}),
        LocalCluster(**options, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        assert len(set(workers.values())) == 2 and os.getpid() not in workers.values()
        assert all(address.startswith("tcp://127.0.0.1:") for address in workers)

        busy = []

        def kill(done, total, text):
            if done == 2:
                # The one that is at work: its task is lost with it, and others are still to be done.
                busy.extend(address for address, tasks in client.processing().items() if tasks)
                os.kill(workers[busy[0]], signal.SIGKILL)
                wait_until(lambda: not alive(workers[busy[0]]))

        executor = client.get_executor()
        found = score_dataset("minilm", PROMPTS, executor=executor, checkpoint=tmp_path / "parts", progress=kill, **ASKED)
        assert len(client.run(os.getpid)) >= 1 and busy
        kinds = detect_dataset("minilm", PROMPTS[:3], ["first_token", "entropy"], executor=executor, threads=1)
        folder = tmp_path / "model"
        subject("llama").twin.save_pretrained(folder)
        studied = study_dataset(folder, IDS_ONLY, executor=executor, threads=1, **STUDY)
    same(found, serial)
    assert len(list((tmp_path / "parts").glob("*.parquet"))) == 9, "what failed is no part"
    here = detect_dataset("minilm", PROMPTS[:3], ["first_token", "entropy"], threads=1)
    for name in here.samples:
        np.testing.assert_array_equal(kinds.samples[name], here.samples[name])
    alone = study_dataset(folder, IDS_ONLY, threads=1, **STUDY)
    assert studied.per_prompt().equals(alone.per_prompt()) and studied.to_frame().equals(alone.to_frame())


def alive(pid):
    """Whether a process is there, and no zombie that only waits to be asked how it ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.demo
def test_a_driver_that_is_killed_goes_on_where_it_was(serial, tmp_path):
    script = f"""
        import os, signal
        from attnwidget import score_dataset

        def kill(done, total, text):
            if done == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        score_dataset("minilm", {PROMPTS!r}, checkpoint={str(tmp_path)!r}, progress=kill, **{ASKED!r})
    """
    died = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, timeout=300)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    told = []
    same(score_dataset("minilm", PROMPTS, checkpoint=tmp_path, progress=lambda *step: told.append(step), **ASKED), serial)
    assert told[0] == (1, 10, "1 of 10 prompts, 1 done before") and told[-1] == (10, 10, "10 of 10 prompts, 3 done before, 1 failed")


def test_a_task_that_ends_each_worker_is_the_failure_of_its_prompt(tmp_path):
    """Dask gives such a task up after some workers; the others are answered."""
    from distributed.scheduler import KilledWorker

    subject("llama").twin.save_pretrained(tmp_path)

    class Cluster(Executor):
        def submit(self, work, task):
            future = Future()
            if task.content == tuple(OTHER_IDS):
                future.set_exception(KilledWorker("work-1", SimpleNamespace(address="tcp://127.0.0.1:1"), 3))
            else:
                future.set_result(work(task))
            return future

    found = score_dataset(tmp_path, IDS_ONLY, executor=Cluster(), threads=1)
    assert [one.index for one in found.failures] == [1] and "4 different workers" in found.failures[0].reason
    assert np.isnan(found.samples[1]).all() and not np.isnan(np.delete(found.samples, 1, 0)).any()


@pytest.mark.parametrize("threads", [None, 1])
def test_threads_share_a_model_that_is_here(threads):
    model = subject("llama").model
    before = torch.get_num_threads()
    with unchanged(model.source), ThreadPoolExecutor(3) as pool:
        found = score_dataset(model, IDS_ONLY, executor=pool, threads=threads)
    np.testing.assert_array_equal(found.samples, score_dataset(model, IDS_ONLY, threads=threads).samples)
    assert torch.get_num_threads() == before


def test_what_progress_raises_ends_threads_and_keeps_what_is_finished(tmp_path):
    model = subject("llama").model

    def stop(done, total, text):
        if done == 2:
            raise KeyboardInterrupt

    with unchanged(model.source), ThreadPoolExecutor(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            score_dataset(model, IDS_ONLY * 5, executor=pool, checkpoint=tmp_path, progress=stop)
        kept = len(list(tmp_path.glob("*.parquet")))
        # Two that were done may have been the same prompt, which is one part.
        assert 1 <= kept < len(IDS_ONLY) + 1
        assert model.lock.acquire(blocking=False), "no pass goes on behind our back"
        model.lock.release()
        np.testing.assert_array_equal(score_dataset(model, IDS_ONLY, checkpoint=tmp_path).samples, score_dataset(model, IDS_ONLY).samples)


def test_a_cancelled_job_ends_it_within_a_block(tmp_path):
    """As a widget's job does: in the middle of the third prompt."""
    model, calls = subject("llama").model, []

    def check():
        calls.append(None)
        if len(list(tmp_path.glob("*.parquet"))) == 2:
            raise Cancelled

    with unchanged(model.source), interruptible(check), pytest.raises(Cancelled):
        score_dataset(model, IDS_ONLY, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 2 and calls


def test_no_more_tasks_are_handed_over_than_workers_need():
    model, most = subject("llama").model, []

    class Counting(ThreadPoolExecutor):
        def submit(self, *args):
            most.append(self._work_queue.qsize())
            return super().submit(*args)

    with Counting(2) as pool:
        score_dataset(model, IDS_ONLY * 5, executor=pool)
    assert len(most) == 30 and max(most) <= 6


def test_executors_that_cannot_do_it_are_refused_in_a_sentence():
    model = subject("llama").model
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        with pytest.raises(ExecutorError, match="is a model in this process, .* give the model's name or the folder"):
            score_dataset(model, IDS_ONLY, executor=pool)
        assert not pool._processes, "no worker was started for it"
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool,
        pytest.raises(ExecutorError, match="This pool forks"),
    ):
        score_dataset("minilm", ["a"], executor=pool)
    with ThreadPoolExecutor(1) as pool:
        pass
    with pytest.raises(ExecutorError, match="0 of 6 done"):
        score_dataset(model, IDS_ONLY, executor=pool)


def test_a_model_that_cannot_be_loaded_is_said_once():
    told = []
    with pytest.raises(ModelError, match="could not be loaded"):
        score_dataset("./no/such/folder", IDS_ONLY, progress=lambda *step: told.append(step))
    assert not told


def test_a_lock_that_is_held_and_tasks_that_others_cancel_end_in_a_sentence():
    """Neither is waited for for ever."""
    model = subject("llama").model
    with ThreadPoolExecutor(1) as pool:
        with model.lock, pytest.raises(ExecutorError, match="This thread holds the model's lock"):
            score_dataset(model, IDS_ONLY, executor=pool)
        with pytest.raises(ExecutorError, match="[1-6] of 30 done"):
            score_dataset(model, IDS_ONLY * 5, executor=pool, progress=lambda *_: pool.shutdown(wait=False, cancel_futures=True))


def test_ending_it_does_not_wait_for_what_the_threads_do_otherwise():
    model, go = subject("llama").model, threading.Event()
    with ThreadPoolExecutor(1) as pool:
        kept_busy = pool.submit(go.wait, 120)

        def check():
            if pool._work_queue.qsize():
                raise Cancelled

        with interruptible(check), pytest.raises(Cancelled):
            score_dataset(model, IDS_ONLY, executor=pool)
        assert not kept_busy.done()
        go.set()


def test_failures_are_not_counted_as_kept(tmp_path):
    model = subject("llama").model

    class Ends(ThreadPoolExecutor):
        def submit(self, *args):
            if len(list(tmp_path.glob("*.parquet"))) == 1:
                raise RuntimeError("shut down")
            return super().submit(*args)

    with Ends(1) as pool, pytest.raises(ExecutorError) as raised:
        score_dataset(model, [[5] * 600, *IDS_ONLY], executor=pool, checkpoint=tmp_path)
    assert f"{len(list(tmp_path.glob('*.parquet')))} of 7 done and kept" in str(raised.value)


def test_weights_that_change_on_the_way_are_refused():
    model = fresh("llama").model

    def train(done, total, text):
        with torch.no_grad():
            next(model.source.parameters()).add_(0.1)

    with pytest.raises(ModelError, match="weights have changed while its prompts were run"):
        score_dataset(model, IDS_ONLY, progress=train)
