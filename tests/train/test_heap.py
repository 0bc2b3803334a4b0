"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from isostate.train.heap import keep_freed_memory
import torch
kept = {call}
def step():  # 16 blocks of 4 MB, all freed at its end, as a training step's activations are
    [torch.ones(2**20) for _ in range(16)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> tuple[str, int]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True, check=True)
    kept, count = ran.stdout.split()
    return kept, int(count)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_a_step_faults_its_pages_once_instead_of_every_time():
    kept, count = faults("keep_freed_memory()")
    assert kept == "True"
    # 16 blocks of 1,024 pages, 20 times; how many of them glibc's defaults fault again depends on where the blocks lie
    assert count < 20 * 16 * 1024 / 100
