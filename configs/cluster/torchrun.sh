#!/bin/bash
# torchrun.sh NODE FIRST: start it on two machines, with NODE 0 on the one that is called FIRST and NODE 1 on the other.
torchrun --no-python --nnodes 2 --node-rank "$1" --nproc-per-node 4 --master-addr "$2" --master-port 29500 \
    vapo train "${CONFIG:-configs/smollm2-arithmetic.toml}" --run-dir "${RUN_DIR:-runs/torchrun}" --resume-or-start --set run.gradient_shards=8
