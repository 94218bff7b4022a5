"""A search for one model's parameters on one dataset's validation images: what is tried, the trials, their report.

Not a part of the pipeline: it reads what the stages `prepare` and `augment` have left, and writes to data/search alone.
Values that are found become part of the benchmark when a person writes them into params.yaml.
"""
