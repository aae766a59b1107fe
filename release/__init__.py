"""`make release`: what a version is published as, made from the commit of its tag and nothing else."""
