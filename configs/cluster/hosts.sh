#!/bin/bash
# hosts.sh A B: four ranks on each of two machines, with an MPI library that is installed on both and a directory that both see.
mpirun --host "$1:4,$2:4" -n 8 \
    vapo train "${CONFIG:-configs/smollm2-arithmetic.toml}" --run-dir "${RUN_DIR:-runs/hosts}" --resume-or-start --set run.gradient_shards=8
