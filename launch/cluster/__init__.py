"""Several machines: processes as one program, shards, Slurm."""
