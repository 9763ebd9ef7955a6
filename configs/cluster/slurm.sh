#!/bin/bash
# sbatch configs/cluster/slurm.sh: a run on two machines with four ranks each. Five minutes before the time limit Slurm sends
# SIGUSR1 to all ranks; the run then writes a checkpoint and exits with code 75, the job is queued again, and the same
# script goes on from the checkpoint.
#SBATCH --job-name=vapo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@300
#SBATCH --open-mode=append

run=${RUN_DIR:-runs/slurm}
config=${CONFIG:-configs/smollm2-arithmetic.toml}
srun vapo train "$config" --run-dir "$run" --resume-or-start --set run.gradient_shards=8
code=$?
if [[ $code == 75 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
