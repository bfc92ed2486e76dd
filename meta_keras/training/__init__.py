"""What stands around `fit`: runs that resume, checkpoints, progress, TensorBoard summaries."""
