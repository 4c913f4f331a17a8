"""Trains either stage of DEMO: the motion auto-encoder (stage 1) or the flow transformer on its codes (stage 2).

    python train.py --config=configs/puppet_autoencoder.py --workdir=runs/puppet_ae --config.data.path=data/puppet
    python train.py --config=configs/puppet_flow.py --workdir=runs/puppet_flow --config.data.path=data/puppet_codes \\
        --config.autoencoder=runs/puppet_ae

Any setting of the config file can be given as --config.section.name=value. The work directory receives checkpoints/,
metrics.jsonl, tensorboard/ and eval/ (images, clips). The same command resumes from the newest checkpoint. SIGTERM
saves and stops with exit code 143. Exit code 2 means that an input cannot be used, 3 that training had to stop.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from demo_jax.checkpoint.save import NotSavedError
from demo_jax.cli import print_error
from demo_jax.config import OLD_NAMES
from demo_jax.errors import InputError
from demo_jax.jobs.run import run
from demo_jax.paths import find_config
from demo_jax.training import distributed
from demo_jax.training.loop import TrainingStopped

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, see configs/.", lock_config=True)


flags.DEFINE_bool(  # read by _join_early
    "distributed",
    False,
    "One of several processes, one on each host: on TPU VMs, SLURM, Open MPI and Kubernetes they find each other; "
    "elsewhere by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.",
)


PROFILE = flags.DEFINE_integer("profile", 0, "Steps to trace, from the tenth on, into WORKDIR/profile.", lower_bound=0)


WORKDIR = flags.DEFINE_string("workdir", None, "Folder of this run; if it contains checkpoints, the run is resumed.")


def main(argv: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)  # Orbax and Grain report every array at INFO
    try:
        if argv[1:]:
            raise InputError(
                f"unexpected {argv[1]!r}; settings begin with --config., and a name with spaces stands in quotes."
            )
        if CONFIG.value is None or not WORKDIR.value:
            raise InputError("--config and --workdir are needed; see python train.py --help.")
        state = run(CONFIG.value, WORKDIR.value, PROFILE.value)
        if int(state.step) < CONFIG.value.steps:
            # The exit code of a process that SIGTERM ended: a scheduler must not take the run for finished.
            sys.exit(128 + signal.SIGTERM)
    except InputError as error:
        _fail(error, 2)
    except (TrainingStopped, NotSavedError) as error:
        _fail(error, 3)
    except OSError as error:  # a full or lost disk
        _fail(f"{error}. The same command resumes from the last checkpoint.", 3)


def parse(arguments: list[str]) -> list[str]:
    """Parses with absl, with the many errors of config_flags as one line and exit code 2; returns what is left."""
    try:
        if single := next((a for a in arguments[1:] if a.startswith("-config.")), None):
            raise InputError(f"unexpected {single!r}; settings begin with --config.")
        arguments = _with_current_names(arguments)
        arguments = [_found(a, before) for before, a in zip(["", *arguments], arguments, strict=False)]
        _join_early(arguments)
        left = flags.FLAGS(arguments)
        getattr(CONFIG.value, "stage", None)  # a missing config file raises only now
        return left
    except OSError:
        named = next((a for a in arguments if a.lstrip("-").startswith("config=")), "--config")
        _fail(f"{named}: there is no such file, or it cannot be read; see configs/.", 2)
    except (AttributeError, KeyError) as error:
        cause = error.args[0].args[0] if isinstance(error.args[0], KeyError) else error.args[0]
        _fail(f"unknown setting, or not a config file: {cause}", 2)
    except (flags.Error, SyntaxError, TypeError, ValueError) as error:
        # From within a config file the text is a whole traceback, whose last line is the error.
        last = str(error).strip().rpartition("\n")[2]
        _fail(re.sub(r"^[\w.]+Error: ", "", last) if "Traceback" in str(error) else error, 2)


def _found(word: str, before: str) -> str:
    """A word of the command line, with the config file that it names; `before` is the word before it."""
    if before in ("-config", "--config"):
        return find_config(word)
    flag, equals, name = word.partition("=")
    return f"{flag}={find_config(name)}" if equals and flag in ("-config", "--config") else word


def _with_current_names(arguments: list[str]) -> list[str]:
    """Returns the arguments with settings of OLD_NAMES under their names now, and prints a note for each."""
    renamed = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        old = flag.removeprefix("--config.")
        if flag != old and old in OLD_NAMES:
            print(f"note: --config.{old} is now --config.{OLD_NAMES[old]}; the old name will go.", file=sys.stderr)
            argument = f"--config.{OLD_NAMES[old]}{equals}{value}"
        renamed.append(argument)
    if renamed != arguments:
        sys.argv = renamed  # config_flags looks there for overrides
    return renamed


def _join_early(arguments: list[str]) -> None:
    """Connects the processes of a run before its config file is read, which may start JAX's devices by reading a
    checkpoint; then it would be too late."""
    early = flags.FlagValues()
    flags.DEFINE_bool("distributed", False, "", flag_values=early)
    early(arguments, known_only=True)
    if early["distributed"].value:
        distributed.join()


def _fail(error: object, code: int) -> NoReturn:
    print_error(error)
    if jax.distributed.is_initialized():
        # An orderly exit waits for all other processes, one of which may have failed.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def command() -> None:
    """The command demo-jax-train, and train.py."""
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    command()
