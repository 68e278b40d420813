"""Many runs: grids of options, their list of jobs, and the schedulers that run them."""
