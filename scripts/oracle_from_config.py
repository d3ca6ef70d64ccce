#!/usr/bin/env python3
"""Writes tests/data/from_config.inc: trajectories of each sampler with each scheduler's configuration.

save_pretrained writes the configurations of diffusers' 15 KarrasDiffusionSchedulers with several settings.
Each of the five classes that ditcl has reads each configuration, as X.from_config(scheduler.config) does,
and samples six numbers as in oracle_schedule.py. If the class reads a value that ditcl does not support,
the row names the key that must be refused.

usage: oracle_from_config.py > tests/data/from_config.inc      (torch 2.15, diffusers 0.42.1)
"""
import inspect
import json
import os
import sys
import tempfile
import types

import diffusers
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from oracle_schedule import CLASSES, run_diffusers, values_of

sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))  # only its constructor is needed
from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler  # noqa: E402

SETTINGS = [
    {},
    {"prediction_type": "v_prediction", "timestep_spacing": "leading", "steps_offset": 1,
     "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
     "skip_prk_steps": True, "set_alpha_to_one": False, "clip_sample": False},
    {"timestep_spacing": "trailing", "steps_offset": 3, "beta_schedule": "squaredcos_cap_v2",
     "solver_type": "heun", "lower_order_final": False, "euler_at_final": True,
     "final_sigmas_type": "sigma_min", "clip_sample": True, "clip_sample_range": 0.6,
     "set_alpha_to_one": False, "variance_type": "fixed_large", "num_train_timesteps": 300},
    {"use_karras_sigmas": True, "solver_order": 3, "thresholding": True, "noise_sampler_seed": 7,
     "sigma_schedule": "exponential", "sigma_max": 50.0},
    {"use_exponential_sigmas": True, "solver_order": 1, "sigma_min": 0.1},
    {"use_beta_sigmas": True, "solver_p": None, "disable_corrector": [0]},
    {"algorithm_type": "sde-dpmsolver++", "interpolation_type": "log_linear",
     "use_dynamic_shifting": True, "predict_x0": False, "variance_type": "learned"},
    {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "sample",
     "shift_terminal": 0.1},
    {"use_lu_lambdas": True, "timestep_type": "continuous", "rescale_betas_zero_snr": True},
    {"trained_betas": [round(0.001 + 0.002 * i * i / 20, 4) for i in range(20)],
     "num_train_timesteps": 20,
     "lambda_min_clipped": -5.1},
]
NOT_IN_DITCL = [
    ("rescale_betas_zero_snr", False), ("thresholding", False), ("use_karras_sigmas", False),
    ("use_exponential_sigmas", False), ("use_beta_sigmas", False), ("use_lu_lambdas", False),
    ("use_flow_sigmas", False), ("algorithm_type", "dpmsolver++"), ("solver_order", (1, 2)),
    ("lambda_min_clipped", -float("inf")), ("interpolation_type", "linear"),
    ("variance_type", ("fixed_small", "fixed_large", None)),
]


def schedulers():
    for kind in KarrasDiffusionSchedulers:
        cls = getattr(diffusers, kind.name)
        if kind.name == "DPMSolverSDEScheduler":
            cls = DPMSolverSDEScheduler
        known, written = inspect.signature(cls.__init__).parameters, []
        for settings in SETTINGS:
            kept = {k: v for k, v in settings.items() if k in known}
            if kept.get("solver_type") and kind.name not in ("DPMSolverMultistepScheduler",
                                                              "DPMSolverSinglestepScheduler"):
                del kept["solver_type"]
            if kind.name == "UniPCMultistepScheduler" and kept.get("use_flow_sigmas"):
                kept["prediction_type"] = "epsilon"
            if kind.name == "DEISMultistepScheduler":
                kept.pop("algorithm_type", None)
            if settings and (not kept or kept in written):
                continue
            written.append(kept)
            yield cls(**kept)


def unsupported(name, cls, config):
    """Keys that the class reads and whose values ditcl does not support."""
    known = inspect.signature(cls.__init__).parameters
    value = lambda key: config.get(key, known[key].default)
    wrong = [key for key, good in NOT_IN_DITCL if key in known
             and value(key) not in (good if isinstance(good, tuple) else (good,))
             and not (name == "dpm" and key == "variance_type")]
    if name == "euler" and value("prediction_type") == "v_prediction" \
            and value("timestep_type") == "continuous":
        wrong.append("timestep_type")
    return wrong


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    diffusers.utils.logging.set_verbosity_error()
    files, rows, refused = [], [], []
    for scheduler in schedulers():
        with tempfile.TemporaryDirectory() as folder:
            scheduler.save_pretrained(folder)
            with open(os.path.join(folder, "scheduler_config.json")) as f:
                text = f.read()
            own = type(scheduler).from_pretrained(folder)
        config = json.loads(text)
        config.pop("_diffusers_version")
        file = len(files)
        files.append(json.dumps(config))
        for name, cls in CLASSES.items():
            wrong = unsupported(name, cls, own.config)
            try:
                cls.from_config(own.config)
            except ValueError as e:  # DPMSolverMultistepScheduler refuses some values of DEIS
                assert "deis" in str(e) and "algorithm_type" in wrong
            if wrong:
                refused.append((name, file, wrong))
                continue
            steps = "20" if scheduler.config.get("num_train_timesteps") == 1000 else "9"
            result = run_diffusers(name, own.config, steps, 0.0, False, False)
            rows.append((name, file, steps, result))
    print("/* Made by scripts/oracle_from_config.py: torch %s, diffusers %s. */" % (
        torch.__version__.split("+")[0], diffusers.__version__))
    for i, text in enumerate(files):
        print("static const char file_%d[] =" % i)
        for at in range(0, len(text), 100):
            print('    "%s"' % text[at:at + 100].replace('"', '\\"'), end="")
            print(";" if at + 100 >= len(text) else "")
    print("static const trajectory from_config[] = {")
    for name, file, steps, result in rows:
        print('{COMPAT_DIFFUSERS, SAMPLER_%s, file_%d, "%s", 0, 0, 0, DIFFUSION_SIGMA,' % (
            name.upper(), file, steps))
        print(values_of(result))
    print("};")
    print("static const struct {\n    sampler_kind sampler;\n    const char *config;\n"
          "    const char *keys; /* one of them must be named */\n} not_from_config[] = {")
    for name, file, wrong in refused:
        print('{SAMPLER_%s, file_%d, "%s"},' % (name.upper(), file, " ".join(wrong)))
    print("};")


if __name__ == "__main__":
    main()
