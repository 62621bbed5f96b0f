"""The default study from Python: the same power as the command line."""

from superalign import WeakToStrong, run

result = run(WeakToStrong(weak="embedded:minilm", strong="embedded:smollm2", task="facts", seeds=5))
for sentence in result.verdict:
    print(sentence)
print(result.frame().groupby(["role", "method"])["accuracy"].agg(["mean", "std"]))
