#!/bin/bash
# One command on every host of a TPU slice: docs/launch/tpu_vm.sh TPU_NAME ZONE CONFIG WORKDIR [SETTING ...]
#
# Each host needs this repository in ~/demo_jax with pip install '.[tpu]' in its .venv; WORKDIR and the data are best on
# gs://. JAX reads what the hosts must know of each other from the TPU's own metadata. Never run so far.
set -eu
name=$1 zone=$2 config=$3 workdir=$4
shift 4
settings=$(printf ' %q' "$@")
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="cd demo_jax && exec \
    .venv/bin/python train.py --distributed --config=$(printf %q "$config") --workdir=$(printf %q "$workdir") $settings"
