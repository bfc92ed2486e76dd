"""How long training takes, and how much memory: `python -m experiments.benchmark`.

__main__.py                 flags, report, exit code
options.py                  what can be chosen, and the defaults
few_shot.py                 what is measured and required of few-shot training
learned_optimizer.py        what is measured and required of the training of an optimizer
verdicts.py                 requirements that both have
process.py measure.py       one measurement in a process of its own
few_shot_contenders.py      what takes turns in it
optimizer_contenders.py
bare_few_shot.py            the yardsticks: the same arithmetic in bare TensorFlow
bare_optimizer.py bare_common.py
"""
