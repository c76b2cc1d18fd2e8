"""Stand-in for pulumi-language-python: runs a Python program for the real Pulumi engine.

Rules are those of pulumi/pulumi v3.259.0: sdk/python/cmd/pulumi-language-python/main.go ("main.go" below) and
sdk/python/toolchain/pip.go ("pip.go"). Only the pip toolchain is known, and no `typechecker`.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import IO

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2 as pb
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from .plugin import ProviderError, decode, engine_address, guarded, serve

EXEC = Path(__file__).with_name("language_exec.py")
ALREADY_SHOWN = 32  # main.go pythonProcessExitedAfterShowingUserActionableMessage
NO_VENV = """The 'virtualenv' option in Pulumi.yaml is set to "{option}", but "{path}" {problem}; \
run the following commands to create the virtual environment and install dependencies into it:

    1. python3 -m venv {path}
    2. {path}/bin/python -m pip install -r requirements.txt
"""  # pip.go NewVirtualEnvError


class Python(language_pb2_grpc.LanguageRuntimeServicer):
    """The language host of one engine; it runs one program at a time."""

    def __init__(self, engine: str):
        self.engine = engine
        self.child: subprocess.Popen | None = None

    @staticmethod
    def environment(info: pb.ProgramInfo) -> tuple[str, Path | None, dict[str, str]]:
        """A program's interpreter, virtual environment and environment variables (pip.go Command)."""
        options, env = decode(info.options), dict(os.environ)
        for option, known in (("toolchain", "pip"), ("typechecker", None)):
            if options.get(option, known) != known:
                raise ProviderError(
                    f"the stand-in for the Python language host knows no {option} {options[option]!r}: "
                    f"remove it from Pulumi.yaml, or install the official pulumi-language-python"
                )
        venv = options.get("virtualenv")
        if not venv:
            names = [env["PULUMI_PYTHON_CMD"]] if env.get("PULUMI_PYTHON_CMD") else ["python3", "python"]
            python = next(filter(None, map(shutil.which, names)), None)
            if python is None:
                raise ProviderError(f"failed to locate any of {names} on your PATH")
            return python, None, env
        path = Path(info.root_directory, venv)  # an absolute one stays as it is
        env.pop("PYTHONHOME", None)
        env |= {"VIRTUAL_ENV": str(path), "PATH": f"{path}/bin:{env.get('PATH', '')}"}
        return f"{path}/bin/python", path, env

    def interpreter(self, info: pb.ProgramInfo) -> tuple[str, dict[str, str]]:
        """As `environment`, after checking that the virtual environment is there (pip.go ValidateVenv)."""
        python, venv, env = self.environment(info)
        if venv and not os.path.isfile(python):
            problem = "doesn't appear to be a virtual environment" if venv.exists() else "doesn't exist"
            option = decode(info.options)["virtualenv"]
            raise ProviderError(NO_VENV.format(option=option, path=venv, problem=problem))
        return python, env

    def Handshake(self, request, context):  # only when attached by PULUMI_DEBUG_LANGUAGES
        self.engine = request.engine_address
        return pb.LanguageHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    @guarded
    def GetRequiredPackages(self, request, context):
        """The plugins that the installed SDK packages ask for (main.go determinePackageDependency).

        The official host finds the packages with `pip list` (about a second); here their folders are read.
        """
        python, env = self.interpreter(request.info)
        paths = json.loads(
            subprocess.check_output([python, "-c", "import json, sys; print(json.dumps(sys.path))"], env=env)
        )
        found = {}
        for path in filter(None, paths):
            for description in Path(path).glob("*/pulumi-plugin.json"):
                plugin = json.loads(description.read_text())
                if plugin.get("resource"):
                    found.setdefault(
                        plugin["name"],
                        plugin_pb2.PackageDependency(
                            name=plugin["name"],
                            kind="resource",
                            version="v" + plugin["version"].removeprefix("v"),
                            server=plugin.get("server", ""),
                        ),
                    )
        return pb.GetRequiredPackagesResponse(packages=found.values())

    @guarded
    def Run(self, request, context):
        """Run the program to its end (main.go Run)."""
        python, env = self.interpreter(request.info)
        env["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        env["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        flags = {
            "monitor": request.monitor_address,
            "engine": self.engine,
            "project": request.project,
            "root_directory": request.info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": str(request.dryRun).lower(),
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        args = [x for k, v in flags.items() if v for x in (f"--{k}", v)]
        # Its output is ours, which the engine shows; our own line with the port is out already.
        child = subprocess.Popen(
            [python, "-u", str(EXEC), *args, request.info.entry_point, *request.args], env=env
        )
        self.child = child
        # The official host starts it with exec.CommandContext: it dies with the request.
        if not context.add_callback(child.kill):
            child.kill()
        code = child.wait()
        if code == ALREADY_SHOWN:
            return pb.RunResponse(bail=True)
        return pb.RunResponse(error=f"program exited with non-zero exit code: {code}" if code else "")

    def RunPlugin(self, request, context):
        """Run a plugin written in Python, here a policy pack, to its end (main.go RunPlugin)."""
        if not decode(request.info.options).get("virtualenv"):
            request.info.options["virtualenv"] = "venv"  # a plugin never runs in the ambient environment
        try:
            python, env = self.interpreter(request.info)
        except ProviderError as e:
            context.abort(grpc.StatusCode.UNKNOWN, str(e))
        env |= dict(variable.split("=", 1) for variable in request.env)
        with subprocess.Popen(
            [python, "-u", request.info.program_directory, *request.args],
            env=env,
            cwd=request.pwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            if not context.add_callback(child.kill):  # the engine ends a plugin by ending the request
                child.kill()
            output: queue.SimpleQueue[pb.RunPluginResponse | None] = queue.SimpleQueue()

            def forward(stream: IO[bytes], response: Callable[[bytes], pb.RunPluginResponse]) -> None:
                while chunk := os.read(stream.fileno(), 65536):
                    output.put(response(chunk))
                output.put(None)

            assert child.stdout is not None
            assert child.stderr is not None
            for stream, response in (
                (child.stdout, lambda chunk: pb.RunPluginResponse(stdout=chunk)),
                (child.stderr, lambda chunk: pb.RunPluginResponse(stderr=chunk)),
            ):
                threading.Thread(target=forward, args=(stream, response), daemon=True).start()
            for _ in range(2):
                yield from iter(output.get, None)
        yield pb.RunPluginResponse(exitcode=child.returncode)

    def stop(self) -> None:
        """Ask the program to stop; called when the engine ends the plugin, too."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)

    def Cancel(self, request, context):
        self.stop()
        return empty_pb2.Empty()

    def RuntimeOptionsPrompts(self, request, context):
        return pb.RuntimeOptionsResponse()

    @guarded
    def About(self, request, context):
        python, env = self.interpreter(request.info)
        text = subprocess.check_output([python, "--version"], env=env, text=True)
        return pb.AboutResponse(executable=python, version=text.split()[-1])

    @guarded
    def GetProgramDependencies(self, request, context):
        python, env = self.interpreter(request.info)
        command = [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
        if not request.transitiveDependencies:
            command.append("--not-required")
        packages = json.loads(subprocess.check_output(command, env=env))
        return pb.GetProgramDependenciesResponse(
            dependencies=[pb.DependencyInfo(name=p["name"], version=p["version"]) for p in packages]
        )

    def InstallDependencies(self, request, context):
        """`pulumi install`: make the virtual environment and install requirements.txt into it."""
        python, venv, env = self.environment(request.info)
        folder = request.info.program_directory
        steps = []
        if venv and not os.path.exists(python):
            steps.append([sys.executable, "-m", "venv", str(venv)])
        if os.path.exists(os.path.join(folder, "requirements.txt")):
            steps.append([python, "-m", "pip", "install", "-r", "requirements.txt"])
        for step in steps:
            with subprocess.Popen(
                step, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            ) as child:
                assert child.stdout is not None
                for line in child.stdout:
                    yield pb.InstallDependenciesResponse(stdout=line)
            if child.returncode:
                context.abort(grpc.StatusCode.UNKNOWN, f"{' '.join(step)} exited with {child.returncode}")


if __name__ == "__main__":
    serve(language_pb2_grpc.add_LanguageRuntimeServicer_to_server, Python(engine_address()))
