"""A question -> runs -> records.

The order to read: file, config, grid, tune, calibrate, plan, remember, pool, execute, worker.

This file imports none of them: `file` and `remember` are enough to see that a study is finished, and do without torch.
"""
