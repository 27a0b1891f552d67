"""Settings that save time, or make do with few examples, for tests that ask every method."""

from __future__ import annotations

from ambench import registry

QUICK = {
    "actmax": "steps=6",
    "actmax_joint": "steps=6",
    "actmax_latent": "steps=3",
    "adversarial": "steps=3,restarts=2",
    "deepdream": "steps=2",
    "maco": "steps=4,crops=2",
    "actmax_free": "evaluations=44",
    "cured_cav": "fewest=5,most_alike=1",
    "fp_cav": "fewest=5",
    "integrated_gradients": "steps=4",
    "sequence_dreaming": "steps=6,smooth_every=2,restart_every=4",
    "local_sensitivity": "grid=3,delta=0.25",  # a small step divides the rounding of the logits
    "occlusion": "window=0.5,stride=1",
    "smoothgrad": "samples=3",
    "sobol": "grid=2,designs=4",
    "tcav": "refits=3",
}
METHODS = [f"{name}:{QUICK[name]}" if name in QUICK else name for name in sorted(registry.names("methods"))]
