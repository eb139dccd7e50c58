"""Processes end with the one that started them."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.killing import until

OWN = """
import os, signal, sys, time
from edu_align.utils import parent
parent.LOOK = 0.05
if os.fork() == 0:
    open(sys.argv[1], "w").write(str(os.getpid()))
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    parent.end_with_parent(os.getppid(), busy=lambda: not stopped)
    while True:
        time.sleep(0.05)
time.sleep(60)
"""
FOREIGN = """
import subprocess, sys
from edu_align.utils.parent import die_with_parent
subprocess.run(["sh", "-c", f"echo $$ > {sys.argv[1]}; exec sleep 60"], preexec_fn=die_with_parent)
"""


@pytest.mark.cases("D17")
@pytest.mark.parametrize("code", [OWN, FOREIGN], ids=["own", "foreign"])
def test_a_child_ends_where_its_parent_is_killed(code: str, tmp_path: Path) -> None:
    named = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", code, str(named)])
    until(lambda: named.exists() and named.read_text().strip(), 30)
    child = psutil.Process(int(named.read_text()))
    time.sleep(0.2)
    assert child.is_running()
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 20)
