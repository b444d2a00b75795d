"""Choose what computes in a lower precision, by what is observed on sample inputs."""
