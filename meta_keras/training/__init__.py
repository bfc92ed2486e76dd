"""Training that resumes: run folders, checkpoints, progress, TensorBoard."""
