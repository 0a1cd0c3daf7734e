"""Starts the real binary, makes stubs from `proto/`, and reads errors."""

import importlib
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import types

import grpc
import grpc_tools
from google.protobuf import timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["catalog", "customer", "event", "model", "offer", "recommendation"]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
DOMAIN = "nextbest.dev"


def generate_stubs(folder):
    """Makes the stubs as any user would, and returns the messages and services in one namespace."""
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}"]
    arguments += [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    arguments += [f"nextbest/v1/{name}.proto" for name in NAMES]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, str(folder))
    v1 = types.SimpleNamespace()
    for name in NAMES:
        for suffix in ("pb2", "pb2_grpc"):
            module = importlib.import_module(f"nextbest.v1.{name}_{suffix}")
            public = {k: v for k, v in vars(module).items() if not k.startswith("_")}
            vars(v1).update(public)
    return v1


class Service:
    """One process of the service on a data folder of its own."""

    def __init__(self, data):
        self.data = data
        self.process = None
        self.address = None
        self.http = None

    def start(self):
        """Starts, and waits for the line that says where it listens."""
        binary = os.environ["TEST_BIN"]
        command = [binary, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        command += ["--http", "127.0.0.1:0"]
        # those of the tests are no settings of the service
        env = {k: v for k, v in os.environ.items() if not k.startswith("NEXTBEST_")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        lines = queue.Queue()

        def read(stdout):
            for line in stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, args=(self.process.stdout,), daemon=True).start()
        while True:
            line = lines.get(timeout=START_TIMEOUT_S)
            if line is None:
                raise RuntimeError(f"the service ended with {self.process.wait()}")
            if line.startswith("HTTP on "):
                self.http = line.removeprefix("HTTP on ").strip()
            if line.startswith("listening on "):
                self.address = line.removeprefix("listening on ").strip()
                return

    def channel(self):
        """A new connection that is up."""
        channel = grpc.insecure_channel(self.address)
        grpc.channel_ready_future(channel).result(timeout=START_TIMEOUT_S)
        return channel

    def kill(self):
        """As the power fails for the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """As an operator stops it. Returns the exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=STOP_TIMEOUT_S)
        self.process.stdout.close()
        return code


def new_data_folder():
    """An empty folder that goes away with the returned object."""
    return tempfile.TemporaryDirectory(prefix="nextbest-python-")


def time_of(seconds, nanos=0):
    """A protobuf time."""
    return timestamp_pb2.Timestamp(seconds=int(seconds), nanos=nanos)


def read_error(error):
    """Code, reason and violations of an error, which must have exactly one ErrorInfo."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        raise AssertionError(f"no details in {error.code()}: {error.details()}")
    status = status_pb2.Status.FromString(details)
    infos, violations = [], {}
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            infos.append(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations = {v.field: v.reason for v in bad.field_violations}
    assert len(infos) == 1, f"{len(infos)} ErrorInfo"
    assert infos[0].domain == DOMAIN, infos[0].domain
    assert status.code == error.code().value[0], "the two codes differ"
    return error.code().name, infos[0].reason, violations
