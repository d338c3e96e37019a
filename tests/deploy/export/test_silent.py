"""OpenVINO is used without a word to its makers."""

import subprocess
import sys

WATCHED = """
import socket, sys

def refuse(*arguments, **more):
    raise AssertionError("something wants to talk to the network")

socket.socket.connect = socket.getaddrinfo = refuse
from softcam.deploy.export.silent import load_openvino
openvino = load_openvino()
loaded = sorted(name for name in sys.modules if name.startswith("openvino_telemetry"))
print(openvino.__version__ != "", [name for name in loaded if sys.modules[name] is not None])
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""


def test_openvino_is_imported_without_the_package_that_reports_its_use():
    command = [sys.executable, "-c", WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["True []", "openvino.tools.ovc.telemetry_stub"]
